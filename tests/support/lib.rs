//! What tests start: a whole stack, or the embedded AWS alone, each test its own.

#![expect(clippy::expect_used, clippy::panic, clippy::missing_panics_doc, reason = "a test that can't go on fails")]

pub mod alarms;
mod guest;
pub mod node;
mod observe;

use std::{
    fs::File,
    io::Write as _,
    ops::Deref,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{Integration, IntegrationId, IntegrationKey};
use jiff::Timestamp;
use local_aws::{
    ACCOUNT, AccessKeys, Clients, Gateway, REGION,
    clients::DEVELOPER_KEY,
    faults::{Effect, Fault},
    sqs::Sqs,
};
use local_base::web::Web;
use local_cli::{
    bundle::{Bundle, Options},
    sign::sign,
};
use local_runtime::{
    bootstraps::{self, Bootstraps, Profile},
    stack::{Cloud, CloudOptions, Folder},
    template::{Context, Template},
};
use local_sandbox::{Apps, LOCAL_ACCOUNT};
use platform::{Aws, aws::Patience, stores::integrations::Integrations};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::{
    sync::{OnceCell, Semaphore, SemaphorePermit},
    task::JoinHandle,
};

use self::observe::details;
pub use self::{
    guest::Guest,
    node::Node,
    observe::{Seen, dead_letters, delayed, depth, logs, published, seen},
};

/// How long an effect may take to appear on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The parameters of most tests: an event that goes wrong goes wrong soon.
pub const FAST: &[(&str, &str)] =
    &[("ProcessTimeoutSeconds", "3"), ("WebhooksVisibilitySeconds", "18"), ("MaxReceiveCount", "10")];

/// [`FAST`], with the shortest claim there is. An action is as short, so that tests with these parameters make no calls to
/// providers.
pub const SHORT_CLAIMS: &[(&str, &str)] = &[
    ("ProcessTimeoutSeconds", "3"),
    ("ProxyTimeoutSeconds", "3"),
    ("WebhooksVisibilitySeconds", "18"),
    ("ClaimLeaseSeconds", "4"),
    ("MaxReceiveCount", "10"),
];

static BOOTSTRAPS: OnceCell<Bootstraps> = OnceCell::const_new();

/// The functions: those of the folder that `TEST_BOOTSTRAPS` names (target/lambda, the bootstraps as deployed), or else
/// built for debugging, once per test binary.
pub async fn bootstraps() -> Bootstraps {
    let make = async || match ready_made() {
        Some(folder) => {
            Bootstraps::ready_made(&bootstraps::root().join(folder)).expect("TEST_BOOTSTRAPS names a folder")
        }
        None => Bootstraps::build(&bootstraps::root(), Profile::Dev, &[]).await.expect("the functions build"),
    };
    BOOTSTRAPS.get_or_init(make).await.clone()
}

/// The functions, but `webhook-process` is this bootstrap: one with handlers.
pub async fn bootstraps_with(process: &str) -> Bootstraps {
    let all = bootstraps().await;
    let path = all.path(process);
    assert!(path.is_file(), "{} is missing", path.display());
    all.with("webhook-process", path)
}

#[expect(clippy::disallowed_methods, reason = "the caller of the tests chooses")]
fn ready_made() -> Option<std::ffi::OsString> {
    std::env::var_os("TEST_BOOTSTRAPS")
}

/// A folder of this test's own under the target folder.
pub fn directory() -> PathBuf {
    let target = bootstraps::target_folder().expect("tests run from the target folder");
    target.join("local-tests").join(uuid::Uuid::new_v4().to_string())
}

/// How many whole stacks run at a time: on two cores, more would make each other late.
const STACKS: u32 = 2;
static ROOM: Semaphore = Semaphore::const_new(STACKS as usize);

/// Waits for room for one whole stack.
pub async fn room() -> SemaphorePermit<'static> {
    ROOM.acquire().await.expect("never closed")
}

/// Waits for all the room: for a test that measures time or fills the machine.
pub async fn all_room() -> SemaphorePermit<'static> {
    ROOM.acquire_many(STACKS).await.expect("never closed")
}

/// A stack with the room that it takes.
pub struct Running {
    stack: Bundle,
    _room: SemaphorePermit<'static>,
}

impl Deref for Running {
    type Target = Bundle;

    fn deref(&self) -> &Bundle {
        &self.stack
    }
}

impl Running {
    async fn start(mut options: Options, room: SemaphorePermit<'static>) -> Self {
        // Another template grants other rights.
        options.ledger = options.ledger.filter(|_| options.template == bootstraps::root().join("template.yaml"));
        Self { stack: Bundle::start(options).await.expect("the stack starts"), _room: room }
    }

    /// Stops it, and removes its files: those of a failed test stay to be looked at.
    pub async fn shutdown(self) {
        let (directory, events) = (self.stack.folder.path().to_owned(), self.stack.folder.events());
        self.stack.shutdown().await;
        keep_events(&events).expect("TEST_EVENTS names a file");
        std::fs::remove_dir_all(directory).expect("the folder is there");
    }
}

/// Adds what was put on a bus to the file that `TEST_EVENTS` names, to be compared with the schema of events. What is added at once
/// stays together.
#[expect(clippy::disallowed_methods, reason = "the caller of the tests chooses")]
fn keep_events(events: &Path) -> std::io::Result<()> {
    let Some(file) = std::env::var_os("TEST_EVENTS") else { return Ok(()) };
    let mut file = File::options().create(true).append(true).open(bootstraps::root().join(file))?;
    file.write_all(&std::fs::read(events)?)
}

/// A stack with these parameters, and an integration of [`LOCAL_ACCOUNT`].
pub async fn stack(overrides: &[(&str, &str)]) -> Running {
    stack_with(bootstraps().await, overrides).await
}

/// [`stack`] on these bootstraps.
pub async fn stack_with(bootstraps: Bootstraps, overrides: &[(&str, &str)]) -> Running {
    with_integration(Options { overrides: owned(overrides), bootstraps, ..options().await }, room().await).await
}

/// [`stack`] without another stack beside it: for a test that measures time or fills the machine.
pub async fn stack_alone(overrides: &[(&str, &str)]) -> Running {
    with_integration(Options { overrides: owned(overrides), ..options().await }, all_room().await).await
}

/// [`stack_alone`] without a record of used rights, for a test that uses them by chance.
pub async fn stack_by_chance(overrides: &[(&str, &str)]) -> Running {
    with_integration(Options { overrides: owned(overrides), ledger: None, ..options().await }, all_room().await).await
}

fn owned(overrides: &[(&str, &str)]) -> Vec<(String, String)> {
    overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn with_integration(options: Options, room: SemaphorePermit<'static>) -> Running {
    let stack = Running::start(options, room).await;
    let aws = Aws::at(&stack.aws_url, REGION, DEVELOPER_KEY, Patience::QUEUE);
    let integrations = Integrations::new(&aws, stack.table("integrations"));
    integrations.put(&integration("user-1"), Timestamp::UNIX_EPOCH).await.expect("the integration is stored");
    stack
}

/// What a test's stack is made of, unless it says otherwise. `TEST_RIGHTS` names the file for the rights that the functions use.
#[expect(clippy::disallowed_methods, reason = "the caller of the tests chooses")]
pub async fn options() -> Options {
    Options {
        template: bootstraps::root().join("template.yaml"),
        folder: Folder::lock(&directory()).expect("a folder of its own"),
        port: 0,
        overrides: Vec::new(),
        aws_endpoint: None,
        events_to: None,
        rewrites: String::new(),
        bootstraps: bootstraps().await,
        ledger: std::env::var_os("TEST_RIGHTS").map(|file| bootstraps::root().join(file)),
    }
}

/// A stack with these options.
pub async fn stack_of(options: Options) -> Running {
    Running::start(options, room().await).await
}

/// The public id of an integration that need not exist.
pub fn integration_id(number: usize) -> IntegrationId {
    IntegrationId::parse(format!("int_{number:032x}")).expect("an id")
}

/// A connected Stripe integration of a user.
pub fn integration(user_id: &str) -> Integration {
    let key = IntegrationKey::parse(user_id, &format!("stripe#{LOCAL_ACCOUNT}#test")).expect("a key");
    Integration::connected(key, "Shop", Timestamp::UNIX_EPOCH)
}

/// The embedded AWS with everything template.yaml declares, without functions.
pub struct Ground {
    /// For the platform's stores.
    pub aws: Aws,
    /// For reading past them.
    pub clients: Clients,
    pub sqs: Sqs,
    /// The apps with a stored secret.
    pub apps: Apps,
    pub template: Arc<Template>,
    /// The gateway to AWS, with its faults and counts.
    pub gateway: Arc<Gateway>,
    events: PathBuf,
    url: String,
    access_keys: AccessKeys,
}

impl Ground {
    pub async fn start() -> Self {
        let directory = directory();
        std::fs::create_dir_all(&directory).expect("a folder");
        let template = bootstraps::root().join("template.yaml");
        let events = directory.join("events.jsonl");
        let apps = Apps::local();
        let cloud = Cloud::start(
            &template,
            CloudOptions {
                overrides: &[],
                own: &[],
                secrets: &apps.secrets(),
                aws_endpoint: None,
                events: &events,
                api_url: "http://localhost:1",
                ledger: None,
            },
        )
        .await
        .expect("AWS starts");
        let aws = Aws::at(&cloud.url, REGION, DEVELOPER_KEY, Patience::QUEUE);
        Self {
            aws,
            clients: cloud.clients,
            sqs: cloud.embedded.expect("the embedded one").sqs,
            apps,
            template: cloud.template,
            events,
            url: cloud.url,
            gateway: cloud.gateway,
            access_keys: cloud.access_keys,
        }
    }

    /// The AWS as a function of this name has it: calls are counted, and faults may strike them.
    pub fn aws_of(&self, name: &str) -> Aws {
        self.aws_with(name, Patience::QUEUE)
    }

    /// The same with this patience.
    pub fn aws_with(&self, name: &str, patience: Patience) -> Aws {
        self.access_keys.register(name, name);
        Aws::at(&self.url, REGION, name, patience)
    }

    /// The AWS, but each call's first reply is lost, so that the SDK repeats the call.
    pub fn aws_losing_replies(&self) -> Aws {
        const NAME: &str = "loses-replies";
        let fault = Fault { function: Some(NAME.into()), times: u64::MAX, every: 2, ..Fault::new(Effect::DropReply) };
        self.gateway.faults.arm(vec![fault]);
        self.aws_of(NAME)
    }

    /// The details of the events on the bus.
    pub fn published(&self) -> Vec<Value> {
        details(&self.events)
    }

    /// The URL of a queue, by its name without prefix.
    pub fn queue_url(&self, name: &str) -> String {
        self.sqs.queue_url(&format!("intertie-{name}"))
    }
}

/// Runs `work` in the background.
#[expect(clippy::disallowed_methods, reason = "the rule guards functions, whose sandbox freezes")]
pub fn start<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(work)
}

/// template.yaml with these parameters.
pub fn template(sqs_base: &str, overrides: &[(&str, &str)]) -> Template {
    let context = Context {
        region: REGION.into(),
        account: ACCOUNT.into(),
        sqs_base: sqs_base.into(),
        api_url: "http://api".into(),
        own: Vec::new(),
    };
    Template::load(&bootstraps::root().join("template.yaml"), &owned(overrides), &context)
        .expect("template.yaml is read")
}

/// A Stripe event about a customer.
pub fn customer_event(event_id: &str, customer: &str, created: i64) -> String {
    let object = json!({ "id": customer, "object": "customer", "email": format!("{event_id}@example.com") });
    let data = json!({ "object": object });
    json!({ "id": event_id, "object": "event", "type": "customer.updated", "created": created, "data": data })
        .to_string()
}

/// Delivers a body to a stack as Stripe does, signed now. The status, or none if there was no answer.
pub async fn deliver(web: &Web, stack: &Bundle, body: &str) -> Option<u16> {
    let secret: &SecretString = &stack.webhook_secrets["stripe"];
    let headers = sign("stripe", body.as_bytes(), secret, platform::base::clock::now()).expect("Stripe signs");
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let url = format!("{}/webhooks/stripe", stack.url);
    let response = web.call(http::Method::POST, &url, &headers, body.to_owned()).await;
    response.ok().map(|response| response.status().as_u16())
}

/// Ends the time of a killed function: its messages are visible again, and its claims and leases have ended. Only for events that no
/// function works on.
pub async fn let_time_pass(stack: &Bundle) {
    for (table, key) in [("idempotency", &["key"][..]), ("credentials", &["integration_id", "credential"])] {
        let pages = stack.clients.dynamodb.scan().table_name(stack.table(table)).consistent_read(true).into_paginator();
        let items = pages.items().send().collect::<Result<Vec<_>, _>>().await.expect("a scan");
        for item in items.iter().filter(|item| item.contains_key("lease_until")) {
            let key = key.iter().map(|name| ((*name).to_owned(), item[*name].clone())).collect();
            let call = stack.clients.dynamodb.update_item().table_name(stack.table(table)).set_key(Some(key));
            let call = call.update_expression("SET lease_until = :past").condition_expression("lease_until = :until");
            let call = call.expression_attribute_values(":past", AttributeValue::N("1".to_owned()));
            let call = call.expression_attribute_values(":until", item["lease_until"].clone());
            // An item that changed meanwhile is in use.
            let _ = call.send().await;
        }
    }
    // More than any visibility timeout.
    stack.embedded.as_ref().expect("tests use the embedded AWS").sqs.advance(Duration::from_hours(12));
}

/// Lets the queues' time pass so many times as fast, until it is aborted.
pub fn hurry(stack: &Bundle, times: u32) -> JoinHandle<()> {
    const TICK: Duration = Duration::from_millis(250);
    let sqs = stack.embedded.as_ref().expect("tests use the embedded AWS").sqs.clone();
    start(async move {
        loop {
            tokio::time::sleep(TICK).await;
            sqs.advance(TICK * (times - 1));
        }
    })
}
