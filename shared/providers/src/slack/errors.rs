//! What Slack's codes mean: the error tables of the methods at <https://docs.slack.dev/reference/methods>, read 2026-11.

use domain::call::Class;

const NOT_ALLOWED: Class = Class::Rejected("Slack does not let this app, or the person who connected it, do this.");
const TOKEN_KIND: Class = Class::Rejected("Slack does not allow this for the kind of access that the app has.");
const TOO_LONG: Class = Class::Rejected("The message is too long for Slack.");
const TOO_MANY: Class = Class::Rejected("The message has too many attachments for Slack.");
const BLOCKS: Class = Class::Rejected("Slack does not know the message's blocks.");
const NOT_THERE: Class = Class::Rejected("There is no such message in this Slack channel to reply to.");
const NO_THREAD: Class = Class::Rejected("This message in Slack can't be answered in a thread.");

pub(super) const CLASSES: &[(&str, Class)] = &[
    ("ratelimited", Class::RateLimited),
    ("rate_limited", Class::RateLimited),
    ("token_expired", Class::TokenRefused),
    ("invalid_auth", Class::TokenRefused),
    ("not_authed", Class::TokenRefused),
    ("token_revoked", Class::GrantEnded),
    ("account_inactive", Class::GrantEnded),
    ("missing_scope", Class::ScopeMissing),
    ("invalid_cursor", Class::NotFound),
    ("channel_not_found", Class::Rejected("There is no such channel in Slack, or the app is not allowed to see it.")),
    ("channel_is_limited_access", Class::Rejected("The app is not allowed to see this Slack channel.")),
    ("not_in_channel", Class::Rejected("The app is not a member of this Slack channel; invite it there first.")),
    ("no_permission", Class::Rejected("The app may not do this in Slack; check that it is a member of the channel.")),
    ("is_archived", Class::Rejected("This Slack channel is archived.")),
    ("restricted_action", Class::Rejected("The rules of this Slack workspace do not allow this.")),
    ("restricted_action_read_only_channel", Class::Rejected("Only certain people may post in this Slack channel.")),
    ("restricted_action_thread_only_channel", Class::Rejected("In this Slack channel one can only answer in threads.")),
    ("restricted_action_non_threadable_channel", NO_THREAD),
    ("cannot_reply_to_message", NO_THREAD),
    ("thread_not_found", NOT_THERE),
    ("invalid_thread_ts", NOT_THERE),
    ("restricted_action_thread_locked", Class::Rejected("This thread in Slack is locked.")),
    ("messages_tab_disabled", Class::Rejected("The app does not take direct messages in Slack.")),
    ("message_limit_exceeded", Class::Rejected("This Slack workspace has reached its limit of messages.")),
    ("ekm_access_denied", Class::Rejected("The administrators of this Slack workspace have switched this off.")),
    (
        "team_access_not_granted",
        Class::Rejected("The app has not been let into this Slack workspace; ask its administrators."),
    ),
    ("access_denied", NOT_ALLOWED),
    ("app_access_restricted", NOT_ALLOWED),
    ("accesslimited", Class::Rejected("Slack allows this only from certain networks.")),
    (
        "enterprise_is_restricted",
        Class::Rejected("Slack does not offer this for a whole organisation; connect one workspace."),
    ),
    (
        "two_factor_setup_required",
        Class::Rejected("The person who connected Slack must first set up two-step sign-in there."),
    ),
    ("not_allowed_token_type", TOKEN_KIND),
    ("not_bearer_token", TOKEN_KIND),
    ("invalid_blocks", BLOCKS),
    ("invalid_blocks_format", BLOCKS),
    ("msg_too_long", TOO_LONG),
    ("msg_blocks_too_long", TOO_LONG),
    ("attachment_payload_limit_exceeded", TOO_LONG),
    ("too_many_attachments", TOO_MANY),
    ("too_many_contact_cards", TOO_MANY),
    ("markdown_text_conflict", Class::Rejected("The message has its text in two forms; give only one.")),
    ("no_text", Class::Rejected("The message is empty.")),
    ("unknown_method", Class::Rejected("Slack does not offer this.")),
    ("method_deprecated", Class::Rejected("Slack does not offer this any more.")),
    ("deprecated_endpoint", Class::Rejected("Slack does not offer this any more.")),
    // A workspace that is being moved.
    ("org_login_required", Class::Down),
    ("team_added_to_org", Class::Down),
    ("internal_error", Class::Down),
    ("fatal_error", Class::Down),
    ("service_unavailable", Class::Down),
    ("request_timeout", Class::Down),
];
