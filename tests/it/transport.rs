//! The one path of calls, against a provider that is a socket: what is sent again, and what that costs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use domain::{
    CredentialName, Failure, ProviderId, Reply, Request,
    call::{Api, limit::Rates},
    provider_api::ProviderApi,
};
use platform::{
    base::{clock, rewrites::Rewrites},
    client::{
        CallError,
        http::{Authorization, HttpClient},
        pace::{Pace, Waiting},
        transport::{Endpoint, ProviderRequest, Transport},
    },
    stores::health::CallHealth,
};
use tests::{Ground, start};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

const API: Api = Api::new("https://provider.example");
static ID: ProviderId = ProviderId::of_data("provider");
static KEY: CredentialName = CredentialName::of_data("key");
const PROVIDER: ProviderApi =
    ProviderApi { id: &ID, name: "Provider", app: "provider", api: &API, oauth: None, credential: &KEY };
const DEADLINE: Duration = Duration::from_secs(20);

/// How a provider's connection treats its requests after the first.
#[derive(Clone, Copy)]
enum Later {
    /// It was closed while it was idle.
    Closed,
    /// It takes the request and ends, as a middlebox that forgot it does.
    Cut,
}

/// A provider that answers one request on each connection. How many requests it has read.
async fn provider(later: Later) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    start(async move {
        while let Ok((stream, _)) = listener.accept().await {
            start(connection(stream, later, Arc::clone(&count)));
        }
    });
    (url, requests)
}

async fn connection(mut stream: TcpStream, later: Later, count: Arc<AtomicUsize>) {
    let mut buffer = [0; 4096];
    let mut read = async |stream: &mut TcpStream| {
        let read = stream.read(&mut buffer).await.unwrap_or_default();
        count.fetch_add(usize::from(read > 0), Ordering::SeqCst);
    };
    read(&mut stream).await;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
    if matches!(later, Later::Cut) {
        read(&mut stream).await;
    }
}

fn transport(ground: &Ground, url: &str) -> Transport {
    let http = HttpClient::new(Rewrites::parse(&format!("{}={url}", API.base)).unwrap()).unwrap();
    let pace = Pace::new(&ground.aws, "intertie-rate-limits");
    Transport::new(http, health(ground), pace, Rates::default())
}

fn health(ground: &Ground) -> CallHealth {
    CallHealth::new(&ground.aws, "intertie-health")
}

async fn send(transport: &Transport, request: &Request) -> Result<(), Failure> {
    let call = ProviderRequest {
        provider: &PROVIDER,
        request,
        authorization: Authorization::None,
        account: Some(&"A1".parse().unwrap()),
        endpoint: Endpoint::Api,
        waiting: Waiting::Here,
        deadline: clock::now() + DEADLINE,
    };
    failure_of(transport.send(call).await)
}

fn failure_of(sent: Result<Reply, CallError>) -> Result<(), Failure> {
    sent.map(|_| ()).map_err(|error| error.failure().unwrap().clone())
}

#[tokio::test]
async fn a_connection_that_died_while_the_sandbox_was_frozen_costs_next_to_nothing() {
    for later in [Later::Closed, Later::Cut] {
        let ground = Ground::start().await;
        let (url, requests) = provider(later).await;
        let transport = transport(&ground, &url);
        let get = Request::get("x", "https://provider.example/x");
        send(&transport, &get).await.unwrap();
        send(&transport, &get).await.unwrap();
        transport.flush("intertie", clock::now()).await;
        let health = health(&ground).of(PROVIDER.id, clock::now()).await.unwrap();
        assert_eq!((health.calls, health.failures), (2, 0), "replaced at once: no failure, and no pause after it");
        let expected = if matches!(later, Later::Cut) { 3 } else { 2 };
        assert_eq!(requests.load(Ordering::SeqCst), expected);
    }
}

#[tokio::test]
async fn a_post_on_a_connection_that_died_under_it_is_not_repeated_and_one_that_never_left_is() {
    let ground = Ground::start().await;
    let post = Request::post("x", "https://provider.example/x").form([("a", "b")]);
    let (url, requests) = provider(Later::Cut).await;
    let cut = transport(&ground, &url);
    send(&cut, &post).await.unwrap();
    assert_eq!(send(&cut, &post).await, Err(Failure::Down(None)), "nobody knows if it was carried out");
    assert_eq!(requests.load(Ordering::SeqCst), 2);
    assert_eq!(send(&cut, &post.clone().idempotent()).await, Ok(()), "a new connection");
    assert_eq!(send(&cut, &post.clone().idempotent()).await, Ok(()), "repeated, because it may be");

    let nowhere = transport(&ground, "http://127.0.0.1:9");
    let began = Instant::now();
    assert_eq!(send(&nowhere, &post).await, Err(Failure::Unreached));
    assert!(began.elapsed() > Duration::from_millis(1), "tried more than once, with pauses");
}

#[tokio::test]
async fn a_dead_call_ends_with_its_deadline() {
    let ground = Ground::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let transport = transport(&ground, &url);
    let get = Request::get("x", "https://provider.example/x");
    let began = Instant::now();
    let deadline = clock::now() + Duration::from_secs(2);
    let call = ProviderRequest {
        provider: &PROVIDER,
        request: &get,
        authorization: Authorization::None,
        account: None,
        endpoint: Endpoint::Api,
        waiting: Waiting::Here,
        deadline,
    };
    assert_eq!(failure_of(transport.send(call).await), Err(Failure::Down(None)));
    // Without a deadline, one attempt takes ten seconds.
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}
