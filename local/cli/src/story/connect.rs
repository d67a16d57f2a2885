//! Connecting: a person's way through a browser, and what is stored.

use http::Method;
use local_base::terminal::Failed;
use serde_json::{Value, json};

use super::{Outcome, Story, expect};
use crate::browser::{Browser, query};

/// A key of the sandbox.
pub(super) const STRIPE_KEY: &str = "rk_test_sandbox";

impl Story<'_> {
    /// Signs in, connects by the provider's consent page, and comes back.
    pub(super) async fn connect(&self, provider: &str) -> Outcome {
        let base = &self.stack.url;
        let signed_in = self.browser.get(&format!("{base}/settings/integrations?session={}", self.session)).await?;
        expect(signed_in.status == 303, || format!("signing in answered {} {}", signed_in.status, signed_in.body))?;

        let begun = self.browser.get(&format!("{base}/connect/{provider}")).await?;
        let consent = begun.location.filter(|_| begun.status == 302);
        let consent = consent.ok_or_else(|| Failed(format!("connect answered {} {}", begun.status, begun.body)))?;
        let page = self.browser.get(&consent).await?;
        expect(page.status == 200 && page.body.contains("id=\"allow\""), || {
            format!("the consent page answered {} {}", page.status, page.body)
        })?;
        let account = if provider == "slack" { "T0SANDBOX" } else { "ada@example.com" };
        let mut fields = query(&consent);
        let extra = [("decision", "allow"), ("account", account)];
        fields.extend(extra.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let allowed = self.browser.post(consent.split('?').next().unwrap_or(&consent), &fields).await?;
        let callback = allowed.location.ok_or_else(|| Failed(format!("consent answered {}", allowed.body)))?;
        let back = self.browser.get(&callback).await?;
        let home = format!("{base}/settings/integrations?success={provider}");
        expect(back.location.as_deref() == Some(home.as_str()), || {
            format!("the callback answered {} and leads to {:?}; {}", back.status, back.location, back.body)
        })?;
        let safe = back.headers.get("cache-control").is_some_and(|it| it == "no-store")
            && back.headers.get("referrer-policy").is_some_and(|it| it == "no-referrer");
        expect(safe, || "the callback may be cached or leak by Referer".into())?;
        let again = self.browser.get(&callback).await?;
        expect(again.location == back.location, || format!("the same callback again leads to {:?}", again.location))?;
        let stranger = Browser::new().get(&callback).await?;
        expect(stranger.status == 400, || format!("another browser's callback answered {}, not 400", stranger.status))?;

        let found = self.connected(provider).await?;
        let (account, integration_id) = (text(&found["account"]["id"]), text(&found["integration_id"]));
        let stored = self.look.credential(&integration_id).await?;
        expect(stored.encrypted, || "the tokens are not stored as ciphertext".into())?;
        let states = self.look.items("oauth-states").await?;
        let open = states
            .iter()
            .filter(|state| state.get("phase").and_then(|it| it.as_s().ok()).is_none_or(|it| it != "succeeded"))
            .count();
        expect(open == 0, || format!("{open} states can still be used"))?;
        let active = self.grants(provider).await?.iter().filter(|grant| grant["state"] == "active").count();
        expect(active > 0, || "the provider has no active grant".into())?;
        Ok((
            format!(
                "{account}; 6 requests of a browser, tokens stored encrypted, the state used up: the same browser is led back, another one 400"
            ),
            (),
        ))
    }

    /// Connects with a key; a wrong one first.
    pub(super) async fn connect_stripe(&self) -> Outcome {
        for (key, words) in [("hunter2", "starts with"), ("sk_test_wrong", "does not accept")] {
            let (status, body) = self.api(Method::POST, "/connect/stripe", &json!({ "api_key": key })).await?;
            let is_named = body["error"]["fields"][0]["message"].as_str().unwrap_or_default().contains(words);
            expect(status == 422 && is_named, || format!("a wrong key answered {status} {body}"))?;
        }
        let (status, body) = self.api(Method::POST, "/connect/stripe", &json!({ "api_key": STRIPE_KEY })).await?;
        expect(status == 201, || format!("answered {status} {body}, not 201"))?;
        let found = self.connected("stripe").await?;
        let stored = self.look.credential(&text(&found["integration_id"])).await?;
        expect(stored.encrypted, || "the key is stored open".into())?;
        Ok((format!("{}; wrong keys 422 in plain words; stored encrypted", text(&found["account"]["id"])), ()))
    }

    async fn connected(&self, provider: &str) -> Result<Value, Failed> {
        let found = self.status_of(provider).await?;
        expect(found["connected"] == true, || format!("the status says {found}"))?;
        let in_table = self.look.integration(&text(&found["integration_id"])).await?;
        expect(in_table.as_deref() == Some("connected"), || format!("the table says {in_table:?}"))?;
        let id = text(&found["integration_id"]);
        let announced = self.look.announced("integration.connected", &id)?;
        expect(announced > 0, || "integration.connected is not on the bus".into())?;
        Ok(found)
    }

    /// The grants that a provider's sandbox knows.
    pub(super) async fn grants(&self, provider: &str) -> Result<Vec<Value>, Failed> {
        let found = self.admin(self.sandbox(provider), Method::GET, "grants", &Value::Null).await?;
        Ok(found.as_array().cloned().unwrap_or_default())
    }
}

/// A value that is a text.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
