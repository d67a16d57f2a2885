//! Input that is refused: each refusal says what is wrong.

use http::Method;

use super::{Outcome, Story, expect};

impl Story<'_> {
    pub(super) async fn bad_input(&self) -> Outcome {
        let json = [("content-type", "application/json"), ("authorization", "Bearer no.such.token")];
        let cases = [
            (Method::POST, "/webhooks/nobody", 404, "stripe"),
            (Method::GET, "/webhooks/stripe", 405, "invalid_request"),
            (Method::GET, "/no/such/path", 404, "not_found"),
            (Method::GET, "/integrations", 401, "unauthenticated"),
            (Method::POST, "/actions/slack/post_message", 401, "unauthenticated"),
            (Method::GET, "/connect/nobody", 404, "slack"),
            (Method::GET, "/auth/slack/callback?code=c&state=s", 400, "not valid any more"),
        ];
        let count = cases.len();
        for (method, path, expected, words) in cases {
            let (status, body) = self.call(method.clone(), path, &json, "{").await?;
            let right = status == expected && body.contains(words);
            expect(right, || format!("{method} {path} answered {status} {body}, not {expected} with {words:?}"))?;
        }
        Ok((format!("{count} requests, each with a status and a sentence"), ()))
    }

    pub(super) async fn schedules(&self) -> Outcome {
        let mut answers = Vec::new();
        for timer in &self.stack.timers {
            let answer = timer.fire().await.map_err(local_base::terminal::Failed::from)?;
            let sent: serde_json::Value = serde_json::from_str(&answer).map_err(local_base::terminal::Failed::from)?;
            // Nothing is due so soon.
            let count = sent.get("sent").or_else(|| sent.get("reviewed"));
            expect(count == Some(&0.into()), || format!("{} answered {answer}, not 0", timer.schedule.name))?;
            answers.push(format!("{} 0", timer.schedule.name));
        }
        expect(!answers.is_empty(), || "template.yaml declares no schedule".into())?;
        Ok((answers.join(", "), ()))
    }
}
