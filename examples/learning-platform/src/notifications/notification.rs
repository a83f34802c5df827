//! A notification: the document that the query reads, and the handler that writes it.

use cqrs_core::{Documents, Entity, Failure, FindDocuments, HandlerError, MessageId, Never, Work};
use cqrs_derive::{event_handler, query_handler};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::requests::{ListNotifications, NotificationKind, NotificationView, Notifications};
use crate::learning::enrollment::EnrollmentEvent;

/// Documents that are read at once.
const PAGE: u32 = 1_000;

/// A notification. All of it is shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Notification(NotificationView);

impl Entity for Notification {
    const COLLECTION: &'static str = "notification";
    const INDEXED: &'static [&'static str] = &["student_id"];

    fn id(&self) -> String {
        self.0.id.to_string()
    }
}

impl Notification {
    /// That an enrolment is active: there is one for each, whoever makes it.
    fn of_active(enrollment_id: Uuid, student_id: String) -> Self {
        let id = MessageId::from(enrollment_id).derived("notification", 0).uuid();
        let kind = NotificationKind::EnrollmentActivated;
        Self(NotificationView { id, kind, enrollment_id, student_id })
    }
}

#[event_handler(name = "notifications.on_activation")]
async fn on_activation(event: EnrollmentEvent, work: Work) -> Result<(), HandlerError> {
    let EnrollmentEvent::Activated { enrollment_id, student_id, .. } = event else {
        return Ok(());
    };
    let notification = Notification::of_active(enrollment_id, student_id);
    // It is there when the log is gone through anew.
    if work.get::<Notification>(&notification.id()).await?.is_none() {
        work.insert(&notification)?;
    }
    Ok(())
}

#[query_handler]
async fn list(
    query: ListNotifications,
    notifications: Documents<Notification>,
) -> Result<Notifications, Failure<Never>> {
    let find = match query.student_id {
        None => FindDocuments::all(Notification::COLLECTION),
        Some(student_id) => FindDocuments::by(Notification::COLLECTION, "student_id", student_id),
    };
    let mut find = find.limit(PAGE);
    let mut items = Vec::new();
    loop {
        let page = notifications.query(find.clone()).await?;
        let is_last = page.len() < PAGE as usize;
        find.after = page.last().map(|notification| notification.id());
        items.extend(page.into_iter().map(|notification| notification.into_inner().0));
        if is_last {
            return Ok(Notifications { items });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use cqrs_core::App;
    use cqrs_core::memory::MemoryStore;

    use super::*;
    use crate::learning::requests::{
        CancelEnrollment, CreateCourse, PublishCourse, RequestEnrollment,
    };
    use crate::learning::steps::{ActivateEnrollment, TimeOutEnrollment};
    use crate::learning::tutors::by_subject::BySubject;
    use crate::{learning, notifications};

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_student_is_told_once_and_only_of_what_is_active() {
        let store = Arc::new(MemoryStore::default());
        learning::declare(store.clone()).await.unwrap();
        notifications::declare(store.clone()).await.unwrap();
        let tutors = BySubject::Anywhere(store.clone());
        let app = learning::register(App::builder().shared_store(store.clone()), TIMEOUT, tutors);
        let app = notifications::register(app).build().unwrap();
        let id = || MessageId::fresh().uuid();
        let (course_id, title, tutor_id) = (id(), "Owls".to_owned(), "ada".to_owned());
        let create = CreateCourse { course_id, title, tutor_id, price_cents: 1, capacity: 9 };
        app.send(create).await.unwrap();
        app.send(PublishCourse { course_id }).await.unwrap();
        let mut active = Vec::new();
        for student in ["mina", "otto", "eve", "ivo"] {
            let (enrollment_id, student_id) = (id(), student.to_owned());
            app.send(RequestEnrollment { enrollment_id, course_id, student_id }).await.unwrap();
            match student {
                "eve" => drop(app.send(TimeOutEnrollment { enrollment_id }).await.unwrap()),
                _ => drop(app.send(ActivateEnrollment { enrollment_id }).await.unwrap()),
            }
            if student == "ivo" {
                let reason = "no time".to_owned();
                app.send(CancelEnrollment { enrollment_id, reason }).await.unwrap();
            }
            active.push(enrollment_id);
        }
        for _ in 0..2 {
            app.catch_up("notifications.on_activation").await.unwrap();
        }
        let list = async |student: Option<&str>| {
            let student_id = student.map(str::to_owned);
            app.ask(ListNotifications { student_id }).await.unwrap().items
        };
        let all = list(None).await;
        assert_eq!(all.len(), 3);
        assert_eq!(list(Some("eve")).await, []);
        let otto = list(Some("otto")).await;
        assert_eq!(otto, [Notification::of_active(active[1], "otto".into()).0]);
        assert!(all.contains(&otto[0]));
        let shown = serde_json::to_value(&otto[0]).unwrap();
        assert_eq!(shown["kind"], "enrollment_activated");
    }
}
