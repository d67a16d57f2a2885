//! What is in the workspaces at first.

use local_base::now;
use serde_json::{Value, json};

use crate::opaque::capitals;

pub(super) struct Workspace {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) channels: Vec<Value>,
    pub(super) users: Vec<Value>,
    pub(super) messages: Vec<Value>,
}

impl Workspace {
    /// The user that installs the app.
    pub(super) fn installer(&self) -> &str {
        self.users.first().and_then(|user| user["id"].as_str()).unwrap_or_default()
    }

    /// The app's own user.
    pub(super) fn bot(&self) -> String {
        format!("U0BOT{}", &self.id[1..])
    }

    pub(super) fn channel(&self, id: &str) -> Option<&Value> {
        self.channels.iter().find(|channel| channel["id"] == id)
    }
}

/// Acme, with three channels and three users, and Globex, with one of each.
pub(super) fn seed() -> Vec<Workspace> {
    let acme = Workspace {
        id: "T0SANDBOX",
        name: "Acme",
        channels: vec![
            channel(&json!({ "id": "C0GENERAL01", "name": "general", "is_general": true })),
            channel(&json!({ "id": "C0RANDOM001", "name": "random" })),
            channel(&json!({ "id": "C0SALES0001", "name": "sales" })),
        ],
        users: vec![
            user(
                "T0SANDBOX",
                &json!({ "id": "U0ADA000001", "name": "ada", "real_name": "Ada Lovelace", "is_admin": true }),
            ),
            user("T0SANDBOX", &json!({ "id": "U0GRACE0001", "name": "grace", "real_name": "Grace Hopper" })),
            user("T0SANDBOX", &json!({ "id": "U0KATHERIN1", "name": "katherine", "real_name": "Katherine Johnson" })),
        ],
        messages: Vec::new(),
    };
    let globex = Workspace {
        id: "T0SANDBOX2",
        name: "Globex",
        channels: vec![channel(&json!({ "id": "C0GLOBEX001", "name": "general", "is_general": true }))],
        users: vec![user("T0SANDBOX2", &json!({ "id": "U0HANK00001", "name": "hank", "real_name": "Hank Scorpio" }))],
        messages: Vec::new(),
    };
    vec![acme, globex]
}

/// A channel with these fields and the usual others: <https://docs.slack.dev/reference/objects/conversation-object>.
pub(super) fn channel(fields: &Value) -> Value {
    let now = now();
    let name = fields["name"].as_str().unwrap_or("new-channel");
    let topic = json!({ "value": "", "creator": "", "last_set": 0 });
    let mut channel = json!({
        "id": format!("C{}", capitals(10)), "name": name, "name_normalized": name, "is_channel": true,
        "is_group": false,
        "is_im": false, "is_mpim": false, "is_private": false, "is_archived": false, "is_general": false,
        "is_shared": false, "is_org_shared": false, "is_member": true, "created": now.as_second(),
        "updated": now.as_millisecond(), "creator": "U0ADA000001", "unlinked": 0, "topic": topic.clone(),
        "purpose": topic,
        "previous_names": [], "num_members": 3, "is_ext_shared": false, "context_team_id": "T0SANDBOX",
    });
    merge(&mut channel, fields);
    channel
}

/// A user object, likewise: <https://docs.slack.dev/reference/objects/user-object>.
pub(super) fn user(team: &str, fields: &Value) -> Value {
    let name = fields["name"].as_str().unwrap_or("new-user");
    let real_name = fields["real_name"].as_str().unwrap_or(name);
    let email = format!("{name}@example.com");
    let mut user = json!({
        "id": format!("U{}", capitals(10)), "team_id": team, "name": name, "real_name": real_name, "deleted": false,
        "tz": "Europe/London", "tz_label": "Greenwich Mean Time", "tz_offset": 0, "is_admin": false, "is_owner": false,
        "is_primary_owner": false, "is_restricted": false, "is_ultra_restricted": false,
        "is_bot": false, "is_app_user": false, "updated": now().as_second(),
        "profile": { "title": "", "image_192": format!("https://avatars.example/{name}-192.png"), "real_name": real_name, "display_name": name, "email": email, "team": team },
    });
    merge(&mut user, fields);
    user
}

/// One of many channels. Its id is always the same.
pub(super) fn nth_channel(number: u64) -> Value {
    channel(&json!({ "id": format!("CMANY{number:06}"), "name": format!("channel-{number}") }))
}

/// One of many users, likewise.
pub(super) fn nth_user(team: &str, number: u64) -> Value {
    let (id, name) = (format!("UMANY{number:06}"), format!("user-{number}"));
    user(team, &json!({ "id": id, "name": name, "real_name": format!("User {number}") }))
}

/// Puts the fields of one object into another.
pub(super) fn merge(into: &mut Value, fields: &Value) {
    let meant_for_us = ["silent", "team"];
    for (name, value) in fields.as_object().into_iter().flatten() {
        if !meant_for_us.contains(&name.as_str()) {
            into[name] = value.clone();
        }
    }
}
