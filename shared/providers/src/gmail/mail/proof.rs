//! What was written is read back, by a parser that has no part in writing, before anything is sent.
//!
//! *Invariant:* a message that reads differently from what the caller asked for is not sent: not one header more, not one
//! recipient less.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mail_parser::{Addr, Address, ContentType, HeaderValue, MessageParser, MessagePart, MimeHeaders as _, PartType};

use super::{
    Mail, lines,
    recipients::{Mailbox, Recipient},
};

/// In what a message differs from what it was made from. It quotes neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Differs {
    /// The parser finds no message.
    #[error("the message that was written can't be read")]
    Unreadable,
    /// Other headers, or in another order.
    #[error("the message that was written has other headers")]
    Headers,
    /// Other recipients.
    #[error("the message that was written has other recipients in {0}")]
    Recipients(&'static str),
    /// Another subject.
    #[error("the message that was written has another subject")]
    Subject,
    /// Another message that it replies to.
    #[error("the message that was written replies to another one")]
    Reply,
    /// Other texts or attachments.
    #[error("the message that was written has other parts")]
    Parts,
}

/// Reads `message` and compares it with what it was made from.
pub(super) fn check(mail: &Mail<'_>, message: &[u8]) -> Result<(), Differs> {
    let read = MessageParser::default().parse(message).ok_or(Differs::Unreadable)?;
    let root = read.root_part();
    let names: Vec<_> = root.headers().iter().map(mail_parser::Header::name).collect();
    if names != headers(mail) {
        return Err(Differs::Headers);
    }
    let value = |name: &'static str| read.header(name).unwrap_or(&HeaderValue::Empty);
    for (name, expected) in mail.recipients() {
        if expected.is_empty() {
            continue;
        }
        let found = value(name).as_address().map(recipients).unwrap_or_default();
        if found != grouped(expected) {
            return Err(Differs::Recipients(name));
        }
    }
    if read.subject() != Some(mail.subject) {
        return Err(Differs::Subject);
    }
    if let Some(id) = &mail.in_reply_to {
        let bare = id.trim_start_matches('<').trim_end_matches('>');
        if ["In-Reply-To", "References"].iter().any(|name| value(name).as_text() != Some(bare)) {
            return Err(Differs::Reply);
        }
    }
    parts(mail, &read.parts, message)
}

/// The headers that a message has, in their order.
fn headers(mail: &Mail<'_>) -> Vec<&'static str> {
    let mut names = vec!["MIME-Version"];
    names.extend(mail.recipients().into_iter().filter(|(_, all)| !all.is_empty()).map(|(name, _)| name));
    names.push("Subject");
    if mail.in_reply_to.is_some() {
        names.extend(["In-Reply-To", "References"]);
    }
    names.push("Content-Type");
    if mail.html.is_none() && mail.attachments.is_empty() {
        names.push("Content-Transfer-Encoding");
    }
    names
}

/// Recipients as the parser has them: by group, those outside of groups in one without a name.
type Groups<'m> = Vec<(Option<Cow<'m, str>>, Vec<(Option<Cow<'m, str>>, Cow<'m, str>)>)>;

fn grouped(recipients: &[Recipient]) -> Groups<'_> {
    let one = |it: &'_ Mailbox| (it.name.clone().map(Cow::Owned), Cow::Owned(it.address.clone()));
    let mut groups: Groups<'_> = Vec::new();
    for recipient in recipients {
        match recipient {
            Recipient::Group { name, members } => {
                groups.push((Some(name.as_str().into()), members.iter().map(one).collect()));
            }
            Recipient::Mailbox(mailbox) => match groups.last_mut() {
                Some((None, members)) => members.push(one(mailbox)),
                _ => groups.push((None, vec![one(mailbox)])),
            },
        }
    }
    groups
}

fn recipients<'m>(address: &'m Address<'_>) -> Groups<'m> {
    let text = |text: &'m Option<Cow<'_, str>>| text.as_deref().map(Cow::Borrowed);
    let all =
        |all: &'m [Addr<'_>]| all.iter().map(|it| (text(&it.name), text(&it.address).unwrap_or_default())).collect();
    match address {
        Address::List(list) => vec![(None, all(list))],
        Address::Group(groups) => groups.iter().map(|group| (text(&group.name), all(&group.addresses))).collect(),
    }
}

/// Compares the texts and the attachments, in their order.
fn parts(mail: &Mail<'_>, parts: &[MessagePart<'_>], message: &[u8]) -> Result<(), Differs> {
    let mut leaves = parts.iter().filter(|part| !matches!(part.body, PartType::Multipart(_)));
    let texts = [("plain", Some(&mail.body)), ("html", mail.html.as_ref())];
    for (subtype, expected) in texts.into_iter().filter_map(|(subtype, text)| Some((subtype, text?))) {
        let same = leaves.next().is_some_and(|part| {
            let text = match &part.body {
                PartType::Text(text) | PartType::Html(text) => lines(text),
                PartType::Binary(_) | PartType::InlineBinary(_) | PartType::Message(_) | PartType::Multipart(_) => {
                    return false;
                }
            };
            // The parser leaves a byte order mark out.
            let same = text.trim_start_matches('\u{feff}') == expected.trim_start_matches('\u{feff}');
            is(part, "text", subtype) && part.content_disposition().is_none() && same
        });
        if !same {
            return Err(Differs::Parts);
        }
    }
    for attachment in &mail.attachments {
        let same = leaves.next().is_some_and(|part| {
            let (kind, subtype) = attachment.essence();
            let name =
                part.content_disposition().filter(|it| it.is_attachment()).and_then(|it| it.attribute("filename"));
            is(part, kind, subtype)
                && name == Some(attachment.name)
                && content(part, message).as_deref() == Some(&*attachment.content)
        });
        if !same {
            return Err(Differs::Parts);
        }
    }
    if leaves.next().is_some() { Err(Differs::Parts) } else { Ok(()) }
}

fn is(part: &MessagePart<'_>, kind: &str, subtype: &str) -> bool {
    let has = |found: &ContentType<'_>| {
        found.ctype().eq_ignore_ascii_case(kind) && found.subtype().is_some_and(|it| it.eq_ignore_ascii_case(subtype))
    };
    part.content_type().is_some_and(has)
}

/// The bytes of an attachment. The parser would recode those of a text.
fn content(part: &MessagePart<'_>, message: &[u8]) -> Option<Vec<u8>> {
    let range = usize::try_from(part.raw_body_offset()).ok()?..usize::try_from(part.raw_end_offset()).ok()?;
    let coded: Vec<u8> = message.get(range)?.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    STANDARD.decode(coded).ok()
}
