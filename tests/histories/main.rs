//! Random histories of each provider: events, incremental syncs and full syncs make the same records, and these are the
//! provider's truth.
//!
//! The functions are the real ones, in this process, against the embedded AWS and the sandbox over sockets. What the truth is says
//! the sandbox's admin interface; which fields tell it, each provider's file here, and none of the product's code.
//!
//! A history is made by its seed alone. `HISTORY_SEED=N` begins with this one, `HISTORY_COUNT=N` runs so many (100) for each
//! provider, one after the other, with their seeds counted up. A failure prints both, and what happened.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

mod calendar;
mod course;
mod gmail;
mod slack;
mod stripe;
mod world;

use std::time::Instant;

use course::{Course, run};
use tests::Ground;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn slacks_histories_end_in_its_truth_whatever_is_lost_repeated_or_late() {
    all::<slack::Slack>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn stripes_histories_end_in_its_truth_whatever_is_lost_repeated_or_late() {
    all::<stripe::Stripe>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn calendars_histories_end_in_its_truth_whatever_is_lost_repeated_or_late() {
    all::<calendar::Calendar>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn gmails_histories_end_in_its_truth_whatever_is_lost_repeated_or_late() {
    all::<gmail::Gmail>().await;
}

/// Runs the histories of a provider.
#[expect(clippy::print_stdout, reason = "the seed, which repeats the run")]
async fn all<C: Course>() {
    let (first, count) =
        (setting("HISTORY_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32)), setting("HISTORY_COUNT"));
    let (count, began) = (count.unwrap_or(100), Instant::now());
    println!("{}: HISTORY_SEED={first} HISTORY_COUNT={count}", C::PROVIDER);
    let mut ground = Ground::start().await;
    let mut process = world::process(&ground);
    for (done, seed) in (first..first + count).enumerate() {
        // The tables of many histories would be searched ever more slowly.
        if done > 0 && done % 100 == 0 {
            ground = Ground::start().await;
            process = world::process(&ground);
            println!("{}: {done} after {:?}", C::PROVIDER, began.elapsed());
        }
        let mut report = Reported { provider: C::PROVIDER, seed, number: done + 1, steps: Vec::new() };
        if let Err(wrong) = run::<C>((&ground, &process), seed, &mut report.steps).await {
            panic!("{wrong}");
        }
    }
    println!("{}: {count} histories in {:?}, no failure", C::PROVIDER, began.elapsed());
}

/// What happened in a history, which is printed if the test fails in it.
struct Reported {
    provider: &'static str,
    seed: u64,
    number: usize,
    steps: Vec<String>,
}

impl Drop for Reported {
    #[expect(clippy::print_stdout, reason = "what repeats a failed run")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { provider, seed, number, steps } = self;
            println!("{provider}: history {number} failed: repeat it by HISTORY_SEED={seed} HISTORY_COUNT=1");
            println!("{}", steps.join("\n"));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the caller of the tests chooses")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}
