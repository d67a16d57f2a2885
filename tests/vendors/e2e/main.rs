//! The vendors' own SDKs sign, the whole stack verifies: deliver.mjs has the deliveries, and Stripe, GitHub and Standard
//! Webhooks are the vendors. The latter two are providers that only this test defines.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on fails")]

use std::process::Stdio;

use local_aws::Service;
use local_cli::{bundle::Options, stores::Stores};
use local_runtime::bootstraps::{root, target_folder};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tests::{PATIENCE, Running, depth, options, published, stack_of};
use tokio::process::Command;

const GITHUB: &str = "Everybody knows it";
const STANDARD_WEBHOOKS: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// What template.yaml says of providers: their secrets …
const SECRETS: &str = "
  GithubSecret:
    Type: AWS::SecretsManager::Secret
    Properties:
      Name: !Sub '${Prefix}/github'
      SecretString: '{\"webhook_secrets\":[]}'
  StandardWebhooksSecret:
    Type: AWS::SecretsManager::Secret
    Properties:
      Name: !Sub '${Prefix}/standard-webhooks'
      SecretString: '{\"webhook_secrets\":[]}'
";
/// … and, in the roles that read apps' secrets, the right to read them.
const RIGHT: [&str; 2] = ["!Ref GoogleSecret]", "!Ref GoogleSecret, !Ref GithubSecret, !Ref StandardWebhooksSecret]"];

#[tokio::test(flavor = "multi_thread")]
async fn what_the_vendors_sdks_sign_arrives_once_and_with_any_single_byte_flipped_is_refused_and_never_queued() {
    let stack = stack_with_the_vendors().await;
    let sent = deliver(&stack, "genuine").await;
    assert_eq!(sent.len(), 15, "{sent:?}");
    settled(&stack).await;
    assert_eq!(arrived(&stack), sent);

    deliver(&stack, "respelled").await;
    settled(&stack).await;

    let before = queued(&stack);
    deliver(&stack, "flipped").await;
    assert_eq!(queued(&stack), before);
    settled(&stack).await;

    assert_eq!(arrived(&stack), sent);
    assert_eq!(Stores::new(&stack).items("idempotency").await.unwrap().len(), sent.len());
    stack.shutdown().await;
}

async fn stack_with_the_vendors() -> Running {
    let options = options().await;
    let template = std::fs::read_to_string(root().join("template.yaml")).unwrap();
    let template =
        template.replace(RIGHT[0], RIGHT[1]).replacen("\nResources:\n", &format!("\nResources:{SECRETS}"), 1);
    let file = options.folder.path().join("template.yaml");
    std::fs::write(&file, template).unwrap();
    let functions = ["webhook-ingest", "webhook-process"];
    let bootstraps = functions
        .into_iter()
        .fold(options.bootstraps, |all, name| all.with(name, env!("CARGO_BIN_EXE_vendors").into()));
    let stack = stack_of(Options { template: file, bootstraps, ..options }).await;
    for (provider, secret) in [("github", GITHUB), ("standard-webhooks", STANDARD_WEBHOOKS)] {
        let value = json!({ "webhook_secrets": [secret] }).to_string();
        let call = stack.clients.secrets.put_secret_value().secret_id(format!("{}/{provider}", stack.prefix()));
        call.secret_string(value).send().await.unwrap();
    }
    stack
}

/// Runs deliver.mjs. What it says it delivered, in the words of [`arrived`].
async fn deliver(stack: &Running, which: &str) -> Vec<String> {
    let secrets = json!({
        "stripe": stack.webhook_secrets["stripe"].expose_secret(),
        "github": GITHUB,
        "standard-webhooks": STANDARD_WEBHOOKS,
    });
    let node = Command::new("node")
        .args(["deliver.mjs", which])
        .current_dir(target_folder().unwrap().join("vendors"))
        .env("INTERTIE_URL", &stack.url)
        .env("WEBHOOK_SECRETS", secrets.to_string())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("Node.js is there, and tests/vendors/run has installed what it needs");
    let output = node.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{which}: deliver.mjs says above why");
    let arrival = |line: &str| {
        let delivery: Value = serde_json::from_str(line).unwrap();
        let body: Value = serde_json::from_str(delivery["body"].as_str().unwrap()).unwrap();
        let data = if delivery["provider"] == "stripe" { &body["data"] } else { &body };
        format!("{}: {data}", delivery["provider"])
    };
    sorted(String::from_utf8(output.stdout).unwrap().lines().map(arrival))
}

/// Everything on the bus, with its source.
fn arrived(stack: &Running) -> Vec<String> {
    sorted(published(stack).iter().map(|detail| format!("{}: {}", detail["provider"], detail["data"])))
}

fn sorted(arrivals: impl Iterator<Item = String>) -> Vec<String> {
    let mut arrivals: Vec<_> = arrivals.collect();
    arrivals.sort();
    arrivals
}

/// Waits until all that was queued is applied.
async fn settled(stack: &Running) {
    let empty = async || (depth(stack, "webhooks") == 0).then_some(());
    stack.until(PATIENCE, empty).await.unwrap();
    assert_eq!(depth(stack, "webhooks-dead"), 0);
}

/// How often the webhook endpoint gave something to the queue, or tried to.
fn queued(stack: &Running) -> u64 {
    let key = (format!("{}-webhook-ingest", stack.prefix()), Service::Sqs, "SendMessage".to_owned());
    stack.gateway.counts()[&key]
}
