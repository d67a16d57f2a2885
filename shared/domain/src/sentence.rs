//! Text for people, apart from the names and codes that programs read.

use std::{fmt, ops::Deref};

use serde::{Deserialize, Serialize};

/// The longest, in characters. A user's list of 80 accounts fits; an answer, an item of a table or an event that carries one for
/// each stream stays far below the limit of its service.
const MAX: usize = 4000;

/// A sentence or a few, for a person. Our own words, which may quote a name that a user, a caller or a provider chose.
///
/// *Invariant:* at most 4000 characters, whatever is quoted; the rest is cut off, also of a stored one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Sentence(String);

/// Cuts `text` after so many characters.
pub(crate) fn cut(mut text: String, max: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(max) {
        text.truncate(end);
    }
    text
}

impl From<String> for Sentence {
    fn from(text: String) -> Self {
        Self(cut(text, MAX))
    }
}

impl From<&str> for Sentence {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<Sentence> for String {
    fn from(sentence: Sentence) -> Self {
        sentence.0
    }
}

impl Deref for Sentence {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq<str> for Sentence {
    fn eq(&self, text: &str) -> bool {
        self.0 == text
    }
}

impl PartialEq<&str> for Sentence {
    fn eq(&self, text: &&str) -> bool {
        self.0 == *text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_bounded_however_it_is_made_and_a_character_is_never_cut_in_two() {
        let long = "é".repeat(MAX + 1);
        let sentence = Sentence::from(long.clone());
        assert_eq!(sentence, *"é".repeat(MAX));
        assert_eq!(serde_json::from_str::<Sentence>(&format!("\"{long}\"")).unwrap(), sentence);
        assert_eq!(serde_json::to_string(&Sentence::from("It is down.")).unwrap(), r#""It is down.""#);
    }
}
