//! Connecting with a key that the user pastes.

use domain::{
    Failure, Problem, Proof,
    integration::status::Status,
    oauth::{connect::Subject, grant::TokenResponse},
    secret::{self, NotASecret},
};
use lambda_http::http::StatusCode;
use platform::{
    base::clock,
    client::CallError,
    runtime::http::{Call, Input, failed, internal, json},
};
use providers::{Auth, Provider, Spec};
use secrecy::SecretString;
use serde_json::Value;

use crate::{
    Answer, OauthCallback, SETTINGS, connected,
    store::{Grant, NotStored, StoreError},
};

impl OauthCallback {
    /// Verifies a key by a cheap call, and stores it.
    pub(crate) async fn connect_by_key(&self, call: &Call<'_>, provider: &dyn Provider) -> Answer {
        let spec = provider.spec();
        let caller = self.front.caller(call).await?;
        let Auth::ApiKey(api_key) = &spec.auth else {
            let message = format!("{} is connected on its own page, not with a key.", spec.name);
            let next = format!("Open /connect/{} in a browser.", spec.id);
            return Err(Problem::new(domain::error::Kind::InvalidRequest, message, next));
        };
        let input = Input::of(call)?;
        let known =
            |key: &&str| api_key.prefixes.is_empty() || api_key.prefixes.iter().any(|prefix| key.starts_with(prefix));
        let key = pasted(&input, "api_key", secret::read)?.filter(known);
        let key = key.ok_or_else(|| Problem::field("api_key", api_key.hint))?;
        if pasted(&input, "api_secret", secret::read)?.is_some() {
            let message = format!("{} is connected with the key alone; leave \"api_secret\" out.", spec.name);
            return Err(Problem::field("api_secret", message));
        }
        let webhook_secret = webhook_secret(&input, spec)?;
        let access = SecretString::from(key);
        let issued =
            vec![TokenResponse { name: api_key.name.clone(), access, refresh: None, life: None, scopes: None }];
        let grant = Grant {
            provider,
            user_id: &caller.user_id,
            issued,
            answer: Value::Null,
            client_id: "",
            requested: Vec::new(),
        };
        let integration = self.store(grant).await.map_err(|NotStored { why, .. }| match why {
            StoreError::Aws(error) => internal(&error),
            StoreError::Call(CallError::Failed(Failure::TokenRefused | Failure::GrantEnded, _)) => {
                Problem::field("api_key", format!("{} does not accept this key.", spec.name))
            }
            // It says when to try again, too.
            StoreError::Call(CallError::Failed(failure, _)) => failure.problem(spec.name, clock::now()),
            StoreError::Call(error) => failed(&error.diagnosis(spec.name)),
            StoreError::NoAccount => Failure::Unreadable.problem(spec.name, clock::now()),
            StoreError::Organisation | StoreError::NoScope | StoreError::NoService(_) => {
                why.connect_error().problem(Subject { name: spec.name, allows: &[] })
            }
        })?;
        if let Some(secret) = webhook_secret {
            let stored = self.webhook_secrets.put(&integration.key, &secret, clock::now()).await;
            stored.map_err(|error| internal(&error))?;
        }
        if input.form {
            return Ok(connected(spec.name).back(call, SETTINGS));
        }
        Ok(json(
            StatusCode::CREATED,
            &Status::new(
                (&spec.id, spec.name),
                spec.streams.iter().map(|it| it.name),
                Some(&integration),
                clock::now(),
            ),
        ))
    }
}

/// The secret of the integration's own endpoint, if one is given.
fn webhook_secret(input: &Input, spec: &Spec) -> Result<Option<SecretString>, Problem> {
    let Some(secret) = pasted(input, "webhook_secret", secret::read_chosen)? else { return Ok(None) };
    if matches!(spec.webhook, Some(Proof::Signature(_))) {
        return Ok(Some(secret.into()));
    }
    let message = format!("{} does not sign webhooks with a secret of one account.", spec.name);
    Err(Problem::field("webhook_secret", message))
}

/// A secret as people paste it, as `read` finds it; none if it is left out.
fn pasted<'i>(
    input: &'i Input,
    name: &'static str,
    read: fn(&str) -> Result<&str, NotASecret>,
) -> Result<Option<&'i str>, Problem> {
    let read = input.text(name)?.map(read).transpose();
    read.map_err(|error| Problem::field(name, format!("\"{name}\" {error}.")))
}
