//! Syncs: everything at first, then what changed, and never a delete lost.

use http::Method;
use local_base::terminal::Failed;
use serde_json::{Value, json};

use super::{Outcome, Story, connect::text, expect};

/// The controls that list the objects of each stream.
const STREAMS: &[(&str, &str, &[&str])] = &[
    ("slack", "channels", &["channels"]),
    ("slack", "users", &["users"]),
    ("stripe", "customers", &["customers"]),
    ("stripe", "subscriptions", &["subscriptions"]),
    ("stripe", "payment_intents", &["payment_intents"]),
    ("google-calendar", "events", &["events/primary", "events/team@group.calendar.google.com"]),
    ("gmail", "messages", &["messages"]),
];

impl Story<'_> {
    /// Waits for the syncs that connecting started, and compares the records with what the providers have.
    pub(super) async fn first_syncs(&self) -> Outcome {
        let mut waits = Vec::new();
        for (provider, stream, paths) in STREAMS {
            let there = self.there(provider, paths).await?;
            let id = self.id_of(provider).await?;
            let wait = format!("the sync of {provider}/{stream} did not bring all {there}");
            let found = async || {
                let count = self.look.records(&id, stream).await?;
                Ok((count == there && self.is_synced(provider, stream).await?).then_some(count))
            };
            waits.push(format!("{} {stream}", self.wait(&wait, found).await?));
        }
        for provider in ["slack", "stripe", "google-calendar", "gmail"] {
            let completed = self.look.announced("sync.completed", &self.id_of(provider).await?)?;
            expect(completed > 0, || format!("sync.completed of {provider} is not on the bus"))?;
        }
        Ok((format!("{}; as many as the providers have", waits.join(", ")), ()))
    }

    /// A Calendar push: an event is deleted at Google, which notifies the channel; nothing else starts a sync.
    pub(super) async fn calendar(&self) -> Outcome {
        let google = self.stack.sandbox.url("google");
        let id = self.id_of("google-calendar").await?;
        let channels = self.admin(google, Method::GET, "channels", &Value::Null).await?;
        let open = channels.as_array().map_or(0, Vec::len);
        expect(open == 2, || {
            format!("{open} watches run at Google, not one for each of 2 calendars that can be watched")
        })?;
        let made = self.admin(google, Method::POST, "events/primary", &json!({ "summary": "Tea" })).await?;
        let key = format!("events#ada@example.com/{}", text(&made["id"]));
        let appeared = async || Ok(self.look.record(&id, &key).await?.filter(|(deleted, _)| !deleted));
        let (_, data) = self.wait("the new event did not come", appeared).await?;
        expect(data["summary"] == "Tea", || format!("the record says {data}"))?;
        self.admin(google, Method::DELETE, &format!("events/primary/{}", text(&made["id"])), &Value::Null).await?;
        let gone = async || Ok(self.look.record(&id, &key).await?.filter(|(deleted, _)| *deleted));
        self.wait("the deleted event stayed", gone).await?;
        Ok((format!("{open} watches; a new event came, deleted it left a tombstone; both by push alone"), ()))
    }

    /// A Gmail push: a signed token of Google's, then what changed since.
    pub(super) async fn gmail(&self) -> Outcome {
        let google = self.stack.sandbox.url("google");
        let id = self.id_of("gmail").await?;
        let before = self.look.records(&id, "messages").await?;
        self.admin(google, Method::POST, "messages", &json!({ "subject": "Grüße aus Köln" })).await?;
        let came = async || Ok(Some(self.look.records(&id, "messages").await?).filter(|count| *count == before + 1));
        let count = self.wait("the new message did not come", came).await?;
        let forged =
            self.admin(google, Method::POST, "send", &json!({ "claims": { "aud": "https://evil.example" } })).await?;
        expect(forged["status"] == 400, || format!("a push for another audience answered {forged}"))?;
        Ok((format!("{count} messages, one by push; a token for another audience: 400"), ()))
    }

    /// Google forgets its sync tokens, and meanwhile an event is deleted without a push.
    pub(super) async fn reset(&self) -> Outcome {
        let google = self.stack.sandbox.url("google");
        let id = self.id_of("google-calendar").await?;
        let events = self.admin(google, Method::GET, "events/primary", &Value::Null).await?;
        let live = events.as_array().into_iter().flatten().find(|event| event["status"] != "cancelled");
        let event = text(&live.ok_or_else(|| Failed("no event is left in the sandbox".into()))?["id"]);
        self.admin(google, Method::DELETE, &format!("events/primary/{event}"), &json!({ "silent": true })).await?;
        self.admin(google, Method::POST, "expire_sync_tokens", &Value::Null).await?;
        let (status, body) = self.api(Method::POST, "/integrations/google-calendar/sync", &json!({})).await?;
        expect(status == 202, || format!("sync now answered {status} {body}"))?;
        let key = format!("events#ada@example.com/{event}");
        let gone = async || Ok(self.look.record(&id, &key).await?.filter(|(deleted, _)| *deleted));
        self.wait("the event that was deleted unseen stayed", gone).await?;
        Ok(("410 from Google; a full sync found the event gone".into(), ()))
    }

    /// How many objects a sandbox has that are not deleted.
    async fn there(&self, provider: &str, paths: &[&str]) -> Result<usize, Failed> {
        let mut count = 0;
        for path in paths {
            let all = self.admin(self.sandbox(provider), Method::GET, path, &Value::Null).await?;
            let live = |object: &&Value| {
                object["status"] != "cancelled" && !(provider == "stripe" && object["deleted"] == true)
            };
            count += all.as_array().into_iter().flatten().filter(live).count();
        }
        Ok(count)
    }

    async fn is_synced(&self, provider: &str, stream: &str) -> Result<bool, Failed> {
        let status = self.status_of(provider).await?;
        let streams = status["streams"].as_array();
        let found = streams.into_iter().flatten().find(|it| it["name"] == stream);
        Ok(found.is_some_and(|it| !it["last_full_sync"].is_null()) && status["sync_in_progress"] == false)
    }

    /// The id of the story's integration of a provider.
    pub(super) async fn id_of(&self, provider: &str) -> Result<String, Failed> {
        let id = text(&self.status_of(provider).await?["integration_id"]);
        expect(!id.is_empty(), || format!("{provider} is not connected"))?;
        Ok(id)
    }
}
