//! `cargo local` as a person uses it: what it leaves behind, and what it says when something is in the way.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Output, Stdio},
};

use local_runtime::bootstraps::target_folder;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tests::{bootstraps, directory, options, room, stack_of};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

async fn program() -> PathBuf {
    bootstraps().await;
    target_folder().unwrap().join("debug/local")
}

/// A stack of a folder of its own, until it has played the story or does not start.
async fn once(arguments: &[&str]) -> Output {
    let folder = directory();
    let port: &[&str] = if arguments.contains(&"--port") { &[] } else { &["--port", "0"] };
    run(&[&["--once", "--directory", folder.to_str().unwrap()], port, arguments].concat()).await
}

pub(super) async fn run(arguments: &[&str]) -> Output {
    Command::new(program().await).args(arguments).output().await.unwrap()
}

/// A `cargo local` of its own prefix, by which its processes are told from others'.
pub(super) struct Running {
    pub(super) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(super) prefix: String,
    pub(super) directory: PathBuf,
}

impl Running {
    pub(super) async fn start(arguments: &[&str]) -> Self {
        Self::start_in(directory(), arguments).await
    }

    pub(super) async fn start_in(directory: PathBuf, arguments: &[&str]) -> Self {
        let prefix = format!("p{}", &uuid::Uuid::new_v4().simple().to_string()[..19]);
        let mut child = Command::new(program().await)
            .args(["--port", "0", "--parameter-overrides", &format!("Prefix={prefix}")])
            .arg("--directory")
            .arg(&directory)
            .args(arguments)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, prefix, directory }
    }

    /// What it says until a line that starts with these words.
    pub(super) async fn until(&mut self, words: &str) -> String {
        let mut text = Vec::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            text.push(line);
            if text.last().is_some_and(|line| line.starts_with(words)) {
                return text.join("\n");
            }
        }
        panic!("never said {words:?}: {text:?}")
    }

    /// Processes that are functions of this stack.
    pub(super) fn bootstraps(&self) -> usize {
        let marker = format!("AWS_LAMBDA_FUNCTION_NAME={}-", self.prefix);
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let environments = processes.filter_map(|process| std::fs::read(process.path().join("environ")).ok());
        environments.filter(|environment| String::from_utf8_lossy(environment).contains(&marker)).count()
    }

    pub(super) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap())
    }

    /// A command that joins it by its folder.
    pub(super) async fn join(&self, arguments: &[&str]) -> Output {
        let folder = ["--directory", self.directory.to_str().unwrap()];
        run(&[&arguments[..1], &folder, &arguments[1..]].concat()).await
    }

    /// Ctrl-C; then nothing of it is left.
    pub(super) async fn stop(mut self) {
        kill(self.pid(), Signal::SIGINT).unwrap();
        self.child.wait().await.unwrap();
        assert_eq!(self.bootstraps(), 0);
        assert!(!self.directory.join("env").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_leaves_no_process_and_no_environment_file() {
    let _room = room().await;
    let mut running = Running::start(&[]).await;
    running.until("The story:").await;
    running.stop().await;

    let mut running = Running::start(&[]).await;
    let text = running.until("Ctrl-C").await;
    assert!(text.contains("Every step held.") && text.contains("settings/integrations?session="), "{text}");
    assert!(!text.contains("AWS_REGION"), "variables hide the link: {text}");
    assert!(running.bootstraps() > 0, "the functions' processes run");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_ok_or_all_that_is_wrong_and_a_stack_with_wrong_settings_does_not_start() {
    let good = run(&["check", "--parameter-overrides", "Prefix=it", "ClaimLeaseSeconds=31"]).await;
    assert_eq!((good.status.code(), String::from_utf8_lossy(&good.stdout).as_ref()), (Some(0), "ok\n"));
    let wrong = ["ClaimLeaseSeconds=5", "Prefix=Bad_Prefix", "Nope=1"];
    let words =
        ["ClaimLeaseSeconds is 5 and must be more than ProcessTimeoutSeconds", "`Bad_Prefix`", "no parameter `Nope`"];
    let checked = run(&[&["check", "--parameter-overrides"][..], &wrong].concat()).await;
    let started = once(&[&["--parameter-overrides"][..], &wrong].concat()).await;
    for (output, text) in [(&checked, &checked.stdout), (&started, &started.stderr)] {
        let text = String::from_utf8_lossy(text);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(words.iter().all(|words| text.contains(words)), "{text}");
        assert!(!text.contains("Building"), "{text}");
    }
    let rewritten = Command::new(program().await).arg("check").env("INTERTIE_URL_REWRITES", "nonsense").output();
    let text = rewritten.await.unwrap();
    assert_eq!(text.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&text.stdout).starts_with("INTERTIE_URL_REWRITES: \"nonsense\""), "{text:?}");

    let folder = directory();
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("template.yaml");
    std::fs::write(&file, "Resources: {}").unwrap();
    let other = run(&["check", "--template", file.to_str().unwrap()]).await;
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&other.stdout).starts_with("Resources must be"), "{other:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bootstrap_with_wrong_settings_ends_at_init_with_what_is_wrong() {
    let bootstraps = bootstraps().await;
    let template = tests::template("http://localhost", &[]);
    for (function, variable, value, words) in [
        (
            "webhook-process",
            "CLAIM_LEASE_SECONDS",
            "5",
            "ClaimLeaseSeconds is 5 and must be more than ProcessTimeoutSeconds",
        ),
        ("api-proxy", "CLAIM_LEASE_SECONDS", "5", "ClaimLeaseSeconds is 5 and must be more than ProxyTimeoutSeconds"),
        (
            "sync-worker",
            "SYNC_LEASE_SECONDS",
            "300",
            "SyncLeaseSeconds is 300 and must be more than SyncTimeoutSeconds",
        ),
        ("token-refresh", "REFRESH_LEASE_SECONDS", "10", "RefreshLeaseSeconds is 10 and must be more than 10"),
        ("sync-scheduler", "SCHEDULES_VISIBILITY_SECONDS", "359", "at least 6 × ScheduleTimeoutSeconds, which is 60"),
        ("api-proxy", "RATE_LIMITS", "slack/foo=1/s", "slack/foo"),
        ("integrations-api", "ALLOWED_ORIGINS", "localhost:4600", "AllowedOrigins is `localhost:4600`"),
        (
            "oauth-callback",
            "JWKS_URL",
            "https://issuer.example/keys",
            "JwksUrl, JwtIssuer and JwtAudience are set together",
        ),
        ("webhook-ingest", "INTERTIE_URL_REWRITES", "nonsense", "UrlRewrites is `nonsense`"),
        ("webhook-ingest", "RESOURCE_PREFIX", "Bad_Prefix", "Prefix is `Bad_Prefix`"),
    ] {
        let declared = template.functions.iter().find(|it| it.binary == function).unwrap();
        let ambient = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"].map(|name| (name, "x"));
        let mut bootstrap = Command::new(bootstraps.path(function));
        bootstrap.env_clear().envs(ambient).envs(&declared.environment).env(variable, value).kill_on_drop(true);
        let output = bootstrap.output().await.unwrap();
        // The one line of its log that tells why it ends.
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && text.contains(words), "{function} {variable}={value}: {text}");
        assert!(!text.contains("panicked"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_name_their_cause_and_the_next_step() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    // Closed again: nothing answers there.
    let nothing = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nothing = format!("http://{nothing}");
    let running = stack_of(options().await).await;
    let debug = target_folder().unwrap().join("debug");
    let on_it = ["--aws-endpoint", &running.aws_url, "--bootstraps", debug.to_str().unwrap()];
    for (output, words) in [
        (run(&["sign", "--provider", "nobody", "/dev/null"]).await, "there are: slack, stripe"),
        (run(&["sign", "--provider", "stripe", "/no/such/file"]).await, "/no/such/file"),
        (once(&["--port", &port]).await, "choose another with --port"),
        (once(&["--parameter-overrides", "Nope=1"]).await, "Nope"),
        (once(&["--parameter-overrides", "ClaimLeaseSeconds=soon"]).await, "ClaimLeaseSeconds"),
        (once(&["--aws-endpoint", &nothing]).await, "Connection refused (os error 111); start one there"),
        (once(&["--aws-endpoint", "localhost:1"]).await, "it must begin with http://HOST"),
        (once(&on_it).await, "is there already: another stack has its prefix at this endpoint"),
        (run(&["--events-to", "https://localhost:1"]).await, "it must begin with http://HOST"),
    ] {
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(words), "{words}: {text}");
        assert!(!text.contains("panicked"), "{text}");
    }
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_ready_made_bootstrap_is_named_with_the_command_that_makes_it() {
    let _room = room().await;
    let folder = directory().join("lambda");
    std::fs::create_dir_all(&folder).unwrap();
    let given = folder.to_str().unwrap();
    let output = once(&["--bootstraps", given]).await;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(text.contains(&format!("there is no bootstrap {given}/oauth-callback/bootstrap")), "{text}");
    assert!(
        text.contains(&format!("cargo lambda build --release --lambda-dir {given} --bin oauth-callback")),
        "{text}"
    );

    let output = once(&["--bootstraps", "/nowhere"]).await;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("/nowhere: "), "{text}");
}
