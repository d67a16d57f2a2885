//! Messages that are made on demand: a mailbox of many of them takes no memory but for those that changed.
//!
//! *Invariant:* a message follows from the seed and its number alone, so that it is the same whenever it is asked for.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::message::Message;

/// An odd number makes the product over 64 bits reversible, and ids that look like Gmail's.
const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
const INVERSE: u64 = inverse(ODD);
const CATEGORIES: [&str; 4] = ["CATEGORY_PERSONAL", "CATEGORY_UPDATES", "CATEGORY_PROMOTIONS", "CATEGORY_SOCIAL"];
pub(super) const USER_LABELS: [&str; 8] =
    ["Label_1", "Label_2", "Label_3", "Label_4", "Label_5", "Label_6", "Label_7", "Label_8"];

/// The messages of a seed, the newest first.
pub(super) struct Lazy {
    seed: u32,
    count: u32,
    /// When the newest one came; the others came a minute apart.
    at: Timestamp,
    /// The history id of all that did not change.
    history_id: u64,
    changed: BTreeMap<u32, Changed>,
}

/// What became of a message.
enum Changed {
    Labelled(Vec<String>, u64),
    Deleted,
}

impl Lazy {
    pub(super) fn new(seed: u32, count: u32, at: Timestamp, history_id: u64) -> Self {
        Self { seed, count, at, history_id, changed: BTreeMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        let deleted = self.changed.values().filter(|it| matches!(it, Changed::Deleted)).count();
        usize::try_from(self.count).unwrap_or(usize::MAX) - deleted
    }

    /// The number of the message of this id, also of one that is deleted.
    pub(super) fn number(&self, id: &str) -> Option<u32> {
        let plain = u64::from_str_radix(id, 16).ok().filter(|_| id.len() == 16)?.wrapping_mul(INVERSE);
        let number = u32::try_from(plain & u64::from(u32::MAX)).ok()?;
        (plain >> 32 == u64::from(self.seed) && number < self.count).then_some(number)
    }

    pub(super) fn id(&self, number: u32) -> String {
        format!("{:016x}", (u64::from(self.seed) << 32 | u64::from(number)).wrapping_mul(ODD))
    }

    /// The numbers of the messages that are there, from this one on.
    pub(super) fn from(&self, number: u32) -> impl Iterator<Item = u32> {
        (number..self.count).filter(|number| !matches!(self.changed.get(number), Some(Changed::Deleted)))
    }

    /// Whether a message has all of these labels; `hidden` ones are those that it must not have.
    pub(super) fn matches(&self, number: u32, labels: &[&str], hidden: &[&str]) -> bool {
        let check = |own: &[&str]| {
            labels.iter().all(|label| own.contains(label)) && !hidden.iter().any(|label| own.contains(label))
        };
        match self.changed.get(&number) {
            Some(Changed::Labelled(own, _)) => check(&own.iter().map(String::as_str).collect::<Vec<_>>()),
            Some(Changed::Deleted) => false,
            // None of them begins in spam or trash.
            None if labels.is_empty() => true,
            None => check(&self.first_labels(number)),
        }
    }

    /// The message of this number; none if it is deleted.
    pub(super) fn message(&self, number: u32) -> Option<Message> {
        let (labels, history_id) = match self.changed.get(&number) {
            Some(Changed::Labelled(labels, history_id)) => (labels.clone(), *history_id),
            Some(Changed::Deleted) => return None,
            None => (self.first_labels(number).into_iter().map(str::to_owned).collect(), self.history_id),
        };
        let (id, at) = (self.id(number), self.came(number));
        let headers = [
            ("From", "Grace Hopper <grace@example.com>".to_owned()),
            ("To", "Ada Lovelace <ada@example.com>".to_owned()),
            ("Subject", format!("Message {number}")),
            ("Date", at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()),
            ("Message-ID", format!("<{id}@mail.gmail.com>")),
        ];
        Some(Message {
            thread: id.clone(),
            id,
            labels,
            headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
            body: format!("The text of message {number}."),
            raw: None,
            at,
            history_id,
        })
    }

    pub(super) fn label(&mut self, number: u32, labels: &[String], history_id: u64) {
        self.changed.insert(number, Changed::Labelled(labels.to_vec(), history_id));
    }

    pub(super) fn remove(&mut self, number: u32) {
        self.changed.insert(number, Changed::Deleted);
    }

    pub(super) fn came(&self, number: u32) -> Timestamp {
        self.at - SignedDuration::from_mins(number.into())
    }

    fn first_labels(&self, number: u32) -> Vec<&'static str> {
        let mixed = (u64::from(self.seed) << 32 | u64::from(number)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let random = mixed ^ mixed >> 29;
        let one_in = |many: u64, shift: u32| (random >> shift).is_multiple_of(many);
        let pick = |from: &[&'static str], shift: u32| {
            let place = usize::try_from((random >> shift) % 8).unwrap_or_default();
            from.get(place % from.len()).copied()
        };
        let mut labels = Vec::new();
        if one_in(8, 3) {
            labels.push("SENT");
        } else {
            labels.extend(pick(&CATEGORIES, 7));
            labels.extend(one_in(4, 11).then_some("INBOX"));
            labels.extend(one_in(10, 17).then_some("UNREAD"));
            labels.extend(one_in(5, 23).then_some("IMPORTANT"));
        }
        labels.extend(one_in(50, 31).then_some("STARRED"));
        labels.extend(if one_in(10, 37) { pick(&USER_LABELS, 41) } else { None });
        labels
    }
}

/// Newton's method over 64 bits: each step doubles the bits that are right.
const fn inverse(odd: u64) -> u64 {
    let (mut inverse, mut step) = (odd, 0);
    while step < 6 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}
