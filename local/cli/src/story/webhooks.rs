//! Webhooks: genuine ones applied once, others refused.

use http::Method;
use local_base::{now, terminal::Failed};
use local_sandbox::LOCAL_ACCOUNT;
use serde_json::{Value, json};

use super::{Outcome, Story, expect};
use crate::{sign::sign, stores::Seen};

impl Story<'_> {
    /// Stripe sends an event about a customer twice.
    pub(super) async fn stripe(&self) -> Outcome {
        let id = self.id_of("stripe").await?;
        let body = customer("evt_story_1", "customer.updated", now().as_second() + 1, "anna@example.com");
        for attempt in ["first", "second"] {
            let (status, words) = self.deliver(&body, true).await?;
            let taken = status == 200 && words == "Received";
            expect(taken, || format!("the {attempt} delivery answered {status} {words:?}, not 200 \"Received\""))?;
            let seen = self.settled(LOCAL_ACCOUNT, "evt_story_1").await?;
            let once = seen.state == "done" && seen.effects == 1 && seen.attempts == 1;
            expect(once, || format!("after the {attempt} delivery the idempotency record says {seen:?}"))?;
        }
        let record = self.look.record(&id, "customers#cus_story").await?;
        let email = record.as_ref().is_some_and(|(deleted, data)| !deleted && data["email"] == "anna@example.com");
        expect(email, || format!("the record says {record:?}"))?;
        let published = self.look.published("evt_story_1")?;
        expect(published == 1, || format!("{published} × on the bus, not once; look at target/local/events.jsonl"))?;
        // And one that Stripe sends by itself.
        let stripe = self.stack.sandbox.url("stripe");
        let made = self.admin(stripe, Method::POST, "customers", &json!({ "email": "grace@example.com" })).await?;
        let key = format!("customers#{}", made["id"].as_str().unwrap_or_default());
        let came = async || self.look.record(&id, &key).await;
        self.wait("the customer that Stripe told of did not come", came).await?;
        Ok((
            "2 deliveries: 1 effect, 1 record, 1 × on the bus; and a customer made at Stripe came by itself".into(),
            (),
        ))
    }

    pub(super) async fn late(&self) -> Outcome {
        let id = self.id_of("stripe").await?;
        let body = customer("evt_story_late", "customer.updated", 1_700_000_000, "old@example.com");
        self.accepted(&body).await?;
        let seen = self.settled(LOCAL_ACCOUNT, "evt_story_late").await?;
        expect(seen.state == "done", || format!("the idempotency record says {seen:?}"))?;
        let record = self.look.record(&id, "customers#cus_story").await?;
        let kept = record.as_ref().is_some_and(|(_, data)| data["email"] == "anna@example.com");
        expect(kept, || format!("the record was overwritten: {record:?}"))?;
        Ok(("done, and the record kept its newer state".into(), ()))
    }

    pub(super) async fn forged(&self) -> Outcome {
        let body = customer("evt_story_forged", "customer.updated", now().as_second(), "mallory@example.com");
        let (status, words) = self.deliver(&body, false).await?;
        let expected = "Webhook signature verification failed";
        expect(status == 400 && words == expected, || format!("answered {status} {words:?}, not 400 {expected:?}"))?;
        let seen = self.look.stripe("evt_story_forged").await?;
        expect(seen.is_none(), || format!("it was processed: {seen:?}"))?;
        let sample = include_str!("../../../../events/stripe-signature-vector.json");
        let header = "t=1533204620,v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7";
        let headers = [("content-type", "application/json"), ("stripe-signature", header)];
        let (status, words) = self.call(Method::POST, "/webhooks/stripe", &headers, sample).await?;
        expect(status == 400, || format!("Stripe's official sample of 2018 answered {status} {words:?}, not 400"))?;
        self.accepted(sample).await?;
        // No integration has the account of the sample.
        let seen = self.settled("acct_123", "evt_123").await?;
        expect(seen.state == "unmatched", || format!("signed again, the idempotency record says {seen:?}"))?;
        Ok(("400, nothing stored; Stripe's official sample 400, signed again it is taken, and unmatched".into(), ()))
    }

    /// Slack verifies the URL, a channel is renamed, a user types a command.
    pub(super) async fn slack(&self) -> Outcome {
        let slack = self.stack.sandbox.url("slack");
        let challenge = json!({ "kind": "url_verification", "event": { "challenge": "story-challenge" } });
        let answer = self.admin(slack, Method::POST, "send", &challenge).await?;
        let right = answer["status"] == 200 && answer["body"] == "story-challenge";
        expect(right, || format!("url_verification was answered {answer}"))?;
        let id = self.id_of("slack").await?;
        let made = self.admin(slack, Method::POST, "channels", &json!({ "name": "story" })).await?;
        let key = format!("channels#{}", made["id"].as_str().unwrap_or_default());
        let came = async || Ok(self.look.record(&id, &key).await?.filter(|(_, data)| data["name"] == "story"));
        self.wait("the channel that Slack told of did not come", came).await?;
        let command = self.admin(slack, Method::POST, "send", &json!({ "kind": "slash" })).await?;
        let silent = command["status"] == 200 && command["body"] == "";
        expect(silent, || format!("a slash command was answered {command}, not 200 with an empty body"))?;
        let published = async || Ok((self.look.announced("slash_command", &id)? > 0).then_some(()));
        self.wait("the slash command is not on the bus", published).await?;
        Ok(("the challenge came back; a new channel is a record; a slash command is on the bus".into(), ()))
    }

    pub(super) async fn not_an_event(&self) -> Outcome {
        self.accepted(r#"{"hello":"world"}"#).await?;
        let reason = self.wait("no message in the dead-letter queue", async || self.look.dead_letter().await).await?;
        expect(reason == "not_an_event", || format!("its reason is {reason:?}"))?;
        Ok((format!("200; dead-lettered: {reason}"), ()))
    }

    /// Delivers `body` signed as Stripe signs it, or with another secret.
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

    /// The idempotency record once it is done and no message is left.
    async fn settled(&self, account: &str, event_id: &str) -> Result<Seen, Failed> {
        let done = async || {
            let seen = self.look.seen("stripe", account, event_id).await?;
            Ok(seen
                .filter(|seen| ["done", "unmatched"].contains(&seen.state.as_str()) && self.look.is_empty("webhooks")))
        };
        self.wait(&format!("{event_id} was not processed"), done).await
    }
}

fn customer(event_id: &str, kind: &str, created: i64, email: &str) -> String {
    let object = json!({ "id": "cus_story", "object": "customer", "email": email, "name": "Anna", "livemode": false });
    let event: Value =
        json!({ "id": event_id, "object": "event", "type": kind, "created": created, "data": { "object": object } });
    event.to_string()
}
