//! Customers, subscriptions and payments of an account.

use std::collections::BTreeSet;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::{
    course::{Course, Order, Truth},
    slack::object,
    world::World,
};

/// What was created, by its number, and whether it came to its end.
pub(crate) struct Stripe {
    customers: Vec<bool>,
    subscriptions: Vec<bool>,
    payments: Vec<bool>,
    /// The payments that need an action by their latest event.
    waiting: BTreeSet<usize>,
}

/// One that is there, or a new one.
fn choose(all: &mut Vec<bool>, prefix: &str, rng: &mut Rng) -> (usize, String, bool) {
    let there: Vec<_> = (0..all.len()).filter(|n| !all[*n]).collect();
    let known = rng.choice(there).filter(|_| rng.u8(..4) > 0);
    let n = known.unwrap_or_else(|| {
        all.push(false);
        all.len() - 1
    });
    (n, format!("{prefix}_New{n:04}"), known.is_some())
}

impl Stripe {
    fn customer(&mut self, rng: &mut Rng, word: &str) -> Order {
        let (n, id, known) = choose(&mut self.customers, "cus", rng);
        let path = format!("customers/{id}");
        match rng.u8(..4) {
            _ if !known => Order::post("customers", json!({ "id": id, "name": word })),
            0 => {
                self.customers[n] = true;
                Order::delete(path)
            }
            1 => Order::post(path, json!({ "address": { "city": word, "country": "GB" } })),
            2 => Order::post(path, json!({ "delinquent": rng.bool(), "metadata": { "key": word } })),
            _ => Order::post(path, json!({ "name": word })),
        }
    }

    fn subscription(&mut self, rng: &mut Rng, word: &str) -> Order {
        // A canceled one can still be updated.
        let ended: Vec<_> = (0..self.subscriptions.len()).filter(|n| self.subscriptions[*n]).collect();
        if let Some(ended) = rng.choice(ended)
            && rng.u8(..3) == 0
        {
            return Order::post(format!("subscriptions/sub_New{ended:04}"), json!({ "metadata": { "key": word } }));
        }
        let (n, id, known) = choose(&mut self.subscriptions, "sub", rng);
        let path = format!("subscriptions/{id}");
        match rng.u8(..5) {
            _ if !known => Order::post("subscriptions", json!({ "id": id, "customer": "cus_Seed0000000001" })),
            0 => {
                self.subscriptions[n] = true;
                Order::delete(path)
            }
            1 => Order::post(path, json!({ "status": "past_due" })),
            2 => Order::post(path, json!({ "status": "active" })),
            3 => Order::post(path, json!({ "cancel_at_period_end": rng.bool() })),
            _ => Order::post(path, json!({ "metadata": { "key": word } })),
        }
    }

    fn payment(&mut self, rng: &mut Rng, word: &str) -> Order {
        let (n, id, known) = choose(&mut self.payments, "pi", rng);
        let path = format!("payment_intents/{id}");
        match rng.u8(..5) {
            _ if !known => Order::post("payment_intents", json!({ "id": id, "amount": rng.u32(100..9000) })),
            0 => {
                self.waiting.remove(&n);
                Order::post(path, json!({ "status": "processing" }))
            }
            1 => {
                self.payments[n] = true;
                Order::post(
                    path,
                    json!({ "status": "succeeded", "amount_received": 100, "latest_charge": format!("ch_{word}") }),
                )
            }
            2 => {
                self.payments[n] = true;
                let why = json!({ "status": "canceled", "cancellation_reason": "abandoned", "canceled_at": 1 });
                Order::post(path, why)
            }
            3 => {
                let error = json!({ "code": "card_declined", "message": word });
                let order = Order::post(path, json!({ "status": "requires_action", "last_payment_error": error }));
                // Events tell of another status only.
                if self.waiting.insert(n) { order } else { order.untold() }
            }
            // No event tells of it.
            _ => Order::post(path, json!({ "metadata": { "key": word } })).untold(),
        }
    }
}

impl Course for Stripe {
    const PROVIDER: &'static str = "stripe";
    const ACCOUNT: &'static str = "acct_local";
    const CARRIES: bool = true;
    const SECONDS: bool = true;

    fn new() -> Self {
        Self { customers: Vec::new(), subscriptions: Vec::new(), payments: Vec::new(), waiting: BTreeSet::new() }
    }

    async fn grant(_: &World<'_>) -> (&'static str, String) {
        ("key", "sk_test_sandbox".to_owned())
    }

    fn order(&mut self, rng: &mut Rng) -> Order {
        let word = format!("w{}", rng.u16(..));
        match rng.u8(..3) {
            0 => self.customer(rng, &word),
            1 => self.subscription(rng, &word),
            _ => self.payment(rng, &word),
        }
    }

    async fn truth(&self, world: &World<'_>) -> Truth {
        let mut truth = Truth::new();
        let key = |stream: &str, it: &Value| format!("{stream}#{}", it["id"].as_str().unwrap());
        for it in world.objects("customers").await.iter().filter(|it| it["deleted"] != true) {
            let fields = json!({
                "name": it["name"], "address": it["address"], "delinquent": it["delinquent"], "metadata": it["metadata"],
            });
            truth.insert(key("customers", it), object(fields));
        }
        // All of them are listed, the canceled ones too.
        for it in world.objects("subscriptions").await {
            let fields = json!({
                "status": it["status"], "cancel_at_period_end": it["cancel_at_period_end"], "ended_at": it["ended_at"],
                "metadata": it["metadata"], "current_period_end": it["items"]["data"][0]["current_period_end"],
            });
            truth.insert(key("subscriptions", &it), object(fields));
        }
        for it in world.objects("payment_intents").await {
            let fields = json!({
                "status": it["status"], "amount": it["amount"], "latest_charge": it["latest_charge"], "metadata": it["metadata"],
                "cancellation_reason": it["cancellation_reason"],
            });
            truth.insert(key("payment_intents", &it), object(fields));
        }
        truth
    }
}
