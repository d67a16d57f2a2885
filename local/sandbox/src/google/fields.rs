//! Google's partial responses: <https://developers.google.com/workspace/gmail/api/guides/performance#partial-response>, read 2026-11.
//!
//! `a,b/c,d(e,f)`: fields of an object, or of each object of a list. There is no recursion.

use serde_json::{Map, Value};

/// The selected fields of an answer. `None` if the selection can't be read.
pub(super) fn select(answer: &Value, mask: &str) -> Option<Value> {
    let (mut selected, mut rest) = (Value::Object(Map::new()), mask);
    loop {
        rest = path(answer, rest, &mut selected)?;
        rest = match rest.strip_prefix(',') {
            Some(rest) => rest,
            None if rest.is_empty() => return Some(selected),
            None => return None,
        };
    }
}

/// Reads one path at the beginning of `mask`, and adds what it selects of `from`. What follows it.
fn path<'m>(from: &Value, mask: &'m str, into: &mut Value) -> Option<&'m str> {
    let end = mask.find(['/', '(', ')', ',']).unwrap_or(mask.len());
    let (name, rest) = mask.split_at(end);
    if name.is_empty() {
        return None;
    }
    let below = match rest.as_bytes().first() {
        Some(b'/') => {
            let last = length(&rest[1..])?;
            Some((&rest[1..=last], &rest[last + 1..]))
        }
        Some(b'(') => {
            let close = closing(rest)?;
            Some((&rest[1..close], &rest[close + 1..]))
        }
        _ => None,
    };
    let (mask, rest) = below.map_or((None, rest), |(mask, rest)| (Some(mask), rest));
    let of = |value: &Value| match (mask, value) {
        (None, value) => Some(value.clone()),
        (Some(mask), Value::Array(list)) => {
            let each: Option<Vec<_>> = list.iter().map(|one| select(one, mask)).collect();
            each.map(Value::from)
        }
        (Some(mask), value) => select(value, mask),
    };
    if let Some(value) = from.get(name) {
        let value = of(value)?;
        match (into.get_mut(name), value) {
            // `a/b,a/c` selects both.
            (Some(Value::Object(known)), Value::Object(more)) => known.extend(more),
            (_, value) => into[name] = value,
        }
    } else if let Some(mask) = mask {
        select(&Value::Null, mask)?;
    }
    Some(rest)
}

/// How far the path at the beginning of a mask goes.
fn length(mask: &str) -> Option<usize> {
    let end = mask.find(['(', ')', ',']).unwrap_or(mask.len());
    match mask.as_bytes().get(end) {
        Some(b'(') => Some(end + closing(&mask[end..])? + 1),
        _ => Some(end),
    }
}

/// The bracket that closes the one at the beginning.
fn closing(mask: &str) -> Option<usize> {
    let mut open = 0_u32;
    for (at, sign) in mask.char_indices() {
        match sign {
            '(' => open += 1,
            ')' => open = open.checked_sub(1)?,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selection_keeps_what_it_names_of_objects_and_of_each_object_in_a_list() {
        let answer = json!({"id": "m", "more": 1, "payload": {
            "body": {"size": 3, "data": "x"}, "parts": [{"name": "a", "body": {"size": 4, "data": "y"}}, {"name": "b"}]
        }});
        let select = |mask| select(&answer, mask);
        assert_eq!(select("id,absent/of"), Some(json!({"id": "m"})));
        let parts =
            json!({"payload": {"body": {"size": 3}, "parts": [{"name": "a", "body": {"size": 4}}, {"name": "b"}]}});
        assert_eq!(select("payload(body/size,parts(name,body/size))"), Some(parts));
        assert_eq!(select("payload/parts/name"), Some(json!({"payload": {"parts": [{"name": "a"}, {"name": "b"}]}})));
        for wrong in ["", "id,", "payload(", "payload(body))", "absent(,)", "/id"] {
            assert_eq!(select(wrong), None, "{wrong}");
        }
    }
}
