//! A stack with one Slack workspace of many objects: half of them channels, half users.

use std::{
    any::Any,
    collections::{BTreeMap, HashMap},
    path::Path,
    time::Duration,
};

use aws_sdk_dynamodb::{
    error::{BuildError, DisplayErrorContext},
    types::{AttributeValue, Select, TransactWriteItem, Update},
};
use domain::{IntegrationKey, sync::slot::INTERVAL};
use http::{Method, header};
use jiff::{SignedDuration, Timestamp};
use local_aws::{REGION, clients::DEVELOPER_KEY};
use local_base::{now, terminal::Failed, web::Web};
use local_runtime::{
    bootstraps::Bootstraps,
    stack::{self, Folder, Stack},
};
use platform::{Aws, aws::Patience, stores::integrations::Integrations};
use serde_json::{Value, json};

const PROVIDER: &str = "slack";
const TEAM: &str = "T0SANDBOX";
const USER: &str = "bench-user";
/// The kinds of objects, and what the sandbox has of each at first.
const KINDS: [(&str, u32); 2] = [("channels", 3), ("users", 3)];
/// The names that expressions have for the key of a record.
const KEY: [(&str, &str); 2] = [("#integration", "integration_id"), ("#record", "record")];
/// Items that a transaction takes.
const MAX_TRANSACTION: usize = 100;
/// In microseconds, as records have their time.
const QUARTER_HOUR: i64 = 15 * 60 * 1_000_000;
/// How long a sync may take: the embedded DynamoDB is slower the more records an integration has.
const PATIENCE: Duration = Duration::from_hours(2);

/// A running emulator of Slack, as those that may know it start it.
pub struct Emulator {
    pub url: String,
    /// `INTERTIE_URL_REWRITES`.
    pub rewrites: String,
    /// The secrets of the apps that it knows, by their names without prefix.
    pub secrets: Vec<(&'static str, Value)>,
    /// Ends it when dropped.
    pub running: Box<dyn Any + Send + Sync>,
}

pub(super) struct Workspace {
    pub(super) stack: Stack,
    slack: Emulator,
    web: Web,
    session: String,
    key: IntegrationKey,
    integrations: Integrations,
}

impl Workspace {
    /// Starts a stack and makes the workspace at this emulator. Nothing is connected yet.
    pub(super) async fn start(
        root: &Path,
        bootstraps: &Bootstraps,
        folder: &Path,
        objects: u32,
        slack: Emulator,
    ) -> Result<Self, Failed> {
        let options = stack::Options {
            template: root.join("template.yaml"),
            folder: Folder::lock(folder).map_err(Failed::from)?,
            port: 0,
            overrides: Vec::new(),
            own: vec![("UrlRewrites".to_owned(), slack.rewrites.clone())],
            secrets: slack.secrets.clone(),
            aws_endpoint: None,
            bootstraps: bootstraps.clone(),
            ledger: None,
        };
        let stack = Stack::start(options).await.map_err(Failed::from)?;
        let aws = Aws::at(&stack.aws_url, REGION, DEVELOPER_KEY, Patience::QUEUE);
        let integrations = Integrations::new(&aws, stack.table("integrations"));
        let key = IntegrationKey::parse(USER, &format!("{PROVIDER}#{TEAM}")).map_err(Failed::from)?;
        let expires_at = now() + SignedDuration::from_hours(1);
        let session = platform::runtime::session::mint(&stack.session_key, USER, None, expires_at);
        let session = session.ok_or_else(|| Failed("no session can be minted".into()))?;
        let workspace = Self { stack, slack, web: Web::new(), session, key, integrations };
        let many: BTreeMap<_, _> =
            KINDS.iter().map(|(kind, first)| (*kind, (objects / 2).saturating_sub(*first))).collect();
        workspace.admin(Method::POST, "many", &json!(many)).await?;
        Ok(workspace)
    }

    /// Connects the workspace as a user does in a browser, which starts the first sync.
    pub(super) async fn connect(&self) -> Result<(), Failed> {
        let bearer = format!("Bearer {}", self.session);
        let begun = format!("{}/connect/{PROVIDER}", self.stack.url);
        let begun =
            self.web.call(Method::GET, &begun, &[("authorization", &bearer), ("accept", "text/html")], "").await;
        let begun = begun.map_err(Failed::from)?;
        let text = |name: &header::HeaderName| begun.headers().get(name).and_then(|value| value.to_str().ok());
        let (Some(consent), Some(cookie)) = (text(&header::LOCATION), text(&header::SET_COOKIE)) else {
            return Err(Failed(format!("connecting answered {}, not a redirect with a cookie", begun.status())));
        };
        let (page, query) = consent.split_once('?').unwrap_or((consent, ""));
        let form = format!("{query}&decision=allow&account={TEAM}");
        let origin = page.split('/').take(3).collect::<Vec<_>>().join("/");
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", &*origin)];
        let allowed = self.web.call(Method::POST, page, &headers, form).await.map_err(Failed::from)?;
        let callback = allowed.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let callback = callback.ok_or_else(|| Failed(format!("the consent page answered {}", allowed.status())))?;
        let cookie = cookie.split(';').next().unwrap_or_default();
        let back = self.web.call(Method::GET, callback, &[("cookie", cookie), ("accept", "text/html")], "").await;
        let back = back.map_err(Failed::from)?;
        let home = back.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if home.ends_with(&format!("?success={PROVIDER}")) {
            return Ok(());
        }
        Err(Failed(format!("the callback answered {} and leads to {home:?}", back.status())))
    }

    /// Changes so many objects at the provider, which tells of none.
    pub(super) async fn change(&self, objects: u32) -> Result<(), Failed> {
        for (kind, _) in KINDS {
            let all = self.admin(Method::GET, kind, &Value::Null).await?;
            let all = all.as_array().map(Vec::as_slice).unwrap_or_default();
            let count = usize::try_from(objects / 2).map_err(Failed::from)?;
            for object in all.iter().step_by((all.len() / count.max(1)).max(1)).take(count) {
                let path = format!("{kind}/{}", object["id"].as_str().unwrap_or_default());
                let text = format!("Changed at {}", now());
                let fields = json!({ "silent": true, "real_name": text });
                let topic = json!({ "silent": true, "topic": { "value": text, "creator": "", "last_set": 0 } });
                self.admin(Method::POST, &path, if kind == "users" { &fields } else { &topic }).await?;
            }
        }
        Ok(())
    }

    /// Lets a quarter of an hour pass for the records: a sync reads again what was written in the minute before the last one.
    pub(super) async fn age(&self) -> Result<(), Failed> {
        let (dynamodb, table) = (&self.stack.clients.dynamodb, self.stack.table("records"));
        let call =
            dynamodb.scan().table_name(&table).consistent_read(true).projection_expression("#integration, #record");
        let call = KEY.iter().fold(call, |call, (name, attribute)| call.expression_attribute_names(*name, *attribute));
        let mut pages = call.into_paginator().send();
        while let Some(page) = pages.next().await {
            for keys in page.map_err(Failed::from)?.items().chunks(MAX_TRANSACTION) {
                let older = |key: &HashMap<String, AttributeValue>| {
                    let update = Update::builder().table_name(&table).set_key(Some(key.clone()));
                    let update = update.update_expression("SET changed_at = changed_at - :age");
                    let update =
                        update.expression_attribute_values(":age", AttributeValue::N(QUARTER_HOUR.to_string()));
                    Ok(TransactWriteItem::builder().update(update.build()?).build())
                };
                let older = keys.iter().map(older).collect::<Result<_, BuildError>>().map_err(Failed::from)?;
                let call = dynamodb.transact_write_items().set_transact_items(Some(older));
                call.send().await.map_err(|error| Failed(DisplayErrorContext(error).to_string()))?;
            }
        }
        Ok(())
    }

    /// Fires the schedule of incremental syncs when the workspace is due, as it is 15 minutes after the last sync.
    pub(super) async fn come_due(&self) -> Result<(), Failed> {
        self.integrations.sync_due(&self.key, Timestamp::UNIX_EPOCH).await.map_err(Failed::from)?;
        let schedule = self.stack.timers.iter().find(|timer| timer.schedule.name.ends_with("-incremental"));
        let schedule = schedule.ok_or_else(|| Failed("template.yaml has no schedule {prefix}-incremental".into()))?;
        schedule.fire().await.map(|_| ()).map_err(Failed::from)
    }

    /// Waits until no sync is queued or runs.
    pub(super) async fn rest(&self) -> Result<(), Failed> {
        let sqs = self.stack.embedded.as_ref().map(|embedded| embedded.sqs.clone());
        let sqs = sqs.ok_or_else(|| Failed("the queues are elsewhere".into()))?;
        let rests = async || {
            let all = sqs.depths();
            let queues = all.iter().filter(|depth| depth.name.ends_with("syncs"));
            let (now, later) =
                queues.fold((0, 0), |(now, later), it| (now + it.visible + it.in_flight, later + it.delayed));
            if now == 0 && later > 0 {
                // The sync waits for its slot; nothing is measured in that time.
                sqs.advance(INTERVAL.unsigned_abs());
            }
            (now + later == 0).then_some(())
        };
        self.stack.until(PATIENCE, rests).await.map_err(|waited| Failed(format!("a sync did not end: {waited}")))
    }

    /// How many records there are.
    pub(super) async fn records(&self) -> Result<u64, Failed> {
        let call = self.stack.clients.dynamodb.scan().table_name(self.stack.table("records"));
        let mut pages = call.select(Select::Count).consistent_read(true).into_paginator().send();
        let mut records = 0;
        while let Some(page) = pages.next().await {
            records += u64::try_from(page.map_err(Failed::from)?.count()).map_err(Failed::from)?;
        }
        Ok(records)
    }

    /// The calls of its API that the provider received since this was last asked.
    pub(super) async fn provider_calls(&self) -> Result<u64, Failed> {
        let calls = self.admin(Method::GET, "calls", &Value::Null).await?;
        self.admin(Method::DELETE, "calls", &Value::Null).await?;
        let is_api = |call: &&Value| call["path"].as_str().is_some_and(|path| path.starts_with("/api/"));
        let count = calls.as_array().into_iter().flatten().filter(is_api).count();
        u64::try_from(count).map_err(Failed::from)
    }

    async fn admin(&self, method: Method, path: &str, body: &Value) -> Result<Value, Failed> {
        let url = format!("{}/_admin/{path}", self.slack.url);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.web.call(method, &url, &[], body).await.map_err(Failed::from)?;
        if !answer.status().is_success() {
            return Err(Failed(format!("{path} answered {}", String::from_utf8_lossy(answer.body()))));
        }
        Ok(serde_json::from_slice(answer.body()).unwrap_or_default())
    }
}
