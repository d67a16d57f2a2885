//! The servers of the emulators.

use local_base::{background, lock};
use tokio::{net::TcpListener, task::AbortHandle};

use super::{
    apps::Apps,
    deliver::{Base, Outbox},
    emulator::Spec,
    registry::REGISTRY,
    server::serve,
};

/// One server for each emulator. They end when this is dropped.
pub struct Sandbox {
    urls: Vec<(&'static Spec, String)>,
    outboxes: Vec<Outbox>,
    base: Base,
    running: Vec<AbortHandle>,
}

impl Sandbox {
    /// Starts the servers on loopback, each on a free port. An error is the system's, about a port.
    pub async fn start(apps: &Apps) -> Result<Self, std::io::Error> {
        let mut sandbox = Self { urls: Vec::new(), outboxes: Vec::new(), base: Base::default(), running: Vec::new() };
        for spec in REGISTRY.iter() {
            let (outbox, courier) = Outbox::new(Base::clone(&sandbox.base));
            let emulator = (spec.start)(apps[spec.secret].clone(), outbox.clone())?;
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            sandbox.urls.push((spec, format!("http://{}", listener.local_addr()?)));
            sandbox.outboxes.push(outbox.clone());
            sandbox.running.push(background(serve(listener, emulator, outbox)).abort_handle());
            sandbox.running.push(background(courier.work()).abort_handle());
        }
        Ok(sandbox)
    }

    /// Where a provider is served, `http://127.0.0.1:PORT`. Empty for one that has no emulator.
    pub fn url(&self, provider: &str) -> &str {
        self.urls.iter().find(|(spec, _)| spec.is(provider)).map_or("", |(_, url)| url)
    }

    pub fn urls(&self) -> impl Iterator<Item = &str> {
        self.urls.iter().map(|(_, url)| url.as_str())
    }

    /// Where webhooks go from now on: to `{base}/webhooks/PROVIDER`, or to the address that the app gave the provider. An
    /// address on https is taken for a path of `base`.
    pub fn deliver_to(&self, base: &str) {
        *lock(&self.base) = Some(base.trim_end_matches('/').to_owned());
    }

    /// How many webhooks are sent and neither answered nor given up.
    pub fn under_way(&self) -> usize {
        self.outboxes.iter().map(Outbox::under_way).sum()
    }

    /// The URLs as variables for other programs, such as `SANDBOX_NAME_URL`.
    pub fn variables(&self) -> Vec<(String, String)> {
        let variable =
            |(spec, url): &(&Spec, String)| (format!("SANDBOX_{}_URL", spec.secret.to_uppercase()), url.clone());
        self.urls.iter().map(variable).collect()
    }

    /// The providers' own origins, and where they are served here.
    pub fn rewrites(&self) -> Vec<(&'static str, String)> {
        let of = |(spec, url): &(&'static Spec, String)| {
            spec.origins.iter().map(|origin| (*origin, url.clone())).collect::<Vec<_>>()
        };
        self.urls.iter().flat_map(of).collect()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.running.iter().for_each(AbortHandle::abort);
    }
}
