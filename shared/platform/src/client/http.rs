//! The way out to providers: one HTTP client that follows no redirect, believes no proxy and reads no endless body.
//!
//! *Invariant:* a credential leaves only over https to a public address, or to where a configured rewrite points.

use std::{sync::Arc, time::Duration};

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use domain::{Reply, Request, call::address::is_public};
use reqwest::{
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use secrecy::{ExposeSecret as _, SecretString};

use crate::base::{InitError, rewrites::Rewrites};

/// The longest body of an answer that is read, in bytes: what a Lambda may answer itself.
const MAX_BODY: usize = 6 * 1024 * 1024;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// An idle connection is not used again after this: behind a frozen sandbox it is likely dead.
const IDLE: Duration = Duration::from_secs(10);

/// Sends calls to providers.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    rewrites: Arc<Rewrites>,
}

/// A call brought no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The address is not https or not public and no rewrite says otherwise, or the call can't be written down.
    #[error("the call can't be sent")]
    Forbidden,
    /// It never left: nothing was carried out.
    #[error("there is no connection")]
    NotSent,
    /// The connection ended before the answer: the provider may have carried the call out. Most likely the other end had closed
    /// the connection while it was idle.
    #[error("the connection ended without an answer")]
    Closed,
    /// No answer in time: the provider may have carried the call out.
    #[error("there came no answer in time")]
    Late,
    /// The answer is longer than anything that is read. Its length in bytes, if the server says it.
    #[error("the answer is too long")]
    TooLong(Option<u64>),
}

/// The credential of a call.
#[derive(Debug, Clone, Copy)]
pub enum Authorization<'a> {
    /// No credential.
    None,
    /// By a token (RFC 6750).
    Bearer(&'a SecretString),
    /// By id and secret (RFC 7617).
    Basic(&'a str, &'a SecretString),
}

impl HttpClient {
    /// The client. Its roots are compiled in: reading a system's takes longer than a cold start may.
    pub fn new(rewrites: Rewrites) -> Result<Self, InitError> {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| InitError::Roots(error.into()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(Policy::none())
            .dns_resolver(Arc::new(Public { exempt: rewrites.hosts() }))
            .no_proxy()
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .user_agent(concat!("intertie/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| InitError::Roots(error.into()))?;
        Ok(Self { client, rewrites: Arc::new(rewrites) })
    }

    /// Where a browser is sent in place of `url`.
    pub fn rewritten(&self, url: String) -> String {
        self.rewrites.apply(&url).unwrap_or(url)
    }

    /// Sends a call, with these headers of the API besides its own, and reads the whole answer.
    pub async fn send(
        &self,
        request: &Request,
        api_headers: &[(&str, &str)],
        authorization: Authorization<'_>,
        timeout: Duration,
    ) -> Result<Reply, SendError> {
        let url = match self.rewrites.apply(&request.url) {
            Some(url) => url,
            None if request.url.starts_with("https://") => request.url.clone(),
            None => return Err(SendError::Forbidden),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in api_headers {
            insert(&mut headers, name, value)?;
        }
        for (name, value) in &request.headers {
            insert(&mut headers, name, value)?;
        }
        let mut call = self.client.request(request.method.clone(), url).timeout(timeout);
        if let Some((content_type, body)) = &request.body {
            insert(&mut headers, header::CONTENT_TYPE.as_str(), content_type)?;
            call = call.body(body.clone());
        } else if [Method::PATCH, Method::POST, Method::PUT].contains(&request.method) {
            // RFC 9110 §8.6. hyper leaves it out, and Google answers 411 then.
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        call = call.headers(headers);
        call = match authorization {
            Authorization::None => call,
            Authorization::Bearer(token) => call.bearer_auth(token.expose_secret()),
            Authorization::Basic(id, secret) => call.basic_auth(id, Some(secret.expose_secret())),
        };
        let mut response = call.send().await.map_err(|error| sort(&error))?;
        let declared = response.content_length();
        let too_long = SendError::TooLong(declared);
        if declared.is_some_and(|declared| declared > MAX_BODY as u64) {
            return Err(too_long);
        }
        let mut body = Vec::with_capacity(declared.and_then(|declared| declared.try_into().ok()).unwrap_or_default());
        while let Some(chunk) = response.chunk().await.map_err(|error| sort(&error))? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(too_long);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status: response.status().as_u16(), headers: std::mem::take(response.headers_mut()), body })
    }
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), SendError> {
    let name = HeaderName::try_from(name).map_err(|_| SendError::Forbidden)?;
    headers.insert(name, HeaderValue::try_from(value).map_err(|_| SendError::Forbidden)?);
    Ok(())
}

/// Resolves names to public addresses only, and the client connects to just those: a name that leads to this machine, this
/// network or AWS's metadata leads nowhere.
struct Public {
    exempt: Vec<String>,
}

/// A name has no public address.
#[derive(Debug, thiserror::Error)]
#[error("the host has no public address")]
struct NotPublic;

impl Resolve for Public {
    fn resolve(&self, name: Name) -> Resolving {
        let exempt = self.exempt.iter().any(|host| host.eq_ignore_ascii_case(name.as_str()));
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let public: Vec<_> = found.into_iter().filter(|address| exempt || is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(NotPublic.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// The error's own text can hold the URL with its query, so only its kind is kept.
fn sort(error: &reqwest::Error) -> SendError {
    let mut causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    match error {
        error if error.is_builder() || causes.any(<dyn std::error::Error>::is::<NotPublic>) => SendError::Forbidden,
        error if error.is_connect() => SendError::NotSent,
        error if error.is_timeout() => SendError::Late,
        _ => SendError::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_rewrite_counts_and_ends_at_a_boundary() {
        let text = "https://slack.com=http://127.0.0.1:1 https://slack.com/api=http://127.0.0.1:2/x/ \
            https://oauth2.googleapis.com/token=http://127.0.0.1:3/oauth2/token";
        let rewrites = Rewrites::parse(text).unwrap();
        for (url, expected) in [
            ("https://slack.com/oauth/v2/authorize?a=b", Some("http://127.0.0.1:1/oauth/v2/authorize?a=b")),
            ("https://slack.com/api/auth.test", Some("http://127.0.0.1:2/x/auth.test")),
            ("https://slack.com/apis", Some("http://127.0.0.1:1/apis")),
            ("https://slack.com.evil.example/api", None),
            ("https://slack.com@evil.example/", None),
            ("https://oauth2.googleapis.com/token", Some("http://127.0.0.1:3/oauth2/token")),
            ("https://oauth2.googleapis.com/tokeninfo", None),
        ] {
            assert_eq!(rewrites.apply(url).as_deref(), expected, "{url}");
        }
        for bad in
            ["x", "http://a=http://b", "https://a=ftp://b", "https://=http://b", "https://a=http://", "https://a=b"]
        {
            assert!(Rewrites::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Rewrites::parse("").unwrap(), Rewrites::default());
    }

    #[tokio::test]
    async fn nothing_is_sent_in_the_clear_unless_rewritten() {
        let http = HttpClient::new(Rewrites::default()).unwrap();
        let request = Request::get("x", "http://127.0.0.1:9/");
        let sent = http.send(&request, &[], Authorization::None, CONNECT).await;
        assert_eq!(sent.unwrap_err(), SendError::Forbidden);
        let injected = Request::get("x", "https://127.0.0.1:9/").header("a", "b\r\nc: d");
        let sent = http.send(&injected, &[], Authorization::None, CONNECT).await;
        assert_eq!(sent.unwrap_err(), SendError::Forbidden);
    }

    #[tokio::test]
    async fn a_name_of_this_machine_leads_nowhere_unless_a_rewrite_points_there() {
        let send = async |rewrites: &str, url: &str| {
            let http = HttpClient::new(Rewrites::parse(rewrites).unwrap()).unwrap();
            http.send(&Request::get("x", url), &[], Authorization::None, CONNECT).await.unwrap_err()
        };
        assert_eq!(send("", "https://localhost:1/").await, SendError::Forbidden);
        assert_eq!(send("https://a.example=http://localhost:1", "https://a.example/").await, SendError::NotSent);
        assert_eq!(send("https://a.example=http://127.0.0.1:1", "https://localhost:1/").await, SendError::Forbidden);
    }
}
