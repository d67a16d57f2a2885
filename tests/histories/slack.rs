//! Channels and users of a workspace.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::{
    course::{Course, Order, Truth},
    world::World,
};

pub(crate) struct Slack {
    created: usize,
    gone: Vec<String>,
}

const NAMES: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

impl Slack {
    /// A channel that was there once. Slack gives no id twice.
    fn channel(&self, rng: &mut Rng) -> Option<String> {
        let known = ["C0GENERAL01", "C0RANDOM001", "C0SALES0001"].map(str::to_owned).into_iter();
        let all: Vec<_> = known.chain((0..self.created).map(|n| format!("C0NEW{n:06}"))).collect();
        let there: Vec<_> = all.into_iter().filter(|id| !self.gone.contains(id)).collect();
        rng.choice(there)
    }
}

impl Course for Slack {
    const PROVIDER: &'static str = "slack";
    const ACCOUNT: &'static str = "T0SANDBOX";
    const CARRIES: bool = true;
    const SECONDS: bool = false;

    fn new() -> Self {
        Self { created: 0, gone: Vec::new() }
    }

    async fn grant(world: &World<'_>) -> (&'static str, String) {
        let scopes = "channels:read,groups:read,users:read";
        ("bot", world.consent("/oauth/v2/authorize", "/api/oauth.v2.access", scopes).await)
    }

    fn order(&mut self, rng: &mut Rng) -> Order {
        let name = NAMES[rng.usize(..NAMES.len())];
        if rng.bool() {
            let user = ["U0ADA000001", "U0GRACE0001", "U0NEW000001"][rng.usize(..3)];
            let path = format!("users/{user}");
            return match rng.u8(..4) {
                0 => Order::post(path, json!({ "deleted": true })),
                1 => Order::post(path, json!({ "deleted": false, "is_restricted": rng.bool() })),
                2 => Order::post(path, json!({ "name": name })),
                _ => Order::post(path, json!({ "real_name": name.to_uppercase() })),
            };
        }
        let Some(channel) = self.channel(rng).filter(|_| rng.u8(..4) > 0) else {
            self.created += 1;
            let id = format!("C0NEW{:06}", self.created - 1);
            return Order::post("channels", json!({ "id": id, "name": name, "is_private": rng.bool() }));
        };
        let path = format!("channels/{channel}");
        match rng.u8(..7) {
            0 => Order::post(path, json!({ "name": name })),
            1 => Order::post(path, json!({ "is_archived": true })),
            2 => Order::post(path, json!({ "is_archived": false })),
            3 => Order::post(path, json!({ "is_member": false })),
            4 => Order::post(path, json!({ "is_member": true })),
            // Messages in the channel tell of it, and those are not subscribed to.
            5 => Order::post(path, json!({ "topic": { "value": name, "creator": "U0ADA000001", "last_set": 1 } }))
                .untold(),
            _ => {
                self.gone.push(channel);
                Order::delete(path)
            }
        }
    }

    async fn truth(&self, world: &World<'_>) -> Truth {
        let mut truth = Truth::new();
        for channel in world.objects("channels").await {
            // A private channel shows itself to its members only.
            if channel["is_private"] == true && channel["is_member"] == false {
                continue;
            }
            let fields = json!({
                "name": channel["name"], "is_archived": channel["is_archived"], "is_member": channel["is_member"],
                "topic": channel["topic"]["value"], "previous_names": channel["previous_names"],
            });
            truth.insert(format!("channels#{}", channel["id"].as_str().unwrap()), object(fields));
        }
        for user in world.objects("users").await {
            let fields = json!({
                "name": user["name"], "real_name": user["real_name"], "deactivated": user["deleted"],
                "is_restricted": user["is_restricted"],
            });
            truth.insert(format!("users#{}", user["id"].as_str().unwrap()), object(fields));
        }
        truth
    }
}

pub(crate) fn object(fields: Value) -> Map<String, Value> {
    let Value::Object(fields) = fields else { panic!("not an object") };
    fields
}
