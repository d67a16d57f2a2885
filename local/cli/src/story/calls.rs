//! Calls to providers for the application.

use http::Method;
use local_base::terminal::Failed;
use serde_json::{Value, json};

use super::{Outcome, Story, expect};

impl Story<'_> {
    pub(super) async fn action(&self) -> Outcome {
        let before = self.messages().await?;
        let input = json!({ "channel": "C0GENERAL01", "text": "Hello from the story" });
        let (status, body) = self.api(Method::POST, "/actions/slack/post_message", &input).await?;
        expect(status == 200 && body["ts"].is_string(), || format!("answered {status} {body}"))?;
        expect(self.messages().await? == before + 1, || "the message is not in Slack".into())?;
        let (status, body) = self.api(Method::POST, "/actions/slack/post_message", &json!({ "text": "" })).await?;
        let fields = body["error"]["fields"].as_array().map_or(0, Vec::len);
        expect(status == 422 && fields == 2, || format!("wrong input answered {status} {body}"))?;
        let keyed = async |text: &str| {
            let (bearer, url) =
                (format!("Bearer {}", self.session), format!("{}/actions/slack/post_message", self.stack.url));
            let headers = [
                ("authorization", bearer.as_str()),
                ("content-type", "application/json"),
                ("idempotency-key", "story-1"),
            ];
            let body = json!({ "channel": "C0GENERAL01", "text": text }).to_string();
            let response = self.web.call(Method::POST, &url, &headers, body).await.map_err(Failed::from)?;
            Ok::<_, Failed>((response.status().as_u16(), String::from_utf8_lossy(response.body()).into_owned()))
        };
        let (first, again, other) = (keyed("Once").await?, keyed("Once").await?, keyed("Twice").await?);
        expect(first.0 == 200 && first == again, || format!("one key answered {first:?} and {again:?}"))?;
        expect(other.0 == 409, || format!("one key for another text answered {other:?}"))?;
        expect(self.messages().await? == before + 2, || "one key posted more than once".into())?;
        let nowhere = json!({ "channel": "C0NOWHERE", "text": "Hello" });
        let (status, body) = self.api(Method::POST, "/actions/slack/post_message", &nowhere).await?;
        let words = body["error"]["message"].as_str().unwrap_or_default();
        expect(status == 422 && words.contains("no such channel"), || format!("no channel answered {status} {body}"))?;
        Ok((format!("posted; under one key once, another text 409; 2 fields named in wrong input; {words:?}"), ()))
    }

    pub(super) async fn proxy(&self) -> Outcome {
        let calls = [
            ("/proxy/slack/auth.test", "/team_id", json!("T0SANDBOX")),
            ("/proxy/stripe/v1/account", "/id", json!("acct_local")),
            (
                "/proxy/google-calendar/calendars/team%40group.calendar.google.com",
                "/id",
                json!("team@group.calendar.google.com"),
            ),
            ("/proxy/gmail/users/me/profile", "/emailAddress", json!("ada@example.com")),
        ];
        for (path, pointer, expected) in &calls {
            let (status, body) = self.api(Method::GET, path, &Value::Null).await?;
            let right = status == 200 && body.pointer(pointer) == Some(expected);
            expect(right, || format!("{path} answered {status} {body}"))?;
        }
        let (status, body) = self.api(Method::GET, "/proxy/slack/..%2f..%2fadmin", &Value::Null).await?;
        expect(status == 422, || format!("a path that climbs answered {status} {body}"))?;
        let (status, _) = self.browser_call("/proxy/slack/auth.test").await?;
        expect(status == 401, || format!("a browser's cookie was answered {status}, not 401"))?;
        Ok((format!("{} providers; a path that climbs 422; a cookie 401", calls.len()), ()))
    }

    /// Slack answers 429 with a wait, then works.
    pub(super) async fn slow_down(&self) -> Outcome {
        let slack = self.stack.sandbox.url("slack");
        let before = self.messages().await?;
        let limited = |times: u32, seconds: &str| {
            json!({ "match": "chat.postMessage", "times": times, "effect": {
                "status": 429, "headers": { "Retry-After": seconds }, "body": { "ok": false, "error": "ratelimited" } } })
        };
        self.admin(slack, Method::POST, "faults", &limited(1, "1")).await?;
        let input = json!({ "channel": "C0GENERAL01", "text": "After a pause" });
        let start = std::time::Instant::now();
        let (status, body) = self.api(Method::POST, "/actions/slack/post_message", &input).await?;
        let took = start.elapsed();
        expect(status == 200, || format!("answered {status} {body}"))?;
        expect(took.as_millis() >= 1000, || format!("Slack's second was not waited for: {took:?}"))?;
        expect(self.messages().await? == before + 1, || "the message is not in Slack exactly once".into())?;
        self.admin(slack, Method::POST, "faults", &limited(1, "120")).await?;
        let called = async || {
            let calls = self.admin(slack, Method::GET, "calls", &Value::Null).await?;
            Ok::<_, Failed>(calls.as_array().map_or(0, Vec::len))
        };
        // The wait is for this channel, and is kept without asking again; the other goes on.
        let elsewhere = json!({ "channel": "C0RANDOM001", "text": "Too soon" });
        let (status, body) = self.api(Method::POST, "/actions/slack/post_message", &elsewhere).await?;
        let words = body["error"]["message"].as_str().unwrap_or_default();
        let is_refused = status == 429 && words.contains("slow down") && body["error"]["retry_at"].is_string();
        expect(is_refused, || format!("two minutes answered {status} {body}"))?;
        let seen = called().await?;
        let (status, _) = self.api(Method::POST, "/actions/slack/post_message", &elsewhere).await?;
        expect(status == 429 && called().await? == seen, || format!("again: {status}, and Slack was called"))?;
        expect(self.messages().await? == before + 1, || "a refused message was posted".into())?;
        let (status, _) = self.api(Method::POST, "/actions/slack/post_message", &input).await?;
        expect(status == 200, || format!("in another channel: {status}"))?;
        Ok((format!("waited {took:.1?} and posted once; two minutes: {words:?}, kept; another channel works"), ()))
    }

    async fn messages(&self) -> Result<usize, Failed> {
        let all = self.admin(self.stack.sandbox.url("slack"), Method::GET, "messages", &Value::Null).await?;
        Ok(all.as_array().map_or(0, Vec::len))
    }

    async fn browser_call(&self, path: &str) -> Result<(u16, String), Failed> {
        let page = self.browser.get(&format!("{}{path}", self.stack.url)).await?;
        Ok((page.status, page.body))
    }
}
