//! The end: grants revoked, tokens and records gone, no secret in the clear.

use http::Method;
use local_base::terminal::Failed;
use serde_json::{Value, json};

use super::{Outcome, Story, connect::STRIPE_KEY, expect};

/// Tables with the data of users and providers.
const TABLES: [&str; 8] = [
    "integrations",
    "credentials",
    "webhook-secrets",
    "oauth-states",
    "records",
    "syncs",
    "idempotency",
    "delivery-bodies",
];

impl Story<'_> {
    pub(super) async fn disconnect_slack(&self) -> Outcome {
        let id = self.id_of("slack").await?;
        let (status, body) = self.api(Method::POST, "/integrations/slack/disconnect", &json!({})).await?;
        expect(status == 200 && body["revoked"] == "yes", || format!("answered {status} {body}"))?;
        self.ended(&id).await?;
        let active = self.grants("slack").await?.iter().filter(|grant| grant["state"] == "active").count();
        expect(active == 0, || format!("{active} grants are still active at Slack"))?;
        let input = json!({ "channel": "C0GENERAL01", "text": "Hello" });
        let (status, body) = self.api(Method::POST, "/actions/slack/post_message", &input).await?;
        let refused = status == 409 && body["error"]["kind"] == "not_connected";
        expect(refused, || format!("an action afterwards answered {status} {body}"))?;
        Ok(("revoked at Slack; no credential, no record; an action answers not_connected".into(), ()))
    }

    /// One Google account, two integrations, one grant.
    pub(super) async fn disconnect_google(&self) -> Outcome {
        let (gmail, calendar) = (self.id_of("gmail").await?, self.id_of("google-calendar").await?);
        let (status, body) = self.api(Method::POST, "/integrations/gmail/disconnect", &json!({})).await?;
        expect(status == 200 && body["revoked"] == "still_needed", || format!("Gmail answered {status} {body}"))?;
        self.ended(&gmail).await?;
        let path = "/proxy/google-calendar/calendars/primary";
        let (status, body) = self.api(Method::GET, path, &Value::Null).await?;
        expect(status == 200, || format!("Calendar no longer works: {status} {body}"))?;
        let (status, body) = self.api(Method::POST, "/integrations/google-calendar/disconnect", &json!({})).await?;
        expect(status == 200 && body["revoked"] == "yes", || format!("Calendar answered {status} {body}"))?;
        self.ended(&calendar).await?;
        let active = self.grants("gmail").await?.iter().filter(|grant| grant["state"] == "active").count();
        expect(active == 0, || format!("{active} grants are still active at Google"))?;
        let channels = self.admin(self.stack.sandbox.url("google"), Method::GET, "channels", &Value::Null).await?;
        let open = channels.as_array().map_or(0, Vec::len);
        expect(open == 0, || format!("{open} watches still run at Google"))?;
        Ok(("Gmail first: the grant was still needed; with Calendar it was revoked; no watch runs".into(), ()))
    }

    async fn ended(&self, id: &str) -> Result<(), Failed> {
        let state = self.look.integration(id).await?;
        expect(state.as_deref() == Some("disconnected"), || format!("the table says {state:?}"))?;
        let credentials = self.look.credentials(id).await?.len();
        expect(credentials == 0, || format!("{credentials} credentials are left"))?;
        let announced = self.look.announced("integration.disconnected", id)?;
        expect(announced == 1, || format!("integration.disconnected is {announced} × on the bus"))?;
        let gone = async || {
            let mut left = 0;
            for stream in ["channels", "users", "messages", "events"] {
                left += self.look.records(id, stream).await?;
            }
            // A message for what comes late is still to come.
            Ok((left == 0).then_some(()))
        };
        self.wait("records are left", gone).await
    }

    /// Everything that the providers ever issued, and our own secrets, looked for in all stores, logs and events.
    pub(super) async fn canaries(&self) -> Outcome {
        let mut canaries = vec![STRIPE_KEY.to_owned(), self.session.clone()];
        for provider in ["slack", "stripe", "gmail"] {
            let issued = self.admin(self.sandbox(provider), Method::GET, "secrets", &Value::Null).await?;
            canaries.extend(issued.as_array().into_iter().flatten().filter_map(|it| it.as_str().map(str::to_owned)));
        }
        canaries.extend(self.stack.secrets());
        canaries.retain(|canary| canary.len() >= 8);
        let mut places: Vec<(String, Vec<u8>)> = Vec::new();
        for table in TABLES {
            places.push((format!("table {table}"), self.look.bytes(table).await?));
        }
        let folder = &self.stack.folder;
        let logs = std::fs::read_dir(folder.logs()).map_err(Failed::from)?;
        for file in logs.filter_map(Result::ok).map(|entry| entry.path()).chain([folder.events()]) {
            let text = std::fs::read(&file).map_err(Failed::from)?;
            places.push((file.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default(), text));
        }
        for (place, text) in &places {
            let found = canaries.iter().find(|canary| memchr::memmem::find(text, canary.as_bytes()).is_some());
            expect(found.is_none(), || {
                let start = found.map_or("", |canary| &canary[..6]);
                format!("{place} holds a secret that begins with {start:?}")
            })?;
        }
        let bytes: usize = places.iter().map(|(_, text)| text.len()).sum();
        Ok((format!("{} secrets, looked for in {} places, {} kB", canaries.len(), places.len(), bytes / 1024), ()))
    }
}
