//! A limit that many processes share: kept before the provider has to say so, used nearly whole, cheap, and fair.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use futures_util::future::{join, join_all};
use http::Method;
use jiff::Timestamp;
use local_aws::Service;
use local_cli::bundle::Bundle;
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, dead_letters, logs, stack, stack_alone};

const CALL: &str = "/proxy/stripe/v1/customers?limit=1";
const PROCESSES: u32 = 8;
const RATE: u32 = 20;
/// A quarter of it is how late a cell may be used, and more than a second: on a machine so busy that a process comes later, the eight
/// do not come to the limit.
const BURST: u32 = 120;
/// How long is looked on, in seconds, from when leases are as long as they get and the burst is over.
const SPAN: u32 = 9;
const STEADY: Range<Duration> = Duration::from_secs(6)..Duration::from_secs(15);

/// When Stripe was called for customers, and how it answered.
async fn called(guest: &Guest<'_>) -> Vec<(Timestamp, u64)> {
    let calls = guest.admin("stripe", Method::GET, "calls", &Value::Null).await;
    let of_ours = calls.as_array().unwrap().iter().filter(|call| call["path"] == "/v1/customers?limit=1");
    of_ours.map(|call| (call["at"].as_str().unwrap().parse().unwrap(), call["status"].as_u64().unwrap())).collect()
}

/// How long so many calls waited for their turns together, by the log.
async fn waited(stack: &Bundle, calls: u32) -> Duration {
    let all = || -> Vec<Value> {
        let lines = logs(stack);
        let lines = lines.lines().filter(|line| line.contains(r#""endpoint":"proxy GET""#));
        lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let all = async || Some(all()).filter(|all| all.len() == usize::try_from(calls).unwrap());
    let all = stack.until(PATIENCE, all).await.expect("each call is logged");
    Duration::from_millis(all.iter().map(|call| call["paced_ms"].as_u64().unwrap()).sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_processes_share_a_limit_without_meeting_it_and_use_nine_tenths_of_it() {
    let limits = format!("stripe/test={RATE}/s:{BURST}");
    let stack = stack_alone(&[FAST, &[("RateLimits", &limits)]].concat()).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_stripe(json!({})).await;
    ada.settled("syncs").await;
    let limit = json!({ "match": "GET /v1/customers", "per_second": RATE, "burst": BURST });
    ada.admin("stripe", Method::POST, "limit", &limit).await;
    ada.admin("stripe", Method::DELETE, "calls", &Value::Null).await;
    let writes = || {
        let key = (format!("{}-api-proxy", stack.prefix()), Service::Dynamodb, "UpdateItem".to_owned());
        stack.gateway.counts().get(&key).copied().unwrap_or_default()
    };
    let (start, at) = (Instant::now(), platform::base::clock::now());
    let caller = async |_| {
        let mut made = 0;
        while start.elapsed() < STEADY.end {
            let (status, body) = ada.api(Method::GET, CALL, &Value::Null).await;
            assert_eq!(status, 200, "{body}");
            made += 1;
        }
        made
    };
    let written = async {
        tokio::time::sleep(STEADY.start).await;
        let before = writes();
        tokio::time::sleep(Duration::from_secs(SPAN.into())).await;
        writes() - before
    };
    let (made, written): (Vec<u32>, _) = join(join_all((0..PROCESSES).map(caller)), written).await;
    let total: u32 = made.iter().sum();
    let calls = called(&ada).await;
    assert!(calls.iter().all(|(_, status)| *status == 200), "Stripe refused: {calls:?}");
    let steady = at + STEADY.start..at + STEADY.end;
    let late = u32::try_from(calls.iter().filter(|(at, _)| steady.contains(at)).count()).unwrap();
    // Each invocation also writes its counters.
    let leases = u32::try_from(written).unwrap().saturating_sub(late);
    let own = (STEADY.end * PROCESSES).saturating_sub(waited(&stack, total).await) / total;
    let report =
        format!("{late} calls in {STEADY:?}, {leases} leases, {own:?} a call beside its wait, {made:?} by caller");
    println!("{report}");
    // Each lease was for a call.
    assert!(leases <= late + PROCESSES, "{report}");
    // Where the eight would make twice as many calls, it is the limit that holds them up, and not a machine that is busy with other
    // things: then it is used nearly whole, by leases of several calls.
    if own * RATE * 2 <= Duration::from_secs(PROCESSES.into()) {
        let most = RATE * SPAN;
        assert!((most * 9 / 10..=most + BURST / 4).contains(&late), "{report}");
        assert!(leases * 4 <= late, "{report}");
    }
    assert!(made.iter().all(|made| *made * PROCESSES * 2 > total), "{report}");
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
    let wait = retry_at.duration_since(platform::base::clock::now()).as_secs();
    assert!((50..=62).contains(&wait), "{wait} s");
    assert!(start.elapsed() < Duration::from_secs(5), "it was told at once");
    assert_eq!(ada.calls("slack", "/api/auth.test").await, seen, "Slack was not called");
    // Another method of the same tenant, and another tenant.
    assert_eq!(call(&ada, "/proxy/slack/conversations.info?channel=C0GENERAL01").await.0, 200);
    let (status, body) = call(&eve, test).await;
    assert_eq!((status, &body["team_id"]), (200, &json!("T0SANDBOX2")), "{body}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn syncs_that_wait_for_a_shared_limit_wait_in_the_queue_in_their_order_and_use_the_limit_whole() {
    const USERS: usize = 10;
    // Ten workers at once would have to wait for ten seconds: too long for an invocation.
    let stack = stack(&[FAST, &[("RateLimits", "stripe/test=1/s:1")]].concat()).await;
    let ada = Guest::new(&stack, "ada").await;
    let mut users = Vec::new();
    for user in 0..USERS {
        users.push(Guest::new(&stack, &format!("user-{user}")).await);
    }
    for user in &users {
        user.connect_stripe(json!({})).await;
    }
    // Connecting called Stripe, too, and without an account there is no limit to keep.
    ada.admin("stripe", Method::POST, "limit", &json!({ "match": "/v1/", "per_second": 1, "burst": 2 })).await;
    let began = Instant::now();
    let synced = async || {
        for user in &users {
            user.status("stripe").await["last_sync"].as_str()?;
        }
        Some(())
    };
    stack.until(Duration::from_mins(4), synced).await.expect("each user is synced");
    let took = began.elapsed();
    let calls = ada.admin("stripe", Method::GET, "calls", &Value::Null).await;
    let calls = calls.as_array().unwrap();
    assert!(calls.iter().all(|call| call["status"] == 200), "Stripe refused: {calls:?}");
    let waits = logs(&stack).lines().filter(|line| line.contains("not called: no turn in time")).count();
    println!("{} calls in {took:?}, {waits} waits in the queue", calls.len());
    assert!(waits >= USERS / 2, "they wait in the queue: {waits}");
    assert!(waits <= calls.len(), "each comes back once for a call: {waits}");
    assert!(took < Duration::from_secs(u64::try_from(calls.len()).unwrap()) * 3 / 2, "the limit is not used: {took:?}");
    assert_eq!(dead_letters(&stack, "syncs").await, Vec::<String>::new());
    stack.shutdown().await;
}
