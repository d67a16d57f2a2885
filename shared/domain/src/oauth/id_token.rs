//! The ID token that comes with a grant, as §3.1.3.7 of `OpenID` Connect Core 1.0 has it.
//!
//! *Invariant:* only a token that came straight from the token endpoint over TLS is read here. Then TLS vouches for the issuer, and
//! the signature need not be checked (item 6); its issuer, audience and life are.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// How far clocks may be apart, in seconds.
const LEEWAY: i64 = 60;

#[derive(Deserialize)]
struct Checked {
    iss: String,
    aud: Audience,
    exp: f64,
    azp: Option<String>,
}

/// RFC 7519 §4.1.3.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// The claims of the ID token in a token endpoint's `answer`. `None` if there is none, it is for another client, it is over, or it
/// is of another issuer; without an `issuer` any will do.
pub fn claims(answer: &Value, client_id: &str, issuer: Option<&str>, now: Timestamp) -> Option<Value> {
    let mut parts = answer.get("id_token")?.as_str()?.split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let Checked { iss, aud, exp, azp } = Checked::deserialize(&claims).ok()?;
    // Google leaves the scheme out at times: https://developers.google.com/identity/openid-connect/openid-connect, read 2026-11.
    let of_issuer = issuer.is_none_or(|issuer| iss == issuer || issuer.strip_prefix("https://") == Some(iss.as_str()));
    let for_client = match &aud {
        Audience::One(one) => one == client_id,
        // Of several, the party that it was issued to must be named (items 4 and 5).
        Audience::Many(all) => {
            let named = azp.as_deref().is_some_and(|party| party == client_id);
            all.iter().any(|one| one == client_id) && (named || all.len() == 1)
        }
    };
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970, far below 2^52")]
    let lives = exp > now.as_second().saturating_sub(LEEWAY) as f64;
    (of_issuer && for_client && lives).then_some(claims)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_795_428_000, 0);
    const ISSUER: Option<&str> = Some("https://accounts.google.com");

    fn answer(claims: &Value) -> Value {
        json!({ "id_token": format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string())) })
    }

    fn token(iss: &str, aud: &Value, exp: &Value) -> Value {
        answer(&json!({ "iss": iss, "aud": aud, "exp": exp, "sub": "10769150350006150715113082367" }))
    }

    #[test]
    fn a_token_for_this_client_tells_the_subject() {
        let exp = json!(NOW.as_second() + 3600);
        for (iss, aud) in [("https://accounts.google.com", json!("client")), ("accounts.google.com", json!(["client"]))]
        {
            let claims = claims(&token(iss, &aud, &exp), "client", ISSUER, NOW).unwrap();
            assert_eq!(claims["sub"], "10769150350006150715113082367");
        }
        let elsewhere = token("http://localhost:4002", &json!("client"), &exp);
        assert!(claims(&elsewhere, "client", None, NOW).is_some());
    }

    #[test]
    fn a_token_of_another_issuer_for_another_client_or_of_another_time_tells_nothing() {
        let (iss, aud, exp) = ("https://accounts.google.com", json!("client"), json!(NOW.as_second() + 3600));
        for (what, answer) in [
            ("another issuer", token("https://accounts.google.com.example", &aud, &exp)),
            ("no scheme of another", token("https://", &aud, &exp)),
            ("another client", token(iss, &json!("client2"), &exp)),
            ("no client", token(iss, &json!([]), &exp)),
            ("over", token(iss, &aud, &json!(NOW.as_second() - 61))),
            ("no end", token(iss, &aud, &Value::Null)),
            ("no token", json!({})),
            ("no text", json!({ "id_token": 7 })),
            ("no claims", json!({ "id_token": "a.b.c" })),
            ("two parts", json!({ "id_token": "a.b" })),
            ("encrypted", json!({ "id_token": "a.b.c.d.e" })),
        ] {
            assert!(claims(&answer, "client", ISSUER, NOW).is_none(), "{what}");
        }
    }
}
