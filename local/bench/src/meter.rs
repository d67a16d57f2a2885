//! The CPU time and memory of a process, as the kernel counts them.

use std::{fs, time::Duration};

use local_base::terminal::Failed;
use nix::{
    errno::Errno,
    time::{ClockId, clock_gettime},
    unistd::Pid,
};
use tokio::task::yield_now;

/// Reads the counters of one process.
pub(super) struct Meter {
    pid: u32,
    clock: ClockId,
}

impl Meter {
    /// Of the process `pid`, which must be alive.
    pub(super) fn new(pid: u32) -> Result<Self, Failed> {
        let id = i32::try_from(pid).map_err(Failed::from)?;
        let clock = clock(Pid::from_raw(id)).map_err(|error| unreadable(pid, error))?;
        Ok(Self { pid, clock })
    }

    /// CPU time of all its threads since it began, read when it sleeps: it asks for the next event a moment before it
    /// comes to rest.
    pub(super) async fn cpu_at_rest(&self) -> Result<Duration, Failed> {
        while !self.sleeps()? {
            yield_now().await;
        }
        clock_gettime(self.clock).map(Duration::from).map_err(|error| gone(self.pid, error))
    }

    /// The most memory it ever held, in kB (`VmHWM`).
    pub(super) fn peak_rss_kb(&self) -> Result<u64, Failed> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kb = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        kb.ok_or_else(|| gone(self.pid, "no VmHWM in its status"))
    }

    /// Whether the main thread sleeps: the state is what follows the name, which is in parentheses.
    fn sleeps(&self) -> Result<bool, Failed> {
        let stat = self.proc("stat")?;
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        Ok(state == Some('S'))
    }

    fn proc(&self, file: &str) -> Result<String, Failed> {
        fs::read_to_string(format!("/proc/{}/{file}", self.pid)).map_err(|error| gone(self.pid, error))
    }
}

/// The CPU clock of a process.
#[cfg(target_os = "linux")]
fn clock(pid: Pid) -> nix::Result<ClockId> {
    nix::time::clock_getcpuclockid(pid)
}

/// macOS has no such clock: there the rest of `cargo local` still compiles.
#[cfg(not(target_os = "linux"))]
fn clock(_: Pid) -> nix::Result<ClockId> {
    Err(Errno::ENOTSUP)
}

fn unreadable(pid: u32, error: Errno) -> Failed {
    if error == Errno::ENOTSUP {
        return Failed("the bench reads the CPU clocks of processes, which Linux has: run it on Linux".into());
    }
    gone(pid, error)
}

fn gone(pid: u32, reason: impl std::fmt::Display) -> Failed {
    Failed(format!("process {pid} can't be measured: {reason}; did it end? See target/local/bench/logs"))
}
