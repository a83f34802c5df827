//! A death at every step: before and after each commit and each command that is sent, for every way
//! that an enrolment can go. Then it goes on, and everything has to add up.
//!
//! `FAULT_STEPS` says at how many points of each way: `all`, or a number of them, spread over the way.

use std::env;
use std::time::Instant;

use cqrs_testing::faults::Fault;

use crate::steps_child::Times;
use crate::steps_stage::{Run, Stage};
use crate::storm_sums::Ends;

/// Of each way, unless `FAULT_STEPS` says otherwise.
const POINTS: usize = 5;

/// Nobody is late.
const PATIENT: Times = Times { timeout: 60_000, delay: 700 };
/// Slow students are late.
const HASTY: Times = Times { timeout: 100, delay: 900 };

/// Goes through one way, from the first commit on: without a fault, and with one at each point.
async fn die_at_each_step(name: &str, times: Times, expected: Ends, way: impl AsyncFn(&mut Stage)) {
    let started = Instant::now();
    let run = async |fault: Option<Fault>| {
        let mut stage = Stage::new(times, fault);
        way(&mut stage).await;
        stage.end().await
    };
    let Run { ends, counted, .. } = run(None).await;
    assert_eq!(ends, expected, "{name}, without a fault");
    let counted = counted.unwrap();
    let points = chosen(&counted.points().collect::<Vec<_>>());
    let mut died = 0;
    for point in &points {
        println!("{name}: {point}");
        let run = run(Some(*point)).await;
        died += usize::from(run.died);
        assert_eq!(run.ends, expected, "{name}, {point}");
    }
    // The last commits of a run are checkpoints, sometimes more and sometimes fewer.
    assert!(died * 4 >= points.len() * 3, "{name}: it died at {died} of {} points", points.len());
    let took = started.elapsed();
    println!("{name}: {counted}; died at {died} of {} points chosen, {took:?}", points.len());
}

fn chosen(points: &[Fault]) -> Vec<Fault> {
    let wanted = match env::var("FAULT_STEPS") {
        Ok(all) if all == "all" => points.len(),
        Ok(number) => number.parse().unwrap(),
        Err(_) => POINTS,
    };
    let wanted = wanted.clamp(1, points.len());
    // Spread over all of it, and others each time.
    let first = fastrand::usize(..points.len());
    (0..wanted).map(|n| points[(first + n * points.len() / wanted) % points.len()]).collect()
}

#[tokio::test]
async fn whoever_pays_takes_part() {
    let expected = Ends { active: 1, ..Ends::default() };
    die_at_each_step("active", PATIENT, expected, async |stage| {
        let course_id = stage.offer(4_900, 3).await;
        stage.enrol("mina", &course_id).await;
    })
    .await;
}

#[tokio::test]
async fn whoever_cannot_pay_is_declined() {
    let expected = Ends { declined: 1, ..Ends::default() };
    die_at_each_step("declined", PATIENT, expected, async |stage| {
        let course_id = stage.offer(50_001, 3).await;
        stage.enrol("mina", &course_id).await;
    })
    .await;
}

#[tokio::test]
async fn whoever_pays_too_late_gets_the_money_back() {
    let expected = Ends { timed_out: 1, ..Ends::default() };
    die_at_each_step("timed out", HASTY, expected, async |stage| {
        let course_id = stage.offer(4_900, 3).await;
        stage.enrol("slow-mina", &course_id).await;
    })
    .await;
}

#[tokio::test]
async fn whoever_finds_no_seat_gets_the_money_back() {
    let expected = Ends { active: 1, full: 1, ..Ends::default() };
    die_at_each_step("full", PATIENT, expected, async |stage| {
        let course_id = stage.offer(4_900, 1).await;
        stage.enrol("mina", &course_id).await;
        stage.until_active().await;
        stage.enrol("otto", &course_id).await;
    })
    .await;
}

#[tokio::test]
async fn whoever_gives_up_while_the_payment_is_pending_gets_it_back() {
    let expected = Ends { cancelled: 1, ..Ends::default() };
    die_at_each_step("given up while pending", PATIENT, expected, async |stage| {
        let course_id = stage.offer(4_900, 3).await;
        stage.enrol("slow-mina", &course_id).await;
        stage.give_up().await;
    })
    .await;
}

#[tokio::test]
async fn whoever_took_part_and_gives_up_gets_the_money_back() {
    let expected = Ends { cancelled: 1, left: 1, ..Ends::default() };
    die_at_each_step("given up when active", PATIENT, expected, async |stage| {
        let course_id = stage.offer(4_900, 3).await;
        stage.enrol("mina", &course_id).await;
        stage.until_active().await;
        stage.give_up().await;
    })
    .await;
}
