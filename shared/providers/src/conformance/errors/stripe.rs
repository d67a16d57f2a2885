//! <https://docs.stripe.com/api/errors>, <https://docs.stripe.com/error-codes>,
//! <https://docs.stripe.com/declines/codes>, <https://docs.stripe.com/error-low-level>,
//! <https://docs.stripe.com/rate-limits>, read 2026-11.

use super::*;

/// Reasons of a bank's refusal (402). Those that only the bank may know read as a plain decline.
const DECLINES: &[(&str, &str)] = &[
    ("insufficient_funds", "The card was declined: there is not enough money on it."),
    ("expired_card", "The card has expired."),
    ("incorrect_cvc", "The security code of the card is not right."),
    ("invalid_cvc", "The security code of the card is not right."),
    ("incorrect_number", "The card number is not right."),
    ("invalid_number", "The card number is not right."),
    ("invalid_expiry_month", "The expiry date of the card is not right."),
    ("invalid_expiry_year", "The expiry date of the card is not right."),
    ("incorrect_zip", "The address does not belong to the card."),
    ("incorrect_address", "The address does not belong to the card."),
    ("authentication_required", "The customer must confirm this payment with the bank."),
    ("card_not_supported", "The card can't be used for this kind of payment."),
    ("currency_not_supported", "The card can't be used for this currency."),
    ("duplicate_transaction", "The same payment was made a moment ago."),
    ("card_velocity_exceeded", "The card has reached its limit."),
    ("withdrawal_count_limit_exceeded", "The card has reached its limit."),
    ("processing_error", "The bank could not be reached; try the card again in a moment."),
    ("issuer_not_available", "The bank could not be reached; try the card again in a moment."),
    ("try_again_later", "The bank could not be reached; try the card again in a moment."),
    ("reenter_transaction", "The bank could not be reached; try the card again in a moment."),
    ("testmode_decline", "This is a card for testing."),
    ("fraudulent", "The card was declined."),
    ("lost_card", "The card was declined."),
    ("stolen_card", "The card was declined."),
    ("pickup_card", "The card was declined."),
    ("merchant_blacklist", "The card was declined."),
    ("restricted_card", "The card was declined."),
    ("do_not_honor", "The card was declined."),
    ("generic_decline", "The card was declined."),
    ("call_issuer", "The card was declined."),
];

const INVALID: &str = "invalid_request_error";
const CARD: &str = "card_error";
const GLOBAL: &str = "stripe-rate-limited-reason: global-rate";
const AT_ONCE: &str = "stripe-rate-limited-reason: endpoint-concurrency";
const OF_OBJECT: &str = "stripe-rate-limited-reason: resource-specific";
const RETRY: &str = "stripe-should-retry: true";
const GIVE_UP: &str = "stripe-should-retry: false";
const RETRIED: Then = Then { again: [Some(500), Some(500), None], ..CONFLICT };
const CONFIRM: &str = "The customer must confirm this payment with the bank.";
const CARD_TOO_OFTEN: &str = "This card was declined too often; use another one.";
const SLOWER: &str = "Stripe asked us to slow down. We continue at 10:01 UTC.";
const CONTRADICTS: &str = "Stripe says that this contradicts something that exists.";
const ENDED: &str = "Stripe has ended our access.";
const NO_SCOPE: &str = "The permission for this was not given to us at Stripe.";
const TROUBLE: &str = "Stripe has trouble answering.";
const FULL: &str = "This customer has as many subscriptions as Stripe allows.";
const NO_ADDRESS: &str = "The customer's address is needed to work out the tax.";

/// Status, headers, type, code.
const CODES: &[(u16, &str, &str, &str, Then, &str)] = &[
    (429, "", INVALID, "rate_limit", SLOW, SLOWER),
    (400, "", INVALID, "rate_limit", SLOW, SLOWER),
    (429, "", "rate_limit", "", SLOW, SLOWER),
    (429, GLOBAL, INVALID, "rate_limit", SLOW, SLOWER),
    (429, AT_ONCE, INVALID, "rate_limit", SLOW, SLOWER),
    (429, OF_OBJECT, INVALID, "", SLOW, SLOWER),
    (429, GIVE_UP, INVALID, "rate_limit", later(60_000, SLOW), SLOWER),
    (429, "", INVALID, "payment_intent_rate_limit_exceeded", SLOW, SLOWER),
    (429, "", INVALID, "lock_timeout", BUSY, "Stripe is still at work on the same thing."),
    (409, "", INVALID, "idempotency_key_in_use", BUSY, "Stripe is still at work on the same thing."),
    (409, "", "idempotency_error", "idempotency_key_in_use", BUSY, "Stripe is still at work on the same thing."),
    (409, RETRY, INVALID, "", RETRIED, CONTRADICTS),
    (409, "", INVALID, "", CONFLICT, CONTRADICTS),
    (400, "", "idempotency_error", "", CONFLICT, CONTRADICTS),
    (400, "", INVALID, "resource_already_exists", CONFLICT, CONTRADICTS),
    (400, "", INVALID, "payment_intent_unexpected_state", CONFLICT, CONTRADICTS),
    (401, "", INVALID, "", REFRESH, ENDED),
    (401, RETRY, INVALID, "", REFRESH, ENDED),
    (401, "", INVALID, "api_key_expired", RECONNECT, ENDED),
    (401, "", INVALID, "platform_api_key_expired", RECONNECT, ENDED),
    (401, "", INVALID, "secret_key_required", CHANGE, "This needs a secret or restricted key of Stripe."),
    (403, "", INVALID, "", SCOPE, NO_SCOPE),
    (403, "", INVALID, "more_permissions_required", SCOPE, NO_SCOPE),
    // A good key, and a wrong header.
    (403, "", INVALID, "account_invalid", CHANGE, "There is no such connected Stripe account."),
    (404, "", INVALID, "resource_missing", LOOK, "Stripe does not find what was asked for."),
    (402, "", CARD, "expired_card", CHANGE, "The card has expired."),
    (402, "", CARD, "incorrect_cvc", CHANGE, "The security code of the card is not right."),
    (402, "", CARD, "processing_error", CHANGE, "The bank could not be reached; try the card again in a moment."),
    (402, "", CARD, "card_declined", CHANGE, "The card was declined."),
    (402, "", CARD, "", CHANGE, "The card was declined."),
    (402, "", CARD, "a_code_of_next_year", CHANGE, "The card was declined."),
    (429, "", CARD, "card_decline_rate_limit_exceeded", CHANGE, CARD_TOO_OFTEN),
    (402, "", CARD, "invoice_payment_intent_requires_action", CHANGE, CONFIRM),
    (402, "", CARD, "payment_intent_authentication_failure", CHANGE, CONFIRM),
    (400, "", INVALID, "payment_intent_authentication_failure", CHANGE, CONFIRM),
    (400, "", INVALID, "amount_too_small", CHANGE, "The amount is too small for Stripe."),
    (400, "", INVALID, "amount_too_large", CHANGE, "The amount is too large for Stripe."),
    (400, "", INVALID, "customer_max_subscriptions", CHANGE, FULL),
    (400, "", INVALID, "coupon_expired", CHANGE, "The coupon has expired."),
    (400, "", INVALID, "product_inactive", CHANGE, "This product is not on sale any more."),
    (400, "", INVALID, "customer_tax_location_invalid", CHANGE, NO_ADDRESS),
    (400, "", INVALID, "livemode_mismatch", CHANGE, "Test and live data of Stripe can't be mixed."),
    (400, "", INVALID, "testmode_charges_only", CHANGE, "This Stripe account is not activated yet."),
    (424, "", INVALID, "", DOWN, TROUBLE),
    (500, "", "api_error", "", DOWN, TROUBLE),
    (500, GIVE_UP, "api_error", "", later(60_000, DOWN), TROUBLE),
    (500, RETRY, "api_error", "", DOWN, TROUBLE),
    (503, "", "api_error", "", DOWN, TROUBLE),
];

/// Faults of the caller that builds the request, and what is too rare for words.
const NAMELESS: &[&str] = &[
    "action_blocked",
    "approval_required",
    "charge_already_captured",
    "charge_already_refunded",
    "email_invalid",
    "parameter_invalid_empty",
    "parameter_missing",
    "parameter_unknown",
    "request_blocked",
    "tax_id_invalid",
    "url_invalid",
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows: Vec<_> = CODES
        .iter()
        .map(|(status, headers, kind, code, then, says)| {
            let mut error =
                json!({"type": kind, "message": "card_error: 402", "request_log_url": "https://x.example/"});
            if !code.is_empty() {
                error["code"] = (*code).into();
                error["doc_url"] = format!("https://stripe.com/docs/error-codes/{code}").into();
            }
            let body = json!({ "error": error }).to_string();
            Row { status: *status, headers, body, code, says, then: *then }
        })
        .collect();
    rows.extend(DECLINES.iter().map(|(code, says)| {
        let error = json!({"type": CARD, "code": "card_declined", "decline_code": code, "charge": "ch_1",
            "message": "Your card was declined.", "payment_intent": {"status": "requires_payment_method"}});
        Row { status: 402, body: json!({ "error": error }).to_string(), code, says, then: CHANGE, ..Row::default() }
    }));
    rows.extend(NAMELESS.iter().chain([&INVALID]).map(|code| {
        let code = *code;
        let error = if code == INVALID { json!({"type": INVALID}) } else { json!({"type": INVALID, "code": code}) };
        let body = json!({ "error": error }).to_string();
        Row { status: 400, body, code, says: "Stripe did not accept this.", then: NAMED, ..Row::default() }
    }));
    rows.extend(["", HTML].map(|body| Row {
        status: 403,
        body: body.to_owned(),
        says: NO_SCOPE,
        then: SCOPE,
        ..Row::default()
    }));
    rows
}
