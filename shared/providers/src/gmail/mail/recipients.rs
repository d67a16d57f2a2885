//! Recipients as a caller writes them: the address lists of RFC 5322 §3.4, with the UTF-8 of RFC 6532 in names.
//!
//! *Invariant:* what is not an address list is refused, and nothing of it is repaired or dropped: a parser that reads mail must
//! be lenient, and one that decides where mail goes may not be. The words of the grammar (addresses, phrases, quoted strings,
//! comments) are read by `parse-net`, which is strict; lists and groups are taken apart here.

mod phrase;

use parse_net::{
    Limits, ParseError,
    mail::{Domain, LocalPart, parse_mailbox},
    text::{parse_comment, parse_quoted},
};

use self::phrase::phrase;

/// Why a text is no list of recipients. Its text is for the caller.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotRecipients {
    /// A character that could end a header, or that no mail program shows.
    #[error("This may not have line breaks or other control characters.")]
    Control,
    /// It has no recipient, or nothing between two commas.
    #[error("An e-mail address is missing here.")]
    Empty,
    /// A word is not what RFC 5322 says.
    #[error("This must be e-mail addresses, such as ada@example.com or \"Lovelace, Ada\" <ada@example.com>.")]
    Grammar(#[source] ParseError),
    /// A bracket without its other half.
    #[error("An angle bracket has no other half here.")]
    Bracket,
    /// A group that is not ended, that is in another one, or an end without a beginning.
    #[error("A group is written as \"Name: ada@example.com, bob@example.com;\".")]
    Group,
    /// An address outside ASCII, which a recipient's mail server need not take.
    #[error("An e-mail address must be in ASCII: write the part after \"@\" as xn--….")]
    NotAscii,
    /// An encoded word in an address, where RFC 2047 §5 does not allow it and programs read it differently.
    #[error("An e-mail address may not have an encoded word in it.")]
    EncodedAddress,
    /// A quoted local part that programs read differently.
    #[error("A quoted part before \"@\" may not have brackets, backslashes or tabs.")]
    QuotedAddress,
    /// Neither a name in the domain name system nor a number in brackets after the `@`.
    #[error("After \"@\" there must be a domain, such as example.com.")]
    Domain,
    /// An encoded word (RFC 2047) that can't be read.
    #[error("An encoded word must be in UTF-8 or Latin-1, and complete.")]
    EncodedWord,
}

impl From<ParseError> for NotRecipients {
    fn from(error: ParseError) -> Self {
        Self::Grammar(error)
    }
}

/// One entry of an address list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Recipient {
    /// One address, with or without a name.
    Mailbox(Mailbox),
    /// A group, which may be empty: `undisclosed-recipients:;`.
    Group {
        /// Shown in place of the addresses.
        name: String,
        /// Each receives the mail.
        members: Vec<Mailbox>,
    },
}

impl Recipient {
    /// Whether it has a recipient: a group can be empty.
    pub(super) fn has_mailbox(&self) -> bool {
        match self {
            Self::Mailbox(_) => true,
            Self::Group { members, .. } => !members.is_empty(),
        }
    }
}

/// A mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mailbox {
    /// The name for people, decoded.
    pub(super) name: Option<String>,
    /// The address, in ASCII, as it is written in a header.
    pub(super) address: String,
}

/// Reads an address list.
pub(super) fn read(text: &str) -> Result<Vec<Recipient>, NotRecipients> {
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err(NotRecipients::Control);
    }
    let mut list = List::default();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let used = match c {
            '"' => parse_quoted(rest.as_bytes())?.1,
            '(' => parse_comment(rest.as_bytes(), &Limits::DEFAULT)?.1,
            '[' => rest.find(']').map_or(rest.len(), |at| at + 1),
            c => c.len_utf8(),
        };
        let (piece, after) = rest.split_at(used);
        list.take(c, piece)?;
        rest = after;
    }
    list.end()
}

/// An address list as far as it is read.
#[derive(Debug, Default)]
struct List {
    entries: Vec<Recipient>,
    /// The group that is open.
    group: Option<(String, Vec<Mailbox>)>,
    /// A mailbox, or the name of a group, without comments and with single spaces.
    entry: String,
    /// Whether this entry is between angle brackets.
    angle: bool,
    /// Whether a group has ended, and only a comma may follow.
    ended: bool,
}

impl List {
    fn take(&mut self, c: char, piece: &str) -> Result<(), NotRecipients> {
        match c {
            // White space and comments may stand around the `@`, and inside the brackets; they say nothing.
            ' ' | '\t' | '(' if self.entry.is_empty() || self.entry.ends_with([' ', '@', '<']) => {}
            ' ' | '\t' | '(' => self.entry.push(' '),
            ',' if !self.angle && self.ended => self.ended = false,
            ',' if !self.angle => self.mailbox()?,
            _ if self.ended => return Err(NotRecipients::Group),
            ':' if !self.angle => {
                if self.group.is_some() {
                    return Err(NotRecipients::Group);
                }
                // A phrase is checked where it names a mailbox.
                let named = mailbox(&format!("{}<x@x>", std::mem::take(&mut self.entry)))?;
                self.group = Some((named.name.ok_or(NotRecipients::Group)?, Vec::new()));
            }
            ';' if !self.angle => {
                let is_empty = self.group.as_ref().is_some_and(|(_, members)| members.is_empty());
                if !is_empty || !self.entry.is_empty() {
                    self.mailbox()?;
                }
                let (name, members) = self.group.take().ok_or(NotRecipients::Group)?;
                self.entries.push(Recipient::Group { name, members });
                self.ended = true;
            }
            '<' if self.angle => return Err(NotRecipients::Bracket),
            '>' if !self.angle => return Err(NotRecipients::Bracket),
            '<' => {
                self.angle = true;
                self.entry.push('<');
            }
            '>' => {
                self.angle = false;
                self.trim();
                self.entry.push('>');
            }
            '@' => {
                self.trim();
                self.entry.push('@');
            }
            _ => self.entry.push_str(piece),
        }
        Ok(())
    }

    fn trim(&mut self) {
        self.entry.truncate(self.entry.trim_end_matches(' ').len());
    }

    /// The entry is a mailbox, and ends here.
    fn mailbox(&mut self) -> Result<(), NotRecipients> {
        let mailbox = mailbox(&std::mem::take(&mut self.entry))?;
        match &mut self.group {
            Some((_, members)) => members.push(mailbox),
            None => self.entries.push(Recipient::Mailbox(mailbox)),
        }
        Ok(())
    }

    fn end(mut self) -> Result<Vec<Recipient>, NotRecipients> {
        if self.angle {
            return Err(NotRecipients::Bracket);
        }
        if self.group.is_some() {
            return Err(NotRecipients::Group);
        }
        if !self.ended {
            self.mailbox()?;
        }
        Ok(self.entries)
    }
}

fn mailbox(text: &str) -> Result<Mailbox, NotRecipients> {
    let text = text.trim();
    if text.is_empty() {
        return Err(NotRecipients::Empty);
    }
    let parsed = parse_mailbox(text.as_bytes(), &Limits::DEFAULT)?;
    if !parsed.addr.is_ascii() {
        return Err(NotRecipients::NotAscii);
    }
    let local = match parsed.addr.local {
        LocalPart::DotAtom(atom) => utf8(atom).to_owned(),
        LocalPart::Quoted(quoted) if quoted.raw().iter().any(|b| b"<>()[]\\\t".contains(b)) => {
            return Err(NotRecipients::QuotedAddress);
        }
        LocalPart::Quoted(quoted) => format!("\"{}\"", utf8(quoted.raw())),
    };
    let domain = match parsed.addr.domain {
        Domain::DotAtom(name) if name.iter().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(b)) => {
            utf8(name).to_owned()
        }
        Domain::Literal(literal) if literal.iter().all(|b| b.is_ascii_alphanumeric() || b"-.:".contains(b)) => {
            format!("[{}]", utf8(literal))
        }
        Domain::DotAtom(_) | Domain::Literal(_) => return Err(NotRecipients::Domain),
    };
    if local.split_once("=?").is_some_and(|(_, rest)| rest.contains('?')) {
        return Err(NotRecipients::EncodedAddress);
    }
    let name = parsed.display_name.map(|name| phrase(utf8(name))).transpose()?;
    Ok(Mailbox { name: name.filter(|name| !name.is_empty()), address: format!("{local}@{domain}") })
}

/// Slices of a text, at characters of ASCII.
fn utf8(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
