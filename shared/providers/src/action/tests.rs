use serde_json::json;

use super::*;

#[test]
fn all_that_is_wrong_is_reported_at_once() {
    let input = json!({"a": 1, "b": "", "d": {}, "e": "x", "thread": "y", "list": [{"x": 1, "y": 2}, 3]});
    let mut fields = Fields::of(&input);
    fields.text("a");
    fields.text("b");
    fields.text("c");
    fields.optional_list("d");
    assert_eq!(fields.optional_text("e"), Some("x"));
    assert_eq!(fields.optional_flag("f"), None);
    for mut object in fields.objects("list") {
        object.text("x");
        fields.join(object);
    }
    let problem = fields.check().unwrap_err();
    let wrong: Vec<_> = problem.fields.iter().map(|it| &*it.field).collect();
    let item = ["list[0].x", "list[0].y", "list[1]", "list[1].x"];
    assert_eq!(wrong, [["a", "b", "c", "d"].as_slice(), &item, &["thread"]].concat());
    let unknown = "There is no field \"thread\" here. Known: \"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"list\".";
    assert_eq!(problem.fields.last().unwrap().message, unknown);
}

#[test]
fn pages_are_gathered_until_the_last_or_the_limit_and_a_loop_ends() {
    let mut gathered = Value::Null;
    let mut step = |item: u8, next: Option<&str>| {
        let call = |mark: &str| Ok(Request::get("/x", format!("https://x/{mark}")));
        gather(&mut gathered, ("all", vec![item.into()]), next.map(str::to_owned), 3, call)
    };
    assert!(matches!(step(1, Some("a")), Ok(Step::Call(request)) if request.url == "https://x/a"));
    assert_eq!(step(2, Some("a")).unwrap_err(), Unreadable("a page that follows itself"));
    assert!(matches!(step(2, Some("b")), Ok(Step::Call(_))));
    let Ok(Step::Done(result)) = step(3, Some("c")) else { panic!("over the limit") };
    assert_eq!(result, json!({"all": [1, 2, 3], "complete": false}));
    let done = gather(&mut Value::Null, ("all", vec![]), None, 3, |_| Err(Unreadable("never called")));
    assert!(matches!(done, Ok(Step::Done(result)) if result == json!({"all": [], "complete": true})));
}

#[test]
fn a_list_ends_where_an_answer_does_and_says_that_it_is_not_complete() {
    // A mebibyte of quotes is two in the page's JSON, and four in the answer.
    let quotes = |count: usize| vec![Value::from("\"".repeat(1024 * 512)); count];
    let step = |gathered: &mut Value, count, next: Option<&str>| {
        let call = |_: &str| Ok(Request::get("/x", "https://x"));
        gather(gathered, ("all", quotes(count)), next.map(str::to_owned), 9, call).unwrap()
    };
    let ended = |step| {
        let Step::Done(result) = step else { panic!("it goes on") };
        (result["all"].as_array().unwrap().len(), result["complete"] == true, result.to_string())
    };
    let mut gathered = Value::Null;
    assert!(matches!(step(&mut gathered, 1, Some("a")), Step::Call(_)));
    assert_eq!(so_far(&mut gathered.clone()).unwrap()["complete"], false);
    let (count, complete, result) = ended(step(&mut gathered, 3, Some("b")));
    assert_eq!((count, complete), (2, false));
    assert!(escaped_len(&result) < 6 * 1024 * 1024);
    assert!(ended(step(&mut Value::Null, 2, None)).1, "what fits is complete");
    assert!(!ended(step(&mut Value::Null, 4, None)).1, "the last page too is cut");
    assert_eq!(so_far(&mut Value::Null), None);
}
