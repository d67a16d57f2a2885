//! The pages of a stream.

use std::collections::BTreeMap;

pub use domain::sync::stream::{About, Next, Whole};
use domain::{Change, RecordKey, Request, call::Unreadable};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What one page of a stream holds.
#[derive(Debug)]
pub struct StreamPage {
    /// The states of the objects on it, one of each object.
    pub changes: Vec<Change>,
    /// Calls for objects that it only names, with what each becomes if the provider has it no more.
    pub details: Vec<(Request, Change)>,
    /// The position of the next page, or the cursor.
    pub next: Next,
    /// The part of the stream of which this is the last page, where it was read from its beginning and not after a cursor.
    pub whole: Option<Whole>,
}

impl StreamPage {
    /// A page of changes. Of several of one object the newest stays; of those of one version the last.
    pub fn new(changes: impl IntoIterator<Item = Change>, next: Next) -> Self {
        let mut newest = BTreeMap::<RecordKey, Change>::new();
        for change in changes {
            let key = change.key().clone();
            if newest.get(&key).is_none_or(|kept| change.replaces(kept.version(), kept.is_deleted())) {
                newest.insert(key, change);
            }
        }
        Self { changes: newest.into_values().collect(), details: Vec::new(), next, whole: None }
    }
}

/// A page of the lists that say which objects carry which tag.
#[derive(Debug)]
pub struct TagsPage {
    /// The tag that the objects on it carry.
    pub tag: String,
    /// The ids of these objects; none on a page that only names the tags.
    pub ids: Vec<String>,
    /// The position of the next page; none after the last one of the last tag.
    pub next: Option<Value>,
}

/// The mark of the page after the one that is marked `current`. Without a mark there is none; the same mark again would
/// never end.
pub(crate) fn following(next: Option<String>, current: Option<&str>) -> Result<Option<String>, Unreadable> {
    let next = next.filter(|next| !next.is_empty());
    if next.is_some() && next.as_deref() == current {
        return Err(Unreadable("a page that follows itself"));
    }
    Ok(next)
}

/// A position or cursor of this shape; `None` if it is of another.
pub(crate) fn place<T: DeserializeOwned>(value: &Value) -> Option<T> {
    T::deserialize(value).ok()
}

/// The fields of a record: our name for each, and the JSON pointer to it in the provider's object. Absent ones are left out, and
/// so are nulls: whether a field without a value is sent depends on the provider's API version.
pub(crate) fn pick(object: &Value, fields: &[(&str, &str)]) -> Map<String, Value> {
    let field = |(name, pointer): &(&str, &str)| {
        let value = object.pointer(pointer).filter(|value| !value.is_null())?;
        Some(((*name).to_owned(), value.clone()))
    };
    fields.iter().filter_map(field).collect()
}

/// The same of each object in the list at `pointer`. `None` if there is no list.
pub(crate) fn pick_each(object: &Value, pointer: &str, fields: &[(&str, &str)]) -> Option<Value> {
    let list = object.pointer(pointer)?.as_array()?;
    Some(list.iter().map(|one| Value::from(pick(one, fields))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_names_itself_as_the_next_one_ends_the_run() {
        let next = |next: &str, current| following(Some(next.to_owned()), current);
        assert_eq!(next("b", Some("a")), Ok(Some("b".to_owned())));
        assert_eq!(next("", Some("a")), Ok(None));
        assert_eq!(following(None, None), Ok(None));
        assert!(next("a", Some("a")).is_err());
    }
}
