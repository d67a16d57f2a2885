//! Gmail's action: an e-mail.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{Problem, Reply, Request, call::Unreadable};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    SPEC,
    mail::{Mail, boundary},
};
use crate::{Fields, Step};

const SEND: &str = "/users/me/messages/send";
/// The longest body of JSON, in bytes. Gmail has refused longer ones, and asks for uploads then:
/// <https://github.com/googleapis/google-api-dotnet-client/issues/856>, read 2026-11. An upload may have 36,700,160 bytes.
const MAX_JSON: usize = 1024 * 1024;

/// <https://developers.google.com/workspace/gmail/api/guides/sending>, read 2026-11.
pub(super) fn send_email(input: &Value) -> Result<Request, Problem> {
    let mut fields = Fields::of(input);
    let mail = Mail::read(&mut fields);
    let thread = fields.optional_text("thread_id");
    fields.check()?;
    Ok(request(&mail.message()?, thread))
}

/// The call that sends a message, into a thread if one is named. Gmail takes it into the thread only if the subject matches and
/// the message names one of the thread: <https://developers.google.com/workspace/gmail/api/guides/threads>, read 2026-11.
fn request(message: &[u8], thread: Option<&str>) -> Request {
    let mut body = json!({});
    if let Some(thread) = thread {
        body["threadId"] = thread.into();
    }
    let mut request = SPEC.post(SEND, "");
    if message.len() / 3 * 4 < MAX_JSON {
        body["raw"] = URL_SAFE_NO_PAD.encode(message).into();
        return request.json(&body);
    }
    // <https://developers.google.com/workspace/gmail/api/guides/uploads>, read 2026-11: first what is said of it, then the message.
    let boundary = boundary("upload", &[message]);
    let part = |kind: &str| format!("--{boundary}\r\nContent-Type: {kind}\r\n\r\n");
    let (json, mail) = (part("application/json; charset=UTF-8"), part("message/rfc822"));
    let begin = format!("{json}{body}\r\n{mail}");
    let upload = [begin.as_bytes(), message, format!("\r\n--{boundary}--\r\n").as_bytes()].concat();
    request.url = format!("{}{SEND}?uploadType=multipart", SPEC.api.uploads.unwrap_or(SPEC.api.base));
    request.body = Some((format!("multipart/related; boundary=\"{boundary}\""), upload));
    request
}

pub(super) fn sent(reply: &Reply) -> Result<Step, Unreadable> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Sent {
        id: String,
        thread_id: String,
    }
    let Sent { id, thread_id } = reply.json()?;
    Ok(Step::Done(json!({ "message_id": id, "thread_id": thread_id })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_goes_as_json_into_the_thread_that_is_named() {
        let input = json!({"to": "ada@example.com", "subject": "Hi", "body": "x", "thread_id": "18c2f1a"});
        let request = send_email(&input).unwrap();
        assert_eq!(request.url, "https://gmail.googleapis.com/gmail/v1/users/me/messages/send");
        let body: Value = serde_json::from_slice(&request.body.unwrap().1).unwrap();
        assert_eq!(body["threadId"], "18c2f1a");
        let raw = URL_SAFE_NO_PAD.decode(body["raw"].as_str().unwrap()).unwrap();
        assert!(
            raw.starts_with(b"MIME-Version: 1.0\r\nTo: <ada@example.com>\r\nSubject: Hi\r\nContent-Type: text/plain;")
        );
    }

    #[test]
    fn a_large_message_is_uploaded_with_its_thread() {
        let text = "x --=_upload_0_= y\n".repeat(60_000);
        let input = json!({"to": "ada@example.com", "subject": "Hi", "body": text, "thread_id": "18c2f1a"});
        let request = send_email(&input).unwrap();
        assert_eq!(
            request.url,
            "https://gmail.googleapis.com/upload/gmail/v1/users/me/messages/send?uploadType=multipart"
        );
        let (kind, body) = request.body.unwrap();
        let body = String::from_utf8(body).unwrap();
        let boundary = kind.strip_prefix("multipart/related; boundary=\"").unwrap().trim_end_matches('"');
        let parts: Vec<_> = body.split(&format!("--{boundary}")).collect();
        assert_eq!(parts.len(), 4, "{boundary}");
        assert!(parts[1].ends_with("\r\n\r\n{\"threadId\":\"18c2f1a\"}\r\n"), "{}", parts[1]);
        assert!(parts[2].starts_with("\r\nContent-Type: message/rfc822\r\n\r\nMIME-Version: 1.0\r\nTo: "));
        assert_eq!(parts[3], "--\r\n");
    }

    #[test]
    fn the_answer_is_the_message_and_its_thread() {
        let reply = |body: &str| Reply { status: 200, body: body.into(), ..Reply::default() };
        let done = sent(&reply(r#"{"id":"m1","threadId":"t1","labelIds":["SENT"]}"#)).unwrap();
        assert!(matches!(done, Step::Done(result) if result == json!({"message_id": "m1", "thread_id": "t1"})));
        assert!(sent(&reply("{}")).is_err());
    }
}
