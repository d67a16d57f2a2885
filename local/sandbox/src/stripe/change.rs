//! Changes to customers and subscriptions over the API.

use http::StatusCode;
use local_base::now;
use serde_json::{Value, json};

use super::{
    Answer, Refusal, Request, Stripe, invalid,
    objects::{customer, with},
};

/// Parameters of a customer that are stored as they are.
const CUSTOMER: &[&str] =
    &["address", "description", "email", "expand", "metadata", "name", "phone", "preferred_locales", "shipping"];

impl Stripe {
    pub(super) fn create_customer(&mut self, request: &Request<'_>) -> Answer {
        request.only(CUSTOMER)?;
        let customer = customer(&request.stored());
        self.happen("customer.created", customer.clone(), None, &request.origin());
        Ok(customer)
    }

    pub(super) fn update_customer(&mut self, id: &str, request: &Request<'_>) -> Answer {
        request.only(CUSTOMER)?;
        let before = self.objects.find("customers", id, StatusCode::NOT_FOUND)?.clone();
        let after = with(before.clone(), &request.stored());
        self.happen("customer.updated", after.clone(), Some(&before), &request.origin());
        Ok(after)
    }

    /// A deleted customer's subscriptions end: <https://docs.stripe.com/api/customers/delete>.
    pub(super) fn delete_customer(&mut self, id: &str, request: &Request<'_>) -> Answer {
        self.remove_customer(id, &request.origin())
    }

    /// Likewise, whether a call or a control wants it.
    pub(super) fn remove_customer(&mut self, id: &str, origin: &Value) -> Answer {
        let customer = self.objects.find("customers", id, StatusCode::NOT_FOUND)?.clone();
        if customer["deleted"] == true {
            return Err(super::objects::missing("customers", id, "id", StatusCode::NOT_FOUND));
        }
        let of_this = |subscription: &&Value| subscription["customer"] == id && subscription["status"] != "canceled";
        let theirs: Vec<_> = self.objects.of("subscriptions").iter().filter(of_this).cloned().collect();
        for subscription in theirs {
            self.happen("customer.subscription.deleted", canceled(subscription), None, origin);
        }
        self.happen("customer.deleted", customer.clone(), None, origin);
        let gone = json!({ "id": id, "object": "customer", "deleted": true });
        self.objects.put("customers", with(gone.clone(), &json!({ "created": customer["created"] })));
        Ok(gone)
    }

    pub(super) fn update_subscription(&mut self, id: &str, request: &Request<'_>) -> Answer {
        request.only(&["cancel_at_period_end", "description", "expand", "metadata"])?;
        let before = self.objects.find("subscriptions", id, StatusCode::NOT_FOUND)?.clone();
        if before["status"] == "canceled" {
            return Err(invalid(
                None,
                "A canceled subscription can only update its cancellation_details and metadata.",
            ));
        }
        let mut fields = request.stored();
        if let Some(flag) = request.text("cancel_at_period_end") {
            let flag: bool =
                flag.parse().map_err(|_| invalid(Some("cancel_at_period_end"), &format!("Invalid boolean: {flag}")))?;
            fields["cancel_at_period_end"] = flag.into();
            let end = &before["items"]["data"][0]["current_period_end"];
            fields["cancel_at"] = if flag { end.clone() } else { Value::Null };
            fields["canceled_at"] = if flag { now().as_second().into() } else { Value::Null };
        }
        let after = with(before.clone(), &fields);
        self.happen("customer.subscription.updated", after.clone(), Some(&before), &request.origin());
        Ok(after)
    }

    pub(super) fn cancel_subscription(&mut self, id: &str, request: &Request<'_>) -> Answer {
        let before = self.objects.find("subscriptions", id, StatusCode::NOT_FOUND)?.clone();
        if before["status"] == "canceled" {
            return Err(super::objects::missing("subscriptions", id, "id", StatusCode::NOT_FOUND));
        }
        let after = canceled(before);
        self.happen("customer.subscription.deleted", after.clone(), None, &request.origin());
        Ok(after)
    }
}

/// A subscription at its end.
pub(super) fn canceled(subscription: Value) -> Value {
    let now = now().as_second();
    let details = json!({ "comment": null, "feedback": null, "reason": "cancellation_requested" });
    let fields = json!({ "status": "canceled", "canceled_at": now, "ended_at": now, "cancellation_details": details });
    with(subscription, &fields)
}

impl Request<'_> {
    /// A parameter of the body.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.fields[name].as_str().filter(|text| !text.is_empty())
    }

    /// Refuses parameters that the call does not have.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        let unknown = self.fields.as_object().and_then(|all| all.keys().find(|name| !known.contains(&name.as_str())));
        let Some(name) = unknown else { return Ok(()) };
        let error = json!({
            "type": "invalid_request_error", "code": "parameter_unknown", "param": name,
            "message": format!("Received unknown parameter: {name}"),
        });
        Err(Refusal(StatusCode::BAD_REQUEST, error))
    }

    /// What is stored of the body. An empty text unsets a field.
    pub(super) fn stored(&self) -> Value {
        let fields = self.fields.as_object().into_iter().flatten().filter(|(name, _)| *name != "expand");
        fields.map(|(name, value)| (name.clone(), if value == "" { Value::Null } else { value.clone() })).collect()
    }

    /// An event's `request`.
    pub(super) fn origin(&self) -> Value {
        json!({
            "id": format!("req_{}", crate::opaque::random(14)),
            "idempotency_key": self.call.header("idempotency-key"),
        })
    }
}
