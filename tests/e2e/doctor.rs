//! `./doctor` on machines that lack something: it says what, and the command that helps.

use std::{
    net::TcpListener,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use local_runtime::bootstraps::root;
use tests::directory;
use tokio::process::Command;

/// What a machine is different in.
type Change = fn(&Machine);

/// A folder that is the whole PATH of a machine that has what is needed, whatever this one has.
struct Machine(PathBuf);

impl Machine {
    fn new() -> Self {
        let machine = Self(directory());
        std::fs::create_dir_all(&machine.0).unwrap();
        for tool in ["bash", "dirname"] {
            let places = ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(tool));
            symlink(places.iter().find(|place| place.exists()).unwrap(), machine.0.join(tool)).unwrap();
        }
        let toolchain = std::fs::read_to_string(root().join("rust-toolchain.toml")).unwrap();
        let wanted = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"');
        machine.has("rustc", &format!("rustc {wanted} (0123456 2026-01-01)"));
        for tool in ["cargo", "cc"] {
            machine.has(tool, "");
        }
        machine.df(9_000_000);
        machine
    }

    /// A program that prints this and succeeds.
    fn has(&self, tool: &str, output: &str) {
        let file = self.0.join(tool);
        // Written by another process: one that this process writes can't be executed while a child of another test has it open, too.
        let write = format!("printf '%s' \"$1\" >'{0}' && chmod 755 '{0}'", file.display());
        let script = format!("#!/bin/sh\necho '{output}'\n");
        let written = std::process::Command::new("sh").args(["-c", &write, "sh", &script]).status().unwrap();
        assert!(written.success());
    }

    fn lacks(&self, tool: &str) {
        std::fs::remove_file(self.0.join(tool)).unwrap();
    }

    fn df(&self, free: u64) {
        let head = "Filesystem 1024-blocks Used Available Capacity Mounted on";
        self.has("df", &format!("{head}\n/dev/disk 9000000 1 {free} 1% /"));
    }

    /// The lines for what is missing, each with the one that helps.
    async fn doctor(&self, port: u16) -> Vec<String> {
        let mut doctor = Command::new(root().join("doctor"));
        doctor.arg(port.to_string()).env_clear().env("PATH", &self.0);
        let output = doctor.output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{text}");
        let lines: Vec<_> = text.lines().collect();
        let missing = lines.windows(2).filter(|pair| pair[0].starts_with("  ✗ "));
        let missing: Vec<_> = missing.map(|pair| format!("{} {}", pair[0], pair[1].trim())).collect();
        assert_eq!(output.status.code(), Some(i32::from(!missing.is_empty())), "{text}");
        assert_eq!(lines.last() == Some(&"Ready: cargo local"), missing.is_empty(), "{text}");
        missing
    }
}

#[tokio::test]
async fn the_doctor_says_what_is_missing_and_the_command_that_helps() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap().port();
    // Any: a port that was free a moment ago may be another test's.
    let free = 0;
    let cases: [(Change, u16, &[&str]); 8] = [
        (|_| {}, free, &[]),
        (|machine| machine.lacks("cc"), free, &["the C compiler cc is missing", "install build-essential"]),
        (|_| {}, taken, &["is taken", "cargo local --port 0"]),
        (|machine| machine.has("rustc", "rustc 1.9.5 (a 2016-01-01)"), free, &["Rust is 1.9.5", "https://rustup.rs"]),
        (|machine| machine.has("rustc", "rustc 2.0.0 (a 2030-01-01)"), free, &[]),
        (|machine| machine.lacks("rustc"), free, &["Rust is missing", "https://rustup.rs"]),
        (|machine| machine.df(512_000), free, &["has 500 MB free", "cargo clean", "CARGO_TARGET_DIR"]),
        (
            |machine| {
                machine.has("rustup", "");
                machine.has("apt-get", "");
                machine.has("rustc", "rustc 1.80.0 (a 2024-01-01)");
                machine.lacks("cc");
            },
            free,
            &["Rust is 1.80.0", "rustup toolchain install 1.", "sudo apt-get install build-essential"],
        ),
    ];
    for (change, port, words) in cases {
        let machine = Machine::new();
        change(&machine);
        let missing = machine.doctor(port).await.join("\n");
        assert_eq!(missing.is_empty(), words.is_empty(), "{missing}");
        assert!(words.iter().all(|words| missing.contains(words)), "{words:?}: {missing}");
    }
}
