//! A limit that many processes share: kept before the provider has to say so, used nearly whole, cheap, and fair.

use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use local::aws::Service;
use serde_json::{Value, json};
use tests::{FAST, Guest, stack};

const CALL: &str = "/proxy/stripe/v1/customers?limit=1";
const PROCESSES: u32 = 8;
const RATE: u32 = 20;

/// When Stripe was called for customers, and how it answered.
async fn called(guest: &Guest<'_>) -> Vec<(Timestamp, u64)> {
    let calls = guest.admin("stripe", Method::GET, "calls", &Value::Null).await;
    let of_ours = calls.as_array().unwrap().iter().filter(|call| call["path"] == "/v1/customers?limit=1");
    of_ours.map(|call| (call["at"].as_str().unwrap().parse().unwrap(), call["status"].as_u64().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_processes_share_a_limit_without_meeting_it_and_use_nine_tenths_of_it() {
    let stack = stack(&[FAST, &[("RateLimits", "stripe/test=20/s:20")]].concat()).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_stripe(json!({})).await;
    ada.settled("syncs").await;
    let limit = json!({ "match": "GET /v1/customers", "per_second": RATE, "burst": RATE });
    ada.admin("stripe", Method::POST, "limit", &limit).await;
    ada.admin("stripe", Method::DELETE, "calls", &Value::Null).await;
    let writes = || {
        let key = (format!("{}-api-proxy", stack.prefix()), Service::Dynamodb, "UpdateItem".to_owned());
        stack.gateway.counts().get(&key).copied().unwrap_or_default()
    };
    let before = writes();
    let (start, span) = (Instant::now(), Duration::from_secs(15));
    let caller = async |_| {
        let mut made = 0;
        while start.elapsed() < span {
            let (status, body) = ada.api(Method::GET, CALL, &Value::Null).await;
            assert_eq!(status, 200, "{body}");
            made += 1;
        }
        made
    };
    let made: Vec<u64> = join_all((0..PROCESSES).map(caller)).await;
    let calls = called(&ada).await;
    let first = calls[0].0;
    assert!(calls.iter().all(|(_, status)| *status == 200), "Stripe refused: {calls:?}");
    let steady = first + SignedDuration::from_secs(5)..first + SignedDuration::from_secs(14);
    let late = u32::try_from(calls.iter().filter(|(at, _)| steady.contains(at)).count()).unwrap();
    assert!(late * 10 >= RATE * 9 * 9, "{late} calls in 9 s");
    // Each invocation also writes its counters.
    let total: u64 = made.iter().sum();
    let leases = writes() - before - total;
    println!("{total} calls, {late} in 9 s, {leases} writes for slots, {made:?} by caller");
    assert!(leases * 4 <= total, "{leases} writes for {total} calls");
    assert!(made.iter().all(|made| *made * u64::from(PROCESSES) * 2 > total), "by caller: {made:?}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_at_its_limit_slows_no_other() {
    // After one call, there is a minute to wait.
    let stack = stack(&[FAST, &[("RateLimits", "slack/auth_test=1/min:2")]].concat()).await;
    let (ada, eve) = join(Guest::new(&stack, "ada"), Guest::new(&stack, "eve")).await;
    let call = async |guest: &Guest<'_>, path: &str| guest.api(Method::GET, path, &Value::Null).await;
    ada.connect("slack").await;
    eve.connect_account("slack", "T0SANDBOX2").await;
    let test = "/proxy/slack/auth.test";
    assert_eq!(call(&ada, test).await.0, 200);
    let seen = ada.calls("slack", "/api/auth.test").await;
    let start = Instant::now();
    let (status, body) = call(&ada, test).await;
    assert_eq!((status, &body["error"]["kind"]), (429, &json!("rate_limited")), "{body}");
    let retry_at: Timestamp = body["error"]["retry_at"].as_str().unwrap().parse().unwrap();
    let wait = retry_at.duration_since(platform::clock::now()).as_secs();
    assert!((50..=62).contains(&wait), "{wait} s");
    assert!(start.elapsed() < Duration::from_secs(5), "it was told at once");
    assert_eq!(ada.calls("slack", "/api/auth.test").await, seen, "Slack was not called");
    // Another method of the same tenant, and another tenant.
    assert_eq!(call(&ada, "/proxy/slack/conversations.info?channel=C0GENERAL01").await.0, 200);
    let (status, body) = call(&eve, test).await;
    assert_eq!((status, &body["team_id"]), (200, &json!("T0SANDBOX2")), "{body}");
    stack.shutdown().await;
}
