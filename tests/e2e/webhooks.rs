//! The webhook endpoint, which the whole world can call: what `webhook-ingest` answers to hostile and to honest callers.

use http::Method;
use local_aws::{
    Service,
    faults::{Effect, Fault},
};
use local_base::web::Web;
use local_cli::{bundle::Bundle, sign::sign};
use tests::{PATIENCE, customer_event, deliver, depth, logs, published, seen, stack};

/// Posts to `path` with these headers. Status and body.
async fn post(web: &Web, stack: &Bundle, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
    let url = format!("{}{path}", stack.url);
    let response = web.call(Method::POST, &url, headers, body.to_vec()).await.expect("an answer");
    (response.status().as_u16(), String::from_utf8_lossy(response.body()).into_owned())
}

/// Posts a body signed now with the app's secret and this content type.
async fn signed(web: &Web, stack: &Bundle, content_type: &str, body: &[u8]) -> u16 {
    let headers = sign("stripe", body, &stack.webhook_secrets["stripe"], platform::base::clock::now()).unwrap();
    let signature = &headers.iter().find(|(name, _)| *name == "stripe-signature").unwrap().1;
    let headers = [("content-type", content_type), ("stripe-signature", signature)];
    post(web, stack, "/webhooks/stripe", &headers, body).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_stale_and_malformed_signatures_are_refused_and_nothing_is_queued() {
    let stack = stack(&[]).await;
    let web = Web::new();
    let body = customer_event("evt_1", "cus_1", 1);
    let old = jiff::Timestamp::from_second(1_700_000_000).unwrap();
    let stale = sign("stripe", body.as_bytes(), &stack.webhook_secrets["stripe"], old).unwrap()[1].1.clone();
    let foreign =
        sign("stripe", body.as_bytes(), &"whsec_other".into(), platform::base::clock::now()).unwrap()[1].1.clone();
    let slack = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    let many = format!("t=1700000000{}", ",v1=00".repeat(500));
    for header in [&stale, &foreign, "", "t", "t=1,v1=", "v1=00", "t=1700000000,v0=00", &many, slack] {
        let headers = [("content-type", "application/json"), ("stripe-signature", header)];
        let answer = post(&web, &stack, "/webhooks/stripe", &headers, body.as_bytes()).await;
        assert_eq!(answer, (400, "Webhook signature verification failed".into()), "{header:.40}");
    }
    let none = post(&web, &stack, "/webhooks/stripe", &[("content-type", "application/json")], body.as_bytes()).await;
    assert_eq!(none, (400, "Webhook signature verification failed".into()));
    assert_eq!(depth(&stack, "webhooks"), 0);
    assert_eq!(seen(&stack, "evt_1").await, None);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signature_covers_the_exact_bytes_however_api_gateway_carries_them() {
    let stack = stack(&[]).await;
    let web = Web::new();
    let body = customer_event("evt_1", "cus_1", 1);
    for content_type in ["application/json", "application/vnd.api+json", "text/plain", "application/octet-stream"] {
        assert_eq!(signed(&web, &stack, content_type, body.as_bytes()).await, 200, "{content_type}");
    }
    let headers =
        sign("stripe", body.as_bytes(), &stack.webhook_secrets["stripe"], platform::base::clock::now()).unwrap();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for changed in [format!("{body}\n"), format!("\u{feff}{body}"), body.replace(':', ": ")] {
        let (status, _) = post(&web, &stack, "/webhooks/stripe", &headers, changed.as_bytes()).await;
        assert_eq!(status, 400, "{changed:.30}");
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_bodies_that_cannot_be_read_are_refused_at_the_endpoint() {
    let stack = stack(&[]).await;
    let web = Web::new();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let bodies: [&[u8]; 7] =
        [b"", b"token=1&team=2", b"{", b"{\"a\":1e400}", b"\"\\ud802\"", b"\"\xff\"", deep.as_bytes()];
    for body in bodies {
        assert_eq!(
            signed(&web, &stack, "application/octet-stream", body).await,
            400,
            "{:?}",
            &body[..body.len().min(20)]
        );
    }
    // Stripe sends no forms.
    let event = customer_event("evt_1", "cus_1", 1);
    for body in [&b"payload=1&type=ping"[..], b"", event.as_bytes()] {
        assert_eq!(signed(&web, &stack, "application/x-www-form-urlencoded", body).await, 400);
    }
    assert_eq!(depth(&stack, "webhooks"), 0);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn characters_that_sqs_refuses_and_bodies_near_its_limit_get_through_and_larger_ones_are_refused() {
    let stack = stack(&[]).await;
    let web = Web::new();
    // In a field that is not kept in the record.
    let event = |id: &str, filler: &str| {
        let kind = "\"object\":\"customer\"";
        customer_event(id, "cus_1", 1).replace(kind, &format!("{kind},\"filler\":\"{filler}\""))
    };
    for (index, (filler, status)) in [
        ("\u{fffe}\u{ffff}\u{7f}\u{1f600}".to_owned(), 200),
        ("x".repeat(1_040_000), 200),
        ("x".repeat(1_048_576), 413),
        // Six bytes each once escaped.
        ("é".repeat(180_000), 413),
    ]
    .into_iter()
    .enumerate()
    {
        let event = event(&format!("evt_{index}"), &filler);
        let answer = signed(&web, &stack, "application/json", event.as_bytes()).await;
        assert_eq!(answer, status, "{} bytes", filler.len());
    }
    for event in ["evt_0", "evt_1"] {
        let done = async || seen(&stack, event).await.filter(|seen| seen.state == "done");
        stack.until(PATIENCE, done).await.unwrap();
    }
    // What does not fit on the bus is told where to read.
    let details = published(&stack);
    let data = |id: &str| details.iter().find(|detail| detail["id"] == id).unwrap()["data"].clone();
    assert!(data("evt_0")["object"].is_object());
    assert_eq!(data("evt_1"), serde_json::json!({ "record": "customers#cus_1" }));
    assert_eq!(depth(&stack, "webhooks-dead"), 0);
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_2xx_is_given_only_when_the_queue_has_it() {
    let stack = stack(&[]).await;
    let web = Web::new();
    let ingest = |effect, times| Fault {
        function: Some("webhook-ingest".into()),
        service: Some(Service::Sqs),
        operation: Some("SendMessage".into()),
        times,
        ..Fault::new(effect)
    };
    // One failure is retried within the patience; a lasting one is told to the provider, which sends again.
    for effect in [Effect::Refuse, Effect::Throttle] {
        stack.gateway.faults.arm(vec![ingest(effect, 1)]);
        assert_eq!(deliver(&web, &stack, &customer_event("evt_1", "cus_1", 1)).await, Some(200), "{effect:?}");
        stack.gateway.faults.arm(vec![ingest(effect, 100)]);
        assert_eq!(deliver(&web, &stack, &customer_event("evt_2", "cus_2", 1)).await, Some(503), "{effect:?}");
    }
    stack.gateway.faults.arm(vec![ingest(Effect::Delay(60_000), 100)]);
    let start = std::time::Instant::now();
    assert_eq!(deliver(&web, &stack, &customer_event("evt_3", "cus_3", 1)).await, Some(503));
    // The call would take 60 seconds and the function 10; what is between 1.5 seconds and this is the machine's.
    assert!(start.elapsed().as_secs_f64() < 8.0, "took {:?}", start.elapsed());
    stack.gateway.faults.arm(vec![]);
    // A lost reply makes a duplicate, which is applied once.
    stack.gateway.faults.arm(vec![ingest(Effect::DropReply, 1)]);
    assert_eq!(deliver(&web, &stack, &customer_event("evt_4", "cus_4", 1)).await, Some(200));
    let done = async || (depth(&stack, "webhooks") == 0).then_some(()).and(seen(&stack, "evt_4").await);
    let seen = stack.until(PATIENCE, done).await.unwrap();
    assert_eq!((seen.state.as_str(), seen.effects), ("done", 1));
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_secret_is_taken_up_without_a_deployment_and_none_means_503() {
    let stack = stack(&[]).await;
    let web = Web::new();
    let body = customer_event("evt_1", "cus_1", 1);
    let store = async |secrets: &str| {
        let call = stack.clients.secrets.put_secret_value().secret_id("intertie/stripe");
        call.secret_string(format!(r#"{{"webhook_secrets":{secrets},"account_id":"acct_local"}}"#))
            .send()
            .await
            .unwrap();
    };
    let with = async |secret: &str| {
        let headers = sign("stripe", body.as_bytes(), &secret.to_owned().into(), platform::base::clock::now()).unwrap();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        post(&web, &stack, "/webhooks/stripe", &headers, body.as_bytes()).await.0
    };
    // Before the first call, so that the environment reads it at init.
    store("[]").await;
    assert_eq!(with("whsec_new").await, 503);
    // Reading again because of a mismatch is rate limited per environment; a new environment reads at init.
    store(r#"["whsec_new","whsec_old"]"#).await;
    assert!(stack.function("webhook-ingest").unwrap().kill_one());
    assert_eq!(with("whsec_new").await, 200);
    assert_eq!(with("whsec_old").await, 200);
    assert_eq!(with("whsec_other").await, 400);
    // White space that was pasted along is no part of a secret; what can't be one is refused, and the log says why.
    store(r#"[" whsec_pasted\r\n"]"#).await;
    assert!(stack.function("webhook-ingest").unwrap().kill_one());
    assert_eq!(with("whsec_pasted").await, 200);
    store(r#"["whsec_pa\nsted"]"#).await;
    assert!(stack.function("webhook-ingest").unwrap().kill_one());
    assert_eq!(with("whsec_pasted").await, 503);
    let logged = async || logs(&stack).contains("has white space inside").then_some(());
    stack.until(PATIENCE, logged).await.unwrap();
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_providers_and_wrong_methods_get_the_contracts_answers() {
    let stack = stack(&[]).await;
    let web = Web::new();
    let long = format!("/webhooks/{}", "x".repeat(5_000));
    for path in ["/webhooks/nobody", "/webhooks/%2e%2e", "/webhooks/Stripe", &long] {
        let (status, body) = post(&web, &stack, path, &[], b"{}").await;
        assert_eq!(status, 404, "{path:.30}");
        assert!(body.contains("google-calendar") && body.contains("\"kind\":\"not_found\""), "{body}");
    }
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
        let url = format!("{}/webhooks/stripe", stack.url);
        let response = web.call(method.clone(), &url, &[], "").await.unwrap();
        assert_eq!(response.status(), 405, "{method}");
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_no_table_can_hold_is_dead_lettered_with_its_reason() {
    let stack = stack(&[]).await;
    let web = Web::new();
    let event = customer_event("evt_1", "cus_1", 1).replace("evt_1@", &format!("{}@", "x".repeat(500_000)));
    assert_eq!(deliver(&web, &stack, &event).await, Some(200));
    let dead = async || (depth(&stack, "webhooks-dead") == 1 && depth(&stack, "webhooks") == 0).then_some(());
    stack.until(PATIENCE, dead).await.unwrap();
    let seen = seen(&stack, "evt_1").await.unwrap();
    assert_eq!((seen.state.as_str(), seen.attempts, seen.effects), ("dead", 1, 0));
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_payload_under_a_known_event_id_is_dead_lettered_and_the_first_is_kept() {
    let stack = stack(&[]).await;
    let web = Web::new();
    let first = customer_event("evt_1", "cus_1", 1);
    assert_eq!(deliver(&web, &stack, &first).await, Some(200));
    let done = async || (depth(&stack, "webhooks") == 0).then_some(()).and(seen(&stack, "evt_1").await);
    stack.until(PATIENCE, done).await.unwrap();
    // What surrounds the payload may differ between deliveries; the payload may not.
    let again = first.replace("\"object\":\"event\"", "\"object\":\"event\",\"pending_webhooks\":7");
    assert_ne!(again, first);
    for (body, dead) in [(&again, 0), (&first.replace("cus_1", "cus_2"), 1)] {
        assert_eq!(deliver(&web, &stack, body).await, Some(200));
        let settled = async || (depth(&stack, "webhooks") == 0).then_some(depth(&stack, "webhooks-dead"));
        assert_eq!(stack.until(PATIENCE, settled).await.unwrap(), dead);
    }
    let seen = seen(&stack, "evt_1").await.unwrap();
    assert_eq!((seen.state.as_str(), seen.attempts, seen.effects), ("done", 1, 1));
    stack.shutdown().await;
}
