use proptest::prelude::*;

use super::*;

const SECOND: Micros = Micros::new(1_000_000);
const ZERO: Micros = Micros::new(0);
const PATIENCE: Duration = Duration::from_secs(5);

/// A provider's bucket, enforced exactly.
struct Provider {
    rate: f64,
    burst: f64,
    level: f64,
    at: Micros,
}

impl Provider {
    fn new(rate: u32, burst: u32) -> Self {
        Self { rate: rate.into(), burst: burst.into(), level: burst.into(), at: ZERO }
    }

    #[expect(clippy::cast_precision_loss, reason = "microseconds of a few minutes")]
    fn lets_through(&mut self, cost: u32, now: Micros) -> bool {
        let passed = (now - self.at).get() as f64 / SECOND.get() as f64;
        self.level = (self.level + passed * self.rate).min(self.burst);
        self.at = now;
        let enough = self.level + 1e-6 >= f64::from(cost);
        if enough {
            self.level -= f64::from(cost);
        }
        enough
    }
}

/// Processes that call one after the other as fast as they may, with pauses; the arrivals at the provider, and the writes.
fn run(rate: Rate, cost: u32, processes: usize, seconds: i64, noise: &[Micros]) -> (Vec<Micros>, usize) {
    let mut random = noise.iter().copied().cycle();
    let mut noise = move || random.next().unwrap_or_default();
    let mut next: Option<Micros> = None;
    let mut writes = 0;
    let mut arrivals = Vec::new();
    let mut open: Vec<(Micros, LocalReservation)> =
        (0..processes).map(|_| (noise(), LocalReservation::default())).collect();
    while let Some((now, share)) = open.iter_mut().min_by_key(|(now, _)| *now) {
        if *now > SECOND * seconds {
            break;
        }
        let Some(at) = share.take(rate, cost, *now) else {
            writes += 1;
            let ask = share.reservation(rate, cost, *now, PATIENCE);
            match ask.of(next) {
                Ok(first) => {
                    next = Some(first + ask.advance);
                    share.reserved(first, ask, *now);
                }
                Err(full) => {
                    share.exhausted(full);
                    *now = full - Micros::of(PATIENCE);
                }
            }
            continue;
        };
        arrivals.push(at + noise());
        *now = at + noise() * 2;
    }
    arrivals.sort_unstable();
    (arrivals, writes)
}

fn refused(rate: (u32, u32), cost: u32, arrivals: &[Micros]) -> usize {
    let mut provider = Provider::new(rate.0, rate.1);
    arrivals.iter().filter(|at| !provider.lets_through(cost, **at)).count()
}

#[test]
fn eight_processes_at_a_limit_of_twenty_keep_it_use_it_and_write_little() {
    let noise = [3_000, 11_000, 7_000, 23_000, 5_000].map(Micros::new);
    let (arrivals, writes) = run(Rate::per_second(20, 20), 1, 8, 30, &noise);
    assert_eq!(refused((20, 20), 1, &arrivals), 0);
    let late = arrivals.iter().filter(|at| (SECOND * 5..SECOND * 25).contains(*at)).count();
    assert!(late >= 20 * 20 * 9 / 10, "{late} of {} in 20 s", 20 * 20);
    assert!(writes * 4 <= arrivals.len(), "{writes} writes for {} calls", arrivals.len());
}

fn ask_of(units: u32) -> Reservation {
    Reservation { units, advance: ZERO, floor: ZERO, latest: ZERO }
}

#[test]
fn a_bucket_is_taken_for_idle_until_a_lease_begins_where_another_ended() {
    let mut share = LocalReservation::default();
    assert!(!share.is_busy());
    for (first, busy) in [(Micros::new(1), true), (ZERO, false)] {
        share.reserved(first, ask_of(1), SECOND);
        assert_eq!(share.is_busy(), busy);
    }
}

#[test]
fn forty_processes_still_all_get_their_turn() {
    let (arrivals, _) = run(Rate::per_second(20, 20), 1, 40, 20, &[10_000, 20_000].map(Micros::new));
    assert_eq!(refused((20, 20), 1, &arrivals), 0);
    assert!(arrivals.len() >= 20 * 18, "{}", arrivals.len());
}

#[test]
fn a_rate_is_read_as_people_write_it_and_its_burst_follows_the_documented_one() {
    let read = |text: &str| Rate::parse(text).map(|rate| rate.following(Rate::per_minute(20, 10), 1));
    assert_eq!(read("40/min"), Some(Rate::per_minute(40, 20)));
    assert_eq!(read("1/s"), Some(Rate::per_second(1, 30)));
    assert_eq!(read("20/s:5"), Some(Rate::per_second(20, 5)));
    assert_eq!(read("1/min"), Some(Rate::per_minute(1, 1)));
    let dear = Rate::parse("600/min:10").unwrap().following(Rate::per_minute(5_400, 600), 100);
    assert_eq!(dear, Rate::per_minute(600, 200), "a call of 100 units fits");
    for wrong in ["", "20", "20/h", "0/s", "-1/s", "20/s:0", "20/s:", "a/s", "99999999/s"] {
        assert_eq!(Rate::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn a_slot_that_was_not_used_in_time_lapses_and_the_next_lease_is_smaller() {
    let rate = Rate::per_second(20, 20);
    let mut share = LocalReservation { want: 4, ..LocalReservation::default() };
    share.reserved(ZERO, ask_of(4), ZERO);
    assert_eq!(share.take(rate, 1, ZERO), Some(ZERO));
    assert_eq!(share.take(rate, 1, SECOND * 10), None, "ten seconds late");
    assert_eq!(share.reservation(rate, 1, SECOND * 10, PATIENCE).units, 1);
}

#[test]
fn a_closed_bucket_is_not_asked_again_before_it_is_of_use() {
    let mut share = LocalReservation::default();
    share.reserved(ZERO, ask_of(4), ZERO);
    share.exhausted(SECOND * 30);
    assert_eq!(share.take(Rate::per_second(20, 20), 1, ZERO), None);
    assert_eq!(share.exhausted_for(ZERO, PATIENCE), Some(Duration::from_secs(30)));
    assert_eq!(share.exhausted_for(SECOND * 26, PATIENCE), None);
}

proptest! {
    /// Whatever the rate, with a burst of a quarter of a second or more, whatever the cost, the number of processes, their pauses and the delays on the way.
    #[test]
    fn together_they_never_send_what_the_provider_refuses(
        (units, burst) in (2u32..200).prop_flat_map(|units| (Just(units), units / 4 + 4..units * 2 + 5)),
        cost in 1u32..3,
        processes in 1usize..12,
        noise in proptest::collection::vec(0i64..1_000, 1..50),
    ) {
        let rate = Rate::per_second(units, burst);
        // Delays stay within what the rate allows to be lost on the way.
        let most = rate.grace() / 2;
        let noise: Vec<_> = noise.into_iter().map(|part| most * part / 1_000).collect();
        let (arrivals, _) = run(rate, cost, processes, 10, &noise);
        prop_assert_eq!(refused((units, burst), cost, &arrivals), 0);
    }
}
