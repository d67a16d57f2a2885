//! Stripe's events carry a time in seconds: which of two of one second is the newer, only Stripe can tell.

use http::Method;
use local_base::web::Web;
use serde_json::{Value, json};
use tests::{FAST, Guest, deliver, stack};

/// Two changes of a customer in one second, that no webhook reports: their events, the older first.
async fn change_twice_in_a_second(guest: &Guest<'_>, customer: &str) -> [Value; 2] {
    for _ in 0..20 {
        for name in ["older", "newer"] {
            let body = json!({ "name": name, "silent": true });
            guest.admin("stripe", Method::POST, &format!("customers/{customer}"), &body).await;
        }
        let events = guest.admin("stripe", Method::GET, "events", &Value::Null).await;
        let of_it = |event: &&Value| event["data"]["object"]["id"] == customer;
        let all: Vec<_> = events.as_array().unwrap().iter().filter(of_it).cloned().collect();
        let [.., older, newer] = &all[..] else { panic!("no events of {customer}") };
        if older["created"] == newer["created"] && older["type"] == newer["type"] {
            return [older.clone(), newer.clone()];
        }
    }
    panic!("never two in a second");
}

async fn name(guest: &Guest<'_>, customer: &str) -> Value {
    let path = "/integrations/stripe/records?stream=customers&limit=1000";
    let (_, body) = guest.api(Method::GET, path, &Value::Null).await;
    let all = body["records"].as_array().unwrap();
    all.iter().find(|record| record["id"] == customer).map_or(Value::Null, |record| record["data"]["name"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_states_of_one_second_the_providers_newest_stays_in_whatever_order_they_are_reported() {
    let stack = stack(FAST).await;
    let web = Web::new();
    let guest = Guest::new(&stack, "ada").await;
    guest.connect_stripe(json!({})).await;
    guest.settled("syncs").await;
    for (customer, order) in [("cus_tie_a", [0, 1]), ("cus_tie_b", [1, 0])] {
        let events = change_twice_in_a_second(&guest, customer).await;
        for index in order {
            assert_eq!(deliver(&web, &stack, &events[index].to_string()).await, Some(200));
            guest.settled("webhooks").await;
        }
        guest.settled("syncs").await;
        assert_eq!(name(&guest, customer).await, "newer", "{customer}");
    }
}
