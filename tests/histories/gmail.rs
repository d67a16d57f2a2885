//! Messages of a mailbox.

use fastrand::Rng;
use serde_json::json;

use crate::{
    course::{Course, Order, Truth},
    slack::object,
    world::World,
};

pub(crate) struct Gmail {
    created: usize,
    /// The history was forgotten: a second time in a row is waited for hours.
    forgotten: bool,
}

impl Course for Gmail {
    const PROVIDER: &'static str = "gmail";
    const ACCOUNT: &'static str = "ada@example.com";
    const CARRIES: bool = false;
    const SECONDS: bool = false;

    fn new() -> Self {
        Self { created: 0, forgotten: false }
    }

    async fn grant(world: &World<'_>) -> (&'static str, String) {
        let scope = "https://www.googleapis.com/auth/gmail.readonly";
        ("user", world.consent("/o/oauth2/v2/auth", "/token", scope).await)
    }

    fn order(&mut self, rng: &mut Rng) -> Order {
        let word = format!("w{}", rng.u16(..));
        if self.created == 0 || (self.created < 4 && rng.u8(..4) == 0) {
            self.created += 1;
            let id = format!("message{:04}", self.created - 1);
            let fields = json!({ "id": id, "subject": word, "cc": "c@example.com", "inReplyTo": format!("<{word}@example.com>") });
            return Order::post("messages", fields);
        }
        let message = format!("messages/message{:04}", rng.usize(..self.created));
        let labelled = |labels: &[&str]| Order::post(message.clone(), json!({ "labelIds": labels }));
        match rng.u8(..8) {
            0 | 1 => labelled(&["INBOX", "TRASH"]),
            2 | 3 => labelled(&["INBOX"]),
            4 => labelled(&["SPAM"]),
            5 => labelled(&["INBOX", "STARRED", "UNREAD"]),
            6 if !self.forgotten => {
                self.forgotten = true;
                Order::post("history_floor", json!({}))
            }
            _ => Order::delete(message),
        }
    }

    async fn truth(&self, world: &World<'_>) -> Truth {
        let mut truth = Truth::new();
        for message in world.objects("messages").await {
            let labels = message["labelIds"].as_array().unwrap();
            if labels.iter().any(|label| label == "TRASH" || label == "SPAM") {
                continue;
            }
            let id = message["id"].as_str().unwrap();
            let fields = json!({
                "label_ids": labels, "thread_id": message["threadId"], "message_id": format!("<{id}@mail.gmail.com>"),
            });
            truth.insert(format!("messages#{id}"), object(fields));
        }
        truth
    }
}
