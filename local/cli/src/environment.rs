//! How other programs join a running stack: variables, on the terminal and in a file.

use std::{fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt as _, time::Duration};

use local_aws::{REGION, clients::DEVELOPER_KEY};
use local_runtime::stack::{FolderError, endpoints};

use secrecy::ExposeSecret as _;

use crate::bundle::Bundle;

impl Bundle {
    /// What another program needs to join the stack: where it is, and the functions' own variables for
    /// `cargo lambda watch`.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut all = endpoints(&self.aws_url);
        let pairs = [
            ("AWS_REGION", REGION.to_owned()),
            // What the SDKs other than Rust's look for.
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", DEVELOPER_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
            ("INTERTIE_URL", self.url.clone()),
            ("INTERTIE_CONTROL_URL", self.control_url.clone()),
            ("INTERTIE_PREFIX", self.prefix().to_owned()),
            (
                "INTERTIE_SESSION",
                self.session("local-user", Some("admin"), Duration::from_hours(24)).unwrap_or_default(),
            ),
        ];
        all.extend(pairs.map(|(name, value)| (name.to_owned(), value)));
        all.extend(self.sandbox.variables());
        let secret = self.events_to.iter().map(|subscriber| subscriber.secret.expose_secret().to_owned());
        all.extend(secret.map(|secret| ("INTERTIE_EVENTS_SECRET".to_owned(), secret)));
        all.extend(self.template.functions.iter().flat_map(|function| function.environment.clone()));
        all.into_iter().collect()
    }

    /// [`environment`](Self::environment), one variable a line.
    pub fn environment_lines(&self) -> Vec<String> {
        self.environment().into_iter().map(|(name, value)| line(&name, &value)).collect()
    }

    /// Writes [`environment`](Self::environment) for `cargo local sign`, `token` and `fire`, and for other programs of the same user:
    /// it has secrets. The file is a new one, because [`Folder::lock`](local_runtime::stack::Folder::lock) removed any other.
    pub fn write_env(&self) -> Result<(), FolderError> {
        let path = self.folder.env_file();
        let text = self.environment_lines().join("\n") + "\n";
        let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        created
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|source| FolderError::File { path, source })
    }
}

/// A variable as shells and `--env-file` read it: JSON and values with spaces in quotes.
pub fn line(name: &str, value: &str) -> String {
    match value {
        json if json.contains('"') => format!("{name}='{json}'"),
        spaced if spaced.contains(' ') => format!("{name}=\"{spaced}\""),
        plain => format!("{name}={plain}"),
    }
}
