//! Notebook, a provider that Intertie does not ship: OAuth with identity by the book, and nothing but data.

use std::time::Duration;

use domain::{
    CredentialName, ProviderId,
    call::Api,
    oauth::grant::{ClientAuth, OAuth, Revoke, RevokedBy, Token},
};
use providers::{AccountSource, Auth, Identity, Provider, Spec};

/// See the module.
#[derive(Debug)]
pub(crate) struct Notebook;

static SPEC: Spec = Spec {
    id: ProviderId::of_data("notebook"),
    name: "Notebook",
    secret: "notebook",
    auth: Auth::OAuth(OAuth {
        authorize: "https://notebook.example/auth",
        token: "https://notebook.example/token",
        client_auth: ClientAuth::Basic,
        scopes: &["openid", "offline_access"],
        identity_scopes: &[],
        account_hint: Some("login_hint"),
        account_choice: None,
        scope_labels: &[("openid", "know whose notebook it is"), ("offline_access", "work while nobody looks")],
        scope_separator: " ",
        pkce: true,
        // OpenID Connect Core 1.0 §11: offline_access is granted only with consent.
        further_scopes: &[],
        aliases: &[],
        authorize_params: &[("prompt", "consent")],
        issuer: Some("https://notebook.example"),
        access: Token { name: CredentialName::of_data("user"), at: "", required: true },
        further_tokens: &[],
        failed: None,
        terminal_errors: &["invalid_grant"],
        refresh_ahead: Duration::from_mins(2),
        // RFC 7009 §2.1: with the refresh token, access tokens of the same grant end too.
        revoke: Some(Revoke {
            url: "https://notebook.example/token/revocation",
            token: RevokedBy::Form,
            whole_account: false,
        }),
    }),
    identity: Identity {
        place: AccountSource::Get("/me"),
        id: "/sub",
        name: &["/name", "/email"],
        service: None,
        organisation: None,
        addressed: false,
    },
    api: Api { codes: &["/error"], ..Api::new("https://notebook.example") },
    webhook: None,
    forms: false,
    probe: None,
    retry_header: None,
    streams: &[],
    watching: None,
    actions: &[],
};

impl Provider for Notebook {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }
}
