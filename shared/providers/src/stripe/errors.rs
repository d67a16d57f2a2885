//! What Stripe's codes mean: <https://docs.stripe.com/error-codes>, <https://docs.stripe.com/declines/codes>,
//! <https://docs.stripe.com/error-low-level>, read 2026-11.

use domain::call::Class;

/// The reason of a bank's refusal first, then the code, then the kind.
pub(super) const CODES: &[&str] = &["/error/decline_code", "/error/code", "/error/type"];

const CVC: Class = Class::Rejected("The security code of the card is not right.");
const NUMBER: Class = Class::Rejected("The card number is not right.");
const EXPIRY: Class = Class::Rejected("The expiry date of the card is not right.");
const ADDRESS: Class = Class::Rejected("The address does not belong to the card.");
const CONFIRM: Class = Class::Rejected("The customer must confirm this payment with the bank.");
// Not tried again by us: that would charge once more.
const BANK: Class = Class::Rejected("The bank could not be reached; try the card again in a moment.");
const MIXED: Class = Class::Rejected("Test and live data of Stripe can't be mixed.");

/// Reasons that only the bank may know (lost, stolen, fraud) are left out, as Stripe asks: they read as a plain decline.
pub(super) const CLASSES: &[(&str, Class)] = &[
    ("rate_limit", Class::RateLimited),
    ("payment_intent_rate_limit_exceeded", Class::RateLimited),
    ("lock_timeout", Class::Busy),
    ("idempotency_key_in_use", Class::Busy),
    ("api_key_expired", Class::GrantEnded),
    ("platform_api_key_expired", Class::GrantEnded),
    ("more_permissions_required", Class::ScopeMissing),
    ("resource_missing", Class::NotFound),
    ("idempotency_error", Class::Conflict),
    ("resource_already_exists", Class::Conflict),
    ("payment_intent_unexpected_state", Class::Conflict),
    ("account_invalid", Class::Rejected("There is no such connected Stripe account.")),
    ("secret_key_required", Class::Rejected("This needs a secret or restricted key of Stripe.")),
    ("insufficient_funds", Class::Rejected("The card was declined: there is not enough money on it.")),
    ("expired_card", Class::Rejected("The card has expired.")),
    ("incorrect_cvc", CVC),
    ("invalid_cvc", CVC),
    ("incorrect_number", NUMBER),
    ("invalid_number", NUMBER),
    ("invalid_expiry_month", EXPIRY),
    ("invalid_expiry_year", EXPIRY),
    ("incorrect_zip", ADDRESS),
    ("incorrect_address", ADDRESS),
    ("authentication_required", CONFIRM),
    ("payment_intent_authentication_failure", CONFIRM),
    ("invoice_payment_intent_requires_action", CONFIRM),
    ("card_not_supported", Class::Rejected("The card can't be used for this kind of payment.")),
    ("currency_not_supported", Class::Rejected("The card can't be used for this currency.")),
    ("duplicate_transaction", Class::Rejected("The same payment was made a moment ago.")),
    ("card_velocity_exceeded", Class::Rejected("The card has reached its limit.")),
    ("withdrawal_count_limit_exceeded", Class::Rejected("The card has reached its limit.")),
    ("card_decline_rate_limit_exceeded", Class::Rejected("This card was declined too often; use another one.")),
    ("processing_error", BANK),
    ("issuer_not_available", BANK),
    ("try_again_later", BANK),
    ("reenter_transaction", BANK),
    ("testmode_decline", Class::Rejected("This is a card for testing.")),
    ("card_declined", Class::Rejected("The card was declined.")),
    ("amount_too_small", Class::Rejected("The amount is too small for Stripe.")),
    ("amount_too_large", Class::Rejected("The amount is too large for Stripe.")),
    ("customer_max_subscriptions", Class::Rejected("This customer has as many subscriptions as Stripe allows.")),
    ("coupon_expired", Class::Rejected("The coupon has expired.")),
    ("product_inactive", Class::Rejected("This product is not on sale any more.")),
    ("customer_tax_location_invalid", Class::Rejected("The customer's address is needed to work out the tax.")),
    ("livemode_mismatch", MIXED),
    ("testmode_charges_only", Class::Rejected("This Stripe account is not activated yet.")),
    ("card_error", Class::Rejected("The card was declined.")),
    ("api_error", Class::Down),
];
