//! The phrases of an address list: the names of mailboxes and groups.
//!
//! *Invariant:* a name is refused unless every encoded word in it can be read: none is shown raw or half decoded.

use mail_parser::MessageParser;
use parse_net::text::parse_quoted;

use super::{NotRecipients, utf8};

/// The text that a phrase stands for: quoted strings unquoted, encoded words decoded unless they are quoted (RFC 2047 §5).
pub(super) fn phrase(mut rest: &str) -> Result<String, NotRecipients> {
    let mut name = String::new();
    // Encoded words that follow each other are one text, without the space between them (RFC 2047 §6.2).
    let mut encoded = String::new();
    let mut spaced = false;
    while !rest.is_empty() {
        let trimmed = rest.trim_start_matches(' ');
        spaced |= trimmed.len() < rest.len();
        rest = trimmed;
        let (word, used) = if rest.starts_with('"') {
            let (quoted, used) = parse_quoted(rest.as_bytes())?;
            let bytes: Vec<u8> = quoted.bytes().collect();
            (utf8(&bytes).to_owned(), used)
        } else {
            let used = rest.find([' ', '"']).unwrap_or(rest.len());
            let atom = &rest[..used];
            if is_encoded(atom) {
                if encoded.is_empty() && spaced && !name.is_empty() {
                    name.push(' ');
                }
                encoded.push_str(atom);
                encoded.push(' ');
                (rest, spaced) = (&rest[used..], false);
                continue;
            }
            (atom.to_owned(), used)
        };
        name.push_str(&decode(&std::mem::take(&mut encoded))?);
        if spaced && !name.is_empty() {
            name.push(' ');
        }
        name.push_str(&word);
        (rest, spaced) = (&rest[used..], false);
    }
    name.push_str(&decode(&encoded)?);
    if name.chars().any(char::is_control) {
        return Err(NotRecipients::Control);
    }
    Ok(name)
}

/// Whether an atom has the form of an encoded word: `=?charset?encoding?text?=`.
fn is_encoded(atom: &str) -> bool {
    let inner = atom.strip_prefix("=?").and_then(|rest| rest.strip_suffix("?="));
    inner.is_some_and(|inner| inner.split('?').count() == 3)
}

/// Decodes encoded words with spaces between them.
fn decode(words: &str) -> Result<String, NotRecipients> {
    const CHARSETS: [&str; 3] = ["utf-8", "us-ascii", "iso-8859-1"];
    if words.is_empty() {
        return Ok(String::new());
    }
    let charset = |word: &str| {
        let charset = word.trim_start_matches("=?").split(['?', '*']).next().unwrap_or_default().to_ascii_lowercase();
        CHARSETS.contains(&&*charset)
    };
    let header = format!("Subject: {words}\r\n\r\n");
    let message = MessageParser::default().parse_headers(header.as_bytes());
    let text = message.as_ref().and_then(|message| message.subject()).unwrap_or_default();
    let is_whole = !text.is_empty() && !text.contains("=?") && !text.contains('\u{fffd}');
    if words.split_whitespace().all(charset) && is_whole {
        Ok(text.to_owned())
    } else {
        Err(NotRecipients::EncodedWord)
    }
}
