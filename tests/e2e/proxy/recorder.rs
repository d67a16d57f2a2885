//! A recorder between the functions and the emulators: every byte in both directions, as it went over the socket.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use local_base::lock;
use local_cli::bundle::Options;
use tests::{Running, options, stack_of};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// The addresses of each emulator that functions call.
const ORIGINS: &[(&str, &[&str])] = &[
    ("slack", &["https://slack.com", "https://files.slack.com"]),
    ("stripe", &["https://api.stripe.com"]),
    ("gmail", &["https://oauth2.googleapis.com", "https://www.googleapis.com", "https://gmail.googleapis.com"]),
];

/// What went over the socket since it was last asked to forget.
#[derive(Default)]
pub(super) struct Recorder {
    chunks: Chunks,
    /// One for each emulator.
    doors: JoinSet<()>,
}

type Chunks = Arc<Mutex<Vec<Chunk>>>;

struct Chunk {
    connection: usize,
    to_provider: bool,
    bytes: Vec<u8>,
}

impl Recorder {
    /// A stack with these parameters whose calls to providers are recorded.
    pub(super) async fn stack(overrides: &[(&str, &str)]) -> (Running, Self) {
        let (mut recorder, mut rewrites, mut doors) = (Self::default(), Vec::new(), Vec::new());
        for (provider, origins) in ORIGINS {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            rewrites.extend(origins.iter().map(|origin| format!("{origin}=http://{address}")));
            let (open, opened) = watch::channel(String::new());
            recorder.doors.spawn(serve(Arc::clone(&recorder.chunks), listener, opened));
            doors.push((provider, open));
        }
        let overrides = overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let stack = stack_of(Options { overrides, rewrites: rewrites.join(" "), ..options().await }).await;
        for (provider, open) in doors {
            let address = stack.sandbox.url(provider).trim_start_matches("http://");
            open.send(address.to_owned()).unwrap();
        }
        (stack, recorder)
    }

    pub(super) fn forget(&self) {
        lock(&self.chunks).clear();
    }

    /// What providers got, or what they sent, by connection.
    pub(super) fn bytes(&self, to_provider: bool) -> Vec<Vec<u8>> {
        let mut all: BTreeMap<_, Vec<u8>> = BTreeMap::new();
        for chunk in lock(&self.chunks).iter().filter(|chunk| chunk.to_provider == to_provider) {
            all.entry(chunk.connection).or_default().extend(&chunk.bytes);
        }
        all.into_values().collect()
    }

    /// The head of the only request since the last [`forget`](Self::forget): its first line, and its headers. None if nothing was sent.
    pub(super) fn head(&self) -> Option<(String, BTreeMap<String, String>)> {
        let all = self.bytes(true);
        assert!(all.len() < 2, "one call is one connection");
        let text = String::from_utf8_lossy(all.first()?).into_owned();
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap().to_owned();
        let headers =
            lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        Some((first, headers.collect()))
    }
}

/// Leads each connection to the address that is told later.
async fn serve(chunks: Chunks, listener: TcpListener, mut to: watch::Receiver<String>) {
    static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
    let mut copies = JoinSet::new();
    while let Ok((caller, _)) = listener.accept().await {
        let Ok(to) = to.wait_for(|to| !to.is_empty()).await.map(|to| to.clone()) else { return };
        let Ok(provider) = TcpStream::connect(to).await else { continue };
        let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        let ((from_caller, to_caller), (from_provider, to_provider)) = (caller.into_split(), provider.into_split());
        copies.spawn(copy(Arc::clone(&chunks), connection, true, from_caller, to_provider));
        copies.spawn(copy(Arc::clone(&chunks), connection, false, from_provider, to_caller));
    }
}

async fn copy(chunks: Chunks, connection: usize, to_provider: bool, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        lock(&chunks).push(Chunk { connection, to_provider, bytes: buffer[..length].to_vec() });
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
