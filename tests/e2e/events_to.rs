//! `--events-to`: an application under development gets each event of the bus, signed as Standard Webhooks says.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Method;
use local_base::{lock, web::Web};
use local_cli::{bundle::Options, forward::Subscriber};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tests::{PATIENCE, options, stack_of};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// A post: its headers and its body.
type Post = (BTreeMap<String, String>, String);

/// An application that is down when an event first comes: it answers 503, and 204 from then on.
struct Application {
    url: String,
    posts: Arc<Mutex<Vec<Post>>>,
    _serves: JoinSet<()>,
}

impl Application {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/events", listener.local_addr().unwrap());
        let posts = Arc::<Mutex<Vec<Post>>>::default();
        let (mut serves, all) = (JoinSet::new(), Arc::clone(&posts));
        serves.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(receive(stream, Arc::clone(&all)));
            }
        });
        Self { url, posts, _serves: serves }
    }

    /// How often each event came.
    fn attempts(&self) -> BTreeMap<String, usize> {
        let mut attempts = BTreeMap::new();
        for (headers, _) in lock(&self.posts).iter() {
            *attempts.entry(headers["webhook-id"].clone()).or_default() += 1;
        }
        attempts
    }
}

async fn receive(stream: TcpStream, posts: Arc<Mutex<Vec<Post>>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut headers, mut line) = (BTreeMap::new(), String::new());
        while stream.read_line(&mut line).await.unwrap() > 2 {
            if let Some((name, value)) = line.trim().split_once(": ") {
                headers.insert(name.to_lowercase(), value.to_owned());
            }
            line.clear();
        }
        let Some(length) = headers.get("content-length") else { return };
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        let status = {
            let mut posts = lock(&posts);
            let again = posts.iter().any(|(earlier, _)| earlier["webhook-id"] == headers["webhook-id"]);
            posts.push((headers, String::from_utf8(body).unwrap()));
            if again { "204 No Content" } else { "503 Service Unavailable" }
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_gets_each_event_of_the_bus_signed_and_again_until_it_takes_it() {
    let application = Application::start().await;
    let subscriber = Subscriber::new(application.url.clone());
    let secret = subscriber.secret.expose_secret().to_owned();
    let stack = stack_of(Options { events_to: Some(subscriber), ..options().await }).await;
    let variables = stack.environment();
    assert!(variables.contains(&("INTERTIE_EVENTS_SECRET".to_owned(), secret.clone())));

    let session = format!("Bearer {}", stack.session("ada", None, Duration::from_mins(5)).unwrap());
    let headers = [("authorization", &*session), ("content-type", "application/json")];
    let connect = format!("{}/connect/stripe", stack.url);
    let connected = Web::new().call(Method::POST, &connect, &headers, r#"{"api_key":"rk_test_sandbox"}"#).await;
    assert_eq!(connected.unwrap().status(), 201);
    let bus = || std::fs::read_to_string(stack.folder.events()).unwrap();
    let taken = async || {
        let lines = bus();
        let ids: BTreeSet<_> = lines.lines().map(id).collect();
        let attempts = application.attempts();
        let all = ids.iter().all(|id| attempts.get(id) == Some(&2)) && ids.len() == attempts.len();
        (all && lines.contains("integration.connected") && lines.contains("sync.completed")).then_some(())
    };
    stack.until(PATIENCE, taken).await.unwrap();

    let lines = bus();
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    assert_eq!(key.len(), 24);
    for (headers, body) in lock(&application.posts).iter() {
        assert!(lines.lines().any(|line| line == body), "the body is the event as the bus has it: {body}");
        assert_eq!((&headers["content-type"], &headers["webhook-id"]), (&"application/json".to_owned(), &id(body)));
        let time = &headers["webhook-timestamp"];
        assert!(time.parse::<i64>().unwrap().abs_diff(local_base::now().as_second()) < 120);
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{}.{time}.{body}", headers["webhook-id"]).as_bytes());
        let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(headers["webhook-signature"], signature);
    }
    stack.shutdown().await;
}

fn id(event: &str) -> String {
    serde_json::from_str::<Value>(event).unwrap()["id"].as_str().unwrap().to_owned()
}
