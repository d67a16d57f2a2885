//! One folder, one stack; and each command reaches the stack of the folder that it names.

use std::os::unix::fs::PermissionsExt as _;

use nix::sys::signal::{Signal, kill};
use tests::{PATIENCE, directory, room};

use crate::command::{Running, run};

const SERVES: &[&str] = &["--no-story"];

#[tokio::test(flavor = "multi_thread")]
async fn a_second_stack_in_a_folder_is_refused_and_told_the_holder_until_that_is_killed() {
    let _room = room().await;
    let mut first = Running::start(SERVES).await;
    let text = first.until("Ctrl-C").await;
    let url = text.split("signed in: ").nth(1).unwrap().split("/settings").next().unwrap();
    let folder = first.directory.canonicalize().unwrap();
    assert!(text.contains(&format!("'{}'", folder.join("env").display())), "the path is the folder's: {text}");
    let mode = std::fs::metadata(folder.join("env")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the variables are the user's own: {mode:o}");
    std::fs::write(folder.join("events.jsonl"), "an event\n").unwrap();
    let kept = || ["env", "events.jsonl", "lock"].map(|file| std::fs::read_to_string(folder.join(file)).unwrap());
    let before = kept();

    // It would end if it were not refused.
    let second = run(&["--once", "--port", "0", "--directory", folder.to_str().unwrap()]).await;
    let text = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{text}");
    for words in [&format!("process {} runs {url} in it since 20", first.pid()), "--directory FOLDER"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(kept(), before);
    assert!(first.join(&["token", "--user", "ada"]).await.status.success());

    kill(first.pid(), Signal::SIGKILL).unwrap();
    first.child.wait().await.unwrap();
    assert!(folder.join("env").exists(), "nothing was left to remove it");
    let token = first.join(&["token", "--user", "ada"]).await;
    let text = String::from_utf8_lossy(&token.stderr);
    assert!(!token.status.success() && text.contains("no stack runs in") && text.contains("--directory"), "{text}");
    let gone = async {
        while first.bootstraps() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("functions end with their stack");

    let mut third = Running::start_in(folder, SERVES).await;
    third.until("Ctrl-C").await;
    assert!(third.join(&["token", "--user", "ada"]).await.status.success());
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_reach_the_stack_of_the_folder_that_they_name() {
    let _room = room().await;
    let mut stacks = [Running::start(SERVES).await, Running::start(&["--no-story", "--print-env"]).await];
    let mut urls = Vec::new();
    for (stack, variables) in stacks.iter_mut().zip([false, true]) {
        let text = stack.until("Ctrl-C").await;
        let (before, after) = text.split_once("Status page, signed in: ").unwrap();
        urls.push(after.split("/settings").next().unwrap().to_owned());
        assert!(!before.contains("AWS_REGION="), "the link comes first: {text}");
        assert_eq!(after.contains("AWS_REGION="), variables, "{text}");
    }
    let hook = urls.iter().map(|url| format!("{url}/webhooks/stripe")).collect::<Vec<_>>();
    let body = local_runtime::bootstraps::root().join("events/stripe-signature-vector.json");
    let body = body.to_str().unwrap();
    for (stack, other) in [(0, 1), (1, 0)] {
        let running = &stacks[stack];
        // A wrong name lists the schedules by their full names.
        let fired = running.join(&["fire", "none"]).await;
        let text = String::from_utf8_lossy(&fired.stdout);
        assert!(text.contains(&format!("{}-", running.prefix)), "{text}");
        for (to, taken) in [(stack, true), (other, false)] {
            let sent = running.join(&["sign", "--provider", "stripe", "--send", &hook[to], body]).await;
            assert_eq!(sent.status.success(), taken, "{stack} to {to}: {sent:?}");
            let token = running.join(&["token", "--user", "ada"]).await;
            let bearer = format!("Bearer {}", String::from_utf8_lossy(&token.stdout).trim());
            let answer = local_base::web::Web::new();
            let url = format!("{}/integrations", urls[to]);
            let answer = answer.call(http::Method::GET, &url, &[("authorization", &bearer)], "").await.unwrap();
            assert_eq!(answer.status().is_success(), taken, "{stack} to {to}: {answer:?}");
        }
    }
    for command in [&["fire", "none"][..], &["token", "--user", "ada"], &["sign", "--provider", "stripe", body]] {
        let folder = directory();
        let output = run(&[&command[..1], &["--directory", folder.to_str().unwrap()], &command[1..]].concat()).await;
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(folder.to_str().unwrap()), "{command:?}: {text}");
        assert!(!folder.exists(), "a command that joins makes no folder");
    }
    for stack in stacks {
        stack.stop().await;
    }
}
