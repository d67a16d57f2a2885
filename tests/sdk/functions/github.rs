//! GitHub, a provider that Intertie does not ship: a key and an API, and nothing but data.
//!
//! <https://docs.github.com/en/rest/using-the-rest-api>, read 2026-11.

use domain::{CredentialName, ProviderId, call::Api};
use providers::{AccountSource, ApiKey, Auth, Identity, Provider, Spec};

/// See the module.
#[derive(Debug)]
pub(crate) struct GitHub;

static SPEC: Spec = Spec {
    id: ProviderId::of_data("github"),
    name: "GitHub",
    secret: "github",
    auth: Auth::ApiKey(ApiKey {
        name: CredentialName::of_data("token"),
        hint: "A token of GitHub starts with github_pat_ or ghp_.",
        prefixes: &["github_pat_", "ghp_"],
    }),
    identity: Identity {
        place: AccountSource::Get("/user"),
        id: "/node_id",
        name: &["/login"],
        service: None,
        organisation: None,
        addressed: false,
    },
    api: Api { request_headers: &["x-github-api-version"], ..Api::new("https://api.github.com") },
    webhook: None,
    forms: false,
    probe: None,
    retry_header: None,
    streams: &[],
    watching: None,
    actions: &[],
};

impl Provider for GitHub {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }
}
