//! The story: one webhook's whole way, with what happened read back from the stores after each step.

mod checks;

use std::time::Duration;

use domain::{Integration, IntegrationKey, integration};
use http::Method;
use platform::{Aws, aws::Patience, integrations::Integrations};
use serde_json::{Value, json};

use self::checks::{Look, Seen};
use crate::{
    aws::clients::DEVELOPER_KEY,
    lambda::now,
    report::{Failed, Report},
    sign::sign,
    stack::{LOCAL_ACCOUNT, REGION, Stack},
    web::Web,
};

/// Who the story is about.
pub const USER: &str = "local-user";
/// How long an effect may take to appear. The first event starts cold functions.
const PATIENCE: Duration = Duration::from_secs(20);

type Outcome = Result<(String, ()), Failed>;

/// Plays the story on a running stack.
pub async fn play(stack: &Stack, report: &mut Report) {
    let story = Story { stack, web: Web::new(), look: Look::new(stack) };
    report.step("a Stripe integration exists", story.integration()).await;
    report.step("a signed Stripe webhook is accepted, applied and published", story.webhook("evt_story_1", 1)).await;
    report.step("the same again is processed once", story.webhook("evt_story_1", 1)).await;
    report.step("a late event does not overwrite a newer state", story.late()).await;
    report.step("a forged webhook is refused", story.forged()).await;
    report.step("Stripe's official sample, signed years ago, is refused as stale", story.stale()).await;
    report.step("signed JSON that is no event is dead-lettered with its reason", story.not_an_event()).await;
    report.step("bad input at the door is told what is wrong", story.bad_input()).await;
    report.step("the status page and the status JSON name every provider", story.status()).await;
    report.step("the records can be read", story.records()).await;
    report.step("schedules fire", story.schedules()).await;
}

struct Story<'s> {
    stack: &'s Stack,
    web: Web,
    look: Look<'s>,
}

impl Story<'_> {
    /// Connecting an account is not part of this version, so the integration is written as connecting would write it.
    async fn integration(&self) -> Outcome {
        let aws = Aws::at(&self.stack.aws_url, REGION, DEVELOPER_KEY, Patience::QUEUE);
        let integrations = Integrations::new(&aws, self.stack.table("integrations"));
        let stored = Integration {
            key: stripe_key(),
            account_name: "Local shop".into(),
            state: integration::State::Connected,
            connected_at: now(),
        };
        integrations.put(&stored).await.map_err(Failed::from)?;
        let found = integrations.of_account("stripe", LOCAL_ACCOUNT).await.map_err(Failed::from)?;
        expect(found == [stripe_key()], || format!("the account leads to {found:?}, not to the integration"))?;
        Ok((format!("{} (written directly; connecting is not part of this version)", stored.key.id()), ()))
    }

    async fn webhook(&self, event_id: &str, version: i64) -> Outcome {
        let body = customer(event_id, "customer.updated", now().as_second() + version, "anna@example.com");
        let (status, words) = self.deliver(&body, true).await?;
        expect(status == 200 && words == "Received", || format!("answered {status} {words:?}, not 200 \"Received\""))?;
        let seen = self.settled(event_id).await?;
        let once = seen.state == "done" && seen.effects == 1 && seen.attempts == 1;
        expect(once, || format!("the idempotency record says {seen:?}"))?;
        let record = self.look.record("customers#cus_story").await?;
        let email = record["email"].as_str().unwrap_or_default().to_owned();
        expect(email == "anna@example.com", || format!("the record says {record}"))?;
        let published = self.look.published(event_id)?;
        expect(published == 1, || format!("{published} × on the bus, not once; look at target/local/events.jsonl"))?;
        let Seen { attempts, effects, .. } = seen;
        Ok((format!("200; record cus_story; {effects} effect in {attempts} attempt; on the bus {published} ×"), ()))
    }

    async fn late(&self) -> Outcome {
        let body = customer("evt_story_late", "customer.updated", 1_700_000_000, "old@example.com");
        self.accepted(&body).await?;
        let seen = self.settled("evt_story_late").await?;
        expect(seen.state == "done", || format!("the idempotency record says {seen:?}"))?;
        let record = self.look.record("customers#cus_story").await?;
        expect(record["email"] == "anna@example.com", || format!("the record was overwritten: {record}"))?;
        Ok(("done, and the record kept its newer state".into(), ()))
    }

    async fn forged(&self) -> Outcome {
        let body = customer("evt_story_forged", "customer.updated", now().as_second(), "mallory@example.com");
        let (status, words) = self.deliver(&body, false).await?;
        let expected = "Webhook signature verification failed";
        expect(status == 400 && words == expected, || format!("answered {status} {words:?}, not 400 {expected:?}"))?;
        let seen = self.look.seen("evt_story_forged").await?;
        expect(seen.is_none(), || format!("it was processed: {seen:?}"))?;
        Ok(("400; nothing stored".into(), ()))
    }

    async fn stale(&self) -> Outcome {
        let body = include_str!("../../events/stripe-signature-vector.json");
        let header = "t=1533204620,v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7";
        let headers = [("content-type", "application/json"), ("stripe-signature", header)];
        let (status, words) = self.call(Method::POST, "/webhooks/stripe", &headers, body).await?;
        expect(status == 400, || format!("answered {status} {words:?}, not 400"))?;
        self.accepted(body).await?;
        let seen = self.settled_in("acct_123", "evt_123").await?;
        expect(seen.state == "done", || format!("signed anew, the idempotency record says {seen:?}"))?;
        Ok(("400; signed anew it is accepted and done".into(), ()))
    }

    async fn not_an_event(&self) -> Outcome {
        self.accepted(r#"{"hello":"world"}"#).await?;
        let look = async || self.look.dead_letter().await.ok().flatten();
        let reason = self.stack.until(PATIENCE, look).await.map_err(|waited| {
            Failed(format!("no message in the dead-letter queue: {waited}; look at target/local/logs"))
        })?;
        expect(reason.contains("not an event"), || format!("its reason is {reason:?}"))?;
        Ok((format!("200; dead-lettered: {reason}"), ()))
    }

    async fn bad_input(&self) -> Outcome {
        let json = [("content-type", "application/json"), ("authorization", "Bearer no.such.token")];
        let cases = [
            (Method::POST, "/webhooks/nobody", 404, "stripe"),
            (Method::GET, "/webhooks/stripe", 405, "invalid_request"),
            (Method::GET, "/no/such/path", 404, "not_found"),
            (Method::GET, "/integrations", 401, "unauthenticated"),
            (Method::POST, "/actions/slack/post_message", 401, "unauthenticated"),
        ];
        let count = cases.len();
        for (method, path, expected, words) in cases {
            let (status, body) = self.call(method.clone(), path, &json, "{").await?;
            let right = status == expected && body.contains(words);
            expect(right, || format!("{method} {path} answered {status} {body}, not {expected} with {words:?}"))?;
        }
        Ok((format!("{count} requests, each with a status and a sentence"), ()))
    }

    async fn status(&self) -> Outcome {
        let token = self.session()?;
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let (status, body) = self.call(Method::GET, "/integrations", &headers, "").await?;
        let json: Value = serde_json::from_str(&body).map_err(Failed::from)?;
        let all = json["integrations"].as_array().map_or(0, Vec::len);
        let connected = |it: &&Value| it["connected"] == true && it["provider"] == "stripe";
        let stripe = json["integrations"].as_array().into_iter().flatten().filter(connected).count();
        expect(status == 200 && all == providers::ids().len() && stripe == 1, || format!("answered {status} {body}"))?;
        let html = [("authorization", bearer.as_str()), ("accept", "text/html")];
        let (status, page) = self.call(Method::GET, "/settings/integrations", &html, "").await?;
        let missing = providers::REGISTRY.iter().map(|it| it.spec().name).find(|name| !page.contains(name));
        expect(status == 200 && missing.is_none(), || format!("the page answered {status} and lacks {missing:?}"))?;
        let action = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let (status, body) = self.call(Method::POST, "/actions/slack/post_message", &action, "{}").await?;
        expect(status == 409 && body.contains("not_connected"), || format!("an action answered {status} {body}"))?;
        Ok((format!("{all} providers, {stripe} connected; an action on the others answers not_connected"), ()))
    }

    async fn records(&self) -> Outcome {
        let bearer = format!("Bearer {}", self.session()?);
        let headers = [("authorization", bearer.as_str())];
        let path = "/integrations/stripe/records?stream=customers&limit=10";
        let (status, body) = self.call(Method::GET, path, &headers, "").await?;
        let json: Value = serde_json::from_str(&body).map_err(Failed::from)?;
        let found = &json["records"][0]["data"]["email"];
        expect(status == 200 && found == "anna@example.com", || format!("answered {status} {body}"))?;
        Ok((format!("{} of customers", json["records"].as_array().map_or(0, Vec::len)), ()))
    }

    async fn schedules(&self) -> Outcome {
        let mut answers = Vec::new();
        for timer in &self.stack.timers {
            let answer = timer.fire().await.map_err(Failed::from)?;
            expect(answer == r#"{"sent":0}"#, || format!("{} answered {answer}", timer.schedule.name))?;
            answers.push(timer.schedule.name.as_str());
        }
        expect(!answers.is_empty(), || "template.yaml declares no schedule".into())?;
        Ok((format!("{}: nothing is due", answers.join(", ")), ()))
    }

    /// Delivers `body` as Stripe would, or as somebody without the secret.
    async fn deliver(&self, body: &str, genuine: bool) -> Result<(u16, String), Failed> {
        let app = self.stack.webhook_secrets.get("stripe").cloned().unwrap_or_default();
        let secret = if genuine { app } else { "whsec_guessed".into() };
        let headers = sign("stripe", body.as_bytes(), &secret, now()).map_err(Failed::from)?;
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.call(Method::POST, "/webhooks/stripe", &headers, body).await
    }

    async fn accepted(&self, body: &str) -> Result<(), Failed> {
        let (status, words) = self.deliver(body, true).await?;
        expect(status == 200, || format!("answered {status} {words:?}, not 200"))
    }

    async fn settled(&self, event_id: &str) -> Result<Seen, Failed> {
        self.settled_in(LOCAL_ACCOUNT, event_id).await
    }

    /// The idempotency record once it is done and no message is left.
    async fn settled_in(&self, account: &str, event_id: &str) -> Result<Seen, Failed> {
        let look = async || {
            let seen = self.look.seen_in(account, event_id).await.ok().flatten()?;
            (seen.state == "done" && self.look.queue_is_empty()).then_some(seen)
        };
        self.stack.until(PATIENCE, look).await.map_err(|waited| {
            Failed(format!("{event_id} was not processed: {waited}; look at target/local/logs and the queue webhooks"))
        })
    }

    fn session(&self) -> Result<String, Failed> {
        let token = self.stack.session(USER, None, Duration::from_mins(5));
        token.ok_or_else(|| Failed("no session can be minted with the key of {prefix}/session".into()))
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
}

/// The integration of the story.
pub fn stripe_key() -> IntegrationKey {
    IntegrationKey { user_id: USER.into(), provider: "stripe".into(), account_id: LOCAL_ACCOUNT.into() }
}

fn customer(event_id: &str, kind: &str, created: i64, email: &str) -> String {
    let object = json!({ "id": "cus_story", "object": "customer", "email": email, "name": "Anna", "livemode": false });
    json!({ "id": event_id, "object": "event", "type": kind, "created": created, "data": { "object": object } })
        .to_string()
}

fn expect(held: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failed> {
    if held { Ok(()) } else { Err(Failed(otherwise())) }
}
