use std::collections::HashMap;

use lambda_http::{Body, Request};

use super::*;

fn request(method: &str, path_and_query: &str, content_type: &str, body: &str) -> Request {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let request = ::http::Request::builder().method(method).uri(format!("https://api.example.com{path_and_query}"));
    let request = request.header("content-type", content_type).body(Body::from(body)).unwrap();
    let query: HashMap<String, Vec<String>> =
        form_urlencoded::parse(query.as_bytes()).into_owned().fold(HashMap::new(), |mut all, (name, value)| {
            all.entry(name).or_default().push(value);
            all
        });
    request.with_raw_http_path(path).with_query_string_parameters(query)
}

fn wrong(method: &str, path: &str, content_type: &str, body: &str) -> Vec<String> {
    let request = request(method, path, content_type, body);
    let problem = Call::of(&request).check().err();
    problem.into_iter().flat_map(|problem| problem.fields).map(|it| it.field.into_owned()).collect()
}

#[test]
fn what_a_route_does_not_declare_is_refused_all_at_once_and_by_name() {
    let (json, form) = ("application/json", "application/x-www-form-urlencoded; charset=utf-8");
    let disconnect = "/integrations/slack/disconnect";
    for (method, path, content_type, body, expected) in [
        ("POST", disconnect, json, r#"{"keep_records":true}"#, vec![]),
        ("POST", disconnect, json, r#"{"keep_record":true,"acount":"T1"}"#, vec!["acount", "keep_record"]),
        ("POST", disconnect, form, "csrf=x&keep_records=on", vec![]),
        ("POST", disconnect, form, "csrf=x&keep_record=on", vec!["keep_record"]),
        ("POST", disconnect, form, "account=T1&account=T2", vec!["account"]),
        ("POST", disconnect, json, r#"{"account":"T1","account":"T2"}"#, vec!["account"]),
        (
            "GET",
            "/integrations/slack/records?limit=1&updated_after=2&limit=3",
            json,
            "",
            vec!["updated_after", "limit"],
        ),
        ("GET", "/integrations", json, r#"{"x":1}"#, vec!["x"]),
        ("GET", "/integrations", json, "{}", vec![]),
        ("GET", "/auth/slack/callback?scope=x&prompt=consent", json, "", vec![]),
        ("POST", "/proxy/slack/chat.postMessage?x=1&x=2", json, r#"{"y":1}"#, vec![]),
        ("POST", "/actions/slack/post_message?acount=T1", json, r#"{"y":1}"#, vec!["acount"]),
    ] {
        assert_eq!(wrong(method, path, content_type, body), expected, "{method} {path} {body}");
    }
}

#[test]
fn values_of_another_type_are_refused_and_never_read_as_absent() {
    let read = |content_type: &str, body: &str| {
        Input::of(&Call::of(&request("POST", "/integrations/slack/sync", content_type, body))).unwrap()
    };
    let json = |body| read("application/json", body);
    let form = |body| read("application/x-www-form-urlencoded", body);
    assert_eq!(json(r#"{"type":"full"}"#).text("type").unwrap(), Some("full"));
    assert_eq!(json(r#"{"type":null}"#).text("type").unwrap(), None);
    assert_eq!(json(r#"{"type":""}"#).text("type").unwrap(), Some(""));
    assert_eq!(form("type=").text("type").unwrap(), None);
    for body in [r#"{"type":7}"#, r#"{"type":["full"]}"#, r#"{"type":false}"#, r#"{"type":{}}"#] {
        assert_eq!(json(body).text("type").unwrap_err().fields[0].field, "type", "{body}");
    }
    assert_eq!(json(r#"{"keep":false}"#).flag("keep").unwrap(), Some(false));
    assert_eq!(
        [form("keep=on").flag("keep").unwrap(), form("keep=false").flag("keep").unwrap()],
        [Some(true), Some(false)]
    );
    for input in [json(r#"{"keep":"yes"}"#), json(r#"{"keep":"true"}"#), json(r#"{"keep":1}"#), form("keep=yes")] {
        assert!(input.flag("keep").is_err(), "{:?}", input.fields);
    }
    assert!(Call::either("account", Some("T1"), Some("T1")).is_err());
    assert_eq!(Call::either("account", None, Some("T1")).unwrap(), Some("T1"));
}

#[test]
fn a_body_that_cannot_be_read_is_malformed() {
    for body in ["{", "[]", "7", "null", "{\"a\":1}x", "\u{feff}{}"] {
        let request = request("POST", "/integrations/slack/sync", "application/json", body);
        assert_eq!(Call::of(&request).check().unwrap_err().kind, Kind::MalformedRequest, "{body}");
    }
}
