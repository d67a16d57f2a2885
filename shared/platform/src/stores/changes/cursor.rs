//! Where a feed goes on, as a text that the caller keeps.
//!
//! *Invariant:* a cursor names no data: another user's gives nothing of theirs, whatever it says. It is refused all the same, as is one
//! of another selection, which would leave a gap.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::{IntegrationId, ProviderId, RecordKey, UserId};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::stores::records::Position;

/// The longest cursor in bytes of text, which has the longest key of a record: 16 digits of a hash, three times, an integration's id, a key.
const MAX_LENGTH: usize = 1600;
/// Between the parts of a cursor. Only the last one, a record's key, may have it inside.
const SEPARATOR: char = '.';

/// Which feed is followed.
#[derive(Debug, Clone, Copy)]
pub struct Feed<'a> {
    /// Whose records.
    pub user_id: &'a UserId,
    /// Only those of this provider.
    pub provider: Option<&'a ProviderId>,
    /// Only those of this stream.
    pub stream: Option<&'a str>,
}

/// Where a feed goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// All that changed until then was given.
    pub(super) from: Timestamp,
    /// The walk that goes on from there.
    pub(super) walk: Option<Walk>,
}

/// A walk through the integrations, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Walk {
    /// Until when changes are given.
    pub(super) to: Timestamp,
    /// Where it is: those before are done, those after not begun.
    pub(super) integration: IntegrationId,
    /// How far this one is read, if it is begun.
    pub(super) position: Option<Position>,
}

impl Feed<'_> {
    /// What a cursor has of its feed.
    fn hash(&self) -> String {
        let mut hash = Sha256::new();
        let (provider, stream) = (self.provider.map_or("", ProviderId::as_str), self.stream.unwrap_or_default());
        for part in [self.user_id.as_str(), provider, stream] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        hex::encode(&hash.finalize()[..8])
    }
}

impl Cursor {
    /// Before all changes.
    pub(super) const BEGINNING: Self = Self { from: Timestamp::UNIX_EPOCH, walk: None };

    /// Reads what [`Self::text`] wrote for this feed. None if it is anything else, or of a time to come.
    pub fn parse(text: &str, feed: &Feed<'_>, now: Timestamp) -> Option<Self> {
        let text = Some(text).filter(|text| text.len() <= MAX_LENGTH)?;
        let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let mut parts = text.splitn(6, SEPARATOR);
        if parts.next()? != feed.hash() {
            return None;
        }
        let from = micros(parts.next()?)?;
        let walk = match parts.next() {
            None => None,
            Some(to) => {
                let (to, integration) = (micros(to)?, parts.next()?.parse().ok()?);
                let position = match parts.next() {
                    None => None,
                    Some(at) => {
                        let record = parts.next().map(RecordKey::parse).transpose().ok()?;
                        Some(Position { changed_at: micros(at)?, record })
                    }
                };
                Some(Walk { to, integration, position })
            }
        };
        let (to, at) = walk.as_ref().map_or((from, from), |walk| {
            let at = walk.position.as_ref().map_or(walk.to, |position| position.changed_at);
            (walk.to, at)
        });
        (from <= to && at <= to && to <= now).then_some(Self { from, walk })
    }

    /// The text for callers, which goes into a URL.
    pub fn text(&self, feed: &Feed<'_>) -> String {
        let mut parts = vec![feed.hash(), number(self.from)];
        if let Some(Walk { to, integration, position }) = &self.walk {
            parts.extend([number(*to), integration.to_string()]);
            if let Some(Position { changed_at, record }) = position {
                parts.push(number(*changed_at));
                parts.extend(record.as_ref().map(ToString::to_string));
            }
        }
        BASE64_URL_SAFE_NO_PAD.encode(parts.join(&SEPARATOR.to_string()))
    }
}

fn number(at: Timestamp) -> String {
    at.as_microsecond().to_string()
}

fn micros(text: &str) -> Option<Timestamp> {
    let micros = text.parse().ok().filter(|micros| (0..=i64::MAX).contains(micros));
    micros.and_then(|micros| Timestamp::from_microsecond(micros).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_microsecond(micros).unwrap()
    }

    /// A cursor amid a walk from 1,000 to 2,000.
    fn amid(position: Option<Position>) -> Cursor {
        let integration = IntegrationId::parse(format!("int_{}", "0a".repeat(16))).unwrap();
        Cursor { from: at(1000), walk: Some(Walk { to: at(2000), integration, position }) }
    }

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_has_a_bounded_size() {
        let user_id = user("ada");
        let feed = Feed { user_id: &user_id, provider: None, stream: None };
        let key = |id: &str| RecordKey::within("events", "a.b", id).unwrap();
        let place = |record| amid(Some(Position { changed_at: at(1500), record }));
        let long = key(&"\u{1}".repeat(1024 - "events#a.b/".len()));
        for cursor in [
            Cursor::BEGINNING,
            Cursor { from: at(1000), walk: None },
            amid(None),
            place(None),
            place(Some(key("c.d\"\n#"))),
            place(Some(long)),
        ] {
            let text = cursor.text(&feed);
            assert!(text.len() <= MAX_LENGTH, "{}", text.len());
            assert!(text.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-' || it == b'_'), "{text}");
            assert_eq!(Cursor::parse(&text, &feed, at(2000)), Some(cursor));
        }
    }

    #[test]
    fn what_no_answer_for_this_feed_gave_is_refused() {
        let (ada, bob, slack) = (user("ada"), user("bob"), ProviderId::parse("slack").unwrap());
        let feed = Feed { user_id: &ada, provider: None, stream: None };
        let cursor = amid(Some(Position { changed_at: at(1500), record: None }));
        let text = cursor.text(&feed);
        let of = |feed: Feed<'_>| Cursor::parse(&text, &feed, at(2000));
        assert_eq!(of(feed), Some(cursor));
        assert_eq!(of(Feed { user_id: &bob, ..feed }), None);
        assert_eq!(of(Feed { provider: Some(&slack), ..feed }), None);
        assert_eq!(of(Feed { stream: Some("users"), ..feed }), None);
        assert_eq!(Cursor::parse(&text, &feed, at(1999)), None, "of a time to come");
        for text in ["", "nope", &text[1..], &format!("{text}A"), &format!("{text}="), &"A".repeat(100_000)] {
            assert_eq!(Cursor::parse(text, &feed, at(2000)), None, "{text:.40}");
        }
        let (hash, id) = (feed.hash(), format!("int_{}", "0a".repeat(16)));
        for parts in [
            String::new(),
            hash.clone(),
            format!("{hash}."),
            format!("{hash}.-1"),
            format!("{hash}.{}", i64::MAX),
            format!("{hash}.99999999999999999999"),
            format!("{hash}.1000.2000"),
            format!("{hash}.1000.2000.int_x"),
            format!("{hash}.1000.999.{id}"),
            format!("{hash}.1000.2000.{id}."),
            format!("{hash}.1000.2000.{id}.2001"),
            format!("{hash}.1000.2000.{id}.1500."),
            format!("{hash}.1000.2000.{id}.1500.no-key"),
            format!("{hash}.1000.2000.{id}.1500.events#{}", "x".repeat(1025 - "events#".len())),
        ] {
            let text = BASE64_URL_SAFE_NO_PAD.encode(&parts);
            assert_eq!(Cursor::parse(&text, &feed, at(2000)), None, "{parts:.100}");
        }
    }
}
