//! Sessions that an identity provider signs: of programs, of browsers and of administrators; new keys; sign-out.

use http::Method;
use local_cli::browser::Browser;
use serde_json::{Value, json};

use crate::issuer::{APP, Issuer};

const SETTINGS: &str = "/settings/integrations";

/// Begins a browser session, as a page of the application does with a code of its server.
async fn browser(issuer: &Issuer, token: &str) -> Browser {
    let (status, body) = issuer.call(Method::POST, "/session/code", token, json!({ "origin": APP })).await;
    assert_eq!(status, 200, "{body}");
    let (browser, form) = (Browser::new(), format!("code={}", body["code"].as_str().unwrap()));
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", APP)];
    let page = browser.send(Method::POST, &format!("{}/session", issuer.stack.url), &headers, form).await.unwrap();
    assert_eq!(page.status, 303, "{}", page.body);
    browser
}

async fn opens(issuer: &Issuer, browser: &Browser) -> u16 {
    browser.get(&format!("{}{SETTINGS}", issuer.stack.url)).await.unwrap().status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_and_an_administrator_are_who_the_identity_provider_says_with_rsa_and_elliptic_curves() {
    let issuer = Issuer::start(&[]).await;
    for alg in ["RS256", "ES256"] {
        issuer.rotate(alg, 1).await;
        let (ada, root) = (issuer.sign_in("ada").await, issuer.sign_in("root").await);
        assert_eq!((issuer.status(&ada).await, issuer.status(&root).await), (200, 200), "{alg}");
        let health = async |token: &str| issuer.call(Method::GET, "/health", token, Value::Null).await.0;
        assert_eq!((health(&ada).await, health(&root).await), (403, 200), "{alg}");
    }
    // An id token is for the application, and no token for this API.
    let id_token = issuer.tokens(json!({ "user": "ada" })).await["id_token"].as_str().unwrap().to_owned();
    assert_eq!(issuer.status(&id_token).await, 401);
    let foreign = issuer.tokens(json!({ "user": "ada", "resource": "urn:another" })).await;
    assert_eq!(issuer.status(foreign["access_token"].as_str().unwrap()).await, 401, "of another audience");
    issuer.stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_signs_in_by_a_code_connects_and_is_signed_out_by_the_application() {
    let issuer = Issuer::start(&[]).await;
    let token = issuer.sign_in("ada").await;
    // The identity provider's tokens live for five minutes: too long for a form.
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", APP)];
    let (url, form) = (format!("{}/session", issuer.stack.url), format!("token={token}"));
    let page = Browser::new().send(Method::POST, &url, &headers, form).await.unwrap();
    assert_eq!(page.status, 401, "{}", page.body);

    let before = browser(&issuer, &token).await;
    let connect = before.get(&format!("{}/connect/slack", issuer.stack.url)).await.unwrap();
    assert_eq!((opens(&issuer, &before).await, connect.status), (200, 302));
    assert_eq!(issuer.call(Method::POST, "/session/end", &token, json!({})).await.0, 204);
    assert_eq!(opens(&issuer, &before).await, 401, "it began before the sign-out");
    let after = browser(&issuer, &token).await;
    assert_eq!(opens(&issuer, &after).await, 200);
    let another = browser(&issuer, &issuer.sign_in("grace").await).await;
    assert_eq!(issuer.call(Method::POST, "/session/end", &token, json!({})).await.0, 204);
    assert_eq!((opens(&issuer, &after).await, opens(&issuer, &another).await), (401, 200));
    issuer.stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_identity_provider_changes_its_key_without_a_gap_and_a_key_that_is_withdrawn_ends() {
    let issuer = Issuer::start(&[]).await;
    let old = issuer.sign_in("ada").await;
    assert_eq!(issuer.status(&old).await, 200);
    issuer.rotate("RS256", 1).await;
    let new = issuer.sign_in("ada").await;
    assert_eq!((issuer.status(&new).await, issuer.status(&old).await), (200, 200), "both at once");
    let session = browser(&issuer, &new).await;
    issuer.rotate("RS256", 0).await;
    // An environment that has the old keys in memory believes them for six hours; a new one has none.
    let of_the_next_key = issuer.sign_in("ada").await;
    for function in ["integrations-api", "oauth-callback", "api-proxy"] {
        while issuer.stack.function(function).unwrap().kill_one() {}
    }
    assert_eq!(issuer.status(&of_the_next_key).await, 200);
    assert_eq!((issuer.status(&old).await, issuer.status(&new).await), (401, 401), "their keys are withdrawn");
    assert_eq!(opens(&issuer, &session).await, 200, "a session is under a key of ours");
    issuer.stack.shutdown().await;
}

/// Shapes: <https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html> and
/// <https://learn.microsoft.com/en-us/entra/identity-platform/access-token-claims-reference>, read 2026-11.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_in_the_shape_of_cognito_and_of_entra_name_their_user_and_administrators() {
    let cognito = json!({
        "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "device_key": "aaaa", "cognito:groups": ["operators"],
        "version": 2, "client_id": "xxxxxxxxxxxxexample", "origin_jti": "1", "event_id": "2", "token_use": "access",
        "scope": "phone openid profile", "auth_time": 1_676_312_777, "iat": 1_676_312_777, "jti": "3", "username": "ada",
    });
    let entra = json!({
        "aud": "api://intertie", "iat": 1_537_231_048, "nbf": 1_537_231_048, "acct": 0, "acr": "1", "azp": "app",
        "azpacr": "0", "idtyp": "user", "name": "Ada", "oid": "o", "preferred_username": "ada@example.com",
        "roles": ["operators"], "scp": "access_as_user", "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
        "tid": "t", "uti": "u", "ver": "2.0",
    });
    for (parameters, claims, audience) in [
        (
            [
                ("JwtAudienceClaim", "client_id"),
                ("JwtAudience", "xxxxxxxxxxxxexample"),
                ("JwtAdminClaim", "cognito:groups"),
            ],
            cognito,
            "client_id",
        ),
        ([("JwtAudienceClaim", "aud"), ("JwtAudience", "api://intertie"), ("JwtAdminClaim", "roles")], entra, "aud"),
    ] {
        let issuer = Issuer::start(&parameters).await;
        let token = issuer.sign(claims.clone()).await;
        assert_eq!(issuer.call(Method::GET, "/health", &token, Value::Null).await.0, 200, "{claims}");
        let mut others = claims.clone();
        others[audience] = "another".into();
        assert_eq!(issuer.status(&issuer.sign(others.clone()).await).await, 401, "{others}");
        others.as_object_mut().unwrap().remove(audience);
        assert_eq!(issuer.status(&issuer.sign(others.clone()).await).await, 401, "{others}");
        issuer.stack.shutdown().await;
    }
}
