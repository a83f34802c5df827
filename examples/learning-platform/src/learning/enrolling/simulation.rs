//! Every order in which things can happen to an enrolment: a small world with the real rules of
//! enrolments, payments and courses, in which the sagas' effects are carried out at any time later,
//! once or twice, and their answers come at any time after that.

use cqrs_core::{
    Aggregate, Command, Context, Decide, Effect, Metadata, Outcome, Payload, Request as _, Route,
    Saga, Timestamp, Trigger,
};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::*;
use crate::learning::course::{Course, CourseEvent};
use crate::learning::enrollment::Enrollment;
use crate::learning::error::{CourseError, EnrollmentError};
use crate::learning::leaving::{Leaving, Open};
use crate::learning::steps::{ReleaseSeat, SeatChanged};
use crate::learning::views::{EnrollmentStatus, EnrollmentView};
use crate::payments::payment::{Payment, PaymentEvent};
use learning_contracts::payments::RefundPayment;

/// An aggregate with what happened to it.
#[derive(Clone)]
struct Stored<A: Aggregate> {
    state: A,
    events: Vec<A::Event>,
}

/// An instance of a saga.
#[derive(Debug, Clone, Default, PartialEq)]
struct Instance<S> {
    state: Option<S>,
    is_complete: bool,
    /// How many of the events it has seen.
    seen: usize,
}

/// A command that was sent and whose answer the saga has not heard.
#[derive(Clone)]
struct Sent {
    by: By,
    step: String,
    name: String,
    body: String,
    times: u8,
    answer: Option<Outcome>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Enrolling,
    Leaving,
}

/// What can happen next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Act {
    /// A saga sees the next event, or the last one once more.
    Event(By),
    Again(By),
    /// A command is carried out: the first time, or once more before its answer is heard.
    Handle(usize),
    Answer(usize),
    Timer,
    StudentCancels,
    OperatorCancels,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    Unset,
    Set,
    /// Cancelled, and maybe too late for that.
    Cancelled,
    Gone,
}

/// What may happen in a world, beside what must.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chances {
    pub(super) price_cents: u64,
    pub(super) seats: u32,
    pub(super) cancels: u8,
    pub(super) operators: u8,
    pub(super) repeats: u8,
    pub(super) handled_at_most: u8,
}

#[derive(Clone)]
pub(super) struct World {
    chances: Chances,
    enrollment: Stored<Enrollment>,
    payment: Stored<Payment>,
    course: Stored<Course>,
    has_seat: bool,
    enrolling: Instance<Progress>,
    leaving: Instance<Open>,
    sent: Vec<Sent>,
    timer: Timer,
}

const SAGA: Enrolling = Enrolling { payment_timeout: Duration::from_secs(10) };

impl<A: Aggregate> Stored<A> {
    fn record(&mut self, events: Vec<A::Event>) {
        for event in events {
            self.state.apply(&event);
            self.events.push(event);
        }
    }

    fn handle<C: Command>(&mut self, command: &C) -> Result<C::Output, C::Error>
    where
        A: Decide<C>,
    {
        let metadata = Metadata::default();
        let version = self.events.len() as u64;
        let context = Context::new(Timestamp::UNIX_EPOCH, &metadata, version);
        let decision = self.state.decide(command, &context)?;
        self.record(decision.events);
        Ok(decision.output)
    }
}

impl<A: Aggregate> Default for Stored<A> {
    fn default() -> Self {
        Self { state: A::default(), events: Vec::new() }
    }
}

fn outcome<C: Command>(answer: &Result<C::Output, C::Error>) -> Outcome {
    match answer {
        Ok(output) => Outcome::done::<C>(output).unwrap(),
        Err(rejection) => Outcome::rejected::<C>(rejection).unwrap(),
    }
}

fn read<C: DeserializeOwned>(body: &str) -> C {
    serde_json::from_str(body).unwrap()
}

impl World {
    pub(super) fn of(chances: Chances) -> Self {
        let id = Uuid::from_u128;
        let (mut course, mut enrollment) = (Stored::default(), Stored::default());
        let (course_id, title, tutor_id) = (id(1), "Owls".to_owned(), "ada".to_owned());
        let Chances { price_cents, seats, .. } = chances;
        // One seat is another's: the course is full when there are no more.
        let capacity = seats + 1;
        course.record(vec![
            CourseEvent::Created { course_id, title, tutor_id, price_cents, capacity },
            CourseEvent::Published { course_id },
            CourseEvent::SeatReserved { course_id, enrollment_id: id(9) },
        ]);
        enrollment.record(vec![EnrollmentEvent::Requested {
            enrollment_id: id(2),
            course_id,
            student_id: "mina".into(),
            price_cents,
        }]);
        Self {
            chances,
            enrollment,
            payment: Stored::default(),
            course,
            has_seat: false,
            enrolling: Instance { state: None, is_complete: false, seen: 0 },
            leaving: Instance { state: None, is_complete: false, seen: 0 },
            sent: Vec::new(),
            timer: Timer::Unset,
        }
    }

    pub(super) fn shown(&self) -> EnrollmentView {
        self.enrollment.state.clone().shown()
    }

    /// What must happen at some time. When there is nothing, the world is at rest.
    pub(super) fn due(&self) -> Vec<Act> {
        let all = self.enrollment.events.len();
        let mut acts = Vec::new();
        let seen = [(By::Enrolling, self.enrolling.seen), (By::Leaving, self.leaving.seen)];
        acts.extend(seen.into_iter().filter(|(_, n)| *n < all).map(|(by, _)| Act::Event(by)));
        for (n, sent) in self.sent.iter().enumerate() {
            acts.push(if sent.times == 0 { Act::Handle(n) } else { Act::Answer(n) });
        }
        if self.timer == Timer::Set {
            acts.push(Act::Timer);
        }
        acts
    }

    /// What may happen besides.
    pub(super) fn possible(&self) -> Vec<Act> {
        let mut acts = Vec::new();
        let Chances { cancels, operators, repeats, handled_at_most, .. } = self.chances;
        if cancels > 0 {
            acts.push(Act::StudentCancels);
        }
        if operators > 0 && self.enrolling.state.is_some() && !self.enrolling.is_complete {
            acts.push(Act::OperatorCancels);
        }
        if repeats > 0 {
            let seen = [(By::Enrolling, self.enrolling.seen), (By::Leaving, self.leaving.seen)];
            acts.extend(seen.into_iter().filter(|(_, n)| *n > 0).map(|(by, _)| Act::Again(by)));
        }
        let again = |sent: &Sent| sent.times > 0 && sent.times < handled_at_most;
        let sent = self.sent.iter().enumerate().filter(|(_, sent)| again(sent));
        acts.extend(sent.map(|(n, _)| Act::Handle(n)));
        if self.timer == Timer::Cancelled {
            acts.push(Act::Timer);
        }
        acts
    }

    pub(super) fn act(&mut self, act: Act) {
        match act {
            Act::Event(by) => {
                let next = *self.seen(by);
                *self.seen(by) += 1;
                let event = self.enrollment.events[next].clone();
                self.event(by, &event);
            }
            Act::Again(by) => {
                self.chances.repeats -= 1;
                let last = *self.seen(by) - 1;
                self.event(by, &self.enrollment.events[last].clone());
            }
            Act::Handle(n) => self.handle(n),
            Act::Answer(n) => {
                let Sent { by, step, answer, .. } = self.sent.remove(n);
                let (step, outcome) = (&*step, &answer.unwrap());
                match by {
                    By::Enrolling => self.enrolling(Trigger::Outcome { step, outcome }),
                    By::Leaving => self.leaving(Trigger::Outcome { step, outcome }),
                }
            }
            Act::Timer => {
                self.timer = Timer::Gone;
                self.enrolling(Trigger::Timer(&Waiting::Payment));
            }
            Act::StudentCancels => self.cancel(),
            Act::OperatorCancels => {
                self.chances.operators -= 1;
                let mut state = self.enrolling.state.clone().unwrap();
                let cancel = Trigger::Cancel { reason: "enough" };
                let metadata = Metadata::default();
                let context = Context::new(Timestamp::UNIX_EPOCH, &metadata, 1);
                // Told that it ends already, the operator waits.
                if SAGA.react(&mut state, cancel, &context).is_ok() {
                    self.enrolling(cancel);
                }
            }
        }
    }

    fn seen(&mut self, by: By) -> &mut usize {
        match by {
            By::Enrolling => &mut self.enrolling.seen,
            By::Leaving => &mut self.leaving.seen,
        }
    }

    fn event(&mut self, by: By, event: &EnrollmentEvent) {
        match by {
            By::Enrolling => match SAGA.route(event) {
                Route::Start(_) => {
                    self.enrolling.state.get_or_insert_default();
                    self.enrolling(Trigger::Event(event));
                }
                Route::Continue(_) => self.enrolling(Trigger::Event(event)),
                Route::Ignore => {}
            },
            By::Leaving => match Leaving.route(event) {
                Route::Start(_) => {
                    self.leaving.state.get_or_insert_default();
                    self.leaving(Trigger::Event(event));
                }
                Route::Continue(_) => panic!("it has no other beginning"),
                Route::Ignore => {}
            },
        }
    }

    fn enrolling(&mut self, trigger: Trigger<'_, Enrolling>) {
        if self.enrolling.is_complete {
            return;
        }
        let metadata = Metadata::default();
        let context = Context::new(Timestamp::UNIX_EPOCH, &metadata, 1);
        let state = self.enrolling.state.as_mut().expect("it was started");
        for effect in SAGA.react(state, trigger, &context).unwrap() {
            match effect {
                Effect::Schedule { .. } => self.timer = Timer::Set,
                Effect::Cancel { .. } if self.timer == Timer::Set => {
                    self.timer = Timer::Cancelled;
                }
                Effect::Complete => self.enrolling.is_complete = true,
                Effect::Send(_) => self.send(By::Enrolling, effect),
                Effect::Cancel { .. } | Effect::Deadline(_) => {}
                other => panic!("it does nothing of the kind: {other:?}"),
            }
        }
    }

    fn leaving(&mut self, trigger: Trigger<'_, Leaving>) {
        if self.leaving.is_complete {
            return;
        }
        let metadata = Metadata::default();
        let context = Context::new(Timestamp::UNIX_EPOCH, &metadata, 1);
        let state = self.leaving.state.as_mut().expect("it was started");
        for effect in Leaving.react(state, trigger, &context).unwrap() {
            match effect {
                Effect::Complete => self.leaving.is_complete = true,
                other => self.send(By::Leaving, other),
            }
        }
    }

    fn send<T: std::fmt::Debug>(&mut self, by: By, effect: Effect<T>) {
        let Effect::Send(send) = effect else { panic!("it sends nothing: {effect:?}") };
        assert_eq!(send.tries, cqrs_core::Tries::UntilAnswered, "{}", send.step);
        let taken = self.sent.iter().any(|sent| sent.by == by && sent.step == send.step);
        assert!(!taken, "{} is under way", send.step);
        let Ok(Payload::Json(body)) = send.message.body else { panic!("no body: {send:?}") };
        self.sent.push(Sent {
            by,
            step: send.step.into_owned(),
            name: send.message.name.into_owned(),
            body: body.as_str().to_owned(),
            times: 0,
            answer: None,
        });
    }

    fn cancel(&mut self) {
        self.chances.cancels -= 1;
        let before = self.shown();
        let (enrollment_id, reason) = (before.enrollment_id, "no time".to_owned());
        let answer = self.enrollment.handle(&CancelEnrollment { enrollment_id, reason });
        match before.status {
            EnrollmentStatus::PaymentPending | EnrollmentStatus::Active => {
                assert_eq!(answer.unwrap().status, EnrollmentStatus::Cancelled);
                assert_eq!(self.shown().reason.as_deref(), Some("no time"));
            }
            _ => assert_eq!(answer, Err(EnrollmentError::NotActive)),
        }
    }

    fn handle(&mut self, n: usize) {
        let Sent { name, body, .. } = self.sent[n].clone();
        let answer = match &*name {
            ChargePayment::NAME => charge(&mut self.payment, &read(&body)),
            RefundPayment::NAME => refund(&mut self.payment, &read(&body)),
            ActivateEnrollment::NAME => ask::<ActivateEnrollment>(&mut self.enrollment, &body),
            DeclineEnrollment::NAME => ask::<DeclineEnrollment>(&mut self.enrollment, &body),
            TimeOutEnrollment::NAME => ask::<TimeOutEnrollment>(&mut self.enrollment, &body),
            CancelFullEnrollment::NAME => ask::<CancelFullEnrollment>(&mut self.enrollment, &body),
            CancelEnrollment::NAME => ask::<CancelEnrollment>(&mut self.enrollment, &body),
            ReserveSeat::NAME => outcome::<ReserveSeat>(&self.reserve(&read(&body))),
            ReleaseSeat::NAME => outcome::<ReleaseSeat>(&Ok(self.release(&read(&body)))),
            other => panic!("nobody handles {other}"),
        };
        let sent = &mut self.sent[n];
        sent.times += 1;
        sent.answer = Some(answer);
    }

    fn reserve(&mut self, command: &ReserveSeat) -> Result<SeatChanged, CourseError> {
        let ReserveSeat { course_id, enrollment_id } = *command;
        if !self.has_seat {
            let reserved = self.course.state.reserve(enrollment_id)?;
            self.course.record(vec![reserved]);
            self.has_seat = true;
        }
        Ok(SeatChanged { course_id, enrollment_id, is_taken: true })
    }

    fn release(&mut self, command: &ReleaseSeat) -> SeatChanged {
        let ReleaseSeat { course_id, enrollment_id } = *command;
        if self.has_seat {
            let released = self.course.state.release(enrollment_id);
            self.course.record(vec![released]);
            self.has_seat = false;
        }
        SeatChanged { course_id, enrollment_id, is_taken: false }
    }

    /// What tells it from others.
    pub(super) fn key(&self) -> String {
        let Self { chances, enrolling, leaving, timer, has_seat, .. } = self;
        let sent = self.sent.iter().map(|Sent { by, step, times, answer, .. }| {
            let done = match answer {
                Some(Outcome::Done(body)) => String::from_utf8_lossy(body).into_owned(),
                other => format!("{other:?}"),
            };
            format!("{by:?} {step} {times} {done}")
        });
        let mut sent: Vec<_> = sent.collect();
        sent.sort();
        let (enrolment, payment) = (&self.enrollment.events, &self.payment.events);
        format!(
            "{enrolment:?} {payment:?} {has_seat} {enrolling:?} {leaving:?} {timer:?} {sent:?} \
             {chances:?}"
        )
    }

    /// What holds at any time.
    pub(super) fn check(&self) {
        let count = |of: fn(&EnrollmentEvent) -> bool| {
            self.enrollment.events.iter().filter(|event| of(event)).count()
        };
        assert!(count(|event| matches!(event, EnrollmentEvent::Activated { .. })) <= 1);
        let refunds = |event: &&PaymentEvent| matches!(event, PaymentEvent::Refunded { .. });
        assert!(self.payment.events.iter().filter(refunds).count() <= 1, "refunded twice");
        let taken = self.course.state.clone().shown();
        assert!(taken.enrolled <= taken.capacity, "more seats than there are");
        assert_eq!(taken.enrolled, 1 + u32::from(self.has_seat));
        let open = |by: By| self.sent.iter().any(|sent| sent.by == by);
        if self.enrolling.is_complete {
            assert!(!open(By::Enrolling), "complete with an answer outstanding");
            assert_ne!(self.timer, Timer::Set, "complete with a timer that is set");
        }
        assert!(!(self.leaving.is_complete && open(By::Leaving)));
    }

    /// What holds when nothing is left to happen.
    pub(super) fn check_at_rest(&self) {
        let shown = self.shown();
        let is_active = shown.status == EnrollmentStatus::Active;
        assert!(self.enrolling.is_complete, "enrolling is not done: {:?}", self.enrolling);
        assert_eq!(self.leaving.state.is_some(), self.leaving.is_complete, "leaving is not done");
        assert_ne!(shown.status, EnrollmentStatus::PaymentPending);
        assert_eq!(shown.reason.is_some(), shown.status == EnrollmentStatus::Cancelled);
        assert_eq!(self.is_kept(), is_active, "charged and kept while {:?}", shown.status);
        assert_eq!(self.has_seat, is_active, "a seat while {:?}", shown.status);
    }

    pub(super) fn is_kept(&self) -> bool {
        matches!(self.payment.events.last(), Some(PaymentEvent::Charged { .. }))
    }
}

fn charge(payment: &mut Stored<Payment>, command: &ChargePayment) -> Outcome {
    outcome::<ChargePayment>(&payment.handle(command))
}

fn refund(payment: &mut Stored<Payment>, command: &RefundPayment) -> Outcome {
    outcome::<RefundPayment>(&payment.handle(command))
}

fn ask<C>(enrollment: &mut Stored<Enrollment>, body: &str) -> Outcome
where
    C: Command + DeserializeOwned,
    Enrollment: Decide<C>,
{
    outcome::<C>(&enrollment.handle(&read::<C>(body)))
}
