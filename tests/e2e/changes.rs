//! The feed of changes over HTTP: a follower holds what the records are, hears of erasures, and gets nothing of another user.

use std::collections::BTreeMap;

use http::Method;
use local_base::web::Web;
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, customer_event, deliver, stack};

/// A follower with a page size.
struct Follower<'g> {
    guest: &'g Guest<'g>,
    path: String,
    after: Option<String>,
    /// By integration, stream and id.
    state: BTreeMap<[String; 3], Value>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

impl<'g> Follower<'g> {
    fn new(guest: &'g Guest<'g>, query: &str) -> Self {
        Self { guest, path: format!("/changes?{query}"), after: None, state: BTreeMap::new() }
    }

    /// Reads one page, and applies it.
    async fn page(&mut self) -> Vec<Value> {
        let after = self.after.as_ref().map(|after| format!("&after={after}")).unwrap_or_default();
        let (status, body) = self.guest.api(Method::GET, &format!("{}{after}", self.path), &Value::Null).await;
        assert_eq!(status, 200, "{body}");
        self.after = Some(text(&body["next"]));
        let changes = body["changes"].as_array().unwrap().clone();
        for change in &changes {
            let id = text(&change["integration_id"]);
            if change["erased"] == true {
                assert_eq!(*change, json!({ "integration_id": id, "erased": true }));
                self.state.retain(|key, _| key[0] != id);
            } else {
                let key = [id, text(&change["stream"]), text(&change["id"])];
                let shown = json!({
                    "deleted": change["deleted"], "updated_at": change["updated_at"], "data": change["record"]
                });
                self.state.insert(key, shown);
            }
        }
        changes
    }

    /// Reads until this holds, and a further page is empty. All entries.
    async fn until(&mut self, what: &str, holds: impl AsyncFn(&Self, &[Value]) -> bool) -> Vec<Value> {
        let stack = self.guest.stack;
        let (follower, entries) = (tokio::sync::Mutex::new(self), tokio::sync::Mutex::new(Vec::new()));
        let read = async || {
            let mut follower = follower.lock().await;
            let page = follower.page().await;
            let mut entries = entries.lock().await;
            entries.extend(page.iter().cloned());
            (page.is_empty() && holds(&follower, &entries).await).then_some(())
        };
        stack.until(PATIENCE, read).await.unwrap_or_else(|waited| panic!("{what}: {waited}"));
        entries.into_inner()
    }
}

/// The records of a user at these providers, in the form of the follower's.
async fn records(guest: &Guest<'_>, providers: &[&str]) -> BTreeMap<[String; 3], Value> {
    let mut all = BTreeMap::new();
    for provider in providers {
        let id = text(&guest.status(provider).await["integration_id"]);
        let path = format!("/integrations/{provider}/records?include_deleted=true&limit=1000");
        let (status, body) = guest.api(Method::GET, &path, &Value::Null).await;
        assert_eq!((status, &body["next"]), (200, &Value::Null), "{body}");
        for record in body["records"].as_array().unwrap() {
            let shown = json!({
                "deleted": record["deleted"], "updated_at": record["updated_at"], "data": record["data"]
            });
            all.insert([id.clone(), text(&record["stream"]), text(&record["id"])], shown);
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_holds_what_the_records_are_and_gets_nothing_of_another_user() {
    let stack = stack(FAST).await;
    let web = Web::new();
    let user = Guest::new(&stack, "user-1").await;
    let other = Guest::new(&stack, "bob").await;
    let slack = user.connect_and_sync("slack").await;
    let stripe = text(&user.status("stripe").await["integration_id"]);
    assert_eq!(deliver(&web, &stack, &customer_event("evt_1", "cus_1", 1)).await, Some(200));
    user.settled("webhooks").await;

    let (mut follower, mut small) = (Follower::new(&user, ""), Follower::new(&user, "limit=3"));
    let expected = records(&user, &["slack", "stripe"]).await;
    assert!(expected.len() > 6, "{expected:?}");
    let mut all = follower.until("all records", async |it, _| it.state == expected).await;
    // Each account that is connected for the first time begins so, for a follower that began before.
    all.retain(|entry| entry["erased"] != true);
    assert_eq!(all.len(), expected.len(), "each is there once: {all:?}");
    small.until("all records, three at a time", async |it, _| it.state == expected).await;
    let customer = all.iter().find(|change| change["stream"] == "customers").unwrap();
    let names: Vec<_> = customer.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["account", "deleted", "id", "integration_id", "provider", "record", "stream", "updated_at"]);
    assert_eq!((&customer["provider"], &customer["account"]["mode"]), (&json!("stripe"), &json!("test")));
    let mut of_stream = Follower::new(&user, "stream=customers&limit=1");
    of_stream.until("the customers", async |it, _| it.state.len() == 1).await;
    let mut of_provider = Follower::new(&user, "provider=slack");
    of_provider.until("what is Slack's", async |it, _| it.state.len() == expected.len() - 1).await;

    // A sync that finds nothing new shows nothing; a change shows once, in its latest state.
    let (status, body) = user.api(Method::POST, "/integrations/slack/sync", &Value::Null).await;
    assert_eq!(status, 202, "{body}");
    user.quiet().await;
    for (event, at) in [("evt_2", 2), ("evt_3", 3)] {
        assert_eq!(deliver(&web, &stack, &customer_event(event, "cus_1", at)).await, Some(200));
        user.settled("webhooks").await;
    }
    let changed = follower.until("a change", async |_, entries| !entries.is_empty()).await;
    let found: Vec<_> = changed.iter().map(|change| (&change["id"], &change["record"]["email"])).collect();
    assert!(found.iter().all(|it| *it.0 == "cus_1"), "{found:?}");
    assert_eq!(found.last().unwrap().1, "evt_3@example.com");

    // A cursor is for one user and one selection, and says nothing of a time to come.
    let next = follower.after.clone().unwrap();
    for (guest, query) in [(&other, ""), (&user, "&provider=slack"), (&user, "&stream=users"), (&user, "x")] {
        let (status, body) = guest.api(Method::GET, &format!("/changes?after={next}{query}"), &Value::Null).await;
        assert_eq!((status, &body["error"]["fields"][0]["field"]), (422, &json!("after")), "{query}: {body}");
    }
    let (status, body) = other.api(Method::GET, "/changes", &Value::Null).await;
    assert_eq!((status, &body["changes"]), (200, &json!([])), "{body}");

    // Erased, and connected again.
    let (status, body) = user.api(Method::POST, "/integrations/slack/disconnect", &Value::Null).await;
    assert_eq!(status, 200, "{body}");
    user.settled("syncs").await;
    let expected = records(&user, &["stripe"]).await;
    let entries = follower.until("the erasure", async |it, _| it.state == expected).await;
    assert_eq!(entries, [json!({ "integration_id": slack, "erased": true })]);
    assert_eq!(user.connect_and_sync("slack").await, slack, "the same integration");
    let expected = records(&user, &["slack", "stripe"]).await;
    for follower in [&mut follower, &mut small] {
        follower.until("what was connected again", async |it, _| it.state == expected).await;
    }
    assert!(expected.keys().any(|key| key[0] == slack) && expected.keys().any(|key| key[0] == stripe));
    // Kept records stay as they are.
    let keep = json!({ "keep_records": true });
    let (status, body) = user.api(Method::POST, "/integrations/slack/disconnect", &keep).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(deliver(&web, &stack, &customer_event("evt_4", "cus_1", 4)).await, Some(200));
    user.settled("webhooks").await;
    let entries = follower.until("a change", async |_, entries| !entries.is_empty()).await;
    assert!(entries.iter().all(|change| change["id"] == "cus_1"), "{entries:?}");
    stack.shutdown().await;
}
