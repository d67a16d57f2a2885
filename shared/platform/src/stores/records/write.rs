//! The write that brings the record of one object up to date.
//!
//! *Invariant:* no stale write wins, and equal data is not written. The condition that DynamoDB checks and [`Write::after`] say the
//! same of what is stored.

use aws_sdk_dynamodb::types::{ReturnValue, TransactWriteItem};
use domain::{Change, Version, sync::manifest::ContentHash};
use jiff::Timestamp;

use crate::{
    aws::AwsError,
    base::clock,
    stores::{
        item::{Item, bytes, flag, micros, n, number, s, text, time},
        table::{Outcome, Update},
    },
};

const SET: &str = "stream = :stream, id = :id, version = :version, updated_at = :updated_at, deleted = :deleted, \
                   data = :data, content = :content, changed_at = :changed_at";
/// A record that a sync deleted because it did not see it comes back by a state of the same version.
const REPLACES: &str = "attribute_not_exists(record) OR ((version < :version OR (version = :version AND \
                        (deleted = :false OR attribute_exists(swept)))) AND (deleted <> :deleted OR data <> :data))";
const KEEPS_TIES: &str = "attribute_not_exists(record) OR ((version < :version OR (version = :version AND \
                          attribute_exists(swept))) AND (deleted <> :deleted OR data <> :data))";

/// A write that is made only if it brings its record up to date: see the module.
#[derive(Debug, Clone)]
pub struct Write {
    /// Of the record, without a clause.
    record: Update,
    stream: String,
    id: String,
    version: Version,
    updated_at: Timestamp,
    deleted: bool,
    /// JSON.
    data: String,
    /// Whether it replaces another state of the same version.
    replaces: bool,
    form: Form,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A new state.
    Content,
    /// Only that the stored state was the object's at this version too, so that no state between the two replaces it.
    Version,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// A new state is stored.
    Written {
        /// Whether the object was there before.
        was_live: bool,
    },
    /// The record says the same.
    Same,
    /// The record holds a newer state, or another one of the same version.
    Newer {
        /// The hash of its data.
        content: ContentHash,
        /// Whether it is a tombstone.
        deleted: bool,
    },
    /// No record can hold it.
    TooLarge,
}

/// What follows for a write that was refused.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It can be made so.
    Again(Box<Write>),
    /// Nothing: the record says the same, or something newer.
    Settled,
    /// Another state of the same version is stored, and the versions don't say which is the later.
    Tie,
}

impl Write {
    pub(super) fn new(record: Update, change: &Change, data: String, replaces: bool) -> Self {
        Self {
            record,
            stream: change.key().stream().to_owned(),
            id: change.key().id().to_owned(),
            version: change.version(),
            updated_at: change.updated_at(),
            deleted: change.is_deleted(),
            data,
            replaces,
            form: Form::Content,
        }
    }

    /// Makes the write in the form that what is stored needs.
    pub(super) async fn send(self) -> Result<Put, AwsError> {
        let mut write = self;
        loop {
            match (write.update().returning(ReturnValue::UpdatedOld).send().await?, write.form) {
                (Outcome::Written(_), Form::Version) => return Ok(Put::Same),
                (Outcome::Written(before), Form::Content) => {
                    return Ok(Put::Written { was_live: deleted(&before) == Some(false) });
                }
                (Outcome::Refused(stored), _) => match write.after(&stored) {
                    Refused::Again(next) => write = *next,
                    Refused::Settled | Refused::Tie => return Ok(write.beside(&stored)),
                },
            }
        }
    }

    /// The write as part of a transaction that is sent at once.
    pub(crate) fn transact(&self) -> Result<TransactWriteItem, AwsError> {
        self.update().transact()
    }

    /// What follows if the write was refused for this record.
    pub(crate) fn after(&self, stored: &Item) -> Refused {
        let Ok(version) = number(stored, "version").map(Version::stored) else { return Refused::Settled };
        let was_deleted = deleted(stored);
        let is_equal = was_deleted == Some(self.deleted) && text(stored, "data").is_ok_and(|data| data == self.data);
        let form = if is_equal { Form::Version } else { Form::Content };
        let both_live = was_deleted == Some(false) && !self.deleted;
        if version < self.version && form != self.form {
            Refused::Again(Box::new(Self { form, ..self.clone() }))
        } else if version == self.version && !is_equal && both_live && !self.replaces {
            Refused::Tie
        } else {
            Refused::Settled
        }
    }

    /// What a record that refused the write is beside it.
    fn beside(&self, stored: &Item) -> Put {
        let (data, deleted) = (text(stored, "data").unwrap_or_default(), deleted(stored).unwrap_or_default());
        if data == self.data && deleted == self.deleted {
            return Put::Same;
        }
        Put::Newer { content: ContentHash::of(data), deleted }
    }

    /// The update of a write that is sent at once: a record is indexed by the time at which it changed.
    fn update(&self) -> Update {
        let compared =
            [(":version", n(self.version.get())), (":deleted", flag(self.deleted)), (":data", s(&*self.data))];
        let update = self.record.clone().remove("swept").with(compared);
        if self.form == Form::Version {
            return update.set("version = :version").when("version < :version AND deleted = :deleted AND data = :data");
        }
        let update =
            if self.replaces { update.when(REPLACES).with([(":false", flag(false))]) } else { update.when(KEEPS_TIES) };
        update.set(SET).with([
            (":stream", s(&*self.stream)),
            (":id", s(&*self.id)),
            (":updated_at", time(self.updated_at)),
            (":content", bytes(ContentHash::of(&self.data).bytes().to_vec())),
            (":changed_at", micros(clock::now())),
        ])
    }
}

fn deleted(item: &Item) -> Option<bool> {
    item.get("deleted").and_then(|it| it.as_bool().ok()).copied()
}
