//! `users.messages`: list, get, send.

use base64::{
    Engine as _,
    engine::{
        DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig,
        general_purpose::{NO_PAD, URL_SAFE_NO_PAD},
    },
};
use http::StatusCode;
use serde_json::{Value, json};

use super::{
    limit,
    mailbox::{Mailbox, Message},
};
use crate::{
    lambda::now,
    sandbox::{
        call::Reply,
        form::Form,
        google::Refusal,
        opaque::{open, random, seal},
    },
};

/// Clients pad or do not; Gmail takes both.
const LENIENT: GeneralPurposeConfig = NO_PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent);

impl Mailbox {
    /// Newest first.
    pub(super) fn list(&self, query: &Form) -> Result<Reply, Refusal> {
        let limit = limit(query.get("maxResults"), 100)?;
        let labels: Vec<_> = query.all("labelIds").collect();
        let mut found: Vec<_> = self.messages.iter().rev().collect();
        found.retain(|message| labels.iter().all(|label| message.labels.iter().any(|own| own == label)));
        if let Some(token) = query.get("pageToken") {
            // The page begins with this time and id, whether or not that message still exists.
            let first = open(token).ok_or_else(|| Refusal::bad("invalidArgument", "Invalid pageToken"))?;
            let place = found.iter().position(|message| first["id"] == *message.id);
            let place = place
                .or_else(|| found.iter().position(|message| Some(message.at.as_millisecond()) <= first["at"].as_i64()));
            found.drain(..place.unwrap_or(found.len()));
        }
        let next =
            found.get(limit).map(|message| seal(&json!({ "id": message.id, "at": message.at.as_millisecond() })));
        let estimate = found.len();
        let page: Vec<_> = found.iter().take(limit).map(|message| message.short()).collect();
        let mut answer = json!({ "resultSizeEstimate": estimate });
        // An empty list is left out.
        if !page.is_empty() {
            answer["messages"] = page.into();
        }
        let more = next.is_some();
        if let Some(next) = next {
            answer["nextPageToken"] = next.into();
        }
        Ok(Reply::json(StatusCode::OK, &answer).more(more))
    }

    pub(super) fn get(&self, id: &str, query: &Form) -> Result<Reply, Refusal> {
        let message = self
            .messages
            .iter()
            .find(|message| message.id == id)
            .ok_or_else(|| Refusal { message: "Requested entity was not found.".to_owned(), ..Refusal::not_found() })?;
        let wanted: Vec<_> = query.all("metadataHeaders").collect();
        let all = |_: &str| true;
        let some = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(name));
        let mut answer = message.outline();
        match query.get("format") {
            Some("minimal") => {}
            Some("metadata") => {
                answer["payload"] = json!({ "mimeType": "text/plain", "headers": message.headers(some) });
            }
            Some("raw") => answer["raw"] = URL_SAFE_NO_PAD.encode(message.text()).into(),
            None | Some("full") => {
                let body = json!({ "size": message.body.len(), "data": URL_SAFE_NO_PAD.encode(&message.body) });
                answer["payload"] = json!({
                    "partId": "", "mimeType": "text/plain", "filename": "", "headers": message.headers(all),
                    "body": body,
                });
            }
            Some(_) => return Err(Refusal::bad("invalidArgument", "Invalid value at 'format'")),
        }
        Ok(Reply::json(StatusCode::OK, &answer))
    }

    /// `raw` is an RFC 5322 message in URL-safe Base64.
    pub(super) fn send(&mut self, wanted: &Value) -> Result<Value, Refusal> {
        let engine = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);
        let raw = wanted["raw"].as_str().unwrap_or_default();
        let text = engine.decode(raw).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or_else(|| Refusal::bad("invalidArgument", "Invalid value for ByteString"))?;
        let text = text.replace("\r\n", "\n");
        let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let headers: Vec<_> = head.lines().filter_map(|line| line.split_once(':')).collect();
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), value.trim().to_owned())).collect();
        let recipient = |(name, value): &(String, String)| {
            ["to", "cc", "bcc"].contains(&name.to_lowercase().as_str()) && value.contains('@')
        };
        if !headers.iter().any(recipient) {
            return Err(Refusal::bad("invalidArgument", "Recipient address required"));
        }
        let id = random(16);
        let thread = wanted["threadId"].as_str().unwrap_or(&id).to_owned();
        let labels = vec!["SENT".to_owned()];
        let sent = Message { id, thread, labels, headers, body: body.to_owned(), at: now(), history_id: 0 };
        Ok(self.add(sent).labelled())
    }
}

impl Message {
    fn outline(&self) -> Value {
        let mut outline = self.labelled();
        outline["snippet"] = self.body.chars().take(100).collect::<String>().into();
        outline["historyId"] = self.history_id.to_string().into();
        outline["internalDate"] = self.at.as_millisecond().to_string().into();
        outline["sizeEstimate"] = self.text().len().into();
        outline
    }

    fn headers(&self, wanted: impl Fn(&str) -> bool) -> Value {
        let wanted = self.headers.iter().filter(|(name, _)| wanted(name));
        wanted.map(|(name, value)| json!({ "name": name, "value": value })).collect()
    }

    fn text(&self) -> String {
        let head: Vec<_> = self.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        format!("{}\r\n\r\n{}", head.join("\r\n"), self.body)
    }
}
