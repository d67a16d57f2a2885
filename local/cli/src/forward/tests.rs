//! Applications that take no event.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc::unbounded_channel,
};

use super::*;

const PATIENCE: Duration = Duration::from_mins(1);

/// An address whose application gives each request `answer`, or with none does not answer; and how many requests came.
async fn application(answer: Option<&'static str>) -> (Subscriber, Arc<AtomicUsize>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    let (posts, mut serves) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    let count = Arc::clone(&posts);
    serves.spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // An event and its headers fit into one segment.
            let read = stream.read(&mut [0; 4096]).await.unwrap();
            assert!(read > 0, "a request is sent");
            count.fetch_add(1, Ordering::SeqCst);
            match answer {
                Some(status) => {
                    let text = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
                    stream.write_all(text.as_bytes()).await.unwrap();
                }
                None => open.push(stream),
            }
        }
    });
    let attempts = Attempts { answer: Duration::from_millis(200), pauses: [Duration::from_millis(1); 4] };
    (Subscriber { attempts, ..Subscriber::new(url) }, posts, serves)
}

fn event(id: &str) -> String {
    format!(r#"{{"id":"{id}","detail-type":"sync.completed","detail":{{}}}}"#)
}

async fn brought(subscriber: &Subscriber) -> Ended {
    timeout(PATIENCE, subscriber.bring(&Web::new(), &Semaphore::new(1), event("e1"))).await.expect("it gives up")
}

#[tokio::test]
async fn an_application_that_does_not_answer_or_fails_is_given_up_after_five_attempts() {
    for (answer, reason) in
        [(None, "no answer within 200ms"), (Some("500 Internal Server Error"), "it answered 500 Internal Server Error")]
    {
        let (subscriber, posts, _serves) = application(answer).await;
        let sentence = format!("{} did not take sync.completed e1 in 5 attempts: {reason}", subscriber.url);
        assert_eq!(brought(&subscriber).await, Ended::GivenUp(sentence));
        assert_eq!(posts.load(Ordering::SeqCst), 5, "{reason}");
    }
}

#[tokio::test]
async fn an_address_where_nothing_listens_is_given_up() {
    let (subscriber, posts, mut serves) = application(None).await;
    serves.shutdown().await;
    let ended = brought(&subscriber).await;
    assert!(matches!(&ended, Ended::GivenUp(text) if text.contains("in 5 attempts: no answer")), "{ended:?}");
    assert_eq!(posts.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_application_that_answers_410_gets_no_more_events() {
    let (subscriber, posts, _serves) = application(Some("410 Gone")).await;
    let (bus, events) = unbounded_channel();
    bus.send(event("e1")).unwrap();
    timeout(PATIENCE, subscriber.follow(events)).await.expect("it ends while the bus is open");
    assert_eq!(posts.load(Ordering::SeqCst), 1);
    assert!(bus.is_closed(), "nothing is kept for it");
}
