//! `/admin`: for those who look after the service, and nobody else.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::service::{Folder, Service, fresh, id, published, until};

const TOKEN: &str = "open-sesame";

fn guarded(folder: &Folder) -> Service {
    let mut command = folder.command(&[]);
    // Not as an argument: whoever is on the machine can see those.
    command.env("ADMIN_TOKEN", TOKEN);
    folder.started(command)
}

#[tokio::test]
async fn without_a_token_in_the_settings_there_is_nothing() {
    let (_folder, service) = fresh();
    for path in ["/admin", "/admin/subscriptions", "/admin/parked"] {
        service.client.get(path).await.problem(404, "not_found");
        service.client.get_as(TOKEN, path).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn nobody_is_let_in_without_the_token() {
    let folder = Folder::new();
    let service = guarded(&folder);
    let client = &service.client;
    for path in ["/admin/subscriptions", "/admin/parked", "/admin/nothing"] {
        for answer in [client.get(path).await, client.get_as("open-sesam", path).await] {
            answer.problem(401, "unauthenticated");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    let retry = "/admin/parked/17%40notifications.on_activation/retry";
    client.post(retry, "", &[]).await.problem(401, "unauthenticated");
    client.get_as(TOKEN, "/admin/nothing").await.problem(404, "not_found");
    client.get_as(TOKEN, "/admin/subscriptions").await.ok();
    service.stop().await;
    assert!(!folder.log().contains(TOKEN));
}

#[tokio::test]
async fn a_token_that_is_none_is_refused_at_the_start_and_not_shown() {
    for not in ["", "open sesame"] {
        let folder = Folder::new();
        let output = folder.command(&["--admin-token", not]).output().unwrap();
        assert!(!output.status.success(), "{not:?}");
        assert!(folder.log().contains("the admin token has"), "{}", folder.log());
        assert!(!folder.log().contains("sesame"));
    }
    let folder = Folder::new();
    let output = folder.command(&["--help"]).env("ADMIN_TOKEN", TOKEN).output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stdout).contains(TOKEN));
}

#[tokio::test]
async fn subscriptions_show_how_far_they_are() {
    let folder = Folder::new();
    let service = guarded(&folder);
    let client = &service.client;
    published(client).await;
    let all = until("nothing is behind", async || {
        let answer = client.get_as(TOKEN, "/admin/subscriptions").await.ok();
        let all = answer["items"].as_array().unwrap().clone();
        (!all.is_empty() && all.iter().all(|one| one["lag"] == 0)).then_some(all)
    })
    .await;
    for name in ["learning.enrolling", "learning.leaving", "notifications.on_activation"] {
        let one = all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!((&one["position"], &one["parked"]), (&one["head"], &json!(0)), "{one}");
        assert!(one["state"].is_string(), "{one}");
    }
}

#[tokio::test]
async fn an_id_of_nothing_is_told_from_no_id() {
    let folder = Folder::new();
    let service = guarded(&folder);
    let client = &service.client;
    let parked = client.get_as(TOKEN, "/admin/parked").await.ok();
    assert_eq!(parked, json!({ "items": [], "next": null }));
    for (act, body) in [("retry", json!({})), ("discard", json!({ "reason": "none" }))] {
        for (id, status, code) in [
            ("17%40notifications.on_activation", 404, "not_found"),
            ("17@notifications.on_activation", 404, "not_found"),
            ("17", 400, "invalid"),
            ("x%40notifications.on_activation", 400, "invalid"),
            ("%FF", 400, "invalid"),
        ] {
            let path = format!("/admin/parked/{id}/{act}");
            client.post_as(TOKEN, &path, Some(&body)).await.problem(status, code);
        }
    }
    for (query, field) in [("state=lost", "state"), ("limit=0", "limit"), ("limit=x", "limit")] {
        let answer = client.get_as(TOKEN, &format!("/admin/parked?{query}")).await;
        answer.blames(400, "invalid", field);
    }
    client.get_as(TOKEN, "/admin/parked?after=x").await.blames(400, "invalid", "after");
    let of = |act| format!("/admin/parked/17%40notifications.on_activation/{act}");
    client.post_as(TOKEN, &of("discard"), None).await.blames(400, "decode", "reason");
    let mistyped = json!({ "bodi": {} });
    client.post_as(TOKEN, &of("retry"), Some(&mistyped)).await.blames(400, "decode", "bodi");
}

/// Makes the notifications see the log anew, with an activation that nobody can read in it.
fn broken(folder: &Folder) {
    let file = Connection::open(folder.file()).unwrap();
    let set = "UPDATE event_rows SET data = '{}' WHERE type = 'learning.enrollment_activated'";
    assert!(file.execute(set, ()).unwrap() > 0);
    let forget = "DELETE FROM checkpoints WHERE subscription = 'notifications.on_activation'";
    assert!(file.execute(forget, ()).unwrap() > 0);
    file.execute("UPDATE documents SET body = NULL WHERE collection = 'notification'", ()).unwrap();
    file.execute("DELETE FROM document_fields WHERE collection = 'notification'", ()).unwrap();
}

/// An enrolment whose activation cannot be read, and the entry that is set aside for it.
async fn parked(folder: &Folder) -> (Service, String, Value) {
    let service = guarded(folder);
    let client = &service.client;
    let (course_id, enrollment_id) = (published(client).await, id());
    let request = json!({
        "enrollment_id": enrollment_id, "course_id": course_id, "student_id": "mina",
    });
    client.command("request_enrollment", &request).await.ok();
    until("a notification", async || {
        let told = client.ask("notifications.list", &json!({})).await;
        (!told["items"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    service.stop().await;
    broken(folder);
    let service = guarded(folder);
    let entry = until("an entry", async || {
        let path = "/admin/parked?subscription=notifications.on_activation&state=parked";
        let parked = service.client.get_as(TOKEN, path).await.ok();
        parked["items"].as_array().unwrap().first().cloned()
    })
    .await;
    (service, enrollment_id, entry)
}

fn path(entry: &Value, act: &str) -> String {
    let id = entry["id"].as_str().unwrap().replace('@', "%40");
    format!("/admin/parked/{id}/{act}")
}

async fn none_is_parked(service: &Service) {
    until("nothing is parked", async || {
        let parked = service.client.get_as(TOKEN, "/admin/parked").await.ok();
        parked["items"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_parked_is_mended_and_handled() {
    let folder = Folder::new();
    let (service, enrollment_id, entry) = parked(&folder).await;
    let client = &service.client;
    assert_eq!(entry["message"], "learning.enrollment_activated");
    assert_eq!(entry["subscription"], "notifications.on_activation");
    assert_eq!(entry["state"], "parked");
    for text in ["cause", "key", "since"] {
        assert!(!entry[text].as_str().unwrap().is_empty(), "{text} in {entry}");
    }
    assert!(entry["position"].is_u64() && entry["attempts"].is_u64(), "{entry}");
    let listed = client.get_as(TOKEN, "/admin/subscriptions").await.ok();
    let mut listed = listed["items"].as_array().unwrap().iter();
    let one = listed.find(|one| one["name"] == "notifications.on_activation").unwrap();
    assert_eq!(one["parked"], 1);

    let mended = json!({ "enrollment_id": enrollment_id, "course_id": id(), "student_id": "mina" });
    let retry = path(&entry, "retry");
    client.post_as(TOKEN, &retry, Some(&json!({ "body": mended }))).await.ok();
    none_is_parked(&service).await;
    let told = client.ask("notifications.list", &json!({ "student_id": "mina" })).await;
    assert_eq!(told["items"].as_array().unwrap().len(), 1);
    client.post_as(TOKEN, &retry, None).await.problem(404, "not_found");
}

#[tokio::test]
async fn what_is_parked_can_be_given_up() {
    let folder = Folder::new();
    let (service, _, entry) = parked(&folder).await;
    let reason = json!({ "reason": "it was a test" });
    service.client.post_as(TOKEN, &path(&entry, "discard"), Some(&reason)).await.ok();
    none_is_parked(&service).await;
    let told = service.client.ask("notifications.list", &json!({})).await;
    assert_eq!(told["items"], json!([]));
}
