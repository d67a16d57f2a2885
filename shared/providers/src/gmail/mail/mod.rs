//! An e-mail: read from an action's input, written, and proved.

mod proof;
mod recipients;
mod write;

#[cfg(test)]
mod tests;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::Problem;
use parse_net::{Limits, media};

use self::recipients::Recipient;
pub(in crate::gmail) use self::write::boundary;
use crate::Fields;

/// The most bytes that all attachments have together. A request to Lambda has at most 6 MB, in which they stand in Base64, four
/// thirds as long: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>, read 2026-11.
const MAX_ATTACHMENTS: usize = 4 * 1024 * 1024;
/// The most characters of a file's name.
const MAX_NAME: usize = 255;
/// The most characters of a message's id: those of a line (RFC 5322 §2.1.1), without the header's name.
const MAX_ID: usize = 900;

/// An e-mail as it was asked for.
#[derive(Debug)]
pub(super) struct Mail<'a> {
    to: Vec<Recipient>,
    cc: Vec<Recipient>,
    bcc: Vec<Recipient>,
    reply_to: Vec<Recipient>,
    subject: &'a str,
    /// With line breaks as `\n` only.
    body: String,
    /// Likewise.
    html: Option<String>,
    /// With its angle brackets.
    in_reply_to: Option<String>,
    attachments: Vec<Attachment<'a>>,
}

/// A file.
#[derive(Debug)]
struct Attachment<'a> {
    name: &'a str,
    /// A media type, and perhaps its parameters.
    kind: &'a str,
    content: Vec<u8>,
}

impl<'a> Mail<'a> {
    /// Reads the fields of an e-mail; what is wrong with them is noted there.
    pub(super) fn read(fields: &mut Fields<'a>) -> Self {
        let mut recipients = |field| {
            let mut all = Vec::new();
            for text in fields.texts(field) {
                match recipients::read(text) {
                    Ok(recipients) => all.extend(recipients),
                    Err(error) => _ = fields.fail(field, error.to_string()),
                }
            }
            all
        };
        let [to, cc, bcc, reply_to] = ["to", "cc", "bcc", "reply_to"].map(&mut recipients);
        if to.is_empty() && !fields.is_wrong("to") {
            fields.fail("to", "This is missing.");
        } else if !to.iter().chain(&cc).chain(&bcc).any(Recipient::has_mailbox) && !fields.is_wrong("to") {
            fields.fail("to", "There is no address in it.");
        }
        let (subject, body) = (fields.text("subject"), fields.text("body"));
        // A line break would begin another header.
        if subject.chars().any(char::is_control) {
            fields.fail("subject", "This may not have line breaks or other control characters.");
        }
        let html = fields.optional_text("html");
        for (field, text) in [("body", body), ("html", html.unwrap_or_default())] {
            if text.contains('\0') {
                fields.fail(field, "This may not have a NUL character.");
            }
        }
        let in_reply_to = fields.optional_text("in_reply_to").and_then(|id| message_id(fields, id));
        let attachments = attachments(fields);
        Self { to, cc, bcc, reply_to, subject, body: lines(body), html: html.map(lines), in_reply_to, attachments }
    }

    /// The message, which reads as this does.
    pub(super) fn message(&self) -> Result<Vec<u8>, Problem> {
        let message = write::write(self);
        proof::check(self, &message).map_err(|_| Problem::internal())?;
        Ok(message)
    }

    /// The headers with recipients, in their order.
    fn recipients(&self) -> [(&'static str, &[Recipient]); 4] {
        [("To", &self.to), ("Cc", &self.cc), ("Bcc", &self.bcc), ("Reply-To", &self.reply_to)]
    }
}

impl Attachment<'_> {
    /// The media type without parameters.
    fn essence(&self) -> (&str, &str) {
        let essence = self.kind.split(';').next().unwrap_or_default().trim();
        essence.split_once('/').unwrap_or_default()
    }
}

/// The text with line breaks as `\n`: in a message each is CRLF, whichever it was.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// The id of a message, with its angle brackets. Other mail programs make ids that RFC 5322 does not know; they must do.
fn message_id(fields: &mut Fields<'_>, id: &str) -> Option<String> {
    let bare = id.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(id);
    let legal = |b: u8| b.is_ascii_graphic() && !b"<>(),\"\\".contains(&b);
    if bare.is_empty() || bare.len() > MAX_ID || !bare.bytes().all(legal) {
        fields.fail("in_reply_to", "This must be the Message-ID of one message, such as <id@mail.example.com>.");
        return None;
    }
    Some(format!("<{bare}>"))
}

fn attachments<'a>(fields: &mut Fields<'a>) -> Vec<Attachment<'a>> {
    let (mut all, mut size) = (Vec::new(), 0_usize);
    for mut file in fields.objects("attachments") {
        let (name, kind, coded) = (file.text("name"), file.text("type"), file.any_text("content_base64"));
        let wrong = name.chars().any(char::is_control) || name.chars().count() > MAX_NAME;
        if wrong {
            file.fail("name", "This must be a file's name, without control characters, of at most 255 characters.");
        }
        if !kind.is_empty() && !is_media_type(kind) {
            file.fail("type", "This must be a media type such as application/pdf, and no multipart or message.");
        }
        let content = STANDARD.decode(coded).unwrap_or_else(|_| {
            file.fail(
                "content_base64",
                "This must be Base64 of the usual alphabet, with its padding and without line breaks.",
            );
            Vec::new()
        });
        size = size.saturating_add(content.len());
        fields.join(file);
        all.push(Attachment { name, kind, content });
    }
    if size > MAX_ATTACHMENTS {
        fields.fail("attachments", "These are too large: together they may have at most 4 MiB.");
    }
    all
}

/// Whether a text is a media type that a file can have. A boundary would be taken for that of the message.
fn is_media_type(text: &str) -> bool {
    let limits = Limits::DEFAULT;
    let parsed = media::parse(text.as_bytes(), &limits);
    let whole = |kind: &str| text.get(..kind.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(kind));
    let plain = text.bytes().all(|b| (0x20..0x7f).contains(&b)) && text.len() <= 200;
    plain && parsed.is_ok_and(|parsed| parsed.param("boundary").is_none()) && !whole("multipart/") && !whole("message/")
}
