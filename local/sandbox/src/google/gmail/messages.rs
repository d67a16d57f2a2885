//! `users.messages`: list and get.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use mail_parser::{MessageParser, MessagePart, MimeHeaders as _};
use serde_json::{Value, json};

use super::{limit, mailbox::Mailbox, message::Message};
use crate::{
    call::Reply,
    form::Form,
    google::{fields, refusal::Refusal},
    opaque::{open, seal},
};

impl Mailbox {
    /// Newest first.
    pub(super) fn list(&self, query: &Form) -> Result<Reply, Refusal> {
        let limit = limit(query.get("maxResults"), 100)?;
        let labels: Vec<_> = query.all("labelIds").collect();
        let mut found: Vec<_> = self.messages.iter().rev().collect();
        let mut from = 0;
        let everything = query.get("includeSpamTrash") == Some("true");
        let left_out: &[&str] = if everything { &[] } else { &["SPAM", "TRASH"] };
        let hidden = |message: &&Message| message.labels.iter().any(|label| left_out.contains(&label.as_str()));
        found.retain(|message| !hidden(message));
        found.retain(|message| labels.iter().all(|label| message.labels.iter().any(|own| own == label)));
        if let Some(token) = query.get("pageToken") {
            // The page begins with this time and id, whether or not that message still exists.
            let first = open(token).ok_or_else(|| Refusal::bad("invalidArgument", "Invalid pageToken"))?;
            let place = found.iter().position(|message| first["id"] == *message.id);
            let place = place
                .or_else(|| found.iter().position(|message| Some(message.at.as_millisecond()) <= first["at"].as_i64()));
            found.drain(..place.unwrap_or(found.len()));
            from = first["id"].as_str().and_then(|id| self.lazy.as_ref()?.number(id)).unwrap_or_default();
        }
        let mut estimate = found.len();
        let mut page: Vec<_> =
            found.iter().take(limit + 1).map(|it| (it.id.clone(), it.thread.clone(), it.at)).collect();
        if let Some(lazy) = &self.lazy {
            estimate += lazy.len();
            let wanted = lazy.from(from).filter(|number| lazy.matches(*number, &labels, left_out));
            let wanted = wanted.take(limit + 1 - page.len());
            page.extend(wanted.map(|number| (lazy.id(number), lazy.id(number), lazy.came(number))));
        }
        let next = page.get(limit).map(|(id, _, at)| seal(&json!({ "id": id, "at": at.as_millisecond() })));
        page.truncate(limit);
        let page: Vec<_> = page.into_iter().map(|(id, thread, _)| json!({ "id": id, "threadId": thread })).collect();
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
            .find(id)
            .ok_or_else(|| Refusal { message: "Requested entity was not found.".to_owned(), ..Refusal::not_found() })?;
        if self.unreadable.contains(&message.id) {
            return Err(Refusal::bad("failedPrecondition", "Precondition check failed."));
        }
        let wanted: Vec<_> = query.all("metadataHeaders").collect();
        let some = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(name));
        let mut answer = message.outline();
        match query.get("format") {
            Some("minimal") => {}
            Some("metadata") => {
                answer["payload"] = json!({ "mimeType": "text/plain", "headers": message.headers(some) });
            }
            Some("raw") => answer["raw"] = URL_SAFE_NO_PAD.encode(message.text()).into(),
            None | Some("full") => answer["payload"] = message.payload(),
            Some(_) => return Err(Refusal::bad("invalidArgument", "Invalid value at 'format'")),
        }
        match query.get("fields") {
            None => Ok(Reply::json(StatusCode::OK, &answer)),
            Some(mask) => {
                let shown = fields::select(&answer, mask);
                let refusal = || Refusal::bad("invalidParameter", &format!("Invalid field selection {mask}"));
                Ok(Reply::json(StatusCode::OK, &shown.ok_or_else(refusal)?))
            }
        }
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

    /// `MessagePart`: the whole, with its parts if it has several.
    fn payload(&self) -> Value {
        let parsed = self.raw.as_ref().and_then(|raw| MessageParser::default().parse(raw));
        let mut payload = match &parsed {
            Some(parsed) => part(&parsed.parts, 0, ""),
            None => {
                let body = json!({ "size": self.body.len(), "data": URL_SAFE_NO_PAD.encode(&self.body) });
                json!({ "partId": "", "mimeType": "text/plain", "filename": "", "body": body })
            }
        };
        payload["headers"] = self.headers(|_| true);
        payload
    }

    fn text(&self) -> Vec<u8> {
        let head: Vec<_> = self.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let text = || format!("{}\r\n\r\n{}", head.join("\r\n"), self.body).into_bytes();
        self.raw.clone().unwrap_or_else(text)
    }
}

/// One of the parts of a message, numbered as Gmail does: `0`, `0.1`.
fn part(parts: &[MessagePart<'_>], at: usize, id: &str) -> Value {
    let Some(part) = parts.get(at) else { return Value::Null };
    let kind = part.content_type();
    let kind = kind.map(|it| format!("{}/{}", it.ctype(), it.subtype().unwrap_or_default()));
    let mut answer = json!({
        "partId": id, "mimeType": kind.unwrap_or_else(|| "text/plain".to_owned()),
        "filename": part.attachment_name().unwrap_or_default(),
    });
    match part.sub_parts() {
        Some(below) => {
            let number = |(number, at): (usize, &u32)| {
                let id = if id.is_empty() { number.to_string() } else { format!("{id}.{number}") };
                self::part(parts, usize::try_from(*at).unwrap_or(usize::MAX), &id)
            };
            answer["parts"] = below.iter().enumerate().map(number).collect();
        }
        None => {
            let content = part.contents();
            answer["body"] = json!({ "size": content.len(), "data": URL_SAFE_NO_PAD.encode(content) });
        }
    }
    answer
}
