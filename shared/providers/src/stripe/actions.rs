//! Stripe's actions.

use domain::{Problem, Reply, Request, UserId, call::Unreadable};
use serde::Deserialize;
use serde_json::{Value, json};

use super::SPEC;
use crate::{Fields, Step};

pub(super) fn first(name: &str, input: &Value, user_id: &UserId) -> Result<Request, Problem> {
    match name {
        "create_subscription" => create(input, user_id),
        "cancel_subscription" => cancel(input),
        _ => Err(Problem::internal()),
    }
}

pub(super) fn step(name: &str, reply: &Reply) -> Result<Step, Unreadable> {
    match name {
        "create_subscription" => created(reply),
        "cancel_subscription" => cancelled(reply),
        _ => Err(Unreadable("no such action")),
    }
}

/// <https://docs.stripe.com/api/subscriptions/create>, read 2026-11. It stays incomplete until the customer confirms the first
/// payment with the client secret.
fn create(input: &Value, user_id: &UserId) -> Result<Request, Problem> {
    let mut fields = Fields::of(input);
    let (customer, price) = (fields.text("customer"), fields.text("price"));
    let plan = fields.optional_text("plan");
    fields.check()?;
    let form = [
        ("customer", customer),
        ("items[0][price]", price),
        ("payment_behavior", "default_incomplete"),
        ("expand[]", "latest_invoice.confirmation_secret"),
        ("metadata[user_id]", user_id.as_str()),
    ];
    Ok(SPEC.post("/v1/subscriptions", "").form(form.into_iter().chain(plan.map(|plan| ("metadata[plan]", plan)))))
}

fn created(reply: &Reply) -> Result<Step, Unreadable> {
    let subscription: Value = reply.json()?;
    let id = subscription.get("id").and_then(Value::as_str).ok_or(Unreadable("a subscription without an id"))?;
    // Where versions before 2025-03-31 have it stands second. A subscription that costs nothing yet has none.
    let places = ["/latest_invoice/confirmation_secret/client_secret", "/latest_invoice/payment_intent/client_secret"];
    let secret = places.iter().find_map(|place| subscription.pointer(place)?.as_str());
    Ok(Step::Done(json!({ "subscription_id": id, "client_secret": secret })))
}

/// <https://docs.stripe.com/api/subscriptions/update>, read 2026-11. At the end of the period that is paid for; saying so twice
/// changes nothing.
fn cancel(input: &Value) -> Result<Request, Problem> {
    let mut fields = Fields::of(input);
    let subscription = fields.text("subscription");
    fields.check()?;
    Ok(SPEC.post("/v1/subscriptions/{id}", subscription).form([("cancel_at_period_end", "true")]).idempotent())
}

fn cancelled(reply: &Reply) -> Result<Step, Unreadable> {
    #[derive(Deserialize)]
    struct Subscription {
        id: String,
        cancel_at_period_end: bool,
        cancel_at: Option<i64>,
    }
    let Subscription { id, cancel_at_period_end, cancel_at } = reply.json()?;
    Ok(Step::Done(
        json!({ "subscription_id": id, "cancel_at_period_end": cancel_at_period_end, "cancel_at": cancel_at }),
    ))
}

#[cfg(test)]
mod tests {
    use domain::call::Idempotent;

    use super::*;

    fn done(name: &str, body: &Value) -> Value {
        let reply = Reply { status: 200, body: body.to_string().into(), ..Reply::default() };
        let Ok(Step::Done(result)) = step(name, &reply) else { panic!("not done") };
        result
    }

    #[test]
    fn a_subscription_is_created_incomplete_and_gives_the_secret_that_confirms_its_payment() {
        let input = json!({"customer": "cus_1", "price": "price_1", "plan": "pro & more"});
        let request = first("create_subscription", &input, &"user-1".parse().unwrap()).unwrap();
        assert_eq!(request.idempotent, Idempotent::No);
        assert_eq!(
            String::from_utf8(request.body.unwrap().1).unwrap(),
            "customer=cus_1&items%5B0%5D%5Bprice%5D=price_1&payment_behavior=default_incomplete\
             &expand%5B%5D=latest_invoice.confirmation_secret&metadata%5Buser_id%5D=user-1&metadata%5Bplan%5D=pro+%26+more"
        );
        let invoice = json!({"confirmation_secret": {"client_secret": "pi_1_secret_2", "type": "payment_intent"}});
        assert_eq!(
            done("create_subscription", &json!({"id": "sub_1", "latest_invoice": invoice})),
            json!({"subscription_id": "sub_1", "client_secret": "pi_1_secret_2"})
        );
        let older = json!({"payment_intent": {"client_secret": "pi_1_secret_3"}});
        let result = done("create_subscription", &json!({"id": "sub_1", "latest_invoice": older}));
        assert_eq!(result["client_secret"], "pi_1_secret_3");
        let free = done("create_subscription", &json!({"id": "sub_1", "latest_invoice": null}));
        assert_eq!(free["client_secret"], Value::Null);
    }

    #[test]
    fn an_id_with_slashes_stays_one_segment() {
        let request =
            first("cancel_subscription", &json!({"subscription": "../customers/cus_1?x="}), &"u".parse().unwrap())
                .unwrap();
        assert_eq!(request.url, "https://api.stripe.com/v1/subscriptions/..%2Fcustomers%2Fcus_1%3Fx%3D");
        let answer = json!({"id": "sub_1", "cancel_at_period_end": true, "cancel_at": 1_798_020_000});
        assert_eq!(
            done("cancel_subscription", &answer),
            json!({"subscription_id": "sub_1", "cancel_at_period_end": true, "cancel_at": 1_798_020_000})
        );
    }
}
