//! Slack, Stripe and Google in small: HTTP servers on this machine that behave as the vendors document it, so that real
//! clients connect, sync, act and are sent webhooks without an account anywhere.
//!
//! They are strict: what the vendor refuses, they refuse, in the vendor's words. They know nothing of who calls them
//! but what a vendor would know: the app's credentials and where its webhooks go. Each has a folder, named as the
//! provider is; what several share is beside the folders.
//!
//! Under `/_admin` each is told what goes wrong or happens, in JSON:
//!
//! | call | does |
//! |---|---|
//! | `POST faults`, `limit`, `between_pages`; `DELETE` | see `admin`: calls fail, are too many; a change between two pages |
//! | `GET calls`, `deliveries`; `DELETE` | what was called; the webhooks sent, by attempt |
//! | `POST deliveries/hold`, `deliveries/take` | `{"hold"}`: webhooks wait in place of being sent; takes those that wait |
//! | `GET grants`, `secrets` | what users allowed; every code, token and key ever issued |
//! | `POST grants/revoke`, `tokens/expire`, `tokens/life` | `{"account"?}`, `{"account"?}`, `{"seconds"}` |
//! | `POST tokens/renewable` | `{"renewable"}`: whether codes bring refresh tokens from now on |
//! | `GET`, `POST`, `DELETE` of `KIND`, `KIND/ID` | a user's changes; webhooks follow, unless `"silent": true` |
//! | `POST send` | sends a webhook now and tells its answer; see each vendor's `control` |
//! | `POST keys` (Stripe) | `{"key","state"}`, state `good`, `expired`, `revoked` |
//! | `POST expire_sync_tokens`, `history_floor`, `history_id` (Google) | `{"invalid"?}`, `{"account"?,"floor"?}`, `{"account"?,"history_id"}` |
//! | `POST events/CALENDAR/ID/restore`, `…/move`, `stubs` (Google) | `{}`, `{"destination"}`, `{"whole"}`: see Calendar's `control` |
//! | `POST account` (Google) | `{"account"?,"address"?,"mail"?,"calendar"?,"blocked"?}`: another address; a service it has or not |
//! | `POST calendars` (Google) | `{"account"?,"calendar_id","summary"?}`: one more calendar |
//! | `POST calendars/CALENDAR` (Google) | `{"list"?,"watch"?}`: `willing`, `forbidden`, `failing` or `unsupported` |
//! | `POST unreadable`, `watched_elsewhere` (Google) | `{"account"?,"ids"}`: messages that can't be read; `{"account"?}` |
//!
//! Calls, parameters and fields that the controls do not have are refused by name; `controls` and each vendor's `CONTROLS`
//! list them.
//!
//! Who connects chooses on the consent page: an account, at Slack also the whole organisation (`account=E0SANDBOX`); at Google
//! also which boxes stay ticked (one `scope` for each).
//!
//! Kinds: Slack `channels`, `users`, `messages`; Stripe `customers`, `subscriptions`, `payment_intents`; Google
//! `events/CALENDAR`, `messages`. Slack sends events where the app is installed, with the scope that they want.

mod admin;
mod apps;
mod call;
mod consent;
mod controls;
mod deliver;
mod fields;
mod form;
mod google;
mod oauth;
mod opaque;
mod server;
mod slack;
mod stripe;

#[cfg(test)]
mod tests;

use local_base::{background, lock};
use tokio::{net::TcpListener, task::AbortHandle};

pub use self::apps::{App, Apps, LOCAL_ACCOUNT, Push};
use self::{
    deliver::{Base, Courier, Outbox},
    google::Google,
    server::{Vendor, serve},
    slack::Slack,
    stripe::Stripe,
};

/// The three servers. They end when this is dropped.
pub struct Sandbox {
    /// `http://127.0.0.1:PORT`, in place of `https://slack.com`.
    pub slack_url: String,
    /// In place of `https://api.stripe.com`.
    pub stripe_url: String,
    /// In place of Google's hosts: their paths do not collide.
    pub google_url: String,
    base: Base,
    running: Vec<AbortHandle>,
}

impl Sandbox {
    /// Starts the servers on loopback, each on a free port. An error is the system's, about a port.
    pub async fn start(apps: Apps) -> Result<Self, std::io::Error> {
        let base = Base::default();
        let mut running = Vec::new();
        let (outbox, courier) = Outbox::new(Base::clone(&base));
        let slack_url = run(&mut running, Slack::new(apps.slack, outbox.clone()), outbox, courier).await?;
        let (outbox, courier) = Outbox::new(Base::clone(&base));
        let stripe_url = run(&mut running, Stripe::new(apps.stripe, outbox.clone()), outbox, courier).await?;
        let (outbox, courier) = Outbox::new(Base::clone(&base));
        let google = Google::new(apps.google, apps.google_push, outbox.clone())?;
        let google_url = run(&mut running, google, outbox, courier).await?;
        Ok(Self { slack_url, stripe_url, google_url, base, running })
    }

    /// Where webhooks go from now on: `{base}/webhooks/slack`, `/webhooks/stripe`, `/webhooks/gmail`. Calendar sends
    /// to the address of each channel; one on https is taken for a path of `base`.
    pub fn deliver_to(&self, base: &str) {
        *lock(&self.base) = Some(base.trim_end_matches('/').to_owned());
    }

    /// Where they are, as variables for other programs.
    pub fn variables(&self) -> [(&'static str, String); 3] {
        [
            ("SANDBOX_SLACK_URL", self.slack_url.clone()),
            ("SANDBOX_STRIPE_URL", self.stripe_url.clone()),
            ("SANDBOX_GOOGLE_URL", self.google_url.clone()),
        ]
    }

    /// The vendors' URLs, and where they are served here.
    pub fn rewrites(&self) -> Vec<(&'static str, String)> {
        vec![
            ("https://slack.com", self.slack_url.clone()),
            ("https://api.stripe.com", self.stripe_url.clone()),
            ("https://accounts.google.com", self.google_url.clone()),
            ("https://oauth2.googleapis.com", self.google_url.clone()),
            ("https://www.googleapis.com", self.google_url.clone()),
            ("https://gmail.googleapis.com", self.google_url.clone()),
        ]
    }
}

/// A token as Google signs it for a push subscription: what the sandbox's public keys verify.
pub fn push_token(audience: &str, service_account: &str) -> Option<String> {
    google::gmail::push::token(audience, service_account)
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.running.iter().for_each(AbortHandle::abort);
    }
}

async fn run<V: Vendor>(
    running: &mut Vec<AbortHandle>,
    vendor: V,
    outbox: Outbox,
    courier: Courier,
) -> Result<String, std::io::Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    running.push(background(serve(listener, vendor, outbox)).abort_handle());
    running.push(background(courier.work()).abort_handle());
    Ok(url)
}
