//! `users.messages.send`: <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/send>, as JSON and
//! as an upload.

use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::NO_PAD},
};
use local_base::now;
use mail_parser::{Address, MessageParser};
use memchr::memmem;
use serde_json::Value;

use super::{mailbox::Mailbox, message::Message};
use crate::{call::Call, google::refusal::Refusal, opaque::random};

/// Clients pad or do not; Gmail takes both.
const LENIENT: GeneralPurposeConfig = NO_PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent);
/// The longest body that is not an upload: <https://github.com/googleapis/google-api-dotnet-client/issues/856>.
const MAX_JSON: usize = 1024 * 1024;
/// <https://gmail.googleapis.com/$discovery/rest?version=v1>: `mediaUpload.maxSize`.
pub(super) const MAX_UPLOAD: usize = 36_700_160;

/// A message that an app sends, and the thread that it names.
pub(super) struct Draft {
    raw: Vec<u8>,
    thread: Option<String>,
}

impl Draft {
    /// `raw` is the message in URL-safe Base64.
    pub(super) fn of_json(call: &Call, body: &Value) -> Result<Self, Refusal> {
        if call.body.len() > MAX_JSON {
            let words = format!("Request payload size exceeds the limit: {MAX_JSON} bytes.");
            return Err(Refusal::bad("badRequest", &words));
        }
        let engine = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);
        let raw = body["raw"].as_str().filter(|raw| !raw.is_empty()).ok_or_else(|| {
            Refusal::bad(
                "invalidArgument",
                "'raw' RFC822 payload message string or uploading message via /upload/* URL required",
            )
        })?;
        let raw = engine.decode(raw).map_err(|_| Refusal::bad("invalidArgument", "Invalid value for ByteString"))?;
        Ok(Self { raw, thread: thread(body) })
    }

    /// The message that came in parts, after its JSON.
    pub(super) fn of_parts(raw: Vec<u8>, metadata: &Value) -> Self {
        Self { raw, thread: thread(metadata) }
    }

    /// The message alone, or after a part of JSON.
    pub(super) fn of_upload(call: &Call) -> Result<Self, Refusal> {
        let bad = |words| Refusal::bad("badContent", words);
        if call.body.len() > MAX_UPLOAD {
            return Err(bad("Media too large."));
        }
        let kind = call.header("content-type").unwrap_or_default();
        match call.query.get("uploadType") {
            Some("media") if kind.starts_with("message/rfc822") => Ok(Self { raw: call.body.to_vec(), thread: None }),
            Some("multipart") => {
                let boundary = kind.strip_prefix("multipart/related; boundary=").map(|it| it.trim_matches('"'));
                let boundary = boundary.ok_or_else(|| bad("Multipart must be multipart/related."))?;
                let mark = format!("--{boundary}");
                let ends: Vec<_> = memmem::find_iter(&call.body, mark.as_bytes()).collect();
                let parts: Vec<_> = ends.windows(2).map(|pair| &call.body[pair[0] + mark.len()..pair[1]]).collect();
                let [metadata, message] = parts.as_slice() else { return Err(bad("There must be two parts.")) };
                let (_, metadata) = content(metadata).ok_or_else(|| bad("A part has no head."))?;
                let (head, message) = content(message).ok_or_else(|| bad("A part has no head."))?;
                if !String::from_utf8_lossy(head).contains("message/rfc822") {
                    return Err(bad("Media type is not supported. Valid media types: [message/rfc822]"));
                }
                let metadata: Value = serde_json::from_slice(metadata).map_err(|_| bad("Parse Error"))?;
                Ok(Self { raw: message.to_vec(), thread: thread(&metadata) })
            }
            _ => Err(bad("Unknown uploadType.")),
        }
    }
}

fn thread(body: &Value) -> Option<String> {
    body["threadId"].as_str().map(str::to_owned)
}

/// Head and content of a part, which ends before the line break of the next boundary. Google's Python client breaks lines by LF alone.
fn content(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let line: &[u8] = if part.starts_with(b"\r\n") { b"\r\n" } else { b"\n" };
    let at = memmem::find(part, &[line, line].concat())?;
    Some((&part[..at], part[at + 2 * line.len()..].strip_suffix(line)?))
}

impl Mailbox {
    /// Sends a message; sender, date and id are Gmail's.
    pub(super) fn send(&mut self, draft: Draft) -> Result<Value, Refusal> {
        let parsed = MessageParser::default().parse(&draft.raw);
        let parsed = parsed.ok_or_else(|| Refusal::bad("invalidArgument", "Invalid value for ByteString"))?;
        let has_address = |all: &Address<'_>| all.iter().any(|it| it.address().is_some_and(|it| it.contains('@')));
        if ![parsed.to(), parsed.cc(), parsed.bcc()].into_iter().flatten().any(has_address) {
            return Err(Refusal::bad("invalidArgument", "Recipient address required"));
        }
        let id = random(16);
        let one_line = |value: &str| value.replace("\r\n", "").trim().to_owned();
        let mut headers: Vec<_> =
            parsed.headers_raw().map(|(name, value)| (name.to_owned(), one_line(value))).collect();
        let at = now();
        let mut raw = Vec::new();
        for (name, value) in [
            ("From", format!("<{}>", self.address)),
            ("Date", at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()),
            ("Message-ID", format!("<{id}@mail.gmail.com>")),
        ] {
            if !headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                raw.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
                headers.push((name.to_owned(), value));
            }
        }
        let body = parsed.body_text(0).unwrap_or_default().into_owned();
        let mut sent = Message {
            thread: id.clone(),
            id,
            labels: vec!["SENT".to_owned()],
            headers,
            body,
            raw: None,
            at,
            history_id: 0,
        };
        if let Some(thread) = draft.thread {
            let unknown = || Refusal { message: "Requested entity was not found.".to_owned(), ..Refusal::not_found() };
            let of_thread: Vec<_> = self.messages.iter().filter(|message| message.thread == thread).collect();
            let first = of_thread.first().ok_or_else(unknown)?;
            // <https://developers.google.com/workspace/gmail/api/guides/threads>: subject and references must match, too.
            let names = |message: &&Message| message.header("Message-ID").is_some_and(|id| sent.refers_to(id));
            if first.subject() == sent.subject() && of_thread.iter().any(names) {
                sent.thread = thread;
            }
        }
        raw.extend_from_slice(&draft.raw);
        sent.raw = Some(raw);
        Ok(self.add(sent).labelled())
    }
}

impl Message {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The subject without what a reply puts before it.
    fn subject(&self) -> &str {
        let subject = self.header("Subject").unwrap_or_default();
        let mut bare = subject;
        while let Some(rest) = bare.get(..3).filter(|begin| begin.eq_ignore_ascii_case("re:")).map(|_| &bare[3..]) {
            bare = rest.trim_start();
        }
        bare
    }

    fn refers_to(&self, id: &str) -> bool {
        let both = ["In-Reply-To", "References"];
        both.iter().all(|name| self.header(name).is_some_and(|ids| ids.split_whitespace().any(|it| it == id)))
    }
}
