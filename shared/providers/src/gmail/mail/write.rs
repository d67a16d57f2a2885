//! A message as Gmail takes it: RFC 5322, with the MIME parts of RFC 2045 and 2183.
//!
//! *Invariant:* what stands in a header is printable ASCII, in lines of at most 998 bytes; anything else is written as encoded
//! words. No boundary stands in the text that it bounds.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mail_builder::{headers::content_type::ContentType, mime::MimePart};

use super::{
    Attachment, Mail,
    recipients::{Mailbox, Recipient},
};

/// The most characters that stand in a line of a header as they are.
const MAX_PLAIN: usize = 60;
/// Bytes in one encoded word: with them a line has at most 76 characters (RFC 2047 §2), `Reply-To: ` included.
const WORD: usize = 39;
/// Bytes in one line of Base64 (RFC 2045 §6.8).
const LINE: usize = 57;

/// Writes a message. Gmail adds sender, date and id.
pub(super) fn write(mail: &Mail<'_>) -> Vec<u8> {
    let mut head = String::from("MIME-Version: 1.0\r\n");
    for (name, recipients) in mail.recipients() {
        if !recipients.is_empty() {
            let all: Vec<_> = recipients.iter().map(recipient).collect();
            header(&mut head, name, &all.join(",\r\n "));
        }
    }
    header(&mut head, "Subject", &unstructured(mail.subject));
    if let Some(id) = &mail.in_reply_to {
        // Of a conversation this knows no more than what it replies to: RFC 5322 §3.6.4.
        header(&mut head, "In-Reply-To", id);
        header(&mut head, "References", id);
    }
    let mut message = head.into_bytes();
    body(mail).write_part(&mut message);
    message
}

/// Writing to a String can't fail.
fn header(head: &mut String, name: &str, value: &str) {
    let _ = write!(head, "{name}: {value}\r\n");
}

fn recipient(recipient: &Recipient) -> String {
    match recipient {
        Recipient::Mailbox(one) => mailbox(one),
        Recipient::Group { name, members } => {
            let members: Vec<_> = members.iter().map(mailbox).collect();
            format!(
                "{} :{};",
                phrase(name),
                members.iter().map(|it| format!("\r\n {it}")).collect::<Vec<_>>().join(",")
            )
        }
    }
}

fn mailbox(mailbox: &Mailbox) -> String {
    let Mailbox { name, address } = mailbox;
    name.as_ref().map_or_else(|| format!("<{address}>"), |name| format!("{}\r\n <{address}>", phrase(name)))
}

/// Whether a text can stand in a header as it is. What looks like an encoded word would be decoded.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| (0x20..0x7f).contains(&b)) && !text.contains("=?")
}

/// A name: a quoted string, in several lines if it is long and has spaces to break it at, or encoded words.
fn phrase(name: &str) -> String {
    let mut quoted = String::from("\"");
    let mut line = 0;
    for word in name.split_inclusive(' ') {
        if word.len() > MAX_PLAIN || !is_plain(word) {
            return words(name);
        }
        // Before a space that stays: a line break within white space is none.
        if line + word.len() > MAX_PLAIN && quoted.ends_with(' ') {
            quoted.insert_str(quoted.len() - 1, "\r\n");
            line = 0;
        }
        quoted.push_str(&word.replace('\\', "\\\\").replace('"', "\\\""));
        line += word.len();
    }
    quoted.push('"');
    if is_plain(name) { quoted } else { words(name) }
}

/// A subject: as it is, or encoded words. White space at its ends would be lost.
fn unstructured(text: &str) -> String {
    let as_it_is = text.len() <= MAX_PLAIN && is_plain(text) && text.trim() == text;
    if as_it_is { text.to_owned() } else { words(text) }
}

/// Encoded words, one a line: RFC 2047. Each holds whole characters.
fn words(text: &str) -> String {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        if word.len() + c.len_utf8() > WORD {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let words: Vec<_> = words.iter().map(|word| format!("=?UTF-8?B?{}?=", STANDARD.encode(word))).collect();
    words.join("\r\n ")
}

fn body<'m>(mail: &'m Mail<'_>) -> MimePart<'m> {
    let text = MimePart::new("text/plain", &*mail.body);
    let content = match &mail.html {
        None => text,
        Some(html) => multipart("alternative", mail, vec![text, MimePart::new("text/html", &**html)]),
    };
    if mail.attachments.is_empty() {
        return content;
    }
    let mut parts = vec![content];
    parts.extend(mail.attachments.iter().map(attachment));
    multipart("mixed", mail, parts)
}

fn multipart<'m>(kind: &str, mail: &Mail<'_>, parts: Vec<MimePart<'m>>) -> MimePart<'m> {
    let html = mail.html.as_deref().unwrap_or_default();
    let boundary = boundary(kind, &[mail.body.as_bytes(), html.as_bytes()]);
    MimePart::new(ContentType::new(format!("multipart/{kind}")).attribute("boundary", boundary), parts)
}

/// A boundary that stands in none of these texts. In Base64 and in quoted-printable none can: RFC 2045 §6.7.
pub(in crate::gmail) fn boundary(kind: &str, texts: &[&[u8]]) -> String {
    let mut number = 0_u32;
    loop {
        let boundary = format!("=_{kind}_{number}_=");
        let is_in = |text: &&[u8]| text.windows(boundary.len()).any(|window| window == boundary.as_bytes());
        if !texts.iter().any(is_in) {
            return boundary;
        }
        number += 1;
    }
}

/// In Base64, whatever its type, so that every byte comes through.
fn attachment<'m>(attachment: &Attachment<'_>) -> MimePart<'m> {
    let (kind, name) = (attachment.kind, file_name(attachment.name));
    let mut part = format!(
        "Content-Type: {kind}\r\nContent-Disposition: attachment;\r\n {name}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    );
    let lines: Vec<_> = attachment.content.chunks(LINE).map(|line| STANDARD.encode(line)).collect();
    part.push_str(&lines.join("\r\n"));
    MimePart::raw(part.into_bytes())
}

/// The parameter that names a file: as it is, or by RFC 2231 in as many sections as it takes.
fn file_name(name: &str) -> String {
    if name.len() <= MAX_PLAIN && is_plain(name) && !name.contains(['"', '\\', '%']) {
        return format!("filename=\"{name}\"");
    }
    let mut sections = vec![String::from("UTF-8''")];
    for c in name.chars() {
        let mut coded = String::new();
        for b in c.encode_utf8(&mut [0; 4]).bytes() {
            if b.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&b) {
                coded.push(char::from(b));
            } else {
                // Writing to a String can't fail.
                let _ = write!(coded, "%{b:02X}");
            }
        }
        match sections.last_mut() {
            Some(section) if section.len() + coded.len() <= MAX_PLAIN => section.push_str(&coded),
            _ => sections.push(coded),
        }
    }
    if let [whole] = sections.as_slice() {
        return format!("filename*={whole}");
    }
    let numbered = sections.iter().enumerate().map(|(number, section)| format!("filename*{number}*={section}"));
    numbered.collect::<Vec<_>>().join(";\r\n ")
}
