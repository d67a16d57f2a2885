//! Messages as Gmail's documentation shows them.

use serde_json::json;

use super::*;

const AT: Timestamp = Timestamp::constant(1_795_428_000, 0);

fn sample(labels: &[&str]) -> Value {
    json!({
        "id": "18c2f1a", "threadId": "18c2f00", "labelIds": labels, "snippet": "See you &#39;soon&#39;", "sizeEstimate": 3120,
        "historyId": "9876543", "internalDate": "1795420800000",
        "payload": {
            "partId": "", "mimeType": "multipart/signed", "filename": "", "body": {"size": 0},
            "headers": [
                {"name": "from", "value": "Ada <ada@example.com>"}, {"name": "Subject", "value": "Grüße"},
                {"name": "X-Secret", "value": "no"}, {"name": "To", "value": "bob@example.com"},
                {"name": "Cc", "value": "eve@example.com"}, {"name": "Reply-To", "value": "list@example.com"},
                {"name": "Message-Id", "value": "<2@example.com>"}, {"name": "In-Reply-To", "value": "<1@example.com>"},
                {"name": "References", "value": "<0@example.com> <1@example.com>"}, {"name": "Subject", "value": "second"}
            ],
            "parts": [
                {"partId": "0", "mimeType": "multipart/mixed", "filename": "", "body": {"size": 0}, "parts": [
                    {"partId": "0.0", "mimeType": "text/plain", "filename": "", "body": {"size": 12}},
                    {
                        "partId": "0.1", "mimeType": "application/pdf", "filename": "invoice.pdf",
                        "body": {"size": 1234, "attachmentId": "another at each reading"}
                    }
                ]},
                {"partId": "1", "mimeType": "application/pkcs7-signature", "filename": "smime.p7s", "body": {"size": 99}}
            ]
        }
    })
}

#[test]
fn a_message_is_its_headers_and_the_names_of_its_attachments_versioned_by_its_reading() {
    let change = message(&sample(&["INBOX", "UNREAD"]), AT).unwrap();
    assert_eq!(
        (change.key().as_str(), change.version().get(), change.is_deleted()),
        ("messages#18c2f1a", 1_795_428_000_000_000, false)
    );
    assert_eq!(
        *change.data(),
        json!({
            "thread_id": "18c2f00", "label_ids": ["INBOX", "UNREAD"], "snippet": "See you &#39;soon&#39;", "size_estimate": 3120,
            "internal_date": "2026-11-23T08:00:00Z", "from": "Ada <ada@example.com>", "to": "bob@example.com",
            "cc": "eve@example.com", "reply_to": "list@example.com", "subject": "Grüße", "message_id": "<2@example.com>",
            "in_reply_to": "<1@example.com>", "references": "<0@example.com> <1@example.com>",
            "attachments": [
                {"part_id": "0.1", "name": "invoice.pdf", "type": "application/pdf", "size": 1234},
                {"part_id": "1", "name": "smime.p7s", "type": "application/pkcs7-signature", "size": 99}
            ]
        })
    );
}

#[test]
fn what_is_in_the_trash_is_gone_as_it_is_for_gmails_own_list_and_comes_back_from_it() {
    let trashed = message(&sample(&["TRASH"]), AT).unwrap();
    assert_eq!(trashed, tombstone(key("18c2f1a").unwrap(), AT));
    let back = message(&sample(&["INBOX"]), AT + jiff::SignedDuration::from_micros(1)).unwrap();
    assert!(back.replaces(trashed.version(), trashed.is_deleted()));
}

#[test]
fn a_message_without_an_id_is_unreadable() {
    for broken in [json!({}), json!({"threadId": "a"}), json!({"id": "a#b"}), json!({"id": 7})] {
        assert!(message(&broken, AT).is_none(), "{broken}");
    }
}

#[test]
fn the_call_for_a_message_asks_for_its_parts_and_for_no_content() {
    let (request, gone) = detail(key("18c2f1a").unwrap(), AT);
    let (address, query) = request.url.split_once('?').unwrap();
    assert_eq!(address, "https://gmail.googleapis.com/gmail/v1/users/me/messages/18c2f1a");
    let signs = [("%2C", ","), ("%28", "("), ("%29", ")"), ("%2F", "/")];
    let query = signs.iter().fold(query.to_owned(), |query, (coded, sign)| query.replace(coded, sign));
    assert!(query.starts_with("format=full&fields=id,threadId,labelIds,"), "{query}");
    assert_eq!(query.matches("parts(partId,mimeType,filename,body/size").count(), DEPTH, "{query}");
    assert!(!query.contains("data") && !query.contains("attachmentId"), "{query}");
    assert!(gone.is_deleted());
}
