//! One user with one integration at a sandbox of their own: what happens there, and what becomes of it here.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use aws_sdk_sqs::types::MessageSystemAttributeName;
use domain::{
    AccountId, CredentialName, Integration, IntegrationKey,
    messages::message::{Cause, SyncMessage},
    oauth::grant::TokenResponse,
    sync::{Scope, SyncJob},
};
use http::Method;
use jiff::SignedDuration;
use lambda_runtime::{Context, LambdaEvent};
use local_base::web::Web;
use local_cli::browser::query;
use local_sandbox::Sandbox;
use platform::{
    aws::envelope::Vault,
    base::{clock, config::load_from},
    stores::{
        credentials::Credentials,
        integrations::Integrations,
        records::{Records, Selection},
    },
};
use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sync_worker::SyncWorker;
use tests::Ground;
use webhook_process::Process;

use crate::course::{Course, Order};

/// How often a message is handed out again before the test gives up.
const RECEIVES: usize = 20;
const REDIRECT: &str = "http://localhost:1/callback";

/// See the module.
pub(crate) struct World<'g> {
    ground: &'g Ground,
    sandbox: Sandbox,
    web: Web,
    worker: SyncWorker,
    process: &'g Process,
    records: Records,
    provider: &'static str,
    key: IntegrationKey,
    messages: u64,
}

/// What is stored of an object: whether it is deleted, and its data.
pub(crate) type Stored = BTreeMap<String, (bool, Value)>;

impl<'g> World<'g> {
    /// A sandbox, and an integration of it that was never synced.
    pub(crate) async fn start<C: Course>(ground: &'g Ground, process: &'g Process, seed: u64) -> Self {
        let sandbox = Sandbox::start(&ground.apps).await.unwrap();
        let mut variables = variables(ground, "sync-worker");
        let rewrites = sandbox.rewrites().into_iter().map(|(from, to)| format!("{from}={to}"));
        variables.insert("INTERTIE_URL_REWRITES".to_owned(), rewrites.collect::<Vec<_>>().join(" "));
        let rates = providers::REGISTRY.limits().map(|(provider, limit)| format!("{provider}/{limit}=1000/s"));
        variables.insert("RATE_LIMITS".to_owned(), rates.collect::<Vec<_>>().join(" "));
        let config = load_from(variables, sync_worker::Config::read).unwrap();
        let worker = SyncWorker::new(&ground.aws, &config, providers::REGISTRY).unwrap();
        let provider = C::PROVIDER;
        let key = IntegrationKey::parse(&format!("user-{seed}"), &format!("{provider}#{}", C::ACCOUNT)).unwrap();
        let (web, records) = (Web::new(), Records::new(&ground.aws, "intertie-records"));
        let world = Self { ground, sandbox, web, worker, process, records, provider, key, messages: 0 };
        let (name, access) = C::grant(&world).await;
        let vault = Vault::new(&ground.aws, "alias/intertie", "intertie");
        let credentials = Credentials::new(&ground.aws, "intertie-credentials", vault, Duration::from_secs(30));
        let issued = TokenResponse {
            name: CredentialName::of_data(name),
            access: access.into(),
            refresh: None,
            life: None,
            scopes: None,
        };
        credentials.put(&world.key, &[issued], Duration::from_mins(1), clock::now()).await.unwrap();
        let integration = Integration::connected(world.key.clone(), "Test", clock::now());
        world.integrations().put(&integration, clock::now()).await.unwrap();
        world.admin(Method::POST, "deliveries/hold", &json!({ "hold": true })).await;
        world
    }

    fn integrations(&self) -> Integrations {
        Integrations::new(&self.ground.aws, "intertie-integrations")
    }

    /// The integration is in use no more: later histories of its account are none of its.
    pub(crate) async fn end(self) {
        let table = self.ground.clients.dynamodb.delete_item().table_name("intertie-integrations");
        let key = [("user_id", self.key.user_id.to_string()), ("integration", self.key.account())];
        let key = key.map(|(name, value)| (name.to_owned(), aws_sdk_dynamodb::types::AttributeValue::S(value)));
        table.set_key(Some(key.into())).send().await.unwrap();
    }

    fn vendor(&self) -> &str {
        self.sandbox.url(self.provider)
    }

    /// A token of the sandbox, by its own consent and exchange.
    pub(crate) async fn consent(&self, authorize: &str, token: &str, scopes: &str) -> String {
        let apps = &self.ground.apps;
        let app = &apps[self.provider];
        let account = &self.key.account_id;
        let asked = [
            ("client_id", app.client_id.as_str()),
            ("redirect_uri", REDIRECT),
            ("response_type", "code"),
            ("scope", scopes),
            ("state", "s"),
            ("decision", "allow"),
            ("account", account.as_str()),
        ];
        let answer = self.form(authorize, &asked).await;
        let location = answer.headers()["location"].to_str().unwrap().to_owned();
        let code = query(&location).into_iter().find(|(name, _)| name == "code").unwrap().1;
        let secret = app.client_secret.expose_secret();
        let exchange = [
            ("client_id", app.client_id.as_str()),
            ("client_secret", secret),
            ("redirect_uri", REDIRECT),
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
        ];
        let answer: Value = serde_json::from_slice(self.form(token, &exchange).await.body()).unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    async fn form(
        &self,
        path: &str,
        pairs: &[(&str, &str)],
    ) -> http::Response<impl AsRef<[u8]> + std::ops::Deref<Target = [u8]>> {
        let coded = |text: &str| {
            text.bytes().fold(String::new(), |mut coded, byte| {
                write!(coded, "%{byte:02X}").unwrap();
                coded
            })
        };
        let body: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={}", coded(value))).collect();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.web.call(Method::POST, &format!("{}{path}", self.vendor()), &headers, body.join("&")).await.unwrap()
    }

    /// A call of the sandbox's controls. `None` if the sandbox refuses it.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: &Value) -> Option<Value> {
        let url = format!("{}/_admin/{path}", self.vendor());
        let headers = [("content-type", "application/json")];
        let answer = self.web.call(method, &url, &headers, body.to_string()).await.unwrap();
        let read = serde_json::from_slice(answer.body()).unwrap_or_default();
        assert_ne!(answer.status(), 422, "{path}: {read}");
        answer.status().is_success().then_some(read)
    }

    /// All objects of a kind, as the sandbox's controls tell them.
    pub(crate) async fn objects(&self, path: &str) -> Vec<Value> {
        self.admin(Method::GET, path, &Value::Null).await.unwrap().as_array().unwrap().clone()
    }

    /// Something happens at the provider. Whether it did.
    pub(crate) async fn happen(&self, order: &Order) -> bool {
        self.admin(order.method.clone(), &order.path, &order.body).await.is_some()
    }

    /// The webhooks that the provider has sent since the last time.
    pub(crate) async fn taken(&self) -> Vec<Value> {
        self.admin(Method::POST, "deliveries/take", &json!({})).await.unwrap().as_array().unwrap().clone()
    }

    /// Syncs, and whatever the queue holds then.
    pub(crate) async fn sync(&mut self, kind: SyncJob) {
        // One that a caller asks for reads all records again, one that is due trusts the manifest.
        self.messages += 1;
        let cause = if self.messages.is_multiple_of(2) { Cause::Asked } else { Cause::Due };
        let message = SyncMessage::new(&self.key, kind, cause, clock::now());
        self.work(&serde_json::to_string(&message).unwrap()).await;
        self.drain().await;
    }

    /// What a push about a changed mailbox or calendar asks for.
    pub(crate) async fn push(&mut self) {
        let message = SyncMessage::reported(&self.key, Scope::All, &"push".parse().unwrap(), clock::now());
        self.work(&serde_json::to_string(&message).unwrap()).await;
        self.drain().await;
    }

    /// Hands deliveries to `webhook-process`, as one batch, until none comes back; then the syncs that they asked for.
    pub(crate) async fn deliver(&mut self, bodies: &[&str]) {
        let message = |(body, account): (&str, Option<&AccountId>)| {
            self.messages += 1;
            json!({
                "v": 1, "provider": self.provider, "integration_id": null, "account": account,
                "delivery_id": format!("d-{}", self.messages), "received_at": clock::now(),
                "body": { "json": serde_json::from_str::<Box<serde_json::value::RawValue>>(body).unwrap() }
            })
            .to_string()
        };
        let account = (self.provider == "stripe").then_some(self.key.account_id.clone());
        let messages = bodies.iter().map(|body| (*body, account.as_ref())).map(message).collect();
        self.process(messages).await;
        self.drain().await;
    }

    async fn process(&self, mut left: Vec<String>) {
        for round in 1.. {
            assert!(round <= RECEIVES, "deliveries come back for ever");
            let answer = self.process.handle(batch(&left, round)).await.unwrap();
            left = failed(&serde_json::to_value(answer).unwrap(), left);
            if left.is_empty() {
                break;
            }
        }
    }

    /// Hands a message to `sync-worker` until it does not come back.
    async fn work(&self, message: &str) {
        let mut left = vec![message.to_owned()];
        for round in 1.. {
            assert!(round <= RECEIVES, "a sync comes back for ever");
            let answer = self.worker.handle(batch(&left, round)).await.unwrap_or_else(|never| match never {});
            left = failed(&serde_json::to_value(answer).unwrap(), left);
            if left.is_empty() {
                break;
            }
        }
    }

    /// Works on what is in the queues until they are empty.
    async fn drain(&self) {
        let sqs = &self.ground.clients.sqs;
        let names = ["webhooks", "syncs", "long-syncs"];
        for round in 0.. {
            assert!(round < RECEIVES * names.len(), "the queues never empty");
            let depths = self.ground.sqs.depths();
            let depth = |queue: &&str| depths.iter().find(|depth| depth.name == format!("intertie-{queue}")).unwrap();
            let left = |queue: &&&str| depth(queue).visible + depth(queue).delayed > 0;
            let Some(queue) = names.iter().find(left) else { break };
            let url = self.ground.queue_url(queue);
            if depth(queue).visible == 0 {
                self.ground.sqs.advance(Duration::from_mins(15));
            }
            let call = sqs.receive_message().queue_url(&url).max_number_of_messages(10);
            let received = call.message_system_attribute_names(MessageSystemAttributeName::All).send().await;
            for message in received.unwrap().messages.unwrap_or_default() {
                let body = message.body.unwrap();
                match *queue {
                    "syncs" | "long-syncs" => self.work(&body).await,
                    _ => self.process(vec![body]).await,
                }
                let receipt = message.receipt_handle.unwrap();
                sqs.delete_message().queue_url(&url).receipt_handle(receipt).send().await.unwrap();
            }
        }
        let depths = self.ground.sqs.depths();
        if let Some(depth) = depths.iter().find(|depth| depth.name.ends_with("-dead") && depth.visible > 0) {
            let call = sqs.receive_message().queue_url(self.ground.sqs.queue_url(&depth.name));
            let received = call.message_attribute_names("All").send().await.unwrap().messages;
            let letters = received.unwrap_or_default().into_iter().map(|it| (it.body, it.message_attributes));
            panic!("dead letters in {}: {:?}", depth.name, letters.collect::<Vec<_>>());
        }
    }

    /// All records, by `stream#id`.
    pub(crate) async fn stored(&self) -> Stored {
        let selection = Selection { stream: None, after: None, limit: 10_000, deleted: true };
        let page = self.records.list(&self.key.id(), selection).await.unwrap();
        assert!(page.next.is_none(), "not all records fit");
        let of = |record: domain::Record| (record.key.to_string(), (record.deleted, record.data));
        page.records.into_iter().map(of).collect()
    }
}

/// What template.yaml sets for a function.
fn variables(ground: &Ground, binary: &str) -> BTreeMap<String, String> {
    let function = ground.template.functions.iter().find(|function| function.binary == binary).unwrap();
    function.environment.clone()
}

/// `webhook-process`, for all histories of a ground.
pub(crate) fn process(ground: &Ground) -> Process {
    let config = load_from(variables(ground, "webhook-process"), webhook_process::Config::read).unwrap();
    Process::new(&ground.aws, &config, providers::REGISTRY, []).unwrap()
}

/// What Lambda hands over.
fn batch<T: DeserializeOwned>(messages: &[String], receives: usize) -> LambdaEvent<T> {
    let record = |(index, body): (usize, &String)| {
        json!({
            "messageId": format!("m-{index}-{}", uuid::Uuid::new_v4()), "receiptHandle": "none", "body": body,
            "attributes": { "ApproximateReceiveCount": receives.to_string() }, "messageAttributes": {},
            "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:q", "awsRegion": "us-east-1"
        })
    };
    let records: Vec<_> = messages.iter().enumerate().map(record).collect();
    let mut context = Context::default();
    context.request_id = uuid::Uuid::new_v4().to_string();
    context.deadline = u64::try_from((clock::now() + SignedDuration::from_mins(5)).as_millisecond()).unwrap();
    LambdaEvent { payload: serde_json::from_value(json!({ "Records": records })).unwrap(), context }
}

/// The messages that come back.
fn failed(answer: &Value, messages: Vec<String>) -> Vec<String> {
    let ids: Vec<_> = answer["batchItemFailures"].as_array().into_iter().flatten().collect();
    let of =
        |index: usize| ids.iter().any(|id| id["itemIdentifier"].as_str().unwrap().starts_with(&format!("m-{index}-")));
    messages.into_iter().enumerate().filter(|(index, _)| of(*index)).map(|(_, message)| message).collect()
}
