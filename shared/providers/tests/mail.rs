//! `tests/mail/cases.json`, read by a parser that neither writes nor proves messages here. `tests/mail/run` has Python read the
//! same.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use mailparse::{DispositionType, MailAddr, MailHeaderMap as _, ParsedMail, SingleInfo};
use providers::REGISTRY;
use serde_json::{Value, json};

fn cases(kind: &str) -> Vec<Value> {
    let cases: Value = serde_json::from_str(include_str!("../../../tests/mail/cases.json")).unwrap();
    cases[kind].as_array().unwrap().clone()
}

/// The address list of a header as the cases write it: by group, those outside of groups alone.
fn recipients(mail: &ParsedMail<'_>, name: &str) -> Value {
    let Some(header) = mail.headers.get_first_header(name) else { return json!([]) };
    // mailparse 0.18 takes the comma after a group for the beginning of the next name; Python's parser does not.
    let name = |it: &SingleInfo| it.display_name.clone().unwrap_or_default().trim_start_matches([',', ' ']).to_owned();
    let one = |it: &SingleInfo| json!([name(it), it.addr]);
    let group = |address: &MailAddr| match address {
        MailAddr::Single(single) => json!([null, [one(single)]]),
        MailAddr::Group(group) => json!([group.group_name, group.addrs.iter().map(one).collect::<Vec<_>>()]),
    };
    mailparse::addrparse_header(header).unwrap().iter().map(group).collect()
}

/// Line breaks are CRLF in a message, whatever they were. mailparse leaves a byte order mark out.
fn lines(text: &str) -> String {
    text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n")
}

#[test]
fn recipients_subjects_texts_and_files_arrive_as_written() {
    let gmail = REGISTRY.find("gmail").unwrap();
    let cases = cases("sent");
    assert!(cases.len() >= 30, "{}", cases.len());
    for case in cases {
        let (name, input) = (&case["name"], &case["input"]);
        let request = gmail
            .action("send_email", input, &"ada".parse().unwrap())
            .unwrap_or_else(|problem| panic!("{name}: {problem:?}"));
        let body: Value = serde_json::from_slice(&request.body.unwrap().1).unwrap();
        assert_eq!(body["threadId"], input["thread_id"], "{name}");
        let raw = URL_SAFE_NO_PAD.decode(body["raw"].as_str().unwrap()).unwrap();
        let mail = mailparse::parse_mail(&raw).unwrap();

        let mut expected = vec!["MIME-Version"];
        for (header, field) in [("To", "to"), ("Cc", "cc"), ("Bcc", "bcc"), ("Reply-To", "reply_to")] {
            let wanted = case["expected"].get(field).cloned().unwrap_or(json!([]));
            expected.extend((wanted != json!([])).then_some(header));
            assert_eq!(recipients(&mail, header), wanted, "{name}: {header}");
        }
        expected.push("Subject");
        expected.extend(input.get("in_reply_to").map(|_| ["In-Reply-To", "References"]).into_iter().flatten());
        expected.push("Content-Type");
        let headers: Vec<_> = mail.headers.iter().map(mailparse::MailHeader::get_key).collect();
        assert_eq!(headers[..expected.len()], expected, "{name}");
        assert!(headers[expected.len()..].iter().all(|it| it == "Content-Transfer-Encoding"), "{name}: {headers:?}");
        if let Some(id) = input["in_reply_to"].as_str() {
            let id = format!("<{}>", id.trim_matches(['<', '>']));
            assert_eq!(mail.headers.get_first_value("In-Reply-To").as_ref(), Some(&id), "{name}");
            assert_eq!(mail.headers.get_first_value("References").as_ref(), Some(&id), "{name}");
        }
        assert_eq!(mail.headers.get_first_value("Subject").as_deref(), input["subject"].as_str(), "{name}");

        let mut leaves = mail.parts().filter(|part| part.subparts.is_empty());
        for (kind, field) in [("text/plain", "body"), ("text/html", "html")] {
            if let Some(text) = input[field].as_str() {
                let part = leaves.next().unwrap();
                assert_eq!(part.ctype.mimetype, kind, "{name}");
                assert_eq!(lines(&part.get_body().unwrap()), lines(text), "{name}");
            }
        }
        for file in input["attachments"].as_array().into_iter().flatten() {
            let part = leaves.next().unwrap();
            let disposition = part.get_content_disposition();
            assert_eq!(disposition.disposition, DispositionType::Attachment, "{name}");
            assert_eq!(disposition.params.get("filename").map(String::as_str), file["name"].as_str(), "{name}");
            assert_eq!(Some(part.ctype.mimetype.as_str()), file["type"].as_str().unwrap().split(';').next(), "{name}");
            assert_eq!(
                part.get_body_raw().unwrap(),
                STANDARD.decode(file["content_base64"].as_str().unwrap()).unwrap(),
                "{name}"
            );
        }
        assert!(leaves.next().is_none(), "{name} has more parts");
    }
}

#[test]
fn injections_typos_and_what_is_no_recipient_are_refused_by_name() {
    let gmail = REGISTRY.find("gmail").unwrap();
    for case in cases("refused") {
        let (name, input) = (&case["name"], &case["input"]);
        let problem = gmail
            .action("send_email", input, &"ada".parse().unwrap())
            .err()
            .unwrap_or_else(|| panic!("{name} was sent"));
        let fields: Vec<_> = problem.fields.iter().map(|it| it.field.as_ref()).collect();
        assert_eq!(json!(fields), case["fields"], "{name}");
        assert!(problem.fields.iter().all(|it| it.message.ends_with('.')), "{name}: {problem:?}");
    }
}
