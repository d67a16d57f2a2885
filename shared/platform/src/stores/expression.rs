//! DynamoDB's expressions, written with the attributes' own names: `state = :claimed AND lease_until <= :now`.
//!
//! *Invariant:* each attribute's name is sent as a placeholder (`#state`), so no expression can fail for one of DynamoDB's 573
//! reserved words (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ReservedWords.html>, read 2026-11).

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

/// The values of an expression, by the names that it calls them: `(":now", n(now))`.
pub(crate) type Value<'a> = (&'a str, AttributeValue);

/// The names and values that the expressions of one call share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expressions {
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

/// The attributes of a call that its expressions refer to. DynamoDB takes no empty map.
#[derive(Debug)]
pub(crate) struct Attributes {
    /// The attributes' names by their placeholders.
    pub(crate) names: Option<HashMap<String, String>>,
    /// The values by the names that the expressions call them.
    pub(crate) values: Option<HashMap<String, AttributeValue>>,
}

impl Expressions {
    /// One expression as DynamoDB takes it, and what it refers to.
    pub(crate) fn of<'a>(text: &str, values: impl IntoIterator<Item = Value<'a>>) -> (String, Self) {
        let mut expressions = Self::default();
        expressions.bind(values);
        (expressions.expression(text), expressions)
    }

    /// An expression as DynamoDB takes it. Operators are upper case, as are keywords; a function's name is followed by its
    /// parenthesis, a value's preceded by a colon. All other words are names of attributes.
    pub(crate) fn expression(&mut self, text: &str) -> String {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut expression = String::with_capacity(text.len() + 16);
        let mut rest = text;
        while let Some(start) = rest.find(is_word) {
            let (before, from) = rest.split_at(start);
            let (word, after) = from.split_at(from.find(|c| !is_word(c)).unwrap_or(from.len()));
            expression.push_str(before);
            if word.starts_with(|c: char| c.is_ascii_lowercase()) && !before.ends_with(':') && !after.starts_with('(') {
                expression.push('#');
                self.names.entry(format!("#{word}")).or_insert_with(|| word.to_owned());
            }
            expression.push_str(word);
            rest = after;
        }
        expression.push_str(rest);
        expression
    }

    /// Has the word stand for the attribute `name` in all expressions that follow.
    pub(crate) fn alias(&mut self, word: &str, name: &str) {
        self.names.insert(format!("#{word}"), name.to_owned());
    }

    pub(crate) fn bind<'a>(&mut self, values: impl IntoIterator<Item = Value<'a>>) {
        self.values.extend(values.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }

    /// What the expressions refer to.
    pub(crate) fn attributes(self) -> Attributes {
        let Self { names, values } = self;
        Attributes { names: Some(names).filter(|it| !it.is_empty()), values: Some(values).filter(|it| !it.is_empty()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_an_attribute_and_nothing_else_becomes_a_placeholder() {
        for (text, expected) in [
            ("state = :state", "#state = :state"),
            ("attribute_not_exists(key)", "attribute_not_exists(#key)"),
            ("state IN (:retry, :dead)", "#state IN (:retry, :dead)"),
            ("at BETWEEN :at AND :latest", "#at BETWEEN :at AND :latest"),
            ("fence = if_not_exists(fence, :zero) + :one", "#fence = if_not_exists(#fence, :zero) + :one"),
            ("type, day_2", "#type, #day_2"),
        ] {
            let (expression, expressions) = Expressions::of(text, []);
            assert_eq!(expression, expected);
            let names = expressions.attributes().names.unwrap();
            assert!(names.iter().all(|(word, name)| *word == format!("#{name}")), "{text}");
        }
        let mut expressions = Expressions::default();
        expressions.alias("holder", "owner");
        assert_eq!(expressions.expression("holder = :holder"), "#holder = :holder");
        assert_eq!(expressions.attributes().names.unwrap()["#holder"], "owner");
    }
}
