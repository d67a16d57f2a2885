//! The status page, the status, health and records, and that another user sees none of them.

use http::Method;
use serde_json::Value;

use super::{Outcome, Story, expect};

impl Story<'_> {
    pub(super) async fn status(&self) -> Outcome {
        let (status, body) = self.api(Method::GET, "/integrations", &Value::Null).await?;
        let all = body["integrations"].as_array().cloned().unwrap_or_default();
        let connected = all.iter().filter(|it| it["connected"] == true && it["error"].is_null()).count();
        let providers = providers::REGISTRY.ids().len();
        expect(status == 200 && connected == providers, || format!("answered {status} {body}"))?;
        let page = self.browser.get(&format!("{}/settings/integrations", self.stack.url)).await?;
        let missing = providers::REGISTRY.iter().map(|it| it.spec().name).find(|name| !page.body.contains(name));
        let whole = page.status == 200 && missing.is_none() && page.body.contains("Last synced");
        expect(whole, || format!("the page answered {} and lacks {missing:?} or when it was synced", page.status))?;
        let (status, body) = self.api(Method::GET, "/health", &Value::Null).await?;
        let services = body["services"].as_array().cloned().unwrap_or_default();
        let called = services.iter().filter(|it| it["calls_24h"].as_u64() > Some(0)).count();
        expect(status == 200 && called == providers, || format!("the health answered {status} {body}"))?;
        let calls: u64 = services.iter().filter_map(|it| it["calls_24h"].as_u64()).sum();
        Ok((format!("{connected} connected on page and in JSON; {calls} calls to {called} providers counted"), ()))
    }

    pub(super) async fn records(&self) -> Outcome {
        let path = "/integrations/stripe/records?stream=customers&limit=2";
        let (status, first) = self.api(Method::GET, path, &Value::Null).await?;
        let next = first["next"].as_str().unwrap_or_default().to_owned();
        expect(status == 200 && !next.is_empty(), || format!("answered {status} {first}"))?;
        let after = format!("{path}&after={}", next.replace('#', "%23"));
        let (status, second) = self.api(Method::GET, &after, &Value::Null).await?;
        let differ = first["records"][0]["id"] != second["records"][0]["id"];
        expect(status == 200 && differ, || format!("the second part answered {status} {second}"))?;
        let path = "/integrations/google-calendar/records?include_deleted=true";
        let (_, events) = self.api(Method::GET, path, &Value::Null).await?;
        let deleted = events["records"].as_array().into_iter().flatten().filter(|it| it["deleted"] == true).count();
        expect(deleted >= 2, || format!("{deleted} deleted events are kept, not both"))?;
        Ok((format!("part by part; {deleted} deleted events on request"), ()))
    }

    pub(super) async fn isolation(&self) -> Outcome {
        let other = self.stack.session("somebody-else", None, std::time::Duration::from_mins(5)).unwrap_or_default();
        let bearer = format!("Bearer {other}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let (status, body) = self.call(Method::GET, "/integrations", &headers, "").await?;
        expect(status == 200 && !body.contains("T0SANDBOX"), || format!("another user sees {status} {body}"))?;
        for (method, path, expected) in [
            (Method::GET, "/integrations/slack/records?account=T0SANDBOX", 409),
            (Method::POST, "/integrations/slack/disconnect?account=T0SANDBOX", 409),
            (Method::GET, "/proxy/slack/auth.test", 409),
            (Method::GET, "/health", 403),
        ] {
            let (status, body) = self.call(method.clone(), path, &headers, "").await?;
            expect(status == expected, || format!("another user: {method} {path} answered {status} {body}"))?;
        }
        Ok(("nothing in the status; records, disconnect, proxy: not connected; health: 403".into(), ()))
    }
}
