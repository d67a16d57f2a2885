//! What an operator asks a running stack: its deliveries, and their replay.

use std::time::Duration;

use http::Method;
use local_base::{terminal::Failed, web::Web};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::{
    arguments::{Deliveries, Replay},
    joined::Joined,
};

/// How long the session of a command lives.
const SESSION: Duration = Duration::from_mins(5);

/// A line for each delivery: when it was received, state, provider, type, reason, id.
pub async fn deliveries(joined: &Joined, options: &Deliveries) -> Result<Vec<String>, Failed> {
    let (mut lines, mut next) = (Vec::new(), String::new());
    loop {
        let query = [("state", options.state.as_deref()), ("provider", options.provider.as_deref())];
        let query = query.into_iter().chain([("after", Some(next.as_str()).filter(|next| !next.is_empty()))]);
        let query: Vec<_> = query.filter_map(|(name, value)| Some(format!("{name}={}", encoded(value?)))).collect();
        let page = ask(joined, Method::GET, &format!("/deliveries?{}", query.join("&"))).await?;
        for delivery in page["deliveries"].as_array().into_iter().flatten() {
            let fields = ["received_at", "state", "provider", "type", "reason", "id"];
            lines.push(fields.map(|field| delivery[field].as_str().unwrap_or("-")).join(" "));
        }
        match page["next"].as_str() {
            Some(more) => more.clone_into(&mut next),
            None => return Ok(lines),
        }
    }
}

/// Has a delivery processed again.
pub async fn replay(joined: &Joined, options: &Replay) -> Result<(), Failed> {
    ask(joined, Method::POST, &format!("/deliveries/{}/replay", encoded(&options.id))).await.map(|_| ())
}

async fn ask(joined: &Joined, method: Method, path: &str) -> Result<Value, Failed> {
    let key = joined.session_key().await.map_err(Failed::from)?;
    let expires_at = platform::base::clock::now() + SESSION;
    let token = platform::runtime::session::mint(&key, "cargo local", Some("admin"), expires_at);
    let bearer = format!("Bearer {}", token.ok_or_else(|| Failed("the session key is not Base64".into()))?);
    let url = format!("{}{path}", joined.variable("INTERTIE_URL").map_err(Failed::from)?);
    let response = Web::new().call(method, &url, &[("authorization", &bearer)], "").await.map_err(Failed::from)?;
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    if response.status().is_success() {
        return Ok(body);
    }
    let error = &body["error"];
    // Of an unknown state or provider, the field says which there are.
    let message = [&error["fields"][0]["message"], &error["message"]].into_iter().find_map(Value::as_str);
    Err(Failed(format!("{}: {}", response.status(), message.unwrap_or("the stack gave no reason"))))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
