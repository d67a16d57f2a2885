use jiff::Timestamp;

use super::*;

#[test]
fn every_failure_has_sentences_without_a_status_code_and_a_next_step() {
    let at = |seconds| Timestamp::from_second(seconds).unwrap();
    let all = [
        Failure::RateLimited(None),
        Failure::RateLimited(Some(Duration::from_mins(1))),
        Failure::ThrottledLocally(Duration::from_mins(1)),
        Failure::Busy,
        Failure::TokenRefused,
        Failure::GrantEnded,
        Failure::ScopeMissing,
        Failure::NotFound,
        Failure::Gone,
        Failure::Conflict,
        Failure::Rejected { words: None, code: "x_y".into() },
        Failure::Rejected { words: None, code: String::new() },
        Failure::Rejected { words: Some("The card was declined."), code: "card_declined".into() },
        Failure::Unusable("The answer leads elsewhere."),
        Failure::TooLarge(None),
        Failure::TooLarge(Some(9_000_000)),
        Failure::Down(None),
        Failure::Down(Some(Duration::from_mins(1))),
        Failure::Unreached,
        Failure::Unreadable,
        Failure::Forbidden,
        Failure::AppRefused { code: "invalid_client".into() },
    ];
    for failure in all {
        let problem = failure.problem("Slack", at(50_700));
        assert!(problem.message.ends_with('.') && problem.next_action.ends_with('.'), "{problem:?}");
        assert!(failure.operator("Slack").ends_with('.'), "{failure:?}");
        for code in ["400", "401", "403", "404", "409", "410", "422", "429", "500", "502", "503"] {
            assert!(!problem.message.contains(code) && !failure.operator("Slack").contains(code), "{problem:?}");
        }
        assert_eq!(problem.retry_at.is_some(), failure.is_transient(), "{problem:?}");
    }
    let slow = Failure::RateLimited(Some(Duration::from_mins(1))).problem("Slack", at(50_640));
    assert_eq!(slow.message, "Slack asked us to slow down. We continue at 14:05 UTC.");
    let tomorrow = Failure::RateLimited(Some(Duration::from_hours(20))).problem("Slack", at(50_640));
    assert_eq!(tomorrow.message, "Slack asked us to slow down. We continue on 2 January at 10:04 UTC.");
}
