//! `cargo local`'s own interfaces: the controls of the stack and of the sandboxes, and the command line.

use std::process::Command;

use http::Method;
use local_aws::faults::{Effect, Fault};
use local_base::web::Web;
use local_cli::bundle::Bundle;
use local_runtime::bootstraps;
use tests::stack;

/// A call that is refused: method, path, body, status, and the name that the answer says.
type Refused = (Method, &'static str, &'static str, u16, &'static str);

const CONTROLS: &[Refused] = &[
    (Method::PUT, "/faults", r#"[{"function":"webhook-proces","effect":"refuse"}]"#, 422, "webhook-proces"),
    (Method::PUT, "/faults", r#"[{"service":"dynamo","effect":"refuse"}]"#, 422, "dynamo"),
    (Method::PUT, "/faults", r#"[{"operation":"UpdateItems","effect":"refuse"}]"#, 422, "UpdateItems"),
    (Method::PUT, "/faults", r#"[{"effect":"refuse"},{"effect":"kill"}]"#, 422, "kill"),
    (Method::PUT, "/faults", r#"[{"efect":"refuse"}]"#, 422, "efect"),
    (Method::PUT, "/faults", r#"[{"effect":"refuse","times":"2"}]"#, 422, "string"),
    (Method::PUT, "/faults", r#"{"effect":"refuse"}"#, 422, "a list of faults"),
    (Method::PUT, "/faults", "[", 400, "a list of faults"),
    (Method::PUT, "/faults?append=true", "[]", 422, "append"),
    (Method::GET, "/faults?function=x", "", 422, "function"),
    (Method::GET, "/queues?name=x", "", 422, "name"),
    (Method::GET, "/rest?queue=x", "", 422, "queue"),
    (Method::GET, "/usage?function=x", "", 422, "function"),
    (Method::POST, "/clock", r#"{"advance_second":60}"#, 422, "advance_second"),
    (Method::POST, "/clock", r#"{"advance_seconds":60,"queue":"syncs"}"#, 422, "queue"),
    (Method::POST, "/clock", r#"{"advance_seconds":"60"}"#, 422, "string"),
    (Method::POST, "/clock?advance_seconds=60", r#"{"advance_seconds":60}"#, 422, "advance_seconds"),
    (Method::POST, "/schedules/incrementall/fire", "", 404, "incrementall"),
    (Method::POST, "/schedules/incremental/fire", r#"{"shard":1}"#, 422, "shard"),
    (Method::POST, "/schedules/incremental/fire?shard=1", "", 422, "shard"),
    (Method::POST, "/functions/webhook-proces/kill", "", 404, "webhook-proces"),
    (Method::POST, "/functions/webhook-process/kill", r#"{"all":true}"#, 422, "all"),
    (Method::GET, "/metrics?name=Errors", "", 422, "name"),
    (Method::GET, "/monitoring?kind=x", "", 422, "kind"),
    (
        Method::PUT,
        "/2017-10-31/functions/webhook-proces/concurrency",
        r#"{"ReservedConcurrentExecutions":0}"#,
        404,
        "webhook-proces",
    ),
    (
        Method::PUT,
        "/2017-10-31/functions/webhook-process/concurrency",
        r#"{"ReservedConcurrentExecutions":5}"#,
        422,
        "is 0 here",
    ),
    (Method::PUT, "/2017-10-31/functions/webhook-process/concurrency", r#"{"Reserved":0}"#, 422, "Reserved"),
];

const SLACK: &[Refused] = &[
    (Method::POST, "faults", r#"{"match":"x","effect":{"status":500},"time":2}"#, 422, "time"),
    (Method::POST, "faults", r#"{"match":"x","effect":{"stauts":500}}"#, 422, "stauts"),
    (Method::POST, "faults", r#"{"match":"x","effect":{"status":500},"chance":{"off":0.5}}"#, 422, "off"),
    (Method::POST, "faults", r#"{"match":"x","effect":{"status":500},"chance":{"of":5}}"#, 422, "chance"),
    (Method::POST, "deliveries/lose", r#"{"chanse":{"of":1}}"#, 422, "chanse"),
    (Method::POST, "deliveries/lose", r#"{"chance":{"of":0.5,"sed":1}}"#, 422, "sed"),
    (Method::GET, "deliveries/underway", "", 404, "underway"),
    (Method::POST, "limit", r#"{"per_second":1,"burst":1,"bust":1}"#, 422, "bust"),
    (Method::POST, "between_pages", r#"{"match":"x","then":{"method":"POST","path":"chanels"}}"#, 422, "chanels"),
    (
        Method::POST,
        "between_pages",
        r#"{"match":"x","then":{"method":"POST","path":"channels","body":{"nam":"x"}}}"#,
        422,
        "nam",
    ),
    (Method::POST, "channels", r#"{"nme":"x"}"#, 422, "nme"),
    (Method::POST, "channels", r#"{"name":"x","silent":"yes"}"#, 422, "silent"),
    (Method::POST, "channels", r#"{"name":"x","team":"T0NOPE"}"#, 404, "workspace"),
    (Method::POST, "chanels", "{}", 404, "chanels"),
    (Method::POST, "send", r#"{"kind":"slashh"}"#, 400, "slash"),
    (Method::POST, "send", r#"{"kind":"slash","evnt":{}}"#, 422, "evnt"),
    (Method::POST, "tokens/expire", r#"{"acount":"x"}"#, 422, "acount"),
    (Method::POST, "tokens/expire", r#"{"account":"T0NOPE"}"#, 404, "grant"),
    (Method::POST, "tokens/life", r#"{"seconds":"5"}"#, 422, "seconds"),
    (Method::POST, "grants/revoke", r#"{"slient":true}"#, 422, "slient"),
    (Method::POST, "grants/revoke", "[]", 422, "object"),
    (Method::POST, "grants/revoke", "{", 400, "JSON"),
    (Method::GET, "calls?since=1", "", 422, "since"),
];

const STRIPE: &[Refused] = &[
    (Method::POST, "customers", r#"{"emial":"a@example.com"}"#, 422, "emial"),
    (Method::POST, "keys", r#"{"key":"rk_test_x","state":"expird"}"#, 422, "expired"),
    (Method::POST, "keys", r#"{"state":"good"}"#, 422, "key"),
    (Method::POST, "send", r#"{"type":"ping"}"#, 422, "type"),
];

const GOOGLE: &[Refused] = &[
    (Method::POST, "events/primary", r#"{"sumary":"Tea"}"#, 422, "sumary"),
    (Method::POST, "messages", r#"{"sujbect":"Hi"}"#, 422, "sujbect"),
    (Method::POST, "watches/life", r#"{"second":60}"#, 422, "second"),
    (Method::POST, "history_floor", r#"{"floor":"7"}"#, 422, "floor"),
    (Method::POST, "expire_sync_tokens", r#"{"calendar":"primary"}"#, 422, "calendar"),
    (Method::POST, "send", r#"{"claim":{}}"#, 422, "claim"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_controls_refuse_what_they_do_not_know_by_name_and_do_nothing() {
    let stack = stack(&[]).await;
    let armed = Fault { operation: Some("PutItem".to_owned()), at: 1_000, ..Fault::new(Effect::Throttle) };
    stack.gateway.faults.arm(vec![armed.clone()]);
    let before = state(&stack).await;
    let sandbox = |url: &str| format!("{url}/_admin/");
    for (base, refused) in [
        (stack.control_url.clone(), CONTROLS),
        (sandbox(stack.sandbox.url("slack")), SLACK),
        (sandbox(stack.sandbox.url("stripe")), STRIPE),
        (sandbox(stack.sandbox.url("google")), GOOGLE),
    ] {
        for (method, path, body, status, name) in refused {
            let answer = Web::new().call(method.clone(), &format!("{base}{path}"), &[], *body).await.unwrap();
            let words = String::from_utf8_lossy(answer.body());
            assert_eq!(answer.status(), *status, "{method} {path} {body}: {words}");
            assert!(words.contains(name), "{method} {path} {body}: {words}");
        }
    }
    assert_eq!(state(&stack).await, before);
    let still: Vec<_> = stack.gateway.faults.armed().into_iter().map(|it| it.fault).collect();
    assert_eq!(still, [armed], "the faults in force stay");
    stack.shutdown().await;
}

/// What the sandboxes hold, and what functions called.
async fn state(stack: &Bundle) -> Vec<String> {
    let mut all = vec![format!("{:?}", stack.gateway.counts())];
    for (base, paths) in [
        (stack.sandbox.url("slack"), ["channels", "grants", "deliveries"]),
        (stack.sandbox.url("stripe"), ["customers", "secrets", "deliveries"]),
        (stack.sandbox.url("google"), ["events/primary", "messages", "deliveries"]),
    ] {
        for path in paths {
            let answer = Web::new().call(Method::GET, &format!("{base}/_admin/{path}"), &[], "").await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            all.push(String::from_utf8_lossy(answer.body()).into_owned());
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_refuses_what_it_does_not_know_by_name() {
    tests::bootstraps().await;
    let binary = bootstraps::target_folder().unwrap().join("debug/local");
    for (arguments, name) in [
        (&["token", "--user", "ada", "--role", "admn"][..], "admn"),
        (&["token", "--usr", "ada"], "--usr"),
        (&["token", "--user", ""], "--user"),
        (&["token", "--user", "ada", "--ttl", "0"], "--ttl"),
        (&["sign", "--provider", "stirpe", "Cargo.toml"], "stirpe"),
        (&["sign", "--provider", "stripe", "Cargo.toml", "--sned", "http://x"], "--sned"),
        (&["fire", "incremental", "now"], "now"),
        (&["bench", "webhook-proces"], "webhook-proces"),
        (&["--parameter-override", "A=1"], "--parameter-override"),
    ] {
        let output = Command::new(&binary).args(arguments).current_dir(bootstraps::root()).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && words.contains(name), "{arguments:?}: {words}");
    }
}
