//! Form encoding: queries, bodies, and nesting by brackets.

use serde_json::{Map, Value};

/// Decoded pairs, in the order sent.
#[derive(Clone, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Every text is a form.
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// The first value under a name; an empty one counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next().filter(|value| !value.is_empty())
    }

    /// All values under a name.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// `items[0][price]=p&expand[]=e` as `{"items":{"0":{"price":"p"}},"expand":["e"]}`.
    pub(super) fn nested(&self) -> Map<String, Value> {
        let mut whole = Value::Object(Map::new());
        for (name, value) in self.pairs() {
            let path: Vec<_> = name.split('[').map(|part| part.trim_end_matches(']')).collect();
            place(&mut whole, &path, value);
        }
        whole.as_object().cloned().unwrap_or_default()
    }
}

/// `url` with these parameters added to its query.
pub(super) fn link(url: &str, parameters: &[(&str, &str)]) -> String {
    let encoded = encode(parameters.iter().copied());
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{encoded}")
}

/// Pairs as a form.
pub(super) fn encode<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn place(into: &mut Value, path: &[&str], leaf: &str) {
    match path {
        [] => *into = leaf.into(),
        [""] => match into.as_array_mut() {
            Some(list) => list.push(leaf.into()),
            None => *into = Value::Array(vec![leaf.into()]),
        },
        [name, rest @ ..] => {
            if !into.is_object() {
                *into = Value::Object(Map::new());
            }
            place(&mut into[*name], rest, leaf);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn brackets_nest() {
        let form = Form::parse(b"customer=cus_1&items[0][price]=p&expand[]=a&expand[]=b&metadata[x]=1");
        let expected = json!({
            "customer": "cus_1", "items": { "0": { "price": "p" } }, "expand": ["a", "b"], "metadata": { "x": "1" },
        });
        assert_eq!(Value::Object(form.nested()), expected);
    }
}
