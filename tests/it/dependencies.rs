//! The dependency rule and what must stay out of a function, checked on what cargo resolves.

use std::process::Command;

use local_runtime::bootstraps::root;

/// The names and versions of everything a package is linked with.
fn tree(package: &str) -> Vec<String> {
    let arguments = ["tree", "--offline", "--edges", "normal", "--prefix", "none", "--package", package];
    let output = Command::new("cargo").current_dir(root()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
}

fn has(tree: &[String], forbidden: &str) -> Option<String> {
    tree.iter().find(|line| line.starts_with(forbidden)).cloned()
}

const FUNCTIONS: [&str; 9] = [
    "api-proxy",
    "integrations-api",
    "oauth-callback",
    "operator-api",
    "sync-scheduler",
    "sync-worker",
    "token-refresh",
    "webhook-ingest",
    "webhook-process",
];

/// Packages that take a function's place: an application's own bootstrap and a test's.
const LIKE_FUNCTIONS: [&str; 2] = ["webhook-handlers", "poison"];

#[test]
fn functions_carry_no_emulator_no_slow_tls_and_no_second_http_stack() {
    for function in FUNCTIONS.iter().chain(&LIKE_FUNCTIONS) {
        let tree = tree(function);
        for forbidden in [
            "dynoxide",
            "rustack",
            "local-",
            "tests ",
            "aws-lc",
            "hyper v0.14",
            "openssl ",
            "openssl-sys",
            "native-tls",
            "aws-config ",
        ] {
            assert_eq!(has(&tree, forbidden), None, "{function}");
        }
    }
}

#[test]
fn no_function_depends_on_what_takes_its_place() {
    for function in FUNCTIONS {
        let tree = tree(function);
        for other in LIKE_FUNCTIONS {
            assert_eq!(has(&tree, &format!("{other} ")), None, "{function}");
        }
    }
}

#[test]
fn providers_never_reach_the_network_and_never_see_the_platform() {
    let tree = tree("providers");
    for forbidden in ["tokio", "reqwest", "aws-sdk", "hyper", "platform"] {
        assert_eq!(has(&tree, forbidden), None);
    }
}

#[test]
fn the_domain_depends_on_no_other_crate_of_ours_and_the_platform_on_no_provider() {
    let domain = tree("domain");
    for forbidden in ["providers", "platform", "tokio", "aws-"] {
        assert_eq!(has(&domain, forbidden), None);
    }
    assert_eq!(has(&tree("platform"), "providers"), None);
}

#[test]
fn the_sandbox_knows_no_aws_and_the_runtime_no_provider() {
    for (package, all) in [
        ("local-sandbox", &["aws", "dynoxide", "rustack", "local-aws", "domain", "providers", "platform"][..]),
        ("local-aws", &["local-runtime", "local-sandbox", "domain", "providers", "platform"]),
        ("local-runtime", &["local-sandbox", "local-cli", "domain", "providers", "platform"]),
        ("local-bench", &["local-sandbox", "local-cli"]),
    ] {
        let tree = tree(package);
        for forbidden in all {
            assert_eq!(has(&tree, forbidden), None, "{package}");
        }
    }
}
