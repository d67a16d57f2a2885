//! A script in a Node.js process of its own. It says a line of JSON when it is ready, and one for each line that it is told.

use std::{path::PathBuf, process::Stdio};

use local_runtime::bootstraps::target_folder;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::Mutex,
};

/// A running script. It ends when this is dropped, or the test is killed.
pub struct Node {
    /// What it said first.
    pub ready: Value,
    pipes: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    _process: Child,
}

impl Node {
    /// Starts a script in a folder of the target folder, with the packages and the Node.js that the folder's `run` has installed there.
    pub async fn start(folder: &str, script: &str) -> Self {
        let mut process = Command::new(program(folder))
            .arg(script)
            .current_dir(target_folder().expect("a target folder").join(folder))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Node.js starts");
        let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else { panic!("the script has pipes") };
        let mut lines = BufReader::new(stdout).lines();
        let ready = next(&mut lines).await;
        Self { ready, pipes: Mutex::new((stdin, lines)), _process: process }
    }

    /// Tells it something: its answer.
    pub async fn order(&self, order: Value) -> Value {
        let (stdin, lines) = &mut *self.pipes.lock().await;
        stdin.write_all(format!("{order}\n").as_bytes()).await.expect("the script reads");
        next(lines).await
    }
}

/// The Node.js that the `run` of a folder has installed into this folder of the target folder.
pub fn program(folder: &str) -> PathBuf {
    let folder = target_folder().expect("a target folder").join(folder);
    let node = ["x64", "arm64"].map(|cpu| folder.join(format!("node_modules/node-linux-{cpu}/bin/node")));
    node.into_iter().find(|node| node.is_file()).expect("the folder's run has installed Node.js")
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> Value {
    let line = lines.next_line().await.ok().flatten().expect("the script answers, or says above why not");
    serde_json::from_str(&line).expect("a line of JSON")
}
