//! What becomes of each header, in both directions, at each provider, as it went over the socket.

use std::collections::BTreeSet;

use http::Method;
use serde_json::json;
use tests::{FAST, Guest, stack};

use super::{last_call, recorder::Recorder};

/// What becomes of a header.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It passes as it is.
    Passes,
    /// It does not pass, and the call does.
    LeftOut,
    /// The call is refused by the header's name.
    Refused,
    /// It comes back as an address of the proxy.
    Led,
}

use Verdict::{Led, LeftOut, Passes, Refused};

const ALL: &[&str] = &["slack", "stripe", "google-calendar", "gmail"];
const GOOGLE: &[&str] = &["google-calendar", "gmail"];
const OTHERS: &[&str] = &["slack", "stripe"];

/// Headers of requests. What an HTTP/1.1 client can't choose (`Content-Length`, `Transfer-Encoding`) is tested beside the lists.
const REQUESTS: &[(&str, Verdict, &[&str])] = &[
    ("accept", Passes, ALL),
    ("accept-charset", Passes, ALL),
    ("accept-language", Passes, ALL),
    ("baggage", Passes, ALL),
    ("cache-control", Passes, ALL),
    ("content-digest", Passes, ALL),
    ("content-disposition", Passes, ALL),
    ("content-encoding", Passes, ALL),
    ("content-language", Passes, ALL),
    ("content-md5", Passes, ALL),
    ("content-range", Passes, ALL),
    ("dnt", Passes, ALL),
    ("from", Passes, ALL),
    ("idempotency-key", Passes, ALL),
    ("if-match", Passes, ALL),
    ("if-modified-since", Passes, ALL),
    ("if-none-match", Passes, ALL),
    ("if-range", Passes, ALL),
    ("if-unmodified-since", Passes, ALL),
    ("origin", Passes, ALL),
    ("pragma", Passes, ALL),
    ("prefer", Passes, ALL),
    ("range", Passes, ALL),
    ("referer", Passes, ALL),
    ("request-id", Passes, ALL),
    ("slug", Passes, ALL),
    ("stripe-account", Passes, ALL),
    ("stripe-context", Passes, ALL),
    ("stripe-version", Passes, ALL),
    ("traceparent", Passes, ALL),
    ("user-agent", Passes, ALL),
    ("x-goog-api-client", Passes, ALL),
    ("x-goog-fieldmask", Passes, ALL),
    ("x-goog-request-reason", Passes, ALL),
    ("x-goog-user-project", Passes, ALL),
    ("x-of-next-year", Passes, ALL),
    ("x-request-id", Passes, ALL),
    ("x-stainless-lang", Passes, ALL),
    ("x-stripe-client-user-agent", Passes, ALL),
    ("x-upload-content-length", Passes, ALL),
    ("x-upload-content-type", Passes, ALL),
    ("accept-encoding", LeftOut, ALL),
    ("cdn-loop", LeftOut, ALL),
    ("cf-connecting-ip", LeftOut, ALL),
    ("cloudfront-viewer-country", LeftOut, ALL),
    ("cookie", LeftOut, ALL),
    ("cookie2", LeftOut, ALL),
    ("forwarded", LeftOut, ALL),
    ("host", LeftOut, ALL),
    ("intertie-of-next-year", LeftOut, ALL),
    ("keep-alive", LeftOut, ALL),
    ("max-forwards", LeftOut, ALL),
    ("proxy-connection", LeftOut, ALL),
    ("te", LeftOut, ALL),
    ("trailer", LeftOut, ALL),
    ("true-client-ip", LeftOut, ALL),
    ("upgrade", LeftOut, ALL),
    ("via", LeftOut, ALL),
    ("x-amzn-trace-id", LeftOut, ALL),
    ("x-envoy-external-address", LeftOut, ALL),
    ("x-forwarded-for", LeftOut, ALL),
    ("x-forwarded-host", LeftOut, ALL),
    ("x-real-ip", LeftOut, ALL),
    ("api-key", Refused, ALL),
    ("proxy-authorization", Refused, ALL),
    ("x-access-token", Refused, ALL),
    ("x-amz-security-token", Refused, ALL),
    ("x-api-key", Refused, ALL),
    ("x-auth-token", Refused, ALL),
    ("x-http-method", Refused, ALL),
    ("x-method-override", Refused, ALL),
    ("x-original-url", Refused, ALL),
    ("x-rewrite-url", Refused, ALL),
    // A value that names no method.
    ("x-http-method-override", Refused, ALL),
    ("x-goog-api-key", Refused, GOOGLE),
    ("x-goog-authuser", Refused, GOOGLE),
    ("x-goog-iam-authorization-token", Refused, GOOGLE),
    ("x-goog-authuser", Passes, OTHERS),
];

/// Headers of answers.
const ANSWERS: &[(&str, Verdict, &[&str])] = &[
    ("accept-ranges", Passes, ALL),
    ("content-disposition", Passes, ALL),
    ("content-language", Passes, ALL),
    ("content-range", Passes, ALL),
    ("content-type", Passes, ALL),
    ("deprecation", Passes, ALL),
    ("etag", Passes, ALL),
    ("idempotent-replayed", Passes, ALL),
    ("last-modified", Passes, ALL),
    ("ratelimit-policy", Passes, ALL),
    // Stripe's emulator sets its own.
    ("request-id", Passes, &["slack", "google-calendar", "gmail"]),
    ("server-timing", Passes, ALL),
    ("stripe-version", Passes, ALL),
    ("vary", Passes, ALL),
    ("warning", Passes, ALL),
    ("www-authenticate", Passes, ALL),
    ("x-oauth-scopes", Passes, ALL),
    ("x-of-next-year", Passes, ALL),
    ("x-powered-by", Passes, ALL),
    ("x-request-id", Passes, ALL),
    ("access-control-allow-origin", LeftOut, ALL),
    ("age", LeftOut, ALL),
    ("alt-svc", LeftOut, ALL),
    ("apigw-requestid", LeftOut, ALL),
    ("authentication-info", LeftOut, ALL),
    ("authorization", LeftOut, ALL),
    ("cache-control", LeftOut, ALL),
    ("clear-site-data", LeftOut, ALL),
    ("content-security-policy", LeftOut, ALL),
    ("cross-origin-opener-policy", LeftOut, ALL),
    ("expires", LeftOut, ALL),
    ("intertie-of-next-year", LeftOut, ALL),
    ("keep-alive", LeftOut, ALL),
    ("nel", LeftOut, ALL),
    ("proxy-authenticate", LeftOut, ALL),
    ("refresh", LeftOut, ALL),
    ("referrer-policy", LeftOut, ALL),
    ("report-to", LeftOut, ALL),
    ("set-cookie", LeftOut, ALL),
    ("strict-transport-security", LeftOut, ALL),
    ("x-amzn-requestid", LeftOut, ALL),
    ("x-content-type-options", LeftOut, ALL),
    ("x-frame-options", LeftOut, ALL),
    ("content-location", Led, ALL),
    ("location", Led, ALL),
    ("x-goog-upload-control-url", Led, GOOGLE),
    ("x-goog-upload-url", Led, GOOGLE),
];

/// A path of each provider that answers, below its base, and below its host.
fn path(provider: &str) -> (&'static str, &'static str) {
    match provider {
        "stripe" => ("v1/account", "/v1/account"),
        "slack" => ("auth.test", "/api/auth.test"),
        "gmail" => ("users/me/profile", "/gmail/v1/users/me/profile"),
        _ => ("users/me/calendarList", "/calendar/v3/users/me/calendarList"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_header_has_its_verdict_at_every_provider_in_both_directions() {
    let rows: BTreeSet<_> =
        REQUESTS.iter().map(|(name, ..)| (true, *name)).chain(ANSWERS.iter().map(|row| (false, row.0))).collect();
    assert!(rows.len() >= 100, "{}", rows.len());
    let (stack, recorder) = Recorder::stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_stripe(json!({})).await;
    for provider in ["slack", "google-calendar", "gmail"] {
        ada.connect(provider).await;
    }
    ada.quiet().await;
    let value = |name: &str| format!("a-value-of-{name}");
    for provider in ALL {
        let url = format!("/proxy/{provider}/{}", path(provider).0);
        let of = |rows: &[(&'static str, Verdict, &[&str])], verdicts: &[Verdict]| -> Vec<(&'static str, Verdict)> {
            let own = rows
                .iter()
                .filter(|(_, verdict, providers)| verdicts.contains(verdict) && providers.contains(provider));
            own.map(|(name, verdict, _)| (*name, *verdict)).collect()
        };
        // One call with all that does not refuse it, and one for each that does.
        let sent = of(REQUESTS, &[Passes, LeftOut]);
        let values: Vec<_> = sent.iter().map(|(name, _)| (*name, value(name))).collect();
        let headers: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        recorder.forget();
        let (status, _, body) = ada.call(Method::GET, &url, &headers, b"").await;
        let (_, arrived) =
            recorder.head().unwrap_or_else(|| panic!("{provider}: {status} {}", String::from_utf8_lossy(&body)));
        for (name, verdict) in sent {
            let came = arrived.get(name).map(String::as_str);
            match verdict {
                Passes => assert_eq!(came, Some(&*value(name)), "{name} to {provider}"),
                LeftOut | Refused | Led => assert_ne!(came, Some(&*value(name)), "{name} to {provider}"),
            }
        }
        for (name, _) in of(REQUESTS, &[Refused]) {
            recorder.forget();
            let (status, _, body) = ada.call(Method::GET, &url, &[(name, &value(name))], b"").await;
            let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((status, &answer["error"]["fields"][0]["field"]), (422, &name.into()), "{name} to {provider}");
            assert!(recorder.head().is_none(), "{name} to {provider} left");
        }

        let sends = of(ANSWERS, &[Passes, LeftOut, Led]);
        let answered = |name: &str, verdict| if verdict == Led { path(provider).1.to_owned() } else { value(name) };
        let headers: serde_json::Map<_, _> =
            sends.iter().map(|(name, verdict)| ((*name).to_owned(), answered(name, *verdict).into())).collect();
        let fault = format!("GET {}", path(provider).1);
        ada.fault(provider, &fault, 1, json!({ "status": 206, "headers": headers, "body": "{\"ok\":true}" })).await;
        let (status, answer, _) = ada.call(Method::GET, &url, &[], b"").await;
        assert_eq!(status, 206, "{provider}");
        for (name, verdict) in sends {
            let came = answer.get(name).and_then(|it| it.to_str().ok());
            match verdict {
                Passes => assert_eq!(came, Some(&*value(name)), "{name} from {provider}"),
                LeftOut | Refused => assert_ne!(came, Some(&*value(name)), "{name} from {provider}"),
                Led => assert_eq!(came, Some(&*format!("{}{url}", stack.url)), "{name} from {provider}"),
            }
        }
        assert_eq!(answer["cache-control"], "no-store", "{provider}");
    }
    // What the connection claims for itself does not vanish in silence where it is no header of a connection.
    recorder.forget();
    let claimed = [("connection", "x-of-next-year"), ("x-of-next-year", "1")];
    assert_eq!(ada.call(Method::GET, "/proxy/stripe/v1/account", &claimed, b"").await.0, 422);
    assert!(recorder.head().is_none());
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_the_caller_pins_replaces_the_providers_own() {
    let stack = stack(FAST).await;
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_stripe(json!({})).await;
    ada.settled("syncs").await;
    for (pinned, arrives) in [(None, "2025-03-31.basil"), (Some("2022-11-15"), "2022-11-15")] {
        let headers: Vec<_> = pinned.map(|version| ("stripe-version", version)).into_iter().collect();
        assert_eq!(ada.call(Method::GET, "/proxy/stripe/v1/account", &headers, b"").await.0, 200);
        assert_eq!(last_call(&ada, "stripe").await["headers"]["stripe-version"], arrives);
    }
    stack.shutdown().await;
}
