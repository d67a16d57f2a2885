//! The folder of a stack: its logs, its events, and the variables for programs that join it.
//!
//! *Invariant:* a process writes into the folder only while it holds the folder's lock. The lock is the operating system's, on an
//! open file: it ends with its process, also if that is killed.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};

/// A folder that this process has locked, by its absolute path.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    lock: File,
    since: Timestamp,
}

/// The process that has locked a folder, as the lock's file names it.
#[derive(Serialize, Deserialize)]
struct Holder {
    pid: u32,
    since: Timestamp,
    /// Where its HTTP API answers; none while it builds and starts.
    url: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("the folder {} is in use: {holder}; stop that stack, or choose another folder with --directory FOLDER", folder.display())]
    Taken { folder: PathBuf, holder: String },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
}

impl Folder {
    /// Locks a folder, and makes it if it is not there. Variables that a killed process left in it are removed.
    pub fn lock(path: &Path) -> Result<Self, FolderError> {
        fs::create_dir_all(path).map_err(at(path))?;
        let path = path.canonicalize().map_err(at(path))?;
        let file = path.join("lock");
        let opened = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&file);
        let mut lock = opened.map_err(at(&file))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(FolderError::Taken { folder: path, holder: holder(&mut lock) });
            }
            Err(TryLockError::Error(source)) => return Err(FolderError::File { path: file, source }),
        }
        let since = local_base::now();
        let since = since.round(Unit::Second).unwrap_or(since);
        let mut folder = Self { path, lock, since };
        folder.write(None)?;
        match fs::remove_file(folder.env_file()) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(FolderError::File { path: folder.env_file(), source })
            }
            Ok(()) | Err(_) => Ok(folder),
        }
    }

    /// Whether a process holds the lock of a folder.
    pub fn is_locked(path: &Path) -> bool {
        // Two that ask at a time do not hinder each other.
        File::open(path.join("lock")).is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Makes the folder of logs and the file of events, both empty: an earlier run's would mislead.
    pub(super) fn empty(&self) -> Result<(), FolderError> {
        // There may have been no earlier run.
        let _ = fs::remove_dir_all(self.logs());
        fs::create_dir_all(self.logs()).map_err(at(&self.logs()))?;
        fs::write(self.events(), "").map_err(at(&self.events()))
    }

    /// Says where the stack answers, to a stack that is refused the folder.
    pub(super) fn serves(&mut self, url: &str) -> Result<(), FolderError> {
        self.write(Some(url))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A log for each function.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// Each event of the bus, one a line.
    pub fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// The variables for programs that join the stack.
    pub fn env_file(&self) -> PathBuf {
        self.path.join("env")
    }

    fn write(&mut self, url: Option<&str>) -> Result<(), FolderError> {
        let holder = Holder { pid: std::process::id(), since: self.since, url: url.map(str::to_owned) };
        let text = serde_json::to_string(&holder).unwrap_or_default() + "\n";
        let written = self.lock.set_len(0).and_then(|()| self.lock.rewind());
        written.and_then(|()| self.lock.write_all(text.as_bytes())).map_err(at(&self.path.join("lock")))
    }
}

/// The holder in words. It may be about to write its name.
fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    let read = lock.read_to_string(&mut text).map_err(serde_json::Error::io);
    match read.and_then(|_| serde_json::from_str::<Holder>(&text)) {
        Ok(Holder { pid, since, url: Some(url) }) => format!("process {pid} runs {url} in it since {since}"),
        Ok(Holder { pid, since, url: None }) => format!("process {pid} starts a stack in it since {since}"),
        Err(_) => "another `cargo local` has just begun".to_owned(),
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::File { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder_and_the_refused_one_changes_nothing_in_it() {
        let path = std::env::temp_dir().join(format!("intertie-{}", uuid::Uuid::new_v4()));
        assert!(!Folder::is_locked(&path));
        let mut first = Folder::lock(&path).unwrap();
        first.empty().unwrap();
        fs::write(first.events(), "an event\n").unwrap();
        fs::write(first.env_file(), "A=1\n").unwrap();
        let refused = Folder::lock(&path).unwrap_err().to_string();
        let starting = format!("process {} starts a stack in it since {}", std::process::id(), first.since);
        assert!(refused.contains(&starting) && refused.contains("--directory FOLDER"), "{refused}");
        first.serves("http://localhost:4").unwrap();
        let refused = Folder::lock(&path).unwrap_err().to_string();
        assert!(refused.contains("runs http://localhost:4 in it"), "{refused}");
        assert!(Folder::is_locked(&path));
        assert_eq!(fs::read_to_string(first.events()).unwrap(), "an event\n");
        assert_eq!(fs::read_to_string(first.env_file()).unwrap(), "A=1\n");

        drop(first);
        assert!(!Folder::is_locked(&path));
        let second = Folder::lock(&path).unwrap();
        assert!(!second.env_file().exists(), "variables of a stack that is gone");
        fs::remove_dir_all(&path).unwrap();
    }
}
