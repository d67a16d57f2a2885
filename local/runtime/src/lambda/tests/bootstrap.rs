//! The bootstrap under test: this very test binary, started again by an environment with
//! [`ARGUMENTS`], running the real `lambda_runtime`. The event tells the handler what to do.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Read},
    net::{SocketAddr, TcpStream},
    process,
};

use lambda_runtime::{Context, Error, LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(super) const ARGUMENTS: [&str; 3] = ["--exact", "lambda::tests::bootstrap::bootstrap_process", "--nocapture"];

#[derive(Serialize, Deserialize)]
pub(super) enum Order {
    /// Answer with a [`Description`].
    Describe,
    /// Connect, answer with a [`Description`] once the other side hangs up.
    Hold(SocketAddr),
    Fail,
    Panic,
    Exit(i32),
    /// Answer with a text of so many bytes.
    Fill(usize),
}

/// How the bootstrap starts, from its variable `START`.
#[derive(Serialize, Deserialize)]
pub(super) enum Start {
    Exit,
    /// Exit unless the file is there; leave it.
    ExitOnce(String),
    ReportError,
    Hang,
    /// Without `lambda_runtime`: answer one event, then exit.
    OneEvent,
    /// Hold a connection for as long as the process lives.
    Connect(SocketAddr),
}

#[derive(Serialize, Deserialize)]
pub(super) struct Description {
    pub(super) pid: i32,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) folder: String,
    pub(super) context: Context,
}

#[test]
#[expect(clippy::disallowed_methods, reason = "stands for a function, whose configuration is its environment")]
fn bootstrap_process() {
    let Ok(address) = env::var("AWS_LAMBDA_RUNTIME_API") else {
        return; // the ordinary test run
    };
    let start = env::var("START").ok().map(|start| serde_json::from_str(&start).unwrap());
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let _line = match start {
            None => None,
            Some(Start::Connect(witness)) => Some(TcpStream::connect(witness).unwrap()),
            Some(Start::Exit) => process::exit(3),
            Some(Start::ExitOnce(mark)) => {
                if fs::File::create_new(mark).is_ok() {
                    process::exit(3);
                }
                None
            }
            Some(Start::ReportError) => {
                let report = r#"{"errorType":"Config.Missing","errorMessage":"no WEBHOOKS_QUEUE_URL"}"#;
                call(&address, "POST", "init/error", report).await;
                process::exit(1)
            }
            Some(Start::Hang) => std::future::pending().await,
            Some(Start::OneEvent) => {
                let event = call(&address, "GET", "invocation/next", "").await;
                let id = event.lines().find_map(|line| line.strip_prefix("lambda-runtime-aws-request-id: "));
                let response = format!("invocation/{}/response", id.unwrap());
                call(&address, "POST", &response, &process::id().to_string()).await;
                process::exit(0)
            }
        };
        lambda_runtime::run(service_fn(handle)).await.unwrap();
    });
}

#[expect(clippy::disallowed_methods, reason = "reports the environment it was given")]
async fn handle(event: LambdaEvent<Order>) -> Result<serde_json::Value, Error> {
    match event.payload {
        Order::Describe => {}
        Order::Hold(address) => {
            println!("holding");
            TcpStream::connect(address)?.read_to_end(&mut Vec::new())?;
        }
        Order::Fail => return Err(io::Error::other("provider is down").into()),
        Order::Panic => panic!("out of range"),
        Order::Exit(code) => process::exit(code),
        Order::Fill(bytes) => return Ok("x".repeat(bytes).into()),
    }
    let description = Description {
        pid: i32::try_from(process::id())?,
        variables: env::vars().collect(),
        folder: env::current_dir()?.display().to_string(),
        context: event.context,
    };
    Ok(serde_json::to_value(description)?)
}

/// A bare call of the Runtime API; returns the whole answer.
pub(super) async fn call(address: &str, method: &str, path: &str, body: &str) -> String {
    let mut line = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} /2018-06-01/runtime/{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    line.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    line.read_to_string(&mut answer).await.unwrap();
    answer
}
