//! Erasing a user: everything of theirs goes, whatever dies on the way, and nothing of anybody else's.

use futures_util::future::join;
use http::Method;
use local_aws::{
    Service,
    faults::{Effect, Fault},
};
use local_base::web::Web;
use serde_json::{Value, json};
use tests::{FAST, Guest, PATIENCE, stack};

const TABLES: [&str; 6] = ["integrations", "credentials", "webhook-secrets", "records", "syncs", "oauth-states"];

/// Connects all that there is.
async fn connect(guest: &Guest<'_>) -> Vec<String> {
    let mut ids = Vec::new();
    for provider in ["slack", "google-calendar", "gmail"] {
        ids.push(guest.connect(provider).await);
    }
    ids.push(guest.connect_stripe(json!({ "webhook_secret": "whsec_of_theirs" })).await);
    guest.settled("syncs").await;
    ids
}

/// What the tables hold of a user: items with their id, or with an integration's; what expires by itself is told apart.
async fn left(guest: &Guest<'_>, user: &str, ids: &[String]) -> Vec<String> {
    let mut left = Vec::new();
    for table in TABLES {
        for item in guest.look.items(table).await.unwrap() {
            let text = format!("{item:?}");
            let theirs = text.contains(&format!("\"{user}\"")) || ids.iter().any(|id| text.contains(id));
            if theirs && !item.contains_key("expires_at") {
                left.push(format!("{table}: {text}"));
            }
        }
    }
    left
}

async fn erase(admin: &Guest<'_>, user: &str) -> (u16, Value) {
    admin.api(Method::DELETE, &format!("/users/{user}"), &Value::Null).await
}

/// A fault at a function's calls of one operation.
fn strike(function: &str, operation: &str, service: Service, effect: Effect) -> Fault {
    Fault {
        function: Some(function.to_owned()),
        service: Some(service),
        operation: Some(operation.to_owned()),
        ..Fault::new(effect)
    }
}

async fn state(admin: &Guest<'_>, user: &str) -> (u16, Value) {
    let (status, body) = admin.api(Method::GET, &format!("/users/{user}"), &Value::Null).await;
    (status, body["state"].clone())
}

async fn erased(admin: &Guest<'_>, user: &str) {
    let path = format!("/users/{user}");
    let gone = async || {
        let (status, body) = admin.api(Method::GET, &path, &Value::Null).await;
        assert_eq!(status, 200, "{body}");
        (body["state"] == "erased").then_some(())
    };
    admin.stack.until(PATIENCE, gone).await.unwrap_or_else(|waited| panic!("{user} is not erased: {waited}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_erased_whole_and_nobody_else_is_touched() {
    let stack = stack(FAST).await;
    let (ada, bob) = join(Guest::new(&stack, "ada"), Guest::new(&stack, "bob")).await;
    let (of_ada, of_bob) = join(connect(&ada), connect(&bob)).await;
    assert!(left(&ada, "ada", &of_ada).await.len() > 20, "there is something to erase");
    let before = left(&bob, "bob", &of_bob).await.len();

    // Only an administrator's program may.
    let plain = stack.session("ada", None, std::time::Duration::from_mins(5)).unwrap();
    let web = Web::new();
    let url = format!("{}/users/ada", stack.url);
    let bearer = format!("Bearer {plain}");
    for method in [Method::DELETE, Method::GET] {
        let answer = web.call(method.clone(), &url, &[("authorization", &bearer)], "").await.unwrap();
        assert_eq!(answer.status(), 403, "{method} by a user");
        let cookie = format!("intertie_session={plain}");
        let answer = web.call(method.clone(), &url, &[("cookie", &cookie)], "").await.unwrap();
        assert_eq!(answer.status(), 401, "{method} by a browser");
    }

    assert_eq!(state(&bob, "ada").await, (200, json!("active")));
    assert_eq!(state(&bob, "never-seen").await.0, 404);
    let (status, body) = erase(&bob, "ada").await;
    assert_eq!((status, &body["state"]), (202, &json!("erasing")), "{body}");
    let revoked = |provider: &str| {
        let all = body["integrations"].as_array().unwrap();
        all.iter().find(|it| it["provider"] == provider).unwrap()["revoked"].clone()
    };
    // Bob has the same accounts: the grants that he needs are not revoked.
    assert_eq!((revoked("slack"), revoked("stripe")), (json!("still_needed"), json!("nothing")), "{body}");
    erased(&bob, "ada").await;
    assert_eq!(left(&ada, "ada", &of_ada).await, [""; 0]);
    assert_eq!(left(&bob, "bob", &of_bob).await.len(), before, "of another user");
    let (_, statuses) = ada.api(Method::GET, "/integrations", &Value::Null).await;
    let states = statuses["integrations"].as_array().unwrap().iter().map(|it| it["state"].clone());
    assert!(states.into_iter().all(|state| state == "never_connected"), "{statuses}");
    let (status, body) = bob.api(Method::GET, "/proxy/slack/auth.test", &Value::Null).await;
    assert_eq!(status, 200, "{body}");
    for id in &of_ada {
        assert_eq!(ada.look.announced("integration.disconnected", id).unwrap(), 1, "{id}");
    }

    // There is nothing to erase any more, and asking again is harmless.
    let (status, body) = erase(&bob, "ada").await;
    assert_eq!((status, body), (202, json!({ "user_id": "ada", "state": "erased", "integrations": [] })));
    // They may come back.
    let page = ada.get("/settings/integrations").await;
    assert_eq!(page.status, 401, "her browser's session is over, too: {}", page.body);
    let ada = Guest::new(&stack, "ada").await;
    ada.connect_and_sync("slack").await;
    assert_eq!(ada.status("slack").await["state"], "connected");
    assert_eq!(state(&bob, "ada").await, (200, json!("active")), "what was connected since is not being erased");

    // With the last integration that needs it, a grant is revoked.
    erase(&bob, "bob").await;
    erased(&bob, "bob").await;
    let (_, body) = erase(&bob, "ada").await;
    assert_eq!(body["integrations"][0]["revoked"], "yes", "{body}");
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_while_a_user_is_erased_asking_again_ends_it() {
    let stack = stack(FAST).await;
    let admin = Guest::new(&stack, "admin").await;
    for (number, (operation, service)) in [
        ("UpdateItem", Service::Dynamodb),
        ("DeleteItem", Service::Dynamodb),
        ("SendMessage", Service::Sqs),
        ("PutEvents", Service::Events),
    ]
    .into_iter()
    .enumerate()
    {
        let user = format!("user-{number}");
        let guest = Guest::new(&stack, &user).await;
        let ids = vec![guest.connect_and_sync("google-calendar").await];
        stack.gateway.faults.arm(vec![strike("oauth-callback", operation, service, Effect::KillAfter)]);
        let (status, body) = erase(&admin, &user).await;
        assert!(status >= 500 && stack.gateway.faults.armed()[0].seen >= 1, "{operation}: {status} {body}");
        stack.gateway.faults.arm(Vec::new());
        let (status, body) = erase(&admin, &user).await;
        assert_eq!(status, 202, "{operation}: {body}");
        erased(&admin, &user).await;
        assert_eq!(left(&guest, &user, &ids).await, [""; 0], "{operation}");
        // At whatever call the process died, the grant is revoked.
        let grants = admin.admin("gmail", Method::GET, "grants", &Value::Null).await;
        assert!(grants.as_array().unwrap().iter().all(|grant| grant["state"] == "revoked"), "{operation}: {grants}");
    }
    // And the function that erases.
    for (number, (operation, effect)) in
        [("DeleteItem", Effect::KillBefore), ("DeleteItem", Effect::KillAfter), ("Query", Effect::KillBefore)]
            .into_iter()
            .enumerate()
    {
        let user = format!("worker-{number}");
        let guest = Guest::new(&stack, &user).await;
        let ids = vec![guest.connect_and_sync("google-calendar").await];
        stack.gateway.faults.arm(vec![strike("sync-worker", operation, Service::Dynamodb, effect)]);
        assert_eq!(erase(&admin, &user).await.0, 202);
        let embedded = stack.embedded.as_ref().unwrap();
        let struck = async || (stack.gateway.faults.armed()[0].seen >= 1).then_some(());
        stack.until(PATIENCE, struck).await.unwrap_or_else(|waited| panic!("{operation} never came: {waited}"));
        // Its message comes back after its visibility timeout.
        embedded.sqs.advance(std::time::Duration::from_mins(31));
        erased(&admin, &user).await;
        guest.settled("syncs").await;
        assert_eq!(left(&guest, &user, &ids).await, [""; 0], "{operation}");
    }
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_is_to_be_erased_leaves_only_what_expires_by_itself_however_late_the_worker_is() {
    let stack = stack(FAST).await;
    let admin = Guest::new(&stack, "admin").await;
    let guest = Guest::new(&stack, "ada").await;
    let ids = vec![guest.connect_and_sync("google-calendar").await];
    // The worker's first update takes the lease; all later ones come long after the integration is gone.
    let late = Fault { at: 2, times: 9, ..strike("sync-worker", "UpdateItem", Service::Dynamodb, Effect::Delay(1500)) };
    stack.gateway.faults.arm(vec![late]);
    assert_eq!(erase(&admin, "ada").await.0, 202);
    erased(&admin, "ada").await;
    assert_eq!(left(&guest, "ada", &ids).await, [""; 0]);
    // A second erasure takes the lease again.
    erase(&admin, "ada").await;
    guest.settled("syncs").await;
    assert_eq!(left(&guest, "ada", &ids).await, [""; 0]);
    stack.shutdown().await;
}
