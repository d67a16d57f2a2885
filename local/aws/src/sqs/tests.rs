//! The embedded SQS through the real SDK client, over a socket.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use aws_sdk_sqs::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
    error::{ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::{
        ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message, MessageAttributeValue,
        MessageSystemAttributeName as System, QueueAttributeName as Attribute, SendMessageBatchRequestEntry,
        SendMessageBatchResultEntry,
    },
};
use serde_json::json;
use tokio::net::TcpListener;

use super::Sqs;

mod messages;
mod queues;

const MIB: usize = 1_048_576;

/// An SQS that is being served, and a client of it.
struct Stage {
    sqs: Sqs,
    client: Client,
}

impl Stage {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let sqs = Sqs::new(url.clone(), "eu-central-1", "000000000000");
        let router = sqs.clone().router();
        #[expect(clippy::disallowed_methods, reason = "a test's server ends with the test's runtime")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(url);
        Self { sqs, client: Client::from_conf(config.build()) }
    }

    /// Creates a queue and answers its URL.
    async fn queue(&self, name: &str, attributes: &[(Attribute, &str)]) -> String {
        let mut request = self.client.create_queue().queue_name(name);
        for (attribute, value) in attributes {
            request = request.attributes(attribute.clone(), *value);
        }
        request.send().await.unwrap().queue_url.unwrap()
    }

    async fn send(&self, url: &str, body: &str) -> String {
        self.client.send_message().queue_url(url).message_body(body).send().await.unwrap().message_id.unwrap()
    }

    async fn send_group(&self, url: &str, group: &str, body: &str) {
        let request = self.client.send_message().queue_url(url).message_body(body).message_group_id(group);
        request.send().await.unwrap();
    }

    /// Receives up to ten messages with all their attributes.
    async fn receive(&self, url: &str) -> Vec<Message> {
        let request = self.client.receive_message().queue_url(url).max_number_of_messages(10);
        let request = request.message_system_attribute_names(System::All).message_attribute_names("All");
        request.send().await.unwrap().messages.unwrap_or_default()
    }

    async fn receive_one(&self, url: &str) -> Message {
        let mut messages = self.receive(url).await;
        assert_eq!(messages.len(), 1, "{messages:?}");
        messages.remove(0)
    }

    async fn delete(&self, url: &str, message: &Message) {
        let handle = message.receipt_handle().unwrap();
        self.client.delete_message().queue_url(url).receipt_handle(handle).send().await.unwrap();
    }

    fn skip_seconds(&self, seconds: u64) {
        self.sqs.advance(Duration::from_secs(seconds));
    }

    /// Visible, in flight, delayed.
    fn depth(&self, name: &str) -> (usize, usize, usize) {
        let depth = self.sqs.depths().into_iter().find(|depth| depth.name == name).unwrap();
        (depth.visible, depth.in_flight, depth.delayed)
    }

    /// A queue that dead-letters after `max_receives`, and its dead-letter queue.
    async fn redriving(&self, max_receives: u64) -> (String, String) {
        let dead = self.queue("work-dead", &[]).await;
        let arn = self.sqs.queue_arn("work-dead");
        let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": max_receives}).to_string();
        (self.queue("work", &[(Attribute::RedrivePolicy, &policy)]).await, dead)
    }
}

/// The code by which an SDK's user tells errors apart.
fn code<T: std::fmt::Debug, E: ProvideErrorMetadata, R>(refused: Result<T, SdkError<E, R>>) -> String {
    refused.expect_err("should be refused").code().unwrap().to_owned()
}

/// Lets the receiver come to where it waits, if it does.
async fn waits(mut receiver: Pin<&mut impl Future>) -> bool {
    poll_fn(|context| Poll::Ready(receiver.as_mut().poll(context).is_pending())).await
}

/// What the receiver gets; not at the end of its wait, but long before.
async fn soon<T>(receiver: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), receiver).await.expect("should not wait on")
}

fn text(value: &str) -> MessageAttributeValue {
    MessageAttributeValue::builder().data_type("String").string_value(value).build().unwrap()
}

fn entry(id: &str, body: &str) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry::builder().id(id).message_body(body).build().unwrap()
}

fn system<'m>(message: &'m Message, name: &System) -> &'m str {
    &message.attributes.as_ref().unwrap()[name]
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body().unwrap()).collect()
}
