//! The functions' bootstraps: where they are, building them, and ready-made ones.
//!
//! *Invariant:* a bootstrap that a stack or a measurement needs is looked for before anything starts.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use tokio::process::Command;

/// What `cargo run` and `cargo test` set for this program's own package. Passed on, they make build scripts that ask
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

/// The bootstraps of one build.
#[derive(Debug, Clone)]
pub struct Bootstraps {
    folder: PathBuf,
    others: BTreeMap<String, PathBuf>,
}

/// Why there are no bootstraps.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The path of this program is unknown.
    #[error("can't tell where the compiled binaries are: {0}")]
    Where(std::io::Error),
    #[error("can't start cargo: {0}; is Rust installed?")]
    Start(std::io::Error),
    /// cargo failed, and has printed why.
    #[error("the functions don't build; cargo says above why")]
    Failed,
    /// The folder of ready-made bootstraps can't be read.
    #[error("{}: {source}; `cargo lambda build --release` makes target/lambda with a folder for each function", folder.display())]
    Folder { folder: PathBuf, source: std::io::Error },
    /// A bootstrap is not where it should be.
    #[error("there is no bootstrap {}; make it with: {command}", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
        command: String,
    },
    /// A bootstrap was given for a function that the template does not declare.
    #[error("a bootstrap is given for {given:?}, which is no function of the template; the functions are: {known}")]
    UnknownFunction { given: String, known: String },
}

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

    /// Ready-made ones: `folder` is laid out as `cargo lambda build` does it (`folder/<binary>/bootstrap`) or as a cargo
    /// target folder is (`folder/<binary>`).
    pub fn ready_made(folder: &Path) -> Result<Self, BuildError> {
        // Absolute, because a bootstrap is started in its own folder.
        let found = folder.canonicalize().and_then(|folder| std::fs::read_dir(&folder).map(|_| folder));
        let folder = found.map_err(|source| BuildError::Folder { folder: folder.to_owned(), source })?;
        Ok(Self { folder, others: BTreeMap::new() })
    }

    /// Replaces the bootstrap of one function by that at `path`.
    #[must_use]
    pub fn with(mut self, binary: &str, path: PathBuf) -> Self {
        self.others.insert(binary.to_owned(), path);
        self
    }

    /// Where a bootstrap is, or should be.
    pub fn path(&self, binary: &str) -> PathBuf {
        if let Some(path) = self.others.get(binary) {
            return path.clone();
        }
        let (lambda, cargo) = (self.folder.join(binary).join("bootstrap"), self.folder.join(binary));
        if cargo.is_file() || self.of_cargo().is_some() { cargo } else { lambda }
    }

    /// Fails if one of these bootstraps is missing, or one was given for a function that is not among them.
    pub fn check<'b>(&self, binaries: impl Iterator<Item = &'b str>) -> Result<(), BuildError> {
        let binaries: Vec<_> = binaries.collect();
        if let Some(given) = self.others.keys().find(|given| !binaries.contains(&given.as_str())) {
            return Err(BuildError::UnknownFunction { given: given.clone(), known: binaries.join(", ") });
        }
        let missing = binaries.into_iter().find(|binary| !self.path(binary).is_file());
        missing.map_or(Ok(()), |binary| {
            Err(BuildError::Missing { path: self.path(binary), command: self.command(binary) })
        })
    }

    /// The profile of the cargo target folder that this is; none for the layout of cargo-lambda.
    fn of_cargo(&self) -> Option<Profile> {
        let name = self.folder.file_name()?;
        if name == "debug" {
            Some(Profile::Dev)
        } else if name == "release" {
            Some(Profile::Release)
        } else {
            None
        }
    }

    /// The command that makes the bootstrap of this binary here.
    fn command(&self, binary: &str) -> String {
        match self.of_cargo() {
            Some(Profile::Dev) => format!("cargo build --bin {binary}"),
            Some(Profile::Release) => format!("cargo build --release --bin {binary}"),
            None => {
                format!("cargo lambda build --release --lambda-dir {} --bin {binary}", self.folder.display())
            }
        }
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
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test's own with these files.
    fn folder(name: &str, files: &[&str]) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("intertie-{}", uuid::Uuid::new_v4())).join(name);
        for file in files.iter().map(|file| folder.join(file)) {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
        folder
    }

    #[test]
    fn both_layouts_are_read_and_a_missing_bootstrap_is_named_with_the_command_that_makes_it() {
        let files = ["a/bootstrap", "b/bootstrap"];
        let lambda = Bootstraps::ready_made(&folder("lambda", &files)).unwrap();
        assert!(lambda.path("a").ends_with("lambda/a/bootstrap"));
        assert!(lambda.check(["a", "b"].into_iter()).is_ok());
        let missing = lambda.check(["a", "c"].into_iter()).unwrap_err().to_string();
        assert!(missing.contains("lambda/c/bootstrap"), "{missing}");
        assert!(missing.contains("cargo lambda build --release --lambda-dir /"), "{missing}");
        assert!(missing.ends_with("/lambda --bin c"), "{missing}");

        let cargo = Bootstraps::ready_made(&folder("release", &["a"])).unwrap();
        assert!(cargo.path("a").ends_with("release/a"));
        let missing = cargo.check(["a", "c"].into_iter()).unwrap_err().to_string();
        assert!(missing.ends_with("release/c; make it with: cargo build --release --bin c"), "{missing}");
    }

    #[test]
    fn a_folder_that_is_not_there_and_a_bootstrap_for_an_unknown_function_are_refused() {
        let absent = Bootstraps::ready_made(Path::new("/nowhere/lambda")).unwrap_err().to_string();
        assert!(absent.starts_with("/nowhere/lambda: "), "{absent}");
        let given = Bootstraps::ready_made(&folder("lambda", &["a/bootstrap"])).unwrap().with("b", "/b".into());
        let refused = given.check(["a"].into_iter()).unwrap_err().to_string();
        assert!(refused.contains("\"b\"") && refused.ends_with("are: a"), "{refused}");
    }
}
