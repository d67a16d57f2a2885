//! Calls of Slack's methods, as its official SDKs send them: POST, with the arguments in a form.
//!
//! Slack takes most methods by GET as well, and some by JSON; a form is taken by each:
//! <https://docs.slack.dev/apis/web-api/#basics>, and `@slack/web-api` 8.2, read 2026-11.

use domain::Request;
use serde_json::Value;

use super::SPEC;

/// A call of the method at `path`, which changes something unless the caller says otherwise ([`Request::safe`]). Of the
/// arguments, which are an object, null is left out; lists and objects go as JSON.
pub(super) fn call(path: &'static str, arguments: &Value) -> Request {
    let arguments: Vec<_> = arguments
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.as_str(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    SPEC.post(path, "").form(arguments.iter().map(|(name, value)| (*name, value.as_str())))
}

#[cfg(test)]
mod tests {
    use domain::call::Idempotent;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_method_is_posted_with_its_arguments_in_a_form_and_what_is_no_text_as_json() {
        let arguments = json!({
            "channel": "C1", "text": "a&b=ü", "blocks": [{"type": "divider"}], "limit": 200, "unfurl_links": false,
            "cursor": null, "empty": ""
        });
        let request = call("/chat.postMessage", &arguments);
        assert_eq!((request.method.as_str(), request.idempotent), ("POST", Idempotent::No));
        assert_eq!(request.url, "https://slack.com/api/chat.postMessage");
        let (kind, body) = request.body.unwrap();
        assert_eq!(kind, "application/x-www-form-urlencoded");
        let expected = "blocks=%5B%7B%22type%22%3A%22divider%22%7D%5D&channel=C1&empty=&limit=200\
                        &text=a%26b%3D%C3%BC&unfurl_links=false";
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
}
