//! A script in a Node.js process of its own. It says a line of JSON when it is ready, and one for each line that it is told.

use std::process::Stdio;

use local_runtime::bootstraps::target_folder;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::Mutex,
};

/// A running script. It ends when this is dropped, or the test is killed.
pub(crate) struct Node {
    /// What it said first.
    pub(crate) ready: Value,
    pipes: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    _process: Child,
}

impl Node {
    /// Starts a script of this folder, with the packages and the Node.js that tests/emulate/run has installed.
    pub(crate) async fn start(script: &str) -> Self {
        let folder = target_folder().unwrap().join("emulate");
        let node = ["x64", "arm64"].map(|cpu| folder.join(format!("node_modules/node-linux-{cpu}/bin/node")));
        let node = node.iter().find(|node| node.is_file()).expect("tests/emulate/run has installed Node.js");
        let mut process = Command::new(node)
            .arg(script)
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Node.js starts");
        let stdin = process.stdin.take().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = next(&mut lines).await;
        Self { ready, pipes: Mutex::new((stdin, lines)), _process: process }
    }

    /// Tells it something: its answer.
    pub(crate) async fn order(&self, order: Value) -> Value {
        let (stdin, lines) = &mut *self.pipes.lock().await;
        stdin.write_all(format!("{order}\n").as_bytes()).await.unwrap();
        next(lines).await
    }
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> Value {
    let line = lines.next_line().await.unwrap().expect("the script answers, or says above why not");
    serde_json::from_str(&line).unwrap()
}
