//! The life of a message: delays, visibility, order, dead-letter queue, long poll.

use super::*;

#[tokio::test]
async fn a_message_arrives_with_its_attributes_and_digests() {
    let stage = Stage::start().await;
    let url = stage.queue("orders", &[]).await;
    let attributes = [("Hello", text("There")), ("General", text("Kenobi")), ("Help.Me", text("Me"))];
    let request = stage.client.send_message().queue_url(&url).message_body("msg").message_group_id("acme");
    let request =
        attributes.into_iter().fold(request, |request, (name, value)| request.message_attributes(name, value));
    let sent = request.send().await.unwrap();
    // Digests as AWS computed them for the same messages.
    assert_eq!(sent.md5_of_message_body(), Some("6e2baaf3b97dbeef01c0043275f9a0e7"));
    assert_eq!(sent.md5_of_message_attributes(), Some("4c360f3fdafd970e05fae2f149d997f5"));

    let request = stage.client.receive_message().queue_url(&url).visibility_timeout(0);
    let some = request.message_attribute_names("Hel.*").send().await.unwrap().messages.unwrap().remove(0);
    assert_eq!(some.md5_of_message_attributes(), Some("83fee93c1bcd8b9a5a923ffacdc636c7"));
    assert!(some.attributes.is_none());

    let all = stage.receive_one(&url).await;
    assert_eq!((all.message_id(), all.body()), (sent.message_id(), Some("msg")));
    assert_eq!(all.message_attributes.as_ref().unwrap().len(), 3);
    assert_eq!(system(&all, &System::ApproximateReceiveCount), "2");
    assert_eq!(system(&all, &System::MessageGroupId), "acme");
    assert_eq!(system(&all, &System::SenderId), "000000000000");
    assert!(system(&all, &System::ApproximateFirstReceiveTimestamp) >= system(&all, &System::SentTimestamp));

    let trace = Blob::new("traceparent\u{1e}00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01");
    let binary = MessageAttributeValue::builder().data_type("Binary").binary_value(trace).build().unwrap();
    let request = stage.client.send_message().queue_url(&url).message_body("test").message_attributes("attr1", binary);
    assert_eq!(request.send().await.unwrap().md5_of_message_attributes(), Some("8cbe4db156db8a94db8b801b7addb984"));
}

#[tokio::test]
async fn delays_and_retention_follow_the_clock() {
    let stage = Stage::start().await;
    let url = stage.queue("orders", &[(Attribute::DelaySeconds, "60")]).await;
    let request = stage.client.send_message().queue_url(&url).message_body("own delay").message_group_id("acme");
    request.clone().delay_seconds(900).send().await.unwrap();
    stage.send_group(&url, "acme", "queue's delay").await;
    assert_eq!(code(request.delay_seconds(901).send().await), "InvalidParameterValue");
    assert_eq!((stage.receive(&url).await.len(), stage.depth("orders")), (0, (0, 0, 2)));

    stage.skip_seconds(60);
    assert_eq!(bodies(&stage.receive(&url).await), ["queue's delay"]);
    stage.skip_seconds(840); // the message that has been visible for longest goes first
    assert_eq!(bodies(&stage.receive(&url).await), ["queue's delay", "own delay"]);

    stage.skip_seconds(4 * 24 * 3600);
    assert_eq!(stage.depth("orders"), (0, 0, 0));
}

#[tokio::test]
async fn a_received_message_is_hidden_until_its_timeout() {
    let stage = Stage::start().await;
    let url = stage.queue("orders", &[]).await;
    let change = |handle: &str| stage.client.change_message_visibility().queue_url(&url).receipt_handle(handle);
    stage.send(&url, "a").await;
    let first = stage.receive_one(&url).await;
    let first = first.receipt_handle().unwrap();
    assert_eq!(stage.depth("orders"), (0, 1, 0));
    change(first).visibility_timeout(100).send().await.unwrap();
    stage.skip_seconds(99);
    assert_eq!(stage.receive(&url).await, []);
    assert_eq!(code(change(first).visibility_timeout(43_200).send().await), "InvalidParameterValue");
    stage.skip_seconds(1);
    let late = change(first).visibility_timeout(9).send().await.unwrap_err().into_service_error();
    assert!(late.is_message_not_inflight());

    // A later receive makes the handle stale: no error, and no effect.
    let second = stage.receive_one(&url).await;
    stage.client.delete_message().queue_url(&url).receipt_handle(first).send().await.unwrap();
    assert_eq!(stage.depth("orders"), (0, 1, 0));
    change(second.receipt_handle().unwrap()).visibility_timeout(0).send().await.unwrap();
    assert_eq!(stage.depth("orders"), (1, 0, 0));
    stage.delete(&url, &second).await;
    assert_eq!(stage.depth("orders"), (0, 0, 0));
    stage.delete(&url, &second).await;
    assert_eq!(
        code(change(second.receipt_handle().unwrap()).visibility_timeout(9).send().await),
        "InvalidParameterValue"
    );

    let other = stage.queue("other", &[]).await;
    for (url, garbage) in [(&url, "garbage"), (&url, ""), (&other, first)] {
        let deleted = stage.client.delete_message().queue_url(url).receipt_handle(garbage).send().await;
        assert!(deleted.unwrap_err().into_service_error().is_receipt_handle_is_invalid());
    }
    assert_eq!(code(change("garbage").visibility_timeout(0).send().await), "ReceiptHandleIsInvalid");
}

#[tokio::test]
async fn what_fails_too_often_is_dead_lettered_and_can_be_moved_back() {
    let stage = Stage::start().await;
    let (url, dead) = stage.redriving(2).await;
    let request = stage.client.send_message().queue_url(&url).message_body("a").message_attributes("kind", text("x"));
    let id = request.send().await.unwrap().message_id.unwrap();
    for _ in 0..2 {
        stage.receive_one(&url).await;
        stage.skip_seconds(30);
    }
    assert_eq!(stage.receive(&url).await, []);
    assert_eq!((stage.depth("work"), stage.depth("work-dead")), ((0, 0, 0), (1, 0, 0)));

    let moved = stage.receive_one(&dead).await;
    assert_eq!(moved.message_id(), Some(id.as_str()));
    assert_eq!(moved.message_attributes.as_ref().unwrap()["kind"], text("x"));
    assert_eq!(system(&moved, &System::DeadLetterQueueSourceArn), stage.sqs.queue_arn("work"));
    assert_eq!(system(&moved, &System::ApproximateReceiveCount), "3");
    stage.skip_seconds(30);

    let back = stage.client.start_message_move_task().source_arn(stage.sqs.queue_arn("work-dead"));
    stage.send(&dead, "sent here directly").await;
    assert_eq!(code(back.clone().send().await), "InvalidParameterValue");
    assert_eq!(stage.depth("work-dead"), (2, 0, 0));
    let task = back.clone().destination_arn(stage.sqs.queue_arn("work")).send().await.unwrap();
    assert!(task.task_handle().is_some());
    let moved = stage.receive(&url).await;
    assert_eq!(bodies(&moved), ["a", "sent here directly"]);
    assert_ne!(moved[0].message_id(), Some(id.as_str()));
    assert_eq!(system(&moved[0], &System::ApproximateReceiveCount), "1");
    back.send().await.unwrap(); // nothing left, each with a home

    let not_dead = stage.client.start_message_move_task().source_arn(stage.sqs.queue_arn("work")).send().await;
    assert_eq!(code(not_dead), "InvalidParameterValue");
    let unknown = stage.client.start_message_move_task().source_arn(stage.sqs.queue_arn("other")).send().await;
    assert!(unknown.unwrap_err().into_service_error().is_resource_not_found_exception());
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-central-1:000000000000:none","maxReceiveCount":3}"#;
    let created = stage.client.create_queue().queue_name("x").attributes(Attribute::RedrivePolicy, policy).send().await;
    assert_eq!(code(created), "InvalidParameterValue");
}

#[tokio::test]
async fn without_a_destination_messages_go_back_to_where_they_came_from() {
    let stage = Stage::start().await;
    let (url, _) = stage.redriving(1).await;
    stage.send(&url, "a").await;
    stage.receive_one(&url).await;
    stage.skip_seconds(30);
    assert_eq!(stage.receive(&url).await, []);
    let task = stage.client.start_message_move_task().source_arn(stage.sqs.queue_arn("work-dead"));
    task.send().await.unwrap();
    assert_eq!(bodies(&stage.receive(&url).await), ["a"]);
}

#[tokio::test]
async fn a_flood_of_one_group_does_not_starve_the_others() {
    let stage = Stage::start().await;
    let url = stage.queue("orders", &[]).await;
    for n in 0..12 {
        stage.send_group(&url, "flood", &format!("flood {n}")).await;
    }
    stage.send_group(&url, "quiet", "quiet 0").await;
    stage.send_group(&url, "quiet", "quiet 1").await;
    stage.send(&url, "alone").await;
    let first = stage.receive(&url).await;
    assert_eq!(bodies(&first)[..5], ["flood 0", "quiet 0", "alone", "flood 1", "quiet 1"]);
    // Seven of the flood are in flight now: the next message goes first.
    stage.send_group(&url, "quiet", "quiet 2").await;
    assert_eq!(bodies(&stage.receive(&url).await)[..2], ["quiet 2", "flood 7"]);
    let spaced = stage.client.send_message().queue_url(&url).message_body("a").message_group_id("not allowed");
    assert_eq!(code(spaced.send().await), "InvalidParameterValue");
}

#[tokio::test]
async fn a_long_poll_ends_with_a_message_or_with_its_time() {
    let stage = Stage::start().await;
    let url = stage.queue("orders", &[]).await;
    let poll = json!({"QueueUrl": url, "WaitTimeSeconds": 20}).to_string();
    let mut sent = pin!(stage.sqs.receive_message(poll.as_bytes()));
    assert!(waits(sent.as_mut()).await);
    stage.send(&url, "sent").await;
    assert_eq!(soon(sent).await.unwrap()["Messages"][0]["Body"], "sent");

    let mut skipped = pin!(stage.sqs.receive_message(poll.as_bytes()));
    assert!(waits(skipped.as_mut()).await);
    stage.skip_seconds(20);
    assert_eq!(soon(skipped).await.unwrap(), json!({}));

    let mut shown = pin!(stage.sqs.receive_message(poll.as_bytes()));
    assert!(waits(shown.as_mut()).await);
    stage.skip_seconds(10); // the first one's visibility timeout is over
    assert_eq!(soon(shown).await.unwrap()["Messages"][0]["Body"], "sent");

    stage.client.send_message().queue_url(&url).message_body("timer").delay_seconds(1).send().await.unwrap();
    let timed = stage.client.receive_message().queue_url(&url).wait_time_seconds(20).send();
    assert_eq!(bodies(soon(timed).await.unwrap().messages()), ["timer"]);
}
