use super::*;

const NOW: Timestamp = Timestamp::constant(1_795_428_000, 0);

fn read_page(stream: &str, position: &Value, body: &Value) -> Result<StreamPage, Unreadable> {
    page(stream, position, &Reply { status: 200, body: body.to_string().into(), ..Reply::default() }, NOW)
}

fn customer(id: &str, name: &str) -> Value {
    json!({"id": id, "object": "customer", "name": name, "created": 1_680_893_993, "livemode": false})
}

fn event(id: &str, kind: &str, created: i64, object: &Value) -> Value {
    json!({"id": id, "object": "event", "type": kind, "created": created, "data": {"object": object}})
}

#[test]
fn a_full_run_reads_the_list_after_the_last_object_and_ends_with_the_runs_start() {
    let first = begin(None, NOW).unwrap();
    assert_eq!(request("customers", &first).unwrap().url, "https://api.stripe.com/v1/customers?limit=100");
    let all = "https://api.stripe.com/v1/subscriptions?status=all&limit=100";
    assert_eq!(request("subscriptions", &first).unwrap().url, all);
    let body = json!({"object": "list", "has_more": true, "data": [customer("cus_2", "B"), customer("cus_1", "A")]});
    let page = read_page("customers", &first, &body).unwrap();
    assert_eq!(page.changes.iter().map(|it| it.key().id()).collect::<Vec<_>>(), ["cus_1", "cus_2"]);
    let Next::Page(second) = page.next else { panic!("{page:?}") };
    let url = request("customers", &second).unwrap().url;
    assert_eq!(url, "https://api.stripe.com/v1/customers?limit=100&starting_after=cus_1");
    let page = read_page("customers", &second, &json!({"data": [], "has_more": false})).unwrap();
    assert_eq!(page.next, Next::Done(json!({"since": 1_795_428_000 - 60})));
}

#[test]
fn an_event_of_the_second_of_the_list_wins_over_it_and_an_earlier_one_does_not() {
    let body = json!({"has_more": false, "data": [customer("cus_1", "A")]});
    let listed = read_page("customers", &begin(None, NOW).unwrap(), &body).unwrap().changes.remove(0).version();
    let reported = |kind: &str, at: i64| {
        let text = event("evt_1", kind, at, &customer("cus_1", "A")).to_string();
        event::read(serde_json::from_str(&text).unwrap()).unwrap().changes()[0].version()
    };
    assert!(reported("customer.created", NOW.as_second()) > listed);
    assert!(reported("customer.deleted", NOW.as_second() - 1) < listed);
}

#[test]
fn an_incremental_run_reads_the_streams_events_since_the_cursor() {
    let position = begin(Some(&json!({"since": 1_795_427_000})), NOW).unwrap();
    assert_eq!(
        request("customers", &position).unwrap().url,
        "https://api.stripe.com/v1/events?created%5Bgte%5D=1795427000&types%5B%5D=customer.created\
         &types%5B%5D=customer.deleted&types%5B%5D=customer.updated&limit=100"
    );
    let body = json!({"has_more": true, "data": [
        event("evt_4", "customer.deleted", 1_795_427_900, &customer("cus_2", "B")),
        event("evt_3", "customer.updated", 1_795_427_800, &customer("cus_1", "latest")),
        event("evt_2", "customer.updated", 1_795_427_800, &customer("cus_1", "earlier in that second")),
        event("evt_1", "customer.created", 1_795_427_800, &customer("cus_2", "B")),
    ]});
    let page = read_page("customers", &position, &body).unwrap();
    let [one, two] = &page.changes[..] else { panic!("one change an object: {page:?}") };
    assert_eq!((one.key().id(), &one.data()["name"], one.is_deleted()), ("cus_1", &json!("latest"), false));
    assert_eq!((two.key().id(), two.is_deleted(), two.version().get()), ("cus_2", true, 1_795_427_900_000_002));
    let Next::Page(next) = page.next else { panic!("more to come") };
    assert!(request("customers", &next).unwrap().url.ends_with("&starting_after=evt_1"));
    assert!(read_page("customers", &next, &body).is_err(), "the same page again");
}

#[test]
fn a_page_does_not_go_back_behind_the_state_that_the_page_before_ended_with() {
    let updated = |id: &str, at: i64, name: &str| event(id, "customer.updated", at, &customer("cus_1", name));
    let more = |events: Value| json!({"has_more": true, "data": events});
    let begun = begin(Some(&json!({"since": 1_795_427_000})), NOW).unwrap();
    let mut position = begun;
    let mut reported = Vec::new();
    let ended = event("evt_3", "customer.deleted", 1_795_427_800, &customer("cus_2", "gone"));
    let pages = [
        json!([updated("evt_9", 1_795_427_900, "later"), updated("evt_8", 1_795_427_800, "newest")]),
        json!([updated("evt_7", 1_795_427_800, "older")]),
        json!([updated("evt_6", 1_795_427_800, "oldest"), ended]),
        json!([updated("evt_2", 1_795_427_700, "of another second")]),
    ];
    for events in pages {
        let page = read_page("customers", &position, &more(events)).unwrap();
        reported.extend(page.changes.iter().map(|change| change.data()["name"].as_str().unwrap_or("gone").to_owned()));
        let Next::Page(next) = page.next else { panic!("more to come") };
        position = next;
    }
    // Of one page the newest of an object counts: the guard of versions does the rest.
    assert_eq!(reported, ["later", "gone", "of another second"]);
}

#[test]
fn a_page_after_an_object_that_is_gone_asks_for_a_full_run() {
    let first = begin(None, NOW).unwrap();
    assert_eq!(about(&first), About::NOTHING);
    let body = json!({"has_more": true, "data": [customer("cus_1", "A")]});
    let Next::Page(second) = read_page("customers", &first, &body).unwrap().next else { panic!("no page follows") };
    assert_eq!(about(&second), About::list(true));
}

#[test]
fn a_cursor_that_events_may_no_longer_reach_asks_for_a_full_run() {
    let since = |age: i64| begin(Some(&json!({"since": NOW.as_second() - age})), NOW);
    assert!(since(29 * 24 * 3600 - 1).is_some());
    assert!(since(29 * 24 * 3600).is_none());
    assert!(begin(Some(&Value::Null), NOW).is_none() && begin(Some(&json!({"since": "x"})), NOW).is_none());
    assert!(begin(Some(&json!({"since": i64::MIN})), NOW).is_none());
}

#[test]
fn objects_of_other_kinds_and_pages_that_can_not_go_on_are_unreadable() {
    let first = begin(None, NOW).unwrap();
    let object = json!({"has_more": false, "data": [{"id": "x", "object": "gizmo"}]});
    assert!(read_page("customers", &first, &object).is_err());
    assert!(read_page("customers", &first, &json!({"has_more": true, "data": []})).is_err());
    assert!(read_page("customers", &Value::Null, &json!({"has_more": false, "data": []})).is_err());
}

#[test]
fn a_call_names_no_more_events_than_stripe_takes() {
    assert!(LISTS.iter().all(|list| (1..=20).contains(&list.events.len())));
}
