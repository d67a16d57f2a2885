//! <https://docs.slack.dev/reference/methods>, the error tables of the methods, and
//! <https://docs.slack.dev/apis/web-api/rate-limits>, read 2026-11. Errors come inside successes.

use super::*;

/// Those that are more than a no.
const OTHERS: &[(&str, Then, &str)] = &[
    ("ratelimited", SLOW, "Slack asked us to slow down. We continue at 10:01 UTC."),
    ("rate_limited", SLOW, "Slack asked us to slow down. We continue at 10:01 UTC."),
    ("token_expired", REFRESH, "Slack has ended our access."),
    ("invalid_auth", REFRESH, "Slack has ended our access."),
    ("not_authed", REFRESH, "Slack has ended our access."),
    ("token_revoked", RECONNECT, "Slack has ended our access."),
    ("account_inactive", RECONNECT, "Slack has ended our access."),
    ("missing_scope", SCOPE, "The permission for this was not given to us at Slack."),
    ("invalid_cursor", LOOK, "Slack does not find what was asked for."),
    ("org_login_required", DOWN, "Slack has trouble answering."),
    ("team_added_to_org", DOWN, "Slack has trouble answering."),
    ("internal_error", DOWN, "Slack has trouble answering."),
    ("fatal_error", DOWN, "Slack has trouble answering."),
    ("service_unavailable", DOWN, "Slack has trouble answering."),
    ("request_timeout", DOWN, "Slack has trouble answering."),
];

/// Those that we have words for.
const REFUSALS: &[(&str, &str)] = &[
    ("channel_not_found", "There is no such channel in Slack, or the app is not allowed to see it."),
    ("channel_is_limited_access", "The app is not allowed to see this Slack channel."),
    ("not_in_channel", "The app is not a member of this Slack channel; invite it there first."),
    ("no_permission", "The app may not do this in Slack; check that it is a member of the channel."),
    ("is_archived", "This Slack channel is archived."),
    ("restricted_action", "The rules of this Slack workspace do not allow this."),
    ("restricted_action_read_only_channel", "Only certain people may post in this Slack channel."),
    ("restricted_action_thread_only_channel", "In this Slack channel one can only answer in threads."),
    ("restricted_action_non_threadable_channel", "This message in Slack can't be answered in a thread."),
    ("cannot_reply_to_message", "This message in Slack can't be answered in a thread."),
    ("thread_not_found", "There is no such message in this Slack channel to reply to."),
    ("invalid_thread_ts", "There is no such message in this Slack channel to reply to."),
    ("restricted_action_thread_locked", "This thread in Slack is locked."),
    ("messages_tab_disabled", "The app does not take direct messages in Slack."),
    ("message_limit_exceeded", "This Slack workspace has reached its limit of messages."),
    ("ekm_access_denied", "The administrators of this Slack workspace have switched this off."),
    ("team_access_not_granted", "The app has not been let into this Slack workspace; ask its administrators."),
    ("access_denied", "Slack does not let this app, or the person who connected it, do this."),
    ("app_access_restricted", "Slack does not let this app, or the person who connected it, do this."),
    ("accesslimited", "Slack allows this only from certain networks."),
    ("enterprise_is_restricted", "Slack does not offer this for a whole organisation; connect one workspace."),
    ("two_factor_setup_required", "The person who connected Slack must first set up two-step sign-in there."),
    ("not_allowed_token_type", "Slack does not allow this for the kind of access that the app has."),
    ("not_bearer_token", "Slack does not allow this for the kind of access that the app has."),
    ("invalid_blocks", "Slack does not know the message's blocks."),
    ("invalid_blocks_format", "Slack does not know the message's blocks."),
    ("msg_too_long", "The message is too long for Slack."),
    ("msg_blocks_too_long", "The message is too long for Slack."),
    ("attachment_payload_limit_exceeded", "The message is too long for Slack."),
    ("too_many_attachments", "The message has too many attachments for Slack."),
    ("too_many_contact_cards", "The message has too many attachments for Slack."),
    ("markdown_text_conflict", "The message has its text in two forms; give only one."),
    ("no_text", "The message is empty."),
    ("unknown_method", "Slack does not offer this."),
    ("method_deprecated", "Slack does not offer this any more."),
    ("deprecated_endpoint", "Slack does not offer this any more."),
];

/// Faults of the caller that builds the request, and what is too rare for words.
const NAMELESS: &[&str] = &[
    "as_user_not_supported",
    "invalid_arg_name",
    "invalid_arguments",
    "invalid_array_arg",
    "invalid_attachments",
    "invalid_charset",
    "invalid_form_data",
    "invalid_limit",
    "invalid_post_type",
    "invalid_types",
    "limit_required",
    "missing_argument",
    "missing_post_type",
    "send_on_behalf_not_allowed",
    "slack_connect_canvas_sharing_blocked",
    "slack_connect_file_link_sharing_blocked",
    "slack_connect_lists_sharing_blocked",
    "team_not_found",
];

const ANSWERS: &[(u16, &str, &str, &str, Then)] = &[
    (
        429,
        "retry-after: 30",
        r#"{"ok":false,"error":"ratelimited"}"#,
        "Slack asked us to slow down. We continue at 10:00 UTC.",
        later(30_000, SLOW),
    ),
    (
        200,
        "retry-after: 2",
        r#"{"ok":false,"error":"ratelimited"}"#,
        "Slack asked us to slow down. We continue at 10:00 UTC.",
        waits(2_000, 2_000),
    ),
    (
        200,
        "",
        r#"{"ok":false,"error":"missing_scope","needed":"chat:write","provided":"users:read,channels:read"}"#,
        "The permission for this was not given to us at Slack.",
        SCOPE,
    ),
    (500, "", r#"{"ok":false,"error":"internal_error"}"#, "Slack has trouble answering.", DOWN),
    (503, "", r#"{"ok":false,"error":"service_unavailable"}"#, "Slack has trouble answering.", DOWN),
    // A code says more than the status.
    (403, "", r#"{"ok":false,"error":"invalid_auth"}"#, "Slack has ended our access.", REFRESH),
    (403, "", "", "The permission for this was not given to us at Slack.", SCOPE),
    (403, "", HTML, "The permission for this was not given to us at Slack.", SCOPE),
    (200, "", r#"{"ok":false}"#, "Slack did not accept this.", UNNAMED),
    (200, "", "", "Slack has trouble answering.", UNREADABLE),
    (200, "", HTML, "Slack has trouble answering.", UNREADABLE),
    (200, "", "{}", "Slack has trouble answering.", UNREADABLE),
    (200, "", r#"{"ok":false,"error":"no_te"#, "Slack has trouble answering.", UNREADABLE),
    (204, "", "", "Slack has trouble answering.", UNREADABLE),
];

pub(super) fn rows() -> Vec<Row> {
    let coded = |code, then, says| {
        let body =
            json!({"ok": false, "error": code, "response_metadata": {"messages": ["[ERROR] (400) fatal_error"]}});
        Row { status: 200, body: body.to_string(), code, says, then, ..Row::default() }
    };
    let whole = |(status, headers, body, says, then): &(u16, &'static str, &str, &'static str, Then)| Row {
        status: *status,
        headers,
        body: (*body).to_owned(),
        code: "",
        says,
        then: *then,
    };
    let mut rows: Vec<_> = ANSWERS.iter().map(whole).collect();
    rows.extend(OTHERS.iter().map(|(code, then, says)| coded(*code, *then, *says)));
    rows.extend(REFUSALS.iter().map(|(code, says)| coded(*code, CHANGE, *says)));
    rows.extend(NAMELESS.iter().map(|code| coded(*code, NAMED, "Slack did not accept this.")));
    rows
}
