//! What enrolling does at each step, in plain values.

use cqrs_core::{Command, Metadata, Timestamp};

use super::*;
use crate::learning::error::{CourseError, EnrollmentError};
use crate::learning::requests::EnrollmentChanged;
use crate::learning::steps::{ReleaseSeat, SeatChanged};
use crate::learning::views::EnrollmentStatus;
use learning_contracts::payments::{Charge, PaymentError, RefundPayment};

const SAGA: Enrolling = Enrolling { payment_timeout: Duration::from_secs(10) };
const ENROLLMENT: Uuid = Uuid::from_u128(2);
const COURSE: Uuid = Uuid::from_u128(1);

fn react(state: &mut Progress, trigger: Trigger<'_, Enrolling>) -> Effects {
    let metadata = Metadata::default();
    let context = Context::new(Timestamp::UNIX_EPOCH, &metadata, 1);
    SAGA.react(state, trigger, &context).unwrap()
}

fn requested() -> EnrollmentEvent {
    EnrollmentEvent::Requested {
        enrollment_id: ENROLLMENT,
        course_id: COURSE,
        student_id: "mina".into(),
        price_cents: 4_900,
    }
}

fn cancelled(left_course: Option<Uuid>) -> EnrollmentEvent {
    let (enrollment_id, reason) = (ENROLLMENT, "no time".into());
    EnrollmentEvent::Cancelled { enrollment_id, reason, left_course }
}

fn begun() -> Progress {
    let mut state = Progress::default();
    react(&mut state, Trigger::Event(&requested()));
    state
}

fn answer<C: Command>(state: &mut Progress, step: Step, output: &C::Output) -> Effects {
    let outcome = &Outcome::done::<C>(output).unwrap();
    react(state, Trigger::Outcome { step: step.name(), outcome })
}

fn refuse<C: Command>(state: &mut Progress, step: Step, no: &C::Error) -> Effects {
    let outcome = &Outcome::rejected::<C>(no).unwrap();
    react(state, Trigger::Outcome { step: step.name(), outcome })
}

fn charged(state: PaymentState) -> Charge {
    let payment_id = payment_id(ENROLLMENT);
    Charge { payment_id, student_id: "mina".into(), amount_cents: 4_900, state }
}

fn seat(is_taken: bool) -> SeatChanged {
    SeatChanged { course_id: COURSE, enrollment_id: ENROLLMENT, is_taken }
}

fn stands(status: EnrollmentStatus) -> EnrollmentChanged {
    EnrollmentChanged { enrollment_id: ENROLLMENT, status, price_cents: 4_900 }
}

fn send<C: Command>(step: Step, command: &C) -> Effect<Waiting> {
    Effect::send(step.name(), command).until_answered().at_once()
}

fn refund() -> Effect<Waiting> {
    send(Step::Refund, &RefundPayment { payment_id: payment_id(ENROLLMENT) })
}

fn reserve() -> Effect<Waiting> {
    send(Step::Reserve, &ReserveSeat { course_id: COURSE, enrollment_id: ENROLLMENT })
}

fn release() -> Effect<Waiting> {
    send(Step::Release, &ReleaseSeat { course_id: COURSE, enrollment_id: ENROLLMENT })
}

fn stop_waiting() -> Effect<Waiting> {
    Effect::cancel(Waiting::Payment)
}

#[test]
fn a_request_begins_with_the_charge() {
    let mut state = Progress::default();
    let charge = ChargePayment {
        payment_id: payment_id(ENROLLMENT),
        student_id: "mina".into(),
        amount_cents: 4_900,
    };
    let expected = [
        send(Step::Charge, &charge),
        Effect::schedule(Waiting::Payment, Duration::from_secs(10)),
        Effect::deadline(Duration::from_secs(70)),
    ];
    assert_eq!(react(&mut state, Trigger::Event(&requested())), expected);
    assert_eq!(react(&mut state, Trigger::Event(&requested())), []);
}

#[test]
fn the_payment_of_an_enrolment_is_always_the_same() {
    assert_eq!(payment_id(ENROLLMENT), payment_id(ENROLLMENT));
    assert_ne!(payment_id(ENROLLMENT), payment_id(COURSE));
    assert_ne!(payment_id(ENROLLMENT), ENROLLMENT);
}

#[test]
fn events_go_to_the_saga_whose_matter_they_are() {
    let key = ENROLLMENT.to_string();
    assert_eq!(SAGA.route(&requested()), Route::Start(key.clone()));
    assert_eq!(SAGA.route(&cancelled(None)), Route::Continue(key.clone()));
    assert_eq!(SAGA.route(&cancelled(Some(COURSE))), Route::Ignore);
    let declined = EnrollmentEvent::Declined { enrollment_id: ENROLLMENT };
    assert_eq!(SAGA.route(&declined), Route::Ignore);
    use crate::learning::leaving::Leaving;
    assert_eq!(Leaving.route(&requested()), Route::Ignore);
    assert_eq!(Leaving.route(&cancelled(None)), Route::Ignore);
    assert_eq!(Leaving.route(&cancelled(Some(COURSE))), Route::Start(key));
}

#[test]
fn paid_for_and_seated_it_is_active_and_done() {
    let mut state = begun();
    let paid = answer::<ChargePayment>(&mut state, Step::Charge, &charged(PaymentState::Charged));
    assert_eq!(paid, [stop_waiting(), reserve()]);
    let activate = ActivateEnrollment { enrollment_id: ENROLLMENT };
    let seated = answer::<ReserveSeat>(&mut state, Step::Reserve, &seat(true));
    assert_eq!(seated, [send(Step::Activate, &activate)]);
    let active = stands(EnrollmentStatus::Active);
    let done = answer::<ActivateEnrollment>(&mut state, Step::Activate, &active);
    assert_eq!(done, [Effect::complete()]);
}

#[test]
fn what_is_declined_is_done_at_once() {
    let decline = send(Step::Decline, &DeclineEnrollment { enrollment_id: ENROLLMENT });
    let mut state = begun();
    let declined = charged(PaymentState::Declined);
    let unpaid = answer::<ChargePayment>(&mut state, Step::Charge, &declined);
    assert_eq!(unpaid, [stop_waiting(), decline.clone()]);
    // The student was faster, and that is fine.
    let no = EnrollmentError::NotActive;
    let told = refuse::<DeclineEnrollment>(&mut state, Step::Decline, &no);
    assert_eq!(told, [Effect::complete()]);
    // A payment that is another's is none.
    let mut state = begun();
    let another = refuse::<ChargePayment>(&mut state, Step::Charge, &PaymentError::Exists);
    assert_eq!(another, [stop_waiting(), decline]);
}

#[test]
fn after_the_time_out_it_stays_open_until_the_payment_is_known() {
    let timed_out = || {
        let mut state = begun();
        let time_out = send(Step::TimeOut, &TimeOutEnrollment { enrollment_id: ENROLLMENT });
        assert_eq!(react(&mut state, Trigger::Timer(&Waiting::Payment)), [time_out]);
        let told = stands(EnrollmentStatus::TimedOut);
        assert_eq!(answer::<TimeOutEnrollment>(&mut state, Step::TimeOut, &told), []);
        state
    };
    let mut state = timed_out();
    let declined = charged(PaymentState::Declined);
    let known = answer::<ChargePayment>(&mut state, Step::Charge, &declined);
    assert_eq!(known, [Effect::complete()]);
    let mut state = timed_out();
    let known = answer::<ChargePayment>(&mut state, Step::Charge, &charged(PaymentState::Charged));
    assert_eq!(known, [refund()]);
    let back = charged(PaymentState::Refunded);
    let done = answer::<RefundPayment>(&mut state, Step::Refund, &back);
    assert_eq!(done, [Effect::complete()]);
}

#[test]
fn a_timer_that_comes_after_the_answer_says_nothing() {
    let mut state = begun();
    answer::<ChargePayment>(&mut state, Step::Charge, &charged(PaymentState::Charged));
    assert_eq!(react(&mut state, Trigger::Timer(&Waiting::Payment)), []);
}

#[test]
fn without_a_seat_the_money_goes_back() {
    let mut state = begun();
    answer::<ChargePayment>(&mut state, Step::Charge, &charged(PaymentState::Charged));
    let full = refuse::<ReserveSeat>(&mut state, Step::Reserve, &CourseError::Full);
    let cancel = CancelFullEnrollment { enrollment_id: ENROLLMENT };
    assert_eq!(full, [send(Step::CancelFull, &cancel), refund()]);
    let told = stands(EnrollmentStatus::Cancelled);
    assert_eq!(answer::<CancelFullEnrollment>(&mut state, Step::CancelFull, &told), []);
    let back = charged(PaymentState::Refunded);
    let done = answer::<RefundPayment>(&mut state, Step::Refund, &back);
    assert_eq!(done, [Effect::complete()]);
}

#[test]
fn a_student_who_gives_up_meanwhile_gets_everything_back() {
    let gave_up = cancelled(None);
    let back = charged(PaymentState::Refunded);
    // Before the charge is answered.
    let mut state = begun();
    assert_eq!(react(&mut state, Trigger::Event(&gave_up)), [stop_waiting()]);
    let paid = answer::<ChargePayment>(&mut state, Step::Charge, &charged(PaymentState::Charged));
    assert_eq!(paid, [refund()]);
    assert_eq!(react(&mut state, Trigger::Event(&gave_up)), []);
    let done = answer::<RefundPayment>(&mut state, Step::Refund, &back);
    assert_eq!(done, [Effect::complete()]);
    // Before the seat is there.
    let mut state = begun();
    answer::<ChargePayment>(&mut state, Step::Charge, &charged(PaymentState::Charged));
    assert_eq!(react(&mut state, Trigger::Event(&gave_up)), [refund()]);
    let seated = answer::<ReserveSeat>(&mut state, Step::Reserve, &seat(true));
    assert_eq!(seated, [release()]);
    assert_eq!(answer::<RefundPayment>(&mut state, Step::Refund, &back), []);
    let done = answer::<ReleaseSeat>(&mut state, Step::Release, &seat(false));
    assert_eq!(done, [Effect::complete()]);
    // Before it is active, where the answer is known earlier than the event.
    let mut state = begun();
    answer::<ChargePayment>(&mut state, Step::Charge, &charged(PaymentState::Charged));
    answer::<ReserveSeat>(&mut state, Step::Reserve, &seat(true));
    let no = EnrollmentError::NotActive;
    let refused = refuse::<ActivateEnrollment>(&mut state, Step::Activate, &no);
    assert_eq!(refused, [refund(), release()]);
    assert_eq!(react(&mut state, Trigger::Event(&gave_up)), []);
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let mut state = begun();
    let before = state.clone();
    assert_eq!(answer::<RefundPayment>(&mut state, Step::Refund, &Charge::default()), []);
    assert_eq!(answer::<ReserveSeat>(&mut state, Step::Reserve, &seat(true)), []);
    assert_eq!(state, before);
}

#[test]
fn what_is_given_up_unanswered_or_not_known_is_no_answer() {
    let metadata = Metadata::default();
    let context = Context::new(Timestamp::UNIX_EPOCH, &metadata, 1);
    let failed = Outcome::Failed("no such queue".into());
    for (step, named) in [("charge", "no such queue"), ("dance", "dance")] {
        let trigger = Trigger::Outcome { step, outcome: &failed };
        let error = SAGA.react(&mut begun(), trigger, &context).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[test]
fn an_operator_ends_it_as_the_student_would() {
    let mut state = begun();
    let ended = react(&mut state, Trigger::Cancel { reason: "" });
    let reason = "ended by an operator".into();
    let cancel = CancelEnrollment { enrollment_id: ENROLLMENT, reason };
    assert_eq!(ended, [send(Step::GiveUp, &cancel)]);
    let metadata = Metadata::default();
    let context = Context::new(Timestamp::UNIX_EPOCH, &metadata, 1);
    let again = SAGA.react(&mut state, Trigger::Cancel { reason: "now" }, &context);
    assert!(again.is_err(), "nothing is dropped because somebody is impatient");
}

#[test]
fn the_state_is_stored_under_stable_names() {
    let stored = serde_json::to_value(begun()).unwrap();
    let expected = serde_json::json!({
        "enrollment_id": ENROLLMENT, "course_id": COURSE, "is_charged": false, "has_seat": false,
        "waiting": ["charge"], "end": null,
    });
    assert_eq!(stored, expected);
    for step in Step::ALL {
        assert_eq!(step.name().parse(), Ok(step));
        assert_eq!(serde_json::to_value(step).unwrap(), step.name());
    }
    assert_eq!(serde_json::to_value(Waiting::Payment).unwrap(), "payment");
}
