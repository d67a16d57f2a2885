//! `POST /v1/subscriptions`: <https://docs.stripe.com/api/subscriptions/create>.

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    Answer, Refusal, Request, Stripe, invalid,
    objects::{missing, payment_intent, subscription},
};
use crate::opaque::random;

/// From this version on an invoice has a `confirmation_secret` in place of its `payment_intent`:
/// <https://docs.stripe.com/changelog/basil/2025-03-31/add-support-for-multiple-partial-payments-on-invoices>.
const BASIL: &str = "2025-03-31";

impl Stripe {
    pub(super) fn subscribe(&mut self, request: &Request<'_>) -> Answer {
        request.only(&[
            "cancel_at_period_end",
            "collection_method",
            "currency",
            "customer",
            "default_payment_method",
            "description",
            "expand",
            "items",
            "metadata",
            "payment_behavior",
            "payment_settings",
            "trial_period_days",
        ])?;
        let required = |name: &str| {
            let error = json!({
                "type": "invalid_request_error", "code": "parameter_missing", "param": name,
                "message": format!("Missing required param: {name}."),
            });
            Refusal(StatusCode::BAD_REQUEST, error)
        };
        let expand = request.expand()?;
        let id = request.text("customer").ok_or_else(|| required("customer"))?;
        let customer = self.objects.find("customers", id, StatusCode::BAD_REQUEST);
        let customer = customer.ok().filter(|customer| customer["deleted"] != true);
        let customer = customer.ok_or_else(|| missing("customers", id, "customer", StatusCode::BAD_REQUEST))?;
        let items: Vec<_> = request.fields["items"].as_object().into_iter().flatten().map(|(_, item)| item).collect();
        let price = items.first().and_then(|item| item["price"].as_str()).ok_or_else(|| required("items"))?;
        if !price.starts_with("price_") {
            return Err(missing("prices", price, "items[0][price]", StatusCode::BAD_REQUEST));
        }
        let behavior = request.text("payment_behavior").unwrap_or("allow_incomplete");
        if !["allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"]
            .contains(&behavior)
        {
            let words = "Invalid payment_behavior: must be one of allow_incomplete, default_incomplete, \
                         error_if_incomplete, or pending_if_incomplete";
            return Err(invalid(Some("payment_behavior"), words));
        }
        // Of the sandbox: a customer with a card that is always declined.
        if customer["metadata"]["decline"] == "1" {
            return Err(Refusal(
                StatusCode::PAYMENT_REQUIRED,
                json!({
                    "type": "card_error", "code": "card_declined", "decline_code": "generic_decline",
                    "message": "Your card was declined.",
                }),
            ));
        }
        let paid = behavior != "default_incomplete";
        let fields = json!({
            "customer": id, "status": if paid { "active" } else { "incomplete" },
            "metadata": request.fields["metadata"],
        });
        let invoice = format!("in_1{}", random(23));
        let mut created = subscription(&fields);
        created["items"]["data"][0]["price"]["id"] = price.into();
        created["latest_invoice"] = invoice.as_str().into();
        let status = if paid { "succeeded" } else { "requires_payment_method" };
        let received = if paid { 2000 } else { 0 };
        let intent = payment_intent(&json!({ "customer": id, "status": status, "amount_received": received }));
        self.happen("payment_intent.created", intent.clone(), None, &request.origin());
        self.happen("customer.subscription.created", created.clone(), None, &request.origin());
        if expand.iter().any(|path| path.starts_with("latest_invoice")) {
            created["latest_invoice"] = request.invoice(&invoice, &created, &intent, &expand);
        }
        Ok(created)
    }
}

impl Request<'_> {
    fn is_basil(&self) -> bool {
        self.version >= BASIL
    }

    fn expand(&self) -> Result<Vec<String>, Refusal> {
        // `expand[]` or `expand[0]`, as SDKs send it.
        let expand = &self.fields["expand"];
        let listed = expand.as_array().into_iter().flatten();
        let numbered = expand.as_object().into_iter().flat_map(|all| all.values());
        let paths = listed.chain(numbered).filter_map(Value::as_str);
        let inside =
            if self.is_basil() { "latest_invoice.confirmation_secret" } else { "latest_invoice.payment_intent" };
        paths
            .map(|path| {
                let known = [inside, "latest_invoice"].contains(&path).then(|| path.to_owned());
                known.ok_or_else(|| invalid(Some("expand"), &format!("This property cannot be expanded ({path}).")))
            })
            .collect()
    }

    fn invoice(&self, id: &str, subscription: &Value, intent: &Value, expand: &[String]) -> Value {
        let inside = expand.iter().any(|path| path.starts_with("latest_invoice."));
        let status = if subscription["status"] == "active" { "paid" } else { "open" };
        let mut invoice = json!({
            "id": id, "object": "invoice", "amount_due": 2000, "billing_reason": "subscription_create",
            "created": subscription["created"], "currency": "eur", "customer": subscription["customer"],
            "livemode": false,
            "status": status,
        });
        match (self.is_basil(), inside) {
            (true, true) => {
                invoice["confirmation_secret"] =
                    json!({ "client_secret": intent["client_secret"], "type": "payment_intent" });
            }
            (true, false) => {}
            (false, true) => invoice["payment_intent"] = intent.clone(),
            (false, false) => invoice["payment_intent"] = intent["id"].clone(),
        }
        invoice
    }
}
