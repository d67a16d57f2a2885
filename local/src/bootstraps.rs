//! The functions' own binaries: where they are, and building them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use tokio::process::Command;

/// What `cargo run` and `cargo test` tell this program about its own package. Passed on, they make build scripts that ask
/// for them run again, and with them half of the dependencies compile again.
const OF_THIS_PACKAGE: [&str; 16] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_MANIFEST_PATH",
    "CARGO_PKG_AUTHORS",
    "CARGO_PKG_DESCRIPTION",
    "CARGO_PKG_HOMEPAGE",
    "CARGO_PKG_LICENSE",
    "CARGO_PKG_LICENSE_FILE",
    "CARGO_PKG_NAME",
    "CARGO_PKG_README",
    "CARGO_PKG_REPOSITORY",
    "CARGO_PKG_VERSION",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
];

/// The binaries of one profile.
#[derive(Debug, Clone)]
pub struct Bootstraps {
    folder: PathBuf,
    others: BTreeMap<String, PathBuf>,
}

/// The binaries can't be had.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Nobody knows where this program is.
    #[error("can't tell where the compiled binaries are: {0}")]
    Where(std::io::Error),
    /// cargo did not start.
    #[error("can't start cargo: {0}; is Rust installed?")]
    Start(std::io::Error),
    /// cargo failed; it has said why.
    #[error("the functions don't build; cargo says above why")]
    Failed,
}

/// How to compile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Fast to build.
    Dev,
    /// As deployed.
    Release,
}

impl Bootstraps {
    /// Builds all functions of the workspace at `root` and finds their binaries beside this program's.
    pub async fn build(root: &Path, profile: Profile, packages: &[&str]) -> Result<Self, BuildError> {
        let target = target_folder()?;
        let mut cargo = Command::new("cargo");
        cargo.current_dir(root).arg("build").arg("--target-dir").arg(&target);
        for name in OF_THIS_PACKAGE {
            cargo.env_remove(name);
        }
        match profile {
            // All members at once, as `cargo local` itself was built, so that nothing is compiled twice.
            Profile::Dev => cargo.arg("--bins"),
            // Just these, so that they have the features they deploy with.
            Profile::Release => cargo.arg("--release").args(packages.iter().flat_map(|package| ["--package", package])),
        };
        let status = cargo.kill_on_drop(true).status().await.map_err(BuildError::Start)?;
        if !status.success() {
            return Err(BuildError::Failed);
        }
        let folder = match profile {
            Profile::Dev => target.join("debug"),
            Profile::Release => target.join("release"),
        };
        Ok(Self { folder, others: BTreeMap::new() })
    }

    /// The same, but for one function the binary at `path`.
    #[must_use]
    pub fn with(mut self, binary: &str, path: PathBuf) -> Self {
        self.others.insert(binary.to_owned(), path);
        self
    }

    /// Where a binary is.
    pub fn path(&self, binary: &str) -> PathBuf {
        self.others.get(binary).cloned().unwrap_or_else(|| self.folder.join(binary))
    }
}

/// The target folder this program was compiled into: it is `{target}/{profile}/local` or, in tests, deeper.
pub fn target_folder() -> Result<PathBuf, BuildError> {
    let program = std::env::current_exe().map_err(BuildError::Where)?;
    let profile = program.ancestors().find(|folder| folder.ends_with("debug") || folder.ends_with("release"));
    let target = profile.and_then(Path::parent);
    target.map(Path::to_owned).ok_or_else(|| BuildError::Where(std::io::Error::other("not in a target folder")))
}

/// The checkout this program was compiled from.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}
