//! Uploads in parts: <https://developers.google.com/workspace/gmail/api/guides/uploads#resumable>, read 2026-11.

use http::StatusCode;
use serde_json::Value;

use super::send::{Draft, MAX_UPLOAD};
use crate::{
    call::{Call, Reply},
    form,
    google::refusal::Refusal,
    opaque::random,
};

/// What the length of every part but the last is a multiple of, in bytes.
const UNIT: usize = 256 * 1024;

/// Uploads that were begun.
#[derive(Default)]
pub(super) struct Uploads(Vec<Upload>);

struct Upload {
    id: String,
    account: String,
    metadata: Value,
    bytes: Vec<u8>,
    /// The answer to its last part, which is given again.
    sent: Option<Value>,
}

/// Where an upload stands after a request.
pub(super) enum Step {
    /// The answer.
    Answer(Reply),
    /// The message is whole; [`Uploads::sent`] takes its id and what sending it came to.
    Whole(String, Draft),
}

/// What `Content-Range` says of a part; without a range it asks where the upload stands.
struct Part {
    first: Option<usize>,
    total: Option<usize>,
}

impl Uploads {
    /// Begins an upload: its address is in the answer.
    pub(super) fn begin(&mut self, account: &str, call: &Call) -> Result<Reply, Refusal> {
        let kind = call.header("x-upload-content-type").unwrap_or("message/rfc822");
        if kind != "message/rfc822" {
            let words = format!("Media type '{kind}' is not supported. Valid media types: [message/rfc822]");
            return Err(Refusal::bad("badContent", &words));
        }
        let metadata = if call.body.is_empty() { Some(Value::Null) } else { call.json() };
        let metadata = metadata.ok_or_else(|| Refusal::bad("parseError", "Parse Error"))?;
        let id = random(64);
        let query = form::encode(call.query.pairs().chain([("upload_id", id.as_str())]));
        let host = call.header("host").unwrap_or_default();
        let location = format!("http://{host}{}?{query}", call.path);
        let answer = Reply::empty(StatusCode::OK).with("location", &location).with("x-guploader-uploadid", &id);
        self.0.push(Upload { id, account: account.to_owned(), metadata, bytes: Vec::new(), sent: None });
        Ok(answer)
    }

    /// Takes a part.
    pub(super) fn take(&mut self, account: &str, call: &Call) -> Result<Step, Refusal> {
        let id = call.query.get("upload_id").unwrap_or_default();
        let upload = self.0.iter_mut().find(|upload| upload.id == id && upload.account == account);
        let upload = upload.ok_or_else(Refusal::not_found)?;
        if let Some(sent) = &upload.sent {
            return Ok(Step::Answer(Reply::json(StatusCode::OK, sent)));
        }
        let bad = |words: &str| Refusal::bad("badRequest", words);
        let part = match call.header("content-range") {
            None => Part { first: Some(0), total: Some(call.body.len()) },
            Some(range) => Part::parse(range).ok_or_else(|| bad("Failed to parse Content-Range header."))?,
        };
        if let Some(first) = part.first {
            if first != upload.bytes.len() {
                return Err(bad("Invalid request. The part does not begin where the last one ended."));
            }
            let length = first + call.body.len();
            if length > MAX_UPLOAD {
                return Err(Refusal::bad("badContent", "Media too large."));
            }
            if part.total != Some(length) && !call.body.len().is_multiple_of(UNIT) {
                return Err(bad("Invalid request. The number of bytes is no multiple of 262144."));
            }
            upload.bytes.extend_from_slice(&call.body);
        }
        if part.total == Some(upload.bytes.len()) {
            let raw = std::mem::take(&mut upload.bytes);
            return Ok(Step::Whole(upload.id.clone(), Draft::of_parts(raw, &upload.metadata)));
        }
        let more = Reply::empty(StatusCode::PERMANENT_REDIRECT);
        let last = upload.bytes.len().checked_sub(1);
        Ok(Step::Answer(last.iter().fold(more, |more, last| more.with("range", &format!("bytes=0-{last}")))))
    }

    /// Remembers what sending the message of an upload came to.
    pub(super) fn sent(&mut self, id: &str, answer: &Value) {
        if let Some(upload) = self.0.iter_mut().find(|upload| upload.id == id) {
            upload.sent = Some(answer.clone());
        }
    }
}

impl Part {
    /// `bytes 0-524287/2000000`, with `*` for what is not known or not sent.
    fn parse(range: &str) -> Option<Self> {
        let (range, total) = range.strip_prefix("bytes ")?.split_once('/')?;
        let known = |text: &str| if text == "*" { Some(None) } else { text.parse().ok().map(Some) };
        let first = range.split_once('-').map_or(range, |(first, _)| first);
        Some(Self { first: known(first)?, total: known(total)? })
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Method};

    use super::*;
    use crate::form::Form;

    fn call(query: &str, headers: &[(&'static str, &'static str)], body: Vec<u8>) -> Call {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers: HeaderMap = headers.iter().map(pair).collect();
        let (method, path) = (Method::PUT, "/upload/gmail/v1/users/me/messages/send".to_owned());
        Call { method, path, query: Form::parse(query.as_bytes()), headers, body: body.into() }
    }

    #[test]
    fn a_part_must_be_the_next_one_of_a_whole_number_of_units_in_an_upload_of_the_account() {
        let mut uploads = Uploads::default();
        let begun = call("uploadType=resumable", &[("host", "h")], Vec::new());
        let Ok(begun) = uploads.begin("ada", &begun) else { panic!("it begins") };
        let location = begun.headers["location"].to_str().unwrap();
        let query = location.strip_prefix("http://h/upload/gmail/v1/users/me/messages/send?").unwrap().to_owned();
        let mut put = |account: &str, range: &'static str, length: usize| {
            let call = call(&query, &[("content-range", range)], vec![b'x'; length]);
            match uploads.take(account, &call) {
                Ok(Step::Answer(answer)) => answer.status.as_u16(),
                Ok(Step::Whole(..)) => 200,
                Err(refusal) => refusal.status.as_u16(),
            }
        };
        assert_eq!(put("bob", "bytes */*", 0), 404);
        assert_eq!(put("ada", "bytes */*", 0), 308);
        assert_eq!(put("ada", "bytes 0-9/20", 10), 400, "no whole unit");
        assert_eq!(put("ada", "bytes 5-9/10", 5), 400, "not the next one");
        assert_eq!(put("ada", "0-9/10", 10), 400);
        assert_eq!(put("ada", "bytes 0-262143/*", UNIT), 308);
        assert_eq!(put("ada", "bytes 262144-262153/262154", 10), 200);
        let image = call("uploadType=resumable", &[("x-upload-content-type", "image/png")], Vec::new());
        assert!(uploads.begin("ada", &image).is_err());
    }
}
