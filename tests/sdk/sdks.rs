//! The vendors' SDKs, unmodified, through the proxy: what each can do there is what the table in README.md says.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Stdio,
    time::Duration,
};

use http::Method;
use local_base::web::Web;
use local_cli::bundle::Options;
use local_runtime::bootstraps::{Bootstraps, root, target_folder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tests::{Guest, Node, node, options, stack_of};
use tokio::{process::Command, time::timeout};

/// The functions that know GitHub: of those that call providers, the ones that a key and the proxy need.
const FUNCTIONS: [&str; 4] = ["api-proxy", "integrations-api", "oauth-callback", "sync-worker"];
/// How long an SDK's script may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// What a script did, and what went wrong in it.
#[derive(Default)]
struct Outcome {
    held: BTreeSet<String>,
    failed: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sdk_does_through_the_proxy_what_the_table_says() {
    let github = Node::start("sdk", "github.mjs").await;
    let options = options().await;
    let known = |all: Bootstraps, name| all.with(name, env!("CARGO_BIN_EXE_functions-with-github").into());
    let stack = stack_of(Options {
        rewrites: format!("https://api.github.com={}", github.ready["url"].as_str().unwrap()),
        bootstraps: FUNCTIONS.into_iter().fold(options.bootstraps, known),
        ..options
    })
    .await;
    let life = Duration::from_mins(30);
    let [session, stranger] = ["ada", "bob"].map(|user| stack.session(user, None, life).unwrap());
    let ada = Guest::new(&stack, "ada").await;
    for connect in
        ["slack?scopes=files:write", "gmail", "google-calendar?scopes=https://www.googleapis.com/auth/calendar.events"]
    {
        let callback = ada.allow(&format!("/connect/{connect}")).await;
        let back = ada.get(&callback).await.location.unwrap();
        assert!(back.contains("success="), "{back}");
    }
    ada.connect_stripe(json!({})).await;
    let (status, body) = ada.api(Method::POST, "/connect/github", &json!({ "api_key": "ghp_ada" })).await;
    assert_eq!(status, 201, "{body}");
    ada.quiet().await;

    let sandboxes = ["slack", "stripe", "google"].map(|name| (name, stack.sandbox.url(name)));
    let sandboxes: BTreeMap<_, _> =
        sandboxes.into_iter().chain([("github", github.ready["url"].as_str().unwrap())]).collect();
    let environment = [
        ("INTERTIE_URL", stack.url.as_str()),
        ("INTERTIE_SESSION", &session),
        ("INTERTIE_STRANGER", &stranger),
        ("SANDBOXES", &json!(sandboxes).to_string()),
        ("PYTHONDONTWRITEBYTECODE", "1"),
    ];
    let table = Table::read();
    let mut wrong = Vec::new();
    for (script, expected) in &table.scripts {
        let began = std::time::Instant::now();
        let Outcome { held, failed } = run(script, &environment).await;
        println!("{script}: {held:?} in {:.1} s", began.elapsed().as_secs_f32());
        let held: BTreeSet<_> = held.intersection(&table.columns).cloned().collect();
        if held != *expected {
            wrong.push(format!("{script}: the table says {expected:?}, and what holds is {held:?}"));
        }
        wrong.extend(failed.iter().map(|it| format!("{script}: {it}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // No provider got the session's token: the sandbox lists what it gets by a fingerprint, as of the call that is made here.
    let fingerprint = &hex::encode(Sha256::digest(&session))[..6];
    for provider in ["slack", "stripe", "google"] {
        let calls = async || -> Vec<Option<String>> {
            let calls = ada.admin(provider, Method::GET, "calls", &Value::Null).await;
            calls.as_array().unwrap().iter().map(|it| it["token"].as_str().map(str::to_owned)).collect()
        };
        let before = calls().await;
        assert!(
            before.iter().flatten().count() > 10 && !before.iter().flatten().any(|it| it == fingerprint),
            "{provider}"
        );
        let (url, bearer) = (format!("{}/leaked", stack.sandbox.url(provider)), format!("Bearer {session}"));
        Web::new().call(Method::GET, &url, &[("authorization", &bearer)], Vec::new()).await.unwrap();
        assert_eq!(calls().await.pop().flatten().as_deref(), Some(fingerprint), "{provider}");
    }
    let calls = github.order(json!({})).await;
    assert!(calls.as_array().unwrap().len() > 10 && !calls.to_string().contains(&session), "{calls}");
    assert!(calls.as_array().unwrap().iter().all(|it| it["headers"]["authorization"] == "Bearer ghp_ada"), "{calls}");
    stack.shutdown().await;
}

/// Runs a script: it prints a line of JSON for each cell, `{"cell"}` or `{"cell","error"}`.
async fn run(script: &str, environment: &[(&str, &str)]) -> Outcome {
    let folder = target_folder().unwrap().join("sdk");
    let is_python = Path::new(script).extension().is_some_and(|it| it == "py");
    let program = if is_python { folder.join("venv/bin/python") } else { node::program("sdk") };
    let mut command = Command::new(program);
    command.arg(script).current_dir(folder.join("scripts")).stdin(Stdio::null()).kill_on_drop(true);
    command.envs(environment.iter().copied());
    let output = timeout(PATIENCE, command.output()).await.expect("the script ends").unwrap();
    let mut outcome = Outcome::default();
    for line in String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.starts_with('{')) {
        let line: Value = serde_json::from_str(line).unwrap();
        let cell = line["cell"].as_str().unwrap().to_owned();
        match line["error"].as_str() {
            Some(error) => outcome.failed.push(format!("{cell}: {error}")),
            None => _ = outcome.held.insert(cell),
        }
    }
    if !output.status.success() || outcome.held.is_empty() {
        outcome.failed.push(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    outcome
}

/// The table of README.md.
struct Table {
    columns: BTreeSet<String>,
    /// The scripts in order, each with the columns in which it has a mark.
    scripts: Vec<(String, BTreeSet<String>)>,
}

impl Table {
    /// Reads it. A cell without a mark has the letter of a reason that is listed below.
    fn read() -> Self {
        let text = std::fs::read_to_string(root().join("tests/sdk/README.md")).unwrap();
        let mut rows = text.lines().filter(|line| line.starts_with('|')).map(|line| {
            line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect::<Vec<_>>()
        });
        let head = rows.next().unwrap();
        let reasons: BTreeSet<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("- **")?.split_once("**"))
            .map(|(letter, _)| letter)
            .collect();
        let mut used = BTreeSet::new();
        let scripts = rows.skip(1).map(|row| {
            assert_eq!(row.len(), head.len(), "{row:?}");
            let script = row[0].split_once("](scripts/").and_then(|(_, rest)| rest.split_once(')')).unwrap().0;
            let cells = head.iter().zip(&row).skip(1);
            let held = cells.filter(|(name, cell)| {
                let reason = reasons.get(cell.as_str());
                used.extend(reason);
                assert!(*cell == "✓" || reason.is_some(), "{script} {name}: {cell:?} is neither a mark nor a reason");
                *cell == "✓"
            });
            (script.to_owned(), held.map(|(name, _)| name.clone()).collect())
        });
        let scripts = scripts.collect();
        assert_eq!(reasons, used, "a reason is for a cell");
        Self { columns: head[1..].iter().cloned().collect(), scripts }
    }
}
