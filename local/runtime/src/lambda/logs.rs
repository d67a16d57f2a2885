//! A function's log file. Environments write to it themselves: it is their standard output and
//! error, opened for appending. A line written at once, as `tracing` and `println!` do, stays whole
//! among those of other environments; nothing is lost when one is killed, or when we are.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    process::Stdio,
};

use local_base::now;
use serde_json::json;

pub(super) struct Log {
    file: File,
}

impl Log {
    /// Where the log of `function` is.
    pub(super) fn path(folder: &Path, function: &str) -> PathBuf {
        folder.join(format!("{function}.log"))
    }

    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file })
    }

    /// The log as a process's output.
    pub(super) fn output(&self) -> io::Result<Stdio> {
        Ok(self.file.try_clone()?.into())
    }

    /// Notes why an environment of `stream` failed, as Lambda does with the JSON log format.
    pub(super) fn fault(&self, stream: &str, error: &dyn std::error::Error) {
        let mut line = json!({
            "time": now().to_string(),
            "type": "platform.fault",
            "record": { "logStream": stream, "error": error.to_string() },
        })
        .to_string();
        line.push('\n');
        // The caller is told as well; a full disk must not hide that.
        drop((&self.file).write_all(line.as_bytes()));
    }
}
