use super::*;

fn convert(event: &str) -> Request {
    let Event(event) = FromEvent::from_event(event).unwrap();
    LambdaRequest::ApiGatewayV2(harmless(event.unwrap())).into()
}

fn event(query: &str, headers: &str, body: &str) -> String {
    format!(
        r#"{{"version":"2.0","routeKey":"$default","rawPath":"/a b","rawQueryString":{query},"headers":{headers},
        "requestContext":{{"http":{{"method":"POST","path":"/"}},"domainName":"api.example.com","timeEpoch":1,
        "requestId":"r-1"}},"body":{body},"isBase64Encoded":true}}"#
    )
}

#[test]
fn hostile_events_are_converted_and_not_tripped_over() {
    for (query, headers, body) in [
        (r#""a=\"<é>#""#, "{}", r#""e30=""#),
        (r#""%""#, r#"{"x-forwarded-proto":","}"#, r#""e30=""#),
        (r#""""#, r#"{"host":"evil example:99999"}"#, r#""e30=""#),
        (r#""""#, "{}", r#""not Base64""#),
        (r#""""#, "{}", "null"),
        (r#""""#, r#"{"user-agent":"Grüße"}"#, "null"),
    ] {
        let request = convert(&event(query, headers, body));
        assert_eq!(request.raw_http_path(), "/a b", "{query} {headers} {body}");
        assert_eq!(request.uri().host(), Some("api.example.com"));
    }
}

#[test]
fn a_header_outside_ascii_arrives_as_its_bytes() {
    let request = convert(&event(r#""""#, r#"{"accept-language":"é","accept":"a, b"}"#, "null"));
    assert_eq!(request.headers()["accept-language"].as_bytes(), "é".as_bytes());
    assert_eq!(request.headers()["accept"], "a, b");
}

#[test]
fn a_name_with_a_hash_or_a_question_mark_in_it_takes_no_query_away() {
    let event = event(r#""limit=1""#, "{}", "null").replace("/a b", "/calendars/en.usa#holiday?/events");
    let request = convert(&event);
    assert_eq!(request.uri().query(), Some("limit=1"));
    assert_eq!(request.uri().path(), "/calendars/en.usa%23holiday%3F/events");
}

#[test]
fn a_base64_body_arrives_as_its_bytes() {
    let request = convert(&event(r#""""#, "{}", r#""e30=""#));
    assert_eq!(request.body().as_ref(), b"{}");
}

/// What a handler that does `work` is answered for, within `milliseconds`.
async fn answered<F>(event: &str, milliseconds: u64, work: impl Fn(Request) -> F) -> (u64, Value)
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    let Event(event) = FromEvent::from_event(event).unwrap();
    let mut context = Context::default();
    context.deadline = u64::try_from(clock::now().as_millisecond()).unwrap() + milliseconds;
    let answer = answer(work, event, context).await.unwrap();
    let answer: Value = serde_json::from_str(answer.get()).unwrap();
    let body = answer["body"].as_str().unwrap_or_default();
    (answer["statusCode"].as_u64().unwrap(), serde_json::from_str(body).unwrap_or_else(|_| body.into()))
}

#[tokio::test]
async fn a_panic_a_lost_deadline_and_an_answer_over_lambdas_limit_are_the_contracts_error() {
    let event = event(r#""""#, "{}", "null");
    let error = |(status, body): (u64, Value)| {
        assert_eq!(
            (status, &body["error"]["kind"], &body["error"]["request_id"]),
            (500, &"internal".into(), &"r-1".into())
        );
        body["error"]["message"].as_str().unwrap().to_owned()
    };
    let panicked = answered(&event, 5_000, |_| async { panic!("never shown") }).await;
    assert_eq!(error(panicked), *Problem::internal().message);
    let late = answered(&event, 350, |_| std::future::pending()).await;
    assert_eq!(error(late), LATE);
    // 5 MB of quotes are 10 MB once they stand in a text of JSON.
    let large = answered(&event, 60_000, |_| async { Ok(Response::new(Body::Text("\"".repeat(5_000_000)))) }).await;
    assert_eq!(error(large), *too_large().message);
    let fits = answered(&event, 60_000, |_| async { Ok(Response::new(Body::Text("x".repeat(6_000_000)))) }).await;
    assert_eq!((fits.0, fits.1.as_str().map(str::len)), (200, Some(6_000_000)));
}

#[tokio::test]
async fn providers_are_answered_in_plain_text_and_what_is_no_request_is_refused_as_such() {
    let webhook = event(r#""""#, "{}", "null").replace("/a b", "/webhooks/stripe");
    let answer = answered(&webhook, 5_000, |_| async { panic!("never shown") }).await;
    assert_eq!(answer, (500, "Please send this again later".into()));
    let (status, body) = answered(r#"{"requestContext":7}"#, 5_000, |_| async { panic!("not called") }).await;
    assert_eq!((status, &body["error"]["kind"]), (400, &"invalid_request".into()));
}
