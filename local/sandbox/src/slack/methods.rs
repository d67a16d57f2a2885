//! The Web API: <https://docs.slack.dev/reference/methods>.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;
use local_base::now;
use serde_json::{Map, Value, json};

use super::{
    ORGANISATION, Slack,
    arguments::{Arguments, Caller},
    error, files, ok,
};
use crate::{
    call::{Call, Reply},
    oauth::BadToken,
};

type Method = fn(&mut Slack, &Caller, &Arguments) -> Reply;

/// Each method, the scope it needs, and what it does.
const METHODS: &[(&str, Option<&str>, Method)] = &[
    ("auth.test", None, test),
    ("auth.revoke", None, revoke),
    ("conversations.list", Some("channels:read"), channels),
    ("conversations.info", Some("channels:read"), channel),
    ("users.list", Some("users:read"), users),
    ("chat.postMessage", Some("chat:write"), post),
    ("files.getUploadURLExternal", Some("files:write"), files::begin),
    ("files.completeUploadExternal", Some("files:write"), files::complete),
];

impl Slack {
    /// A method that wants a token.
    pub(super) fn method(&mut self, name: &str, call: &Call) -> Reply {
        let Some((_, needed, method)) = METHODS.iter().find(|(known, ..)| *known == name) else {
            return error("unknown_method");
        };
        let Some(arguments) = Arguments::of(call) else { return error("invalid_json") };
        let Some(token) = call.bearer().or_else(|| arguments.text("token")) else { return error("not_authed") };
        let (team, kind, scopes) = match self.grants.check(token, now()) {
            Ok(grant) => (grant.account.clone(), grant.kind, grant.scopes.clone()),
            Err(BadToken::Unknown) => return error("invalid_auth"),
            Err(BadToken::Expired) => return error("token_expired"),
            Err(BadToken::Revoked) => return error("token_revoked"),
        };
        let provided = scopes.join(",");
        // Of a token of the organisation, methods want to be told the workspace: <https://api.slack.com/enterprise/apps/changes-apis>.
        let whole = (team == ORGANISATION.0).then_some(ORGANISATION.0);
        let Some(team) = whole.or_else(|| self.workspace(&team).map(|workspace| workspace.id)) else {
            return error("account_inactive");
        };
        let caller = Caller { token: token.to_owned(), team, kind, scopes };
        let refusal = needed.and_then(|needed| caller.lacks(needed));
        refusal.unwrap_or_else(|| method(self, &caller, &arguments)).with("x-oauth-scopes", &provided)
    }
}

fn test(slack: &mut Slack, caller: &Caller, _: &Arguments) -> Reply {
    let Some(workspace) = slack.workspace(caller.team) else { return error("account_inactive") };
    let url = format!("https://{}.slack.com/", workspace.name.to_lowercase());
    let mut answer =
        json!({ "url": url, "team": workspace.name, "team_id": workspace.id, "is_enterprise_install": false });
    match caller.kind {
        "bot" => {
            answer["user"] = "sandbox_app".into();
            answer["user_id"] = workspace.bot().into();
            answer["bot_id"] = "B0SANDBOX01".into();
        }
        _ => {
            answer["user"] = workspace.users[0]["name"].clone();
            answer["user_id"] = workspace.installer().into();
        }
    }
    ok(answer)
}

fn revoke(slack: &mut Slack, caller: &Caller, arguments: &Arguments) -> Reply {
    let test = arguments.flag("test");
    if !test {
        slack.grants.revoke_token(&caller.token);
        slack.revoked(caller.team, &[caller.kind]);
    }
    ok(json!({ "revoked": !test }))
}

fn channels(slack: &mut Slack, caller: &Caller, arguments: &Arguments) -> Reply {
    let Some(workspace) = slack.workspace(caller.team) else { return error("account_inactive") };
    let types = arguments.text("types").unwrap_or("public_channel");
    let types: Vec<_> = types.split(',').map(str::trim).collect();
    if types.iter().any(|name| !["public_channel", "private_channel", "mpim", "im"].contains(name)) {
        return error("invalid_types");
    }
    if let Some(refusal) = types.contains(&"private_channel").then(|| caller.lacks("groups:read")).flatten() {
        return refusal;
    }
    let without_archived = arguments.flag("exclude_archived");
    let shown = workspace.channels.iter().filter(|channel| {
        let kind = if channel["is_private"] == true { "private_channel" } else { "public_channel" };
        // Private channels are listed for their members only.
        let visible = channel["is_private"] != true || channel["is_member"] == true;
        visible && types.contains(&kind) && !(without_archived && channel["is_archived"] == true)
    });
    page(("channels", "team"), shown.collect(), Value::clone, arguments, 100)
}

fn users(slack: &mut Slack, caller: &Caller, arguments: &Arguments) -> Reply {
    let Some(workspace) = slack.workspace(caller.team) else { return error("account_inactive") };
    let hidden = caller.lacks("users:read.email").is_some();
    let shown = |user: &Value| {
        let mut user = user.clone();
        if let Some(profile) = user["profile"].as_object_mut().filter(|_| hidden) {
            profile.remove("email");
        }
        user
    };
    page(("members", "user"), workspace.users.iter().collect(), shown, arguments, 1000)
}

/// A page of objects, each as `shown` makes it. Cursors are, as Slack's, the next object's id in Base64.
fn page(
    (name, kind): (&str, &str),
    mut items: Vec<&Value>,
    shown: impl Fn(&Value) -> Value,
    arguments: &Arguments,
    default: usize,
) -> Reply {
    let limit = match arguments.number("limit") {
        None | Some(Ok(0)) => default,
        Some(Ok(limit @ 1..=1000)) => limit,
        Some(Ok(_) | Err(())) => return error("invalid_limit"),
    };
    let first = match arguments.text("cursor") {
        None => String::new(),
        Some(cursor) => {
            let decoded = STANDARD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            match decoded.as_deref().and_then(|text| text.strip_prefix(kind)?.strip_prefix(':')) {
                Some(id) => id.to_owned(),
                None => return error("invalid_cursor"),
            }
        }
    };
    items.retain(|item| id(item) >= first.as_str());
    items.sort_by_key(|item| id(item));
    let next = items.get(limit).map(|item| STANDARD.encode(format!("{kind}:{}", id(item))));
    let items: Vec<_> = items.into_iter().take(limit).map(shown).collect();
    let more = next.is_some();
    ok(json!({ name: items, "response_metadata": { "next_cursor": next.unwrap_or_default() } })).more(more)
}

fn id(item: &Value) -> &str {
    item["id"].as_str().unwrap_or_default()
}

fn channel(slack: &mut Slack, caller: &Caller, arguments: &Arguments) -> Reply {
    let id = arguments.text("channel").unwrap_or_default();
    let Some(channel) = slack.workspace(caller.team).and_then(|workspace| workspace.channel(id)) else {
        return error("channel_not_found");
    };
    // A private channel is hidden from all but its members, and the count of members is left out unless it is asked for.
    if channel["is_private"] == true && channel["is_member"] != true {
        return error("channel_not_found");
    }
    let mut channel = channel.clone();
    if let Some(fields) = channel.as_object_mut().filter(|_| !arguments.flag("include_num_members")) {
        fields.remove("num_members");
    }
    ok(json!({ "channel": channel }))
}

fn post(slack: &mut Slack, caller: &Caller, arguments: &Arguments) -> Reply {
    let Some(workspace) = slack.workspace(caller.team) else { return error("account_inactive") };
    let Some(channel) = arguments.text("channel").and_then(|id| workspace.channel(id)) else {
        return error("channel_not_found");
    };
    if channel["is_archived"] == true {
        return error("is_archived");
    }
    if channel["is_member"] != true {
        return error("not_in_channel");
    }
    let content = ["text", "blocks", "attachments"].iter().any(|name| arguments.get(name).is_some());
    if !content || arguments.get("text").is_some_and(|text| text == "") {
        return error("no_text");
    }
    let flags = ["reply_broadcast", "unfurl_links", "unfurl_media"];
    if flags.iter().any(|name| arguments.get(name).is_some_and(|flag| !is_flag(flag))) {
        return error("invalid_arguments");
    }
    let mut fields = Map::new();
    for (name, code) in [("blocks", "invalid_blocks_format"), ("attachments", "invalid_arguments")] {
        match arguments.list(name) {
            Some(Err(())) => return error(code),
            Some(Ok(list)) => _ = fields.insert(name.to_owned(), list),
            None => {}
        }
    }
    // <https://docs.slack.dev/messaging/message-metadata>, read 2026-11.
    if let Some(metadata) = arguments.get("metadata") {
        let metadata =
            metadata.as_str().map_or_else(|| metadata.clone(), |it| serde_json::from_str(it).unwrap_or_default());
        if !metadata["event_type"].is_string() || !metadata["event_payload"].is_object() {
            return error("invalid_metadata_format");
        }
        fields.insert("metadata".to_owned(), metadata);
    }
    if let Some(thread) = arguments.get("thread_ts") {
        let Some(thread) = thread.as_str().filter(|ts| ts.contains('.')) else { return invalid_thread(thread) };
        let is_there = |message: &&Value| message["channel"] == channel["id"] && message["ts"] == thread;
        let Some(parent) = workspace.messages.iter().find(is_there) else { return error("thread_not_found") };
        // A reply's own time stands for the thread that it is in.
        let root = if parent["thread_ts"].is_null() { &parent["ts"] } else { &parent["thread_ts"] };
        fields.insert("thread_ts".to_owned(), root.clone());
        if arguments.flag("reply_broadcast") {
            fields.insert("subtype".to_owned(), "thread_broadcast".into());
        }
    }
    let (id, text) = (channel["id"].clone(), arguments.text("text").unwrap_or_default().to_owned());
    let author = if caller.kind == "bot" { workspace.bot() } else { workspace.installer().to_owned() };
    let message = slack.say(caller.team, &id, &author, &text, &fields);
    ok(json!({ "channel": id, "ts": message["ts"], "message": message }))
}

/// Forms carry flags as text.
fn is_flag(value: &Value) -> bool {
    value.is_boolean() || value.as_str().is_some_and(|text| ["true", "false", "1", "0"].contains(&text))
}

/// As Slack answers: <https://github.com/jenkinsci/slack-plugin/issues/584>, read 2026-11.
fn invalid_thread(given: &Value) -> Reply {
    let words = format!("[ERROR] {given} is not a valid thread_ts");
    let body = json!({ "ok": false, "error": "invalid_thread_ts", "response_metadata": { "messages": [words] } });
    Reply::json(StatusCode::OK, &body)
}
