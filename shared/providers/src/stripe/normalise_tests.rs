//! Objects as Stripe's documentation shows them, in the shapes of several API versions.

use serde_json::json;

use super::*;

fn data(of: &Value) -> Value {
    let raw = serde_json::value::to_raw_value(of).unwrap();
    object(&raw).unwrap().unwrap().data
}

fn subscription_of(item: &Value, further: &Value) -> Value {
    let mut object = json!({
        "id": "sub_1", "object": "subscription", "status": "active", "customer": "cus_1", "currency": "eur",
        "cancel_at": null, "cancel_at_period_end": false, "canceled_at": null, "trial_start": 5, "trial_end": 9,
        "default_payment_method": "pm_1", "latest_invoice": "in_1", "start_date": 5, "metadata": {"plan": "gold"},
        "items": {"object": "list", "has_more": false, "data": [item]}
    });
    for (name, value) in further.as_object().unwrap() {
        object[name] = value.clone();
    }
    object
}

fn item_with(further: &Value) -> Value {
    let mut item = json!({
        "id": "si_1", "object": "subscription_item", "quantity": 3,
        "price": {
            "id": "price_1", "object": "price", "currency": "eur", "product": "prod_1", "unit_amount": 1250,
            "unit_amount_decimal": "1250", "recurring": {"interval": "month", "interval_count": 1}
        }
    });
    for (name, value) in further.as_object().unwrap() {
        item[name] = value.clone();
    }
    item
}

#[test]
fn a_subscription_says_what_is_bought_how_often_and_until_when_in_the_shape_of_any_version() {
    let expected = json!({
        "status": "active", "customer": "cus_1", "currency": "eur", "cancel_at_period_end": false, "trial_start": 5,
        "trial_end": 9, "default_payment_method": "pm_1", "latest_invoice": "in_1", "start_date": 5,
        "metadata": {"plan": "gold"}, "current_period_start": 100, "current_period_end": 200,
        "items": [{
            "id": "si_1", "price": "price_1", "product": "prod_1", "quantity": 3, "currency": "eur", "unit_amount": 1250,
            "unit_amount_decimal": "1250", "interval": "month", "interval_count": 1, "current_period_start": 100,
            "current_period_end": 200
        }]
    });
    let period = json!({"current_period_start": 100, "current_period_end": 200});
    assert_eq!(data(&subscription_of(&item_with(&period), &json!({}))), expected, "since 2025-03-31.basil");
    assert_eq!(data(&subscription_of(&item_with(&json!({})), &period)), expected, "before");
    let mut plan = json!({"id": "si_1", "quantity": 3, "plan": {
        "id": "price_1", "currency": "eur", "product": "prod_1", "amount": 1250, "amount_decimal": "1250", "interval": "month",
        "interval_count": 1
    }});
    assert_eq!(data(&subscription_of(&plan, &period)), expected, "with a plan");
    plan["plan"]["product"] = json!({"id": "prod_1", "object": "product"});
    let whole = json!({
        "current_period_start": 100, "current_period_end": 200, "customer": {"id": "cus_1", "object": "customer"}
    });
    assert_eq!(data(&subscription_of(&plan, &whole)), expected, "with whole objects in place of ids");
}

#[test]
fn a_canceled_subscription_says_when_and_why_and_the_first_period_to_end_is_the_subscriptions() {
    let cancellation = json!({
        "status": "canceled", "cancel_at": 200, "canceled_at": 150, "ended_at": 200,
        "cancellation_details": {"comment": null, "feedback": "too_expensive", "reason": "cancellation_requested"}
    });
    let mut object = subscription_of(&item_with(&json!({"current_period_end": 300})), &cancellation);
    object["items"]["has_more"] = true.into();
    object["items"]["data"].as_array_mut().unwrap().push(item_with(&json!({"current_period_end": 200})));
    let data = data(&object);
    let details = json!({"feedback": "too_expensive", "reason": "cancellation_requested"});
    assert_eq!(data["cancellation_details"], details);
    assert_eq!((&data["cancel_at"], &data["canceled_at"], &data["ended_at"]), (&json!(200), &json!(150), &json!(200)));
    assert_eq!((&data["current_period_end"], &data["has_more_items"]), (&json!(200), &json!(true)));
    assert_eq!(data["items"].as_array().unwrap().len(), 2);
}

#[test]
fn a_customer_has_an_address_and_what_is_charged_by_default() {
    let customer = json!({
        "id": "cus_1", "object": "customer", "email": "ada@example.com", "phone": null, "delinquent": true, "balance": -500,
        "address": {"line1": "1 High Street", "country": "GB"}, "default_source": "card_1",
        "invoice_settings": {"default_payment_method": "pm_1", "footer": null}, "sources": {"data": []}
    });
    assert_eq!(
        data(&customer),
        json!({
            "email": "ada@example.com", "delinquent": true, "balance": -500, "default_source": "card_1",
            "address": {"line1": "1 High Street", "country": "GB"}, "default_payment_method": "pm_1"
        })
    );
}

#[test]
fn a_payment_says_why_it_failed_and_which_charge_paid_it_in_the_shape_of_any_version() {
    let failed = json!({
        "id": "pi_1", "object": "payment_intent", "status": "requires_payment_method", "amount": 4900, "amount_received": 0,
        "client_secret": "pi_1_secret_x", "customer": "cus_1", "description": "Order 7", "latest_charge": "ch_1",
        "last_payment_error": {
            "type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds", "message": "Declined.",
            "payment_method": {"id": "pm_1", "card": {"last4": "0341"}}
        }
    });
    let expected = json!({
        "status": "requires_payment_method", "amount": 4900, "amount_received": 0, "customer": "cus_1",
        "description": "Order 7", "latest_charge": "ch_1", "last_payment_error": {
            "type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds", "message": "Declined."
        }
    });
    assert_eq!(data(&failed), expected);
    let mut old = failed;
    old.as_object_mut().unwrap().remove("latest_charge");
    old["charges"] = json!({"data": [{"id": "ch_1", "object": "charge"}]});
    assert_eq!(data(&old), expected, "before 2022-11-15");
    let canceled = json!({
        "id": "pi_2", "object": "payment_intent", "status": "canceled", "canceled_at": 7, "cancellation_reason": "abandoned",
        "charges": {"data": []}, "last_payment_error": null
    });
    let expected = json!({"status": "canceled", "canceled_at": 7, "cancellation_reason": "abandoned"});
    assert_eq!(data(&canceled), expected);
}

#[test]
fn an_object_of_no_stream_is_none_and_one_without_an_id_an_error() {
    let read = |of: &Value| object(&serde_json::value::to_raw_value(of).unwrap());
    assert!(read(&json!({"id": "x", "object": "gizmo"})).unwrap().is_none());
    assert!(read(&json!({"object": "customer"})).is_err());
    assert!(read(&json!([])).is_err());
}
