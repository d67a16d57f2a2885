//! A call to a provider beside a bare call of the HTTP client, in turns in one process: what credential, pace, understanding,
//! counting and logging cost. `cargo local bench` runs it; the figures go to the file that its argument names.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that can't go on fails")]

mod provider;

use std::time::Duration;

use domain::{
    CredentialName, IntegrationKey, ProviderId, Request,
    call::{
        Api,
        limit::{Applies, CredentialMode, Limit, PartitionBy},
        rate::Rate,
    },
    oauth::grant::TokenResponse,
    provider_api::ProviderApi,
};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
    unistd::Pid,
};
use platform::{
    Aws,
    aws::Patience,
    base::{clock, config, telemetry},
    client::{CallContext, ClientConfig, Parts},
};
use secrecy::SecretString;
use serde_json::json;

/// Calls before any counts, and until it is the other's turn.
const TURN: u32 = 100;
const TURNS: u32 = 60;
const TOKEN: &str = "xoxb-0000000000-000000000000-measured";

/// A limit that is there and lets everything through.
const LIMITS: &[Limit] = &[Limit {
    name: "account",
    applies: Applies::All,
    partition_by: &[PartitionBy::Account],
    credential_mode: CredentialMode::Any,
    rate: Rate::per_second(1_000_000, 1_000_000),
    costs: &[],
    reasons: &[],
    max_retry_after: Duration::from_mins(1),
}];
const API: Api = Api { limits: LIMITS, ..Api::new("https://provider.example") };
static ID: ProviderId = ProviderId::of_data("provider");
static KEY: CredentialName = CredentialName::of_data("key");
const PROVIDER: ProviderApi =
    ProviderApi { id: &ID, name: "Provider", app: "provider", api: &API, oauth: None, credential: &KEY };

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // As in a Lambda with less than one: where the provider's thread wakes on another one, that costs more than any call.
    let mut one = CpuSet::new();
    one.set(0).unwrap();
    sched_setaffinity(Pid::from_raw(0), &one).expect("one processor to run on");
    telemetry::init();
    let figures = std::env::args().nth(1).expect("the file for the figures");
    let config = config::load(ClientConfig::read).expect("the environment of a function");
    let aws = Aws::from_env(Patience::QUEUE).unwrap();
    let Parts { client, credentials, .. } = config.parts(&aws, |_| true).unwrap();
    let url = client.rewritten(API.base.to_owned());
    provider::serve(url.trim_start_matches("http://"));

    let owner = IntegrationKey::parse("u", "provider#A1").unwrap();
    let access_token = SecretString::from(TOKEN);
    let issued = TokenResponse { name: KEY.clone(), access: access_token, refresh: None, life: None, scopes: None };
    credentials.put(&owner, &[issued], Duration::ZERO, clock::now()).await.unwrap();

    rustls::crypto::ring::default_provider().install_default().unwrap();
    let bare = reqwest::Client::builder().no_proxy().build().unwrap();
    let address = format!("{url}/v1/customers?limit=10");
    let request = Request::get("/v1/customers", format!("{}/v1/customers", API.base)).query([("limit", "10")]);

    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for turn in 0..=TURNS {
        let began = cpu();
        for _ in 0..TURN {
            let reply = bare.get(&address).bearer_auth(TOKEN).send().await.unwrap();
            assert_eq!(reply.bytes().await.unwrap(), provider::BODY);
        }
        let between = cpu();
        let deadline = clock::now() + Duration::from_mins(1);
        let context = CallContext::integration(&PROVIDER, &owner, "attempt", deadline);
        for _ in 0..TURN {
            let reply = client.call(&context, &request).await.unwrap();
            assert_eq!(reply.body, provider::BODY);
        }
        let ended = cpu();
        client.flush().await;
        if turn > 0 {
            theirs.push(micros(between.saturating_sub(began)));
            ours.push(micros(ended.saturating_sub(between)));
        }
    }
    std::fs::write(figures, json!({ "bare_us": theirs, "ours_us": ours }).to_string()).unwrap();
}

/// Of this thread: the provider runs in another.
fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

fn micros(turn: Duration) -> f64 {
    turn.as_secs_f64() * 1e6 / f64::from(TURN)
}
