//! The story: from connecting to disconnecting, with the effect of each step read back from the stores and the emulators.

mod calls;
mod connect;
mod end;
mod refusals;
mod syncs;
mod tokens;
mod views;
mod webhooks;

use std::time::Duration;

use http::Method;
use local_base::{terminal::Failed, web::Web};
use serde_json::Value;

use crate::{browser::Browser, bundle::Bundle, report::Report, stores::Stores};

/// The user of the story.
pub const USER: &str = "local-user";
/// How long an effect may take to appear. The first of a kind starts cold functions.
const PATIENCE: Duration = Duration::from_secs(20);

type Outcome = Result<(String, ()), Failed>;

/// Plays the story on a running stack.
pub async fn play(stack: &Bundle, report: &mut Report) {
    let story = match Story::new(stack) {
        Ok(story) => story,
        Err(failed) => {
            report.step("a session", async { Err::<(String, ()), _>(failed) }).await;
            return;
        }
    };
    report.step("Slack is connected by OAuth, through its consent page", story.connect("slack")).await;
    report.step("Google Calendar is connected by OAuth with PKCE", story.connect("google-calendar")).await;
    report.step("Gmail is connected by OAuth with PKCE", story.connect("gmail")).await;
    report.step("Stripe is connected with an API key; a wrong one is refused", story.connect_stripe()).await;
    report.step("first full syncs bring everything", story.first_syncs()).await;
    report.step("a signed Stripe webhook is applied and published; again, it is processed once", story.stripe()).await;
    report.step("a late event does not overwrite a newer state", story.late()).await;
    report.step("a forged webhook is refused, and one signed years ago", story.forged()).await;
    report.step("Slack's url_verification is answered, its event applied", story.slack()).await;
    report.step("a Calendar push leads to an incremental sync with a deleted event", story.calendar()).await;
    report.step("a Gmail push leads to an incremental sync", story.gmail()).await;
    report.step("an expired sync token leads to a full sync that loses no delete", story.reset()).await;
    report.step("a token about to expire is refreshed, and its rotation kept", story.refresh()).await;
    report.step("an expired token is refreshed before a call", story.refresh_on_demand()).await;
    report.step("an action: slack/post_message", story.action()).await;
    report.step("the proxy reaches each provider", story.proxy()).await;
    report.step("Slack asks to slow down, and recovers", story.slow_down()).await;
    report.step("signed JSON that is no event is dead-lettered with its reason", story.not_an_event()).await;
    report.step("bad input is refused with what is wrong", story.bad_input()).await;
    report.step("the status page, the status and the health show the state", story.status()).await;
    report.step("the records can be read", story.records()).await;
    report.step("another user sees none of it", story.isolation()).await;
    report.step("schedules fire", story.schedules()).await;
    report.step("Slack is disconnected: revoked, tokens and records gone", story.disconnect_slack()).await;
    report.step("Gmail goes, Calendar stays; then the grant is revoked", story.disconnect_google()).await;
    report.step("no token, code, key or secret lies open in a store or a log", story.canaries()).await;
}

struct Story<'s> {
    stack: &'s Bundle,
    web: Web,
    look: Stores<'s>,
    browser: Browser,
    session: String,
}

impl<'s> Story<'s> {
    fn new(stack: &'s Bundle) -> Result<Self, Failed> {
        let session = stack.session(USER, Some("admin"), Duration::from_mins(30));
        let session =
            session.ok_or_else(|| Failed("no session can be minted with the key of {prefix}/session".into()))?;
        Ok(Self { stack, web: Web::new(), look: Stores::new(stack), browser: Browser::new(), session })
    }

    /// A call of the HTTP API with the story's session.
    async fn api(&self, method: Method, path: &str, body: &Value) -> Result<(u16, Value), Failed> {
        let (bearer, url) = (format!("Bearer {}", self.session), format!("{}{path}", self.stack.url));
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let response = self.web.call(method, &url, &headers, text).await.map_err(Failed::from)?;
        let text = String::from_utf8_lossy(response.body());
        Ok((response.status().as_u16(), serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text))))
    }

    /// A call of an emulator's controls.
    async fn admin(&self, sandbox: &str, method: Method, path: &str, body: &Value) -> Result<Value, Failed> {
        let url = format!("{sandbox}/_admin/{path}");
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let headers = [("content-type", "application/json")];
        let response = self.web.call(method, &url, &headers, text).await.map_err(Failed::from)?;
        let words = String::from_utf8_lossy(response.body());
        expect(response.status().is_success(), || format!("the sandbox answered {path} with {words}"))?;
        if words.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&words).map_err(Failed::from) }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<(u16, String), Failed> {
        let url = format!("{}{path}", self.stack.url);
        let response = self.web.call(method, &url, headers, body.to_owned()).await.map_err(Failed::from)?;
        Ok((response.status().as_u16(), String::from_utf8_lossy(response.body()).into_owned()))
    }

    /// Waits until `check` finds something; `otherwise` says what did not happen.
    async fn wait<T>(
        &self,
        otherwise: &str,
        mut check: impl AsyncFnMut() -> Result<Option<T>, Failed>,
    ) -> Result<T, Failed> {
        let found = self.stack.until(PATIENCE, async || check().await.ok().flatten()).await;
        let logs = self.stack.folder.logs();
        found.map_err(|waited| Failed(format!("{otherwise}: {waited}; look at {}", logs.display())))
    }

    fn sandbox(&self, provider: &str) -> &'s str {
        self.stack.sandbox.url(provider)
    }

    /// The status of the story's user at a provider.
    async fn status_of(&self, provider: &str) -> Result<Value, Failed> {
        let (status, body) = self.api(Method::GET, &format!("/integrations/{provider}"), &Value::Null).await?;
        expect(status == 200, || format!("the status of {provider} answered {status} {body}"))?;
        Ok(body["integrations"][0].clone())
    }
}

fn expect(held: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failed> {
    if held { Ok(()) } else { Err(Failed(otherwise())) }
}
