//! Queues, limits, batches, and what is refused.

use super::*;

#[tokio::test]
async fn queues_are_created_once_and_found() {
    let stage = Stage::start().await;
    let url = stage.queue("orders", &[(Attribute::DelaySeconds, "5")]).await;
    assert!(url.ends_with("/000000000000/orders"), "{url}");
    assert_eq!(stage.queue("orders", &[(Attribute::DelaySeconds, "5")]).await, url);

    let other = stage.client.create_queue().queue_name("orders").attributes(Attribute::DelaySeconds, "6").send().await;
    assert!(other.unwrap_err().into_service_error().is_queue_name_exists());
    let fifo = stage.client.create_queue().queue_name("orders.fifo").send().await;
    assert!(fifo.unwrap_err().into_service_error().is_unsupported_operation());
    let unknown = stage.client.get_queue_url().queue_name("other").send().await;
    assert!(unknown.unwrap_err().into_service_error().is_queue_does_not_exist());
    let unknown = stage.client.send_message().queue_url("http://x/1/other").message_body("a").send().await;
    assert!(unknown.unwrap_err().into_service_error().is_queue_does_not_exist());

    stage.queue("mail", &[]).await;
    let listed = stage.client.list_queues().queue_name_prefix("ord").send().await.unwrap();
    assert_eq!(listed.queue_urls(), std::slice::from_ref(&url));
    assert_eq!(stage.client.get_queue_url().queue_name("orders").send().await.unwrap().queue_url.unwrap(), url);

    let set = stage.client.set_queue_attributes().queue_url(&url);
    set.clone().attributes(Attribute::MaximumMessageSize, "1048576").send().await.unwrap();
    assert_eq!(code(set.attributes(Attribute::MaximumMessageSize, "1048577").send().await), "InvalidAttributeValue");
    let got = stage.client.get_queue_attributes().queue_url(&url).attribute_names(Attribute::All).send().await.unwrap();
    let got = got.attributes.unwrap();
    assert_eq!(got[&Attribute::QueueArn], stage.sqs.queue_arn("orders"));
    assert_eq!((got[&Attribute::DelaySeconds].as_str(), got[&Attribute::VisibilityTimeout].as_str()), ("5", "30"));
}

#[tokio::test]
async fn sizes_and_characters_have_the_limits_of_aws() {
    let stage = Stage::start().await;
    let url = stage.queue("orders", &[]).await;
    let send = |body: String| stage.client.send_message().queue_url(&url).message_body(body).send();
    send("x".repeat(MIB)).await.unwrap();
    assert_eq!(code(send("x".repeat(MIB + 1)).await), "InvalidParameterValue");
    assert_eq!(code(send(String::new()).await), "MissingParameter");
    send("\t\n\r \u{D7FF}\u{E000}\u{FFFD}\u{10000}\u{10FFFF}".to_owned()).await.unwrap();
    for illegal in ['\0', '\u{8}', '\u{B}', '\u{1F}', '\u{FFFE}', '\u{FFFF}'] {
        let refused = send(format!("a{illegal}")).await.unwrap_err().into_service_error();
        assert!(refused.is_invalid_message_contents(), "{illegal:?}");
    }

    let batch = |entries| stage.client.send_message_batch().queue_url(&url).set_entries(Some(entries)).send();
    let half = "x".repeat(MIB / 2);
    batch(vec![entry("1", &half), entry("2", &half)]).await.unwrap();
    let too_long = batch(vec![entry("1", &half), entry("2", &half), entry("3", "x")]).await;
    assert!(too_long.unwrap_err().into_service_error().is_batch_request_too_long());
    let eleven = (0..11).fold(stage.client.send_message().queue_url(&url).message_body("a"), |request, n| {
        request.message_attributes(format!("a{n}"), text("x"))
    });
    assert_eq!(code(eleven.send().await), "InvalidParameterValue");
}

#[tokio::test]
async fn batches_fail_by_entry_or_as_a_whole() {
    let stage = Stage::start().await;
    let url = stage.queue("orders", &[]).await;
    let batch = |entries| stage.client.send_message_batch().queue_url(&url).set_entries(Some(entries)).send();
    let mixed = batch(vec![entry("good", "a"), entry("bad", "\0"), entry("late", "b")]).await.unwrap();
    let sent: Vec<_> = mixed.successful().iter().map(SendMessageBatchResultEntry::id).collect();
    let failed: Vec<_> = mixed.failed().iter().map(|entry| (entry.id(), entry.code(), entry.sender_fault())).collect();
    assert_eq!((sent, failed), (vec!["good", "late"], vec![("bad", "InvalidMessageContents", true)]));

    assert!(batch(vec![]).await.unwrap_err().into_service_error().is_empty_batch_request());
    let many = (0..11).map(|n| entry(&n.to_string(), "a")).collect();
    assert!(batch(many).await.unwrap_err().into_service_error().is_too_many_entries_in_batch_request());
    let twice = batch(vec![entry("1", "a"), entry("1", "b")]).await;
    assert!(twice.unwrap_err().into_service_error().is_batch_entry_ids_not_distinct());
    assert!(batch(vec![entry("a:b", "a")]).await.unwrap_err().into_service_error().is_invalid_batch_entry_id());

    let handles: Vec<_> =
        stage.receive(&url).await.into_iter().map(|message| message.receipt_handle.unwrap()).collect();
    let shown = ChangeMessageVisibilityBatchRequestEntry::builder().id("1").receipt_handle(&handles[0]);
    let shown = shown.visibility_timeout(0).build().unwrap();
    let shown = stage.client.change_message_visibility_batch().queue_url(&url).entries(shown).send().await.unwrap();
    assert_eq!((shown.successful().len(), stage.depth("orders")), (1, (1, 1, 0)));
    let delete = |id: &str, handle: &str| {
        DeleteMessageBatchRequestEntry::builder().id(id).receipt_handle(handle).build().unwrap()
    };
    let entries = vec![delete("1", &handles[0]), delete("2", &handles[1]), delete("3", "garbage")];
    let deleted = stage.client.delete_message_batch().queue_url(&url).set_entries(Some(entries)).send().await.unwrap();
    assert_eq!((deleted.successful().len(), deleted.failed()[0].code()), (2, "ReceiptHandleIsInvalid"));
    assert_eq!(stage.depth("orders"), (0, 0, 0));
}

#[tokio::test]
async fn a_purge_deletes_everything_once_a_minute() {
    let stage = Stage::start().await;
    let url = stage.queue("orders", &[]).await;
    stage.send(&url, "a").await;
    stage.receive_one(&url).await;
    stage.client.purge_queue().queue_url(&url).send().await.unwrap();
    assert_eq!(stage.depth("orders"), (0, 0, 0));
    let again = stage.client.purge_queue().queue_url(&url).send().await;
    assert!(again.unwrap_err().into_service_error().is_purge_queue_in_progress());
    stage.skip_seconds(60);
    stage.client.purge_queue().queue_url(&url).send().await.unwrap();
}

#[tokio::test]
async fn what_the_embedded_sqs_lacks_is_refused() {
    let stage = Stage::start().await;
    let url = stage.queue("orders", &[]).await;
    assert_eq!(code(stage.client.delete_queue().queue_url(&url).send().await), "UnknownOperationException");
    let deduplicated = stage.client.send_message().queue_url(&url).message_body("a").message_deduplication_id("1");
    assert_eq!(code(deduplicated.send().await), "SerializationException");
}
