//! A user of many accounts: what their status costs.

use domain::{
    Integration, IntegrationKey,
    integration::summary::{StreamSummary, SyncSummary},
    sync::stream::Lane,
};
use http::Method;
use local_aws::{REGION, Service, clients::DEVELOPER_KEY};
use platform::{Aws, aws::Patience, base::clock, stores::integrations::Integrations};
use serde_json::Value;
use tests::{FAST, Guest, Running, stack};

const INTEGRATIONS: usize = 50;

/// Calls of the function that shows the status to DynamoDB so far.
fn reads(stack: &Running) -> u64 {
    let counts = stack.gateway.counts();
    let of = |function: &str, service| function.ends_with("-integrations-api") && service == Service::Dynamodb;
    counts.iter().filter(|((function, service, _), _)| of(function, *service)).map(|(_, count)| count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_of_fifty_integrations_takes_one_read_of_what_their_syncs_came_to() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_and_sync("slack").await;
    let aws = Aws::at(&stack.aws_url, REGION, DEVELOPER_KEY, Patience::QUEUE);
    let integrations = Integrations::new(&aws, stack.table("integrations"));
    let now = clock::now();
    for account in 1..INTEGRATIONS {
        let key = IntegrationKey::parse("ada", &format!("gmail#{account}")).unwrap();
        integrations
            .put(&Integration::connected(key.clone(), format!("{account}@example.com"), now), now)
            .await
            .unwrap();
        let records = u64::try_from(account).unwrap();
        let messages = StreamSummary { records, last_full_sync: Some(now), ..StreamSummary::default() };
        let mut summary = SyncSummary::of(now, [], None, None);
        (summary.last_sync, summary.error) = (Some(now), Some(format!("It is {account}.").into()));
        summary.streams.insert("messages".to_owned(), messages);
        assert!(integrations.set_sync_summary(&key, &summary, (Lane::Main, None), None).await.unwrap());
    }

    let before = reads(&stack);
    let (status, body) = ada.api(Method::GET, "/integrations", &Value::Null).await;
    assert_eq!((status, reads(&stack) - before), (200, 1), "{body}");
    let all = body["integrations"].as_array().unwrap();
    let connected: Vec<_> = all.iter().filter(|it| it["connected"] == true).collect();
    assert_eq!(connected.len(), INTEGRATIONS);
    for it in connected {
        assert!(it["last_sync"].is_string() && it["streams"][0]["last_full_sync"].is_string(), "{it}");
        assert!(it["streams"][0]["records"].as_u64() > Some(0), "{it}");
        let error = it["account"]["name"].as_str().unwrap().strip_suffix("@example.com");
        assert_eq!(it["error"].as_str().map(str::to_owned), error.map(|account| format!("It is {account}.")), "{it}");
    }

    let before = reads(&stack);
    let page = ada.get("/settings/integrations").await;
    assert_eq!(
        (page.status, reads(&stack) - before),
        (200, 2),
        "and one of whether the session is ended: {}",
        page.body
    );
    assert_eq!(page.body.matches("Last synced").count(), INTEGRATIONS);
    stack.shutdown().await;
}
