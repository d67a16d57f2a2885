//! The embedded `EventBridge` through the real SDK client, over a socket.

use std::{fs, path::PathBuf};

use aws_sdk_eventbridge::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    error::ProvideErrorMetadata as _,
    primitives::DateTime,
    types::{PutEventsRequestEntry, builders::PutEventsRequestEntryBuilder},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{EventBus, EventCounts};
use crate::sqs::Clock;

/// Buses that are being served, a client of them, and their file (removed at the end).
struct Stage {
    bus: EventBus,
    client: Client,
    file: PathBuf,
}

impl Stage {
    async fn start(name: &str) -> Self {
        let file = std::env::temp_dir().join(format!("events-{}-{name}.jsonl", std::process::id()));
        let bus = EventBus::new(file.clone(), "eu-central-1", "000000000000", Clock::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .retry_config(RetryConfig::disabled())
            .endpoint_url(format!("http://{}", listener.local_addr().unwrap()));
        let router = bus.clone().router();
        #[expect(clippy::disallowed_methods, reason = "a test's server ends with the test's runtime")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        let client = Client::from_conf(config.build());
        client.create_event_bus().name("intertie").send().await.unwrap();
        Self { bus, client, file }
    }

    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

fn entry(detail: &str) -> PutEventsRequestEntryBuilder {
    let entry = PutEventsRequestEntry::builder().event_bus_name("intertie").source("intertie.stripe");
    entry.detail_type("invoice.paid").detail(detail)
}

#[tokio::test]
async fn an_accepted_event_is_a_line_of_the_file() {
    let stage = Stage::start("line").await;
    let arn = "arn:aws:events:eu-central-1:000000000000:event-bus/intertie";
    let first = entry("{\n\"id\": 1}").time(DateTime::from_secs_f64(1_700_000_000.5)).resources("arn:x").build();
    let second = entry(r#"{"id":2}"#).event_bus_name(arn).build();
    let put = stage.client.put_events().entries(first).entries(second).send().await.unwrap();
    let lines = stage.lines();
    let expected = json!({
        "version": "0", "id": put.entries()[0].event_id(), "detail-type": "invoice.paid", "source": "intertie.stripe",
        "account": "000000000000", "time": "2023-11-14T22:13:20Z", "region": "eu-central-1", "resources": ["arn:x"],
        "detail": {"id": 1},
    });
    assert_eq!((put.failed_entry_count(), lines.len(), &lines[0]), (0, 2, &expected));
    assert_eq!(lines[1]["id"].as_str(), put.entries()[1].event_id());
    assert_eq!(stage.bus.counts(), EventCounts { written: 2, lost: 0 });
}

#[tokio::test]
async fn a_refused_entry_does_not_keep_the_others_back() {
    let stage = Stage::start("refused").await;
    let entries = [
        entry("[1]").build(),
        entry("{").build(),
        PutEventsRequestEntry::builder().source("a").detail_type("b").build(),
        entry("{}").source("aws.s3").build(),
        entry("{}").detail_type("x".repeat(129)).build(),
        entry("{}").build(),
    ];
    let put = stage.client.put_events().set_entries(Some(entries.to_vec())).send().await.unwrap();
    let codes: Vec<_> = put.entries().iter().map(|entry| entry.error_code()).collect();
    let malformed = Some("MalformedDetail");
    let invalid = Some("InvalidArgument");
    assert_eq!(codes, [malformed, malformed, invalid, Some("NotAuthorizedForSourceException"), invalid, None]);
    assert_eq!((put.failed_entry_count(), stage.lines().len()), (5, 1));
}

#[tokio::test]
async fn an_event_for_an_unknown_bus_is_accepted_and_lost_as_on_aws() {
    let stage = Stage::start("lost").await;
    let put = stage.client.put_events().entries(entry("{}").event_bus_name("typo").build()).send().await.unwrap();
    assert!(put.entries()[0].event_id().is_some());
    assert_eq!((stage.lines(), stage.bus.counts()), (vec![], EventCounts { written: 0, lost: 1 }));
}

#[tokio::test]
async fn requests_over_the_limits_are_refused_whole() {
    let stage = Stage::start("limits").await;
    let put = |entries| stage.client.put_events().set_entries(Some(entries)).send();
    let detail = |bytes: usize| format!("{{\"x\":\"{}\"}}", "x".repeat(bytes - 8));
    let names = "intertie.stripe".len() + "invoice.paid".len();
    let most = put(vec![entry(&detail(1_048_576 - names)).build()]).await.unwrap();
    assert_eq!(most.failed_entry_count(), 0);
    let over = put(vec![entry(&detail(1_048_577 - names)).build()]).await.unwrap_err();
    assert_eq!(over.code(), Some("ValidationException"));
    let eleven = put(vec![entry("{}").build(); 11]).await.unwrap_err();
    assert_eq!(eleven.code(), Some("ValidationException"));
    assert_eq!(stage.lines().len(), 1);
}

#[tokio::test]
async fn buses_are_created_once_and_found() {
    let stage = Stage::start("buses").await;
    let again = stage.client.create_event_bus().name("intertie").send().await.unwrap_err();
    assert!(again.into_service_error().is_resource_already_exists_exception());
    let unknown = stage.client.describe_event_bus().name("other").send().await.unwrap_err();
    assert!(unknown.into_service_error().is_resource_not_found_exception());
    let described = stage.client.describe_event_bus().name("intertie").send().await.unwrap();
    assert_eq!(described.arn(), Some("arn:aws:events:eu-central-1:000000000000:event-bus/intertie"));
    let listed = stage.client.list_event_buses().send().await.unwrap();
    let names: Vec<_> = listed.event_buses().iter().map(|bus| bus.name().unwrap()).collect();
    assert_eq!(names, ["default", "intertie"]);
}

#[tokio::test]
async fn an_event_that_cannot_be_written_is_not_accepted() {
    let stage = Stage::start("missing/directory").await;
    let put = stage.client.put_events().entries(entry("{}").build()).send().await.unwrap_err();
    assert_eq!(put.code(), Some("InternalException"));
    assert_eq!(stage.bus.counts(), EventCounts::default());
}
