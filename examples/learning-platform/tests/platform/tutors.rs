//! Profiles of tutors, in each store: saved, shown, and found by what they teach.

use serde_json::{Value, json};

use crate::client::Client;
use crate::service::{Folder, fresh};
use crate::storm_mongo::Database;
use crate::storm_postgres::Schema;

fn tutor(id: &str, subjects: &[&str]) -> Value {
    json!({ "tutor_id": id, "name": format!("Tutor {id}"), "bio": "\"quoted\" é 🦀\n", "subjects": subjects })
}

async fn teach(client: &Client, subject: &str) -> Vec<String> {
    let found = client.query("find_tutors", &json!({ "subject": subject })).await.ok();
    let items = found["items"].as_array().unwrap().iter();
    items.map(|item| item["tutor_id"].as_str().unwrap().to_owned()).collect()
}

async fn profiles_are_saved_shown_and_found(client: &Client) {
    let ada = tutor("ada", &["logic", "rust", "rust"]);
    let saved = client.command("save_tutor", &ada).await;
    assert_eq!(saved.ok(), json!({ "tutor_id": "ada", "version": 1 }));
    client.command("save_tutor", &tutor("bob", &["rust"])).await.ok();
    client.command("save_tutor", &tutor("Eve", &[])).await.ok();

    let mut expected = ada.clone();
    expected["version"] = 1.into();
    let wanted = json!({ "tutor_id": "ada" });
    assert_eq!(client.query("get_tutor", &wanted).await.ok(), expected);
    assert_eq!(teach(client, "rust").await, ["ada", "bob"]);
    assert_eq!(teach(client, "logic").await, ["ada"]);
    assert!(teach(client, "log").await.is_empty(), "a part of a subject is another one");
    let after = json!({ "subject": "rust", "after": "ada" });
    let rest = client.query("find_tutors", &after).await.ok();
    assert_eq!(rest["items"].as_array().unwrap().len(), 1, "the page after ada: {rest}");

    let same = client.command("save_tutor", &ada).await;
    assert_eq!(same.ok()["version"], 1, "nothing is new");
    assert_eq!(same.header("x-position"), None);
    let changed = client.command("save_tutor", &tutor("ada", &["logic"])).await;
    assert_eq!(changed.ok()["version"], 2);
    assert_eq!(teach(client, "rust").await, ["bob"]);
    assert_eq!(client.query("get_tutor", &wanted).await.ok()["subjects"], json!(["logic"]));

    let nobody = client.query("get_tutor", &json!({ "tutor_id": "nobody" })).await;
    nobody.blames(422, "learning.tutor_not_found", "tutor_id");
    let mut wrong = tutor("ada", &["logic", ""]);
    client.command("save_tutor", &wrong).await.blames(400, "invalid", "subjects.1");
    wrong["subjects"] = json!(["logic"]);
    wrong["bio"] = json!("\0");
    client.command("save_tutor", &wrong).await.blames(400, "invalid", "bio");
}

async fn on(folder: &Folder) {
    for _ in 0..2 {
        // The second time its table is there.
        let service = folder.service(&[]);
        if teach(&service.client, "logic").await.is_empty() {
            profiles_are_saved_shown_and_found(&service.client).await;
        }
        assert_eq!(teach(&service.client, "logic").await, ["ada"]);
        service.stop().await;
    }
}

#[tokio::test]
async fn tutors_are_found_by_what_they_teach_in_a_file() {
    let (folder, service) = fresh();
    service.stop().await;
    on(&folder).await;
}

#[tokio::test]
async fn tutors_are_found_by_what_they_teach_in_memory() {
    let folder = Folder::with_store("memory:");
    profiles_are_saved_shown_and_found(&folder.service(&[]).client).await;
}

#[tokio::test]
async fn tutors_are_found_by_what_they_teach_in_a_database() {
    let schema = Schema::new();
    on(&schema.folder()).await;
    schema.remove().await;
}

#[tokio::test]
async fn tutors_are_found_by_what_they_teach_in_a_replica_set() {
    let database = Database::new();
    on(&database.folder()).await;
    database.remove().await;
}
