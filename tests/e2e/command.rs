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
use tests::bootstraps;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

async fn program() -> PathBuf {
    bootstraps().await;
    target_folder().unwrap().join("debug/local")
}

async fn run(arguments: &[&str]) -> Output {
    Command::new(program().await).args(arguments).output().await.unwrap()
}

/// Processes of this user whose executable is a bootstrap of ours and whose environment names `marker`.
fn bootstraps_of(marker: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let environments = processes.filter_map(|process| std::fs::read(process.path().join("environ")).ok());
    environments.filter(|environment| String::from_utf8_lossy(environment).contains(marker)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_leaves_no_process_and_no_environment_file() {
    let prefix = format!("p{}", uuid::Uuid::new_v4().simple());
    let parameter = format!("Prefix={}", &prefix[..20]);
    let mut child = Command::new(program().await)
        .args(["--port", "0", "--parameter-overrides", &parameter])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        told.push(line.clone());
        if line.starts_with("Ctrl-C") {
            break;
        }
    }
    let told = told.join("\n");
    assert!(told.contains("Every step held.") && told.contains("settings/integrations?session="), "{told}");
    let marker = format!("AWS_LAMBDA_FUNCTION_NAME={}", &prefix[..20]);
    assert!(bootstraps_of(&marker) > 0, "the functions' processes run");
    kill(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()), Signal::SIGINT).unwrap();
    assert!(child.wait().await.unwrap().success());
    assert_eq!(bootstraps_of(&marker), 0);
    assert!(!target_folder().unwrap().join("local/env").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_name_their_cause_and_the_next_step() {
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
