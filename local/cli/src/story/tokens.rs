//! Tokens: refreshed before they end, each refresh token used once.

use http::Method;
use local_base::terminal::Failed;
use serde_json::{Value, json};

use super::{Outcome, Story, expect};

/// Less than the two hours that Slack's tokens are refreshed ahead, in seconds.
const ABOUT_TO_END: i64 = 1800;

impl Story<'_> {
    /// The schedule finds a token that ends soon.
    pub(super) async fn refresh(&self) -> Outcome {
        let id = self.id_of("slack").await?;
        let (before, refreshes) = (self.look.credential(&id).await?.version, self.refreshes("slack").await?);
        self.look.age(&id, ABOUT_TO_END).await?;
        let timer = self.stack.timers.iter().find(|timer| timer.schedule.name.ends_with("-refresh"));
        let timer = timer.ok_or_else(|| Failed("template.yaml declares no schedule refresh".into()))?;
        let answer = timer.fire().await.map_err(Failed::from)?;
        expect(answer == r#"{"sent":1}"#, || format!("the schedule answered {answer}, not one refresh"))?;
        let newer = async || Ok(Some(self.look.credential(&id).await?.version).filter(|version| *version > before));
        let version = self.wait("the token was not refreshed", newer).await?;
        expect(version == before + 1, || format!("the version went from {before} to {version}"))?;
        let now = self.refreshes("slack").await?;
        expect(now == refreshes + 1, || format!("Slack saw {} refreshes, not one", now - refreshes))?;
        let (status, body) = self.api(Method::GET, "/proxy/slack/auth.test", &Value::Null).await?;
        expect(status == 200 && body["ok"] == true, || format!("the new token: {status} {body}"))?;
        Ok(("1 refresh at Slack, the version moved by 1, the rotated tokens work".into(), ()))
    }

    /// Slack refuses the token: it is refreshed in the middle of a call, and once more works as it must with the rotated one.
    pub(super) async fn refresh_on_demand(&self) -> Outcome {
        let slack = self.stack.sandbox.url("slack");
        for round in 1..=2 {
            let before = self.refreshes("slack").await?;
            self.admin(slack, Method::POST, "tokens/expire", &json!({})).await?;
            let (status, body) = self.api(Method::GET, "/proxy/slack/auth.test", &Value::Null).await?;
            expect(status == 200 && body["ok"] == true, || format!("round {round} answered {status} {body}"))?;
            let now = self.refreshes("slack").await?;
            expect(now == before + 1, || format!("round {round}: {} refreshes, not one", now - before))?;
        }
        let reused = self.grants("slack").await?.iter().any(|grant| grant["reused"] == true);
        expect(!reused, || "a refresh token was used twice".into())?;
        Ok(("2 × refused, refreshed, repeated, answered; no refresh token was used twice".into(), ()))
    }

    async fn refreshes(&self, provider: &str) -> Result<u64, Failed> {
        Ok(self.grants(provider).await?.iter().filter_map(|grant| grant["refreshes"].as_u64()).sum())
    }
}
