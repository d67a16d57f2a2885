use std::collections::BTreeSet;

use serde_json::json;

use super::*;

static PROVIDER: ProviderId = ProviderId::of_data("p");
const SLOW: Rate = Rate::per_second(1, 1);
const FAST: Rate = Rate::per_second(100, 100);
const LIMITS: &[Limit] = &[
    Limit {
        name: "channel",
        applies: Applies::Of(&["POST /chat.post"]),
        partition_by: &[PartitionBy::Account, PartitionBy::Field("/channel")],
        credential_mode: CredentialMode::Any,
        rate: SLOW,
        costs: &[],
        reasons: &[],
        max_retry_after: Duration::from_mins(1),
    },
    Limit {
        name: "rest",
        applies: Applies::Rest,
        partition_by: &[PartitionBy::Account, PartitionBy::Path(2)],
        credential_mode: CredentialMode::Any,
        rate: SLOW,
        costs: &[],
        reasons: &[],
        max_retry_after: Duration::from_mins(1),
    },
    Limit {
        name: "all",
        applies: Applies::All,
        partition_by: &[],
        credential_mode: CredentialMode::Any,
        rate: FAST,
        costs: &[("GET /v1/*/x", 5), ("/**", 2)],
        reasons: &[],
        max_retry_after: Duration::from_mins(1),
    },
    Limit {
        name: "test",
        applies: Applies::All,
        partition_by: &[PartitionBy::Method],
        credential_mode: CredentialMode::Test,
        rate: SLOW,
        costs: &[],
        reasons: &[],
        max_retry_after: Duration::from_mins(1),
    },
];

fn taken(account: &str, request: &Request) -> Vec<Bucket> {
    let path = request.url.strip_prefix("https://a").unwrap();
    buckets(LIMITS, (&PROVIDER, &AccountId::parse(account).unwrap()), (request, path), false, &Rates::default())
}

fn names(account: &str, request: &Request) -> Vec<(String, u32)> {
    taken(account, request).into_iter().map(|bucket| (bucket.key.limit().to_owned(), bucket.cost)).collect()
}

#[test]
fn a_call_takes_from_every_bucket_that_counts_it_and_the_rest_from_the_rest() {
    let of = |names: &[(&str, u32)]| names.iter().map(|(name, cost)| ((*name).to_owned(), *cost)).collect::<Vec<_>>();
    let post = Request::post("x", "https://a/chat.post?x=1").json(&json!({"channel": "C1"}));
    assert_eq!(names("T1", &post), of(&[("p/channel", 1), ("p/all", 2)]));
    let get = Request::get("x", "https://a/v1/customers/x/y");
    assert_eq!(names("T1", &get), of(&[("p/rest", 1), ("p/all", 2)]));
    assert_eq!(names("T1", &Request::get("x", "https://a/v1/customers/x"))[1].1, 5);
    assert_eq!(names("T1", &Request::get("x", "https://a/chat.post"))[0].0, "p/rest", "the method counts");
}

#[test]
fn a_call_counts_as_the_method_that_a_header_names_and_a_slash_at_the_end_leads_past_no_limit() {
    let mut get = Request::post("x", "https://a/v1/customers/x");
    get.method_override = Some(Method::GET);
    assert_eq!(names("T1", &get)[1].1, 5);
    let mut post = Request::get("x", "https://a/chat.post/?x=1");
    assert_eq!(names("T1", &post)[0].0, "p/rest");
    post.method_override = Some(Method::POST);
    assert_eq!(names("T1", &post)[0].0, "p/channel");
}

#[test]
fn accounts_and_channels_have_buckets_of_their_own_whatever_they_are_called() {
    let key = |account: &str, request: &Request| taken(account, request)[0].key.clone();
    let post = |channel: &str| Request::post("x", "https://a/chat.post").json(&json!({ "channel": channel }));
    let form = Request::post("x", "https://a/chat.post").form([("channel", "C1"), ("text", "x")]);
    assert_eq!(key("T1", &post("C1")), key("T1", &form), "JSON and form are one channel");
    let all = [("T1", post("C1")), ("T1", post("C2")), ("T2", post("C1")), ("T1C", post("1")), ("T", post("1C1"))];
    let keys: BTreeSet<_> = all.iter().map(|(account, request)| key(account, request)).collect();
    assert_eq!(keys.len(), all.len());
    let long = "ada@example.com".repeat(17);
    assert!(
        keys.iter().chain([&key(&long, &form)]).map(BucketKey::as_str).all(|key| key.len() < 60 && !key.contains('@'))
    );
    let get = Request::get("x", "https://a/v1/x");
    assert_eq!(taken("T1", &get)[1].key, taken("T2", &get)[1].key, "the app's own limit is everybody's");
    assert_ne!(key("T1", &get), key("T2", &get));
}

#[test]
fn a_deployment_sets_other_rates_and_test_credentials_have_their_own() {
    let get = Request::get("x", "https://a/v1/x");
    let account = AccountId::parse("T").unwrap();
    let of = |test, rates: &Rates| buckets(LIMITS, (&PROVIDER, &account), (&get, "/v1/x"), test, rates);
    assert_eq!(of(false, &Rates::default()).len(), 2);
    let test = of(true, &Rates::default());
    assert_eq!((test[1].rate, test[2].rate, test[2].key.limit()), (FAST, SLOW, "p/test"));
    let set = Rates::parse("p/all=7/s  p/rest=1/min").unwrap();
    assert_eq!(of(true, &set)[1].rate, Rate::per_second(7, 10), "room for a call of 5 units");
    assert_eq!(set.unknown(|name| name == "p/all"), ["p/rest"]);
    assert_eq!(Rates::parse("p/all=1/s p/all=2/s").unwrap_err(), "p/all is set twice");
    for wrong in ["p/all", "p/all=7", "p/all=x/s", "=", "p/all=1/s:x"] {
        assert!(Rates::parse(wrong).unwrap_err().contains(wrong), "{wrong}");
    }
}
