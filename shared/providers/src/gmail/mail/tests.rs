use domain::Request;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{proof::Differs, recipients::Mailbox, *};

fn mail(input: &Value) -> Mail<'_> {
    let mut fields = Fields::of(input);
    let mail = Mail::read(&mut fields);
    assert!(fields.check().is_ok(), "{input}");
    mail
}

/// What is wrong with a message in which `from` stands for `to`.
fn altered(input: &Value, from: &str, to: &str) -> Option<Differs> {
    let mail = mail(input);
    let message = String::from_utf8(write::write(&mail)).unwrap();
    assert!(message.contains(from), "{message}");
    proof::check(&mail, message.replacen(from, to, 1).as_bytes()).err()
}

#[test]
fn a_message_that_reads_differently_is_not_sent() {
    let file = json!({"name": "a.txt", "type": "text/plain", "content_base64": "QUJD"});
    let input = json!({"to": "Ada <ada@example.com>", "cc": "bob@example.com", "subject": "Hello", "body": "Hi",
        "html": "<p>Hi", "in_reply_to": "<a@b>", "attachments": [file]});
    for (from, to, expected) in [
        ("Subject:", "Bcc: <eve@example.com>\r\nSubject:", Some(Differs::Headers)),
        ("Cc:", "Bcc:", Some(Differs::Headers)),
        ("Subject:", "Subject: x\r\nSubject:", Some(Differs::Headers)),
        ("\"Ada\"", "\"Eve\"", Some(Differs::Recipients("To"))),
        ("<bob@", "<eve@example.com>, <bob@", Some(Differs::Recipients("Cc"))),
        ("Hello", "Hello, too", Some(Differs::Subject)),
        ("References: <a@b>", "References: <a@c>", Some(Differs::Reply)),
        ("<p>Hi", "<p>Ho", Some(Differs::Parts)),
        ("text/html", "text/plain", Some(Differs::Parts)),
        ("a.txt", "b.txt", Some(Differs::Parts)),
        ("QUJD", "QUJE", Some(Differs::Parts)),
        ("\r\nQUJD", "\r\nQUJD\r\n--=_mixed_0_=\r\n\r\nx", Some(Differs::Parts)),
        ("Hello", "Hello", None),
    ] {
        assert_eq!(altered(&input, from, to), expected, "{from} → {to}");
    }
}

#[test]
fn no_line_is_longer_than_mail_servers_take_and_headers_are_ascii() {
    let long = |text: &str, times| text.repeat(times);
    let names =
        ["x", "ä", "😀", "\"", "a b"].map(|it| format!("\"{}\" <ada@example.com>", long(it, 700).replace('"', "\\\"")));
    let input = json!({"to": names, "reply_to": names, "subject": long("ä", 3000), "body": long("x", 5000),
        "html": long("ä ", 5000), "in_reply_to": long("x", 900), "attachments":
        [{"name": long("😀", 255), "type": "application/x-a", "content_base64": long("QUJD", 1000)}]});
    let message = mail(&input).message().unwrap();
    assert!(message.is_ascii());
    for line in String::from_utf8(message).unwrap().split("\r\n") {
        assert!(line.len() <= 998 && !line.contains(['\r', '\n']), "{} bytes", line.len());
        assert!(!line.contains("=?UTF-8?B?") || line.len() <= 76, "{line}");
    }
}

#[test]
fn files_have_a_bound_together_that_is_reported_by_name() {
    let files = |sizes: &[usize]| {
        let file = |size: &usize| json!({"name": "a", "type": "application/x-a", "content_base64": STANDARD.encode(vec![0; *size])});
        json!({"to": "ada@example.com", "subject": "x", "body": "x", "attachments": sizes.iter().map(file).collect::<Vec<_>>()})
    };
    let send = |input: &Value| -> Result<Request, Vec<String>> {
        let sent = crate::gmail::actions::send_email(input);
        sent.map_err(|problem| problem.fields.into_iter().map(|it| it.field.into_owned()).collect())
    };
    assert!(send(&files(&[MAX_ATTACHMENTS])).unwrap().url.contains("/upload/"));
    assert!(!send(&files(&[1000])).unwrap().url.contains("/upload/"));
    assert_eq!(send(&files(&[MAX_ATTACHMENTS, 1])).unwrap_err(), ["attachments"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_name_and_subject_is_written_and_reads_as_it_was(name in "[ -~äß€😀\u{a0}\u{2028}]{1,90}", subject in "[ -~äß€😀]{1,200}") {
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
        let input = json!({"to": format!("\"{escaped}\" <ada@example.com>"), "subject": subject, "body": "x"});
        prop_assume!(!subject.trim().is_empty());
        let mail = mail(&input);
        let expected = Mailbox { name: Some(name), address: "ada@example.com".to_owned() };
        prop_assert_eq!(&mail.to, &[Recipient::Mailbox(expected)]);
        prop_assert_eq!(proof::check(&mail, &write::write(&mail)), Ok(()));
    }

    #[test]
    fn every_text_and_file_is_written_and_reads_as_it_was(body in "[^\\x00]{1,300}", html in "[^\\x00]{1,90}", name in "[^\\p{Cc}]{1,60}", content in any::<Vec<u8>>()) {
        let input = json!({"to": "ada@example.com", "subject": "x", "body": body, "html": html,
            "attachments": [{"name": name, "type": "text/plain", "content_base64": STANDARD.encode(content)}]});
        let mut fields = Fields::of(&input);
        let mail = Mail::read(&mut fields);
        prop_assume!(fields.check().is_ok());
        prop_assert_eq!(proof::check(&mail, &write::write(&mail)), Ok(()));
    }

    #[test]
    fn no_list_of_recipients_is_read_as_another_one(text in "[a-c@.,;:<>()\"\\\\ \\[\\]=?é]{0,24}") {
        // Whatever is accepted: its mailboxes, written and read again, are the same.
        if let Ok(all) = recipients::read(&text) {
            let input = json!({"to": text, "cc": "ada@example.com", "subject": "x", "body": "x"});
            let mail = mail(&input);
            prop_assert_eq!(&mail.to, &all);
            prop_assert_eq!(proof::check(&mail, &write::write(&mail)), Ok(()));
        }
    }
}
