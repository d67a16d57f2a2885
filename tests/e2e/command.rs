//! `cargo local` as a person uses it: what it leaves behind, and what it says when something is in the way.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Output, Stdio},
};

use local::bootstraps::target_folder;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tests::{bootstraps, directory, turn};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

async fn program() -> PathBuf {
    bootstraps().await;
    target_folder().unwrap().join("debug/local")
}

async fn run(arguments: &[&str]) -> Output {
    Command::new(program().await).args(arguments).output().await.unwrap()
}

/// A `cargo local` of its own prefix, by which its processes are told from others'.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    prefix: String,
    directory: PathBuf,
}

impl Running {
    async fn start() -> Self {
        let prefix = format!("p{}", &uuid::Uuid::new_v4().simple().to_string()[..19]);
        let directory = directory();
        let mut child = Command::new(program().await)
            .args(["--port", "0", "--parameter-overrides", &format!("Prefix={prefix}")])
            .arg("--directory")
            .arg(&directory)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, prefix, directory }
    }

    /// What it says until a line that starts with these words.
    async fn until(&mut self, words: &str) -> String {
        let mut told = Vec::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            told.push(line);
            if told.last().is_some_and(|line| line.starts_with(words)) {
                return told.join("\n");
            }
        }
        panic!("never said {words:?}: {told:?}")
    }

    /// Processes that are functions of this stack.
    fn bootstraps(&self) -> usize {
        let marker = format!("AWS_LAMBDA_FUNCTION_NAME={}-", self.prefix);
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let environments = processes.filter_map(|process| std::fs::read(process.path().join("environ")).ok());
        environments.filter(|environment| String::from_utf8_lossy(environment).contains(&marker)).count()
    }

    /// Ctrl-C; then nothing of it is left.
    async fn stop(mut self) {
        kill(Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()), Signal::SIGINT).unwrap();
        self.child.wait().await.unwrap();
        assert_eq!(self.bootstraps(), 0);
        assert!(!self.directory.join("env").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_leaves_no_process_and_no_environment_file() {
    let _turn = turn().await;
    let mut running = Running::start().await;
    running.until("The story:").await;
    running.stop().await;

    let mut running = Running::start().await;
    let told = running.until("Ctrl-C").await;
    assert!(told.contains("Every step held.") && told.contains("settings/integrations?session="), "{told}");
    assert!(running.bootstraps() > 0, "the functions' processes run");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_name_their_cause_and_the_next_step() {
    let _turn = turn().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (arguments, words) in [
        (vec!["--once", "--port", &port], "choose another with --port"),
        (vec!["--once", "--port", "0", "--parameter-overrides", "Nope=1"], "Nope"),
        (vec!["--once", "--port", "0", "--parameter-overrides", "ClaimLeaseSeconds=soon"], "ClaimLeaseSeconds"),
        (vec!["sign", "--provider", "nobody", "/dev/null"], "there are: slack, stripe"),
        (vec!["sign", "--provider", "stripe", "/no/such/file"], "/no/such/file"),
    ] {
        let output = run(&arguments).await;
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains(words), "{arguments:?}: {told}");
        assert!(!told.contains("panicked"), "{told}");
    }
}
