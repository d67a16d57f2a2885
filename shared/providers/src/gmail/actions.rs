//! Gmail's action: an e-mail, built as RFC 5322 wants it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{Problem, Reply, Request, call::Unreadable};
use mail_builder::{
    headers::{address::Address, raw::Raw, text::Text},
    mime::MimePart,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::SPEC;
use crate::{Fields, Step};

/// <https://developers.google.com/workspace/gmail/api/guides/sending>, read 2026-11. Gmail adds sender, date and id.
pub(super) fn send_email(input: &Value) -> Result<Request, Problem> {
    let mut fields = Fields::of(input);
    let (to, subject, body) = (fields.text("to"), fields.text("subject"), fields.text("body"));
    let addresses = addresses(to);
    if addresses.is_none() && !to.is_empty() {
        fields.fail("to", "This must be an e-mail address, or several with commas between them.");
    }
    // A line break would begin another header.
    if subject.chars().any(char::is_control) {
        fields.fail("subject", "This may not have line breaks or other control characters.");
    }
    fields.check()?;
    let part = MimePart::new("text/plain", body)
        .header("MIME-Version", Raw::new("1.0"))
        .header("To", Address::new_list(addresses.unwrap_or_default()))
        .header("Subject", Text::new(subject));
    let mut message = Vec::new();
    part.write_part(&mut message);
    Ok(SPEC.post("/users/me/messages/send", "").json(&json!({ "raw": URL_SAFE_NO_PAD.encode(message) })))
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

/// `ada@example.com` or `Ada <ada@example.com>`, several with commas between them. `None` if one is neither.
fn addresses(to: &str) -> Option<Vec<Address<'_>>> {
    to.split(',').map(|one| address(one.trim())).collect()
}

fn address(text: &str) -> Option<Address<'_>> {
    let (name, address) = match text.strip_suffix('>') {
        Some(rest) => rest.split_once('<').map(|(name, address)| (Some(name.trim().trim_matches('"')), address))?,
        None => (None, text),
    };
    let (local, host) = address.split_once('@')?;
    let legal = |part: &str, more: &[u8]| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    let name_is_legal = name.is_none_or(|name| !name.chars().any(|c| c.is_control() || "<>\"\\".contains(c)));
    let is_address = legal(local, b".!#$%&'*+/=?^_`{|}~-") && legal(host, b".-");
    (is_address && name_is_legal).then(|| Address::new_address(name.filter(|name| !name.is_empty()), address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent_message(to: &str, subject: &str, body: &str) -> String {
        let request = send_email(&json!({"to": to, "subject": subject, "body": body})).unwrap();
        assert_eq!(request.url, "https://gmail.googleapis.com/gmail/v1/users/me/messages/send");
        let body: Value = serde_json::from_slice(&request.body.unwrap().1).unwrap();
        String::from_utf8(URL_SAFE_NO_PAD.decode(body["raw"].as_str().unwrap()).unwrap()).unwrap()
    }

    fn wrong(to: &str, subject: &str) -> Vec<String> {
        let problem = send_email(&json!({"to": to, "subject": subject, "body": "x"})).unwrap_err();
        problem.fields.into_iter().map(|it| it.field.into_owned()).collect()
    }

    #[test]
    fn a_plain_message_has_its_headers_and_an_empty_line_before_the_body() {
        let message = sent_message("ada@example.com", "Hello", "First line\nSecond line");
        let (head, body) = message.split_once("\r\n\r\n").unwrap();
        let mut headers: Vec<_> = head.split("\r\n").collect();
        headers.sort_unstable();
        assert_eq!(
            headers,
            [
                "Content-Transfer-Encoding: 7bit",
                "Content-Type: text/plain; charset=\"utf-8\"",
                "MIME-Version: 1.0",
                "Subject: Hello",
                "To: <ada@example.com>",
            ]
        );
        assert_eq!(body, "First line\r\nSecond line");
    }

    #[test]
    fn subjects_names_and_bodies_outside_ascii_are_encoded() {
        let message = sent_message("Jörg Müller <joerg@example.com>, bob@example.com", "Grüße 😀", "Zoë");
        assert!(message.is_ascii(), "{message}");
        assert!(message.contains("Subject: =?utf-8?"), "{message}");
        assert!(message.contains("<joerg@example.com>") && message.contains("<bob@example.com>"), "{message}");
        assert!(!message.contains("Zo\u{eb}"), "{message}");
    }

    #[test]
    fn no_field_can_begin_another_header() {
        for subject in ["Hi\r\nBcc: eve@example.com", "Hi\nBcc: eve@example.com", "Hi\rX", "Hi\0", "\u{85}x"] {
            assert_eq!(wrong("ada@example.com", subject), ["subject"], "{subject:?}");
        }
        for to in [
            "ada@example.com\r\nBcc: eve@example.com",
            "ada@example.com\nBcc: eve@example.com",
            "Ada\r\nBcc: eve@example.com <ada@example.com>",
            "\"Ada\" <eve@example.com> <ada@example.com>",
            "ada@example.com>",
            "ada",
            "@example.com",
            "ada@",
            "a@b@c",
            "a b@example.com",
            "ada@exämple.com",
            "ada@example.com,",
        ] {
            assert_eq!(wrong(to, "Hi"), ["to"], "{to:?}");
        }
        // In a body it is text.
        assert!(sent_message("ada@example.com", "Hi", "\r\nBcc: eve@example.com").contains("\r\n\r\n\r\nBcc: "));
    }

    #[test]
    fn the_answer_is_the_message_and_its_thread() {
        let reply = |body: &str| Reply { status: 200, body: body.into(), ..Reply::default() };
        let done = sent(&reply(r#"{"id":"m1","threadId":"t1","labelIds":["SENT"]}"#)).unwrap();
        assert!(matches!(done, Step::Done(result) if result == json!({"message_id": "m1", "thread_id": "t1"})));
        assert!(sent(&reply("{}")).is_err());
    }
}
