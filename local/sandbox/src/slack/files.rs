//! Files in three steps: an address, the bytes, and where they are shown. <https://docs.slack.dev/messaging/working-with-files>,
//! read 2026-11.

use http::StatusCode;
use memchr::memmem;
use serde_json::{Value, json};

use super::{
    Slack,
    arguments::{Arguments, Caller},
    error, ok,
};
use crate::{
    call::{Call, Reply},
    opaque::{capitals, random},
};

/// A file that is under way: what follows `/upload/v1/` in its address is all that sending its bytes takes.
pub(super) struct Upload {
    secret: String,
    team: &'static str,
    file: Value,
    received: bool,
}

/// `files.getUploadURLExternal`
pub(super) fn begin(slack: &mut Slack, caller: &Caller, arguments: &Arguments) -> Reply {
    let (Some(name), Some(Ok(length @ 1..))) = (arguments.text("filename"), arguments.number("length")) else {
        return error("invalid_arguments");
    };
    let file = json!({ "id": format!("F0{}", capitals(9)), "name": name, "title": name, "size": length });
    let id = file["id"].clone();
    let secret = random(40);
    let url = format!("https://files.slack.com/upload/v1/{secret}");
    slack.uploads.push(Upload { secret, team: caller.team, file, received: false });
    ok(json!({ "upload_url": url, "file_id": id }))
}

/// `files.completeUploadExternal`
pub(super) fn complete(slack: &mut Slack, caller: &Caller, arguments: &Arguments) -> Reply {
    let Some(Ok(Value::Array(wanted))) = arguments.list("files") else { return error("invalid_arguments") };
    let channel = arguments.text("channel_id");
    if channel.is_some_and(|id| slack.workspace(caller.team).and_then(|it| it.channel(id)).is_none()) {
        return error("channel_not_found");
    }
    let mut files = Vec::new();
    for wanted in wanted {
        let of_this = |it: &Upload| it.received && it.team == caller.team && it.file["id"] == wanted["id"];
        let Some(place) = slack.uploads.iter().position(of_this) else { return error("file_not_found") };
        let mut file = slack.uploads.remove(place).file;
        if let Some(title) = wanted["title"].as_str() {
            file["title"] = title.into();
        }
        files.push(file);
    }
    ok(json!({ "files": files }))
}

impl Slack {
    /// The bytes of a file, as they are or as the first part of a form.
    pub(super) fn receive(&mut self, secret: &str, call: &Call) -> Reply {
        let Some(upload) = self.uploads.iter_mut().find(|it| it.secret == secret) else {
            return Reply::text(StatusCode::NOT_FOUND, "not_found");
        };
        let form = call.header("content-type").and_then(|it| it.strip_prefix("multipart/form-data; boundary="));
        let size = form.map_or(Some(call.body.len()), |boundary| {
            let start = memmem::find(&call.body, b"\r\n\r\n")? + 4;
            memmem::find(&call.body[start..], format!("\r\n--{}", boundary.trim_matches('"')).as_bytes())
        });
        if size.is_none_or(|size| upload.file["size"] != size) {
            return Reply::text(StatusCode::BAD_REQUEST, "length_mismatch");
        }
        upload.received = true;
        Reply::text(StatusCode::OK, &format!("OK - {}", upload.file["size"]))
    }
}
