//! The page, in a real browser: courses are created, published and enrolled in, events come live.

use serde_json::json;

use crate::service::{Folder, course, fresh, id};
use crate::webdriver::Browser;

#[tokio::test]
async fn the_page_is_one_answer_that_runs_nothing_else() {
    let (_folder, service) = fresh();
    let page = service.client.get("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'nonce-"), "{policy}");
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert_eq!(page.text().matches(nonce).count(), 2, "the script and the style");
    let again = service.client.get("/").await;
    assert!(!again.text().contains(nonce), "a new word for each answer");
    for outside in ["http://", "https://", "//cdn", "src="] {
        assert!(!page.text().contains(outside), "{outside}");
    }
}

#[tokio::test]
async fn a_course_is_created_published_and_enrolled_in() {
    let (_folder, service) = fresh();
    let client = &service.client;
    // A title that would run as a script if it were put in as markup.
    let hostile = "<img src=x onerror=\"document.title='broken into'\">";
    let mut hostile_course = course(&id());
    hostile_course["title"] = hostile.into();
    client.command("create_course", &hostile_course).await.ok();

    let browser = Browser::open(&format!("http://{}/", service.address)).await;
    browser.until("document.querySelector('#live').textContent === 'live'").await;
    browser.until("document.querySelectorAll('#courses tr').length === 1").await;
    let shown = browser.evaluate("document.querySelector('#courses td').textContent").await;
    assert_eq!(shown, hostile);

    browser.type_into("#create [name=title]", "Owls at night").await;
    browser.click("#create button").await;
    browser.until("document.querySelectorAll('#courses tr').length === 2").await;
    browser.until("document.querySelector('#message').textContent === 'created'").await;
    let owls = "tr[data-title='Owls at night']";
    let says =
        |text: &str| format!("document.querySelector(\"{owls}\").innerText.includes('{text}')");
    let button = format!("{owls} button");
    browser.until(&says("draft")).await;
    browser.click(&button).await;
    browser.until(&says("published")).await;
    browser.until(&says("Enrol")).await;
    browser.click(&button).await;
    browser.until("document.querySelector('#figures').textContent.includes('1 enrolments')").await;
    for event in [
        "course_created",
        "course_published",
        "enrollment_requested",
        "seat_reserved",
        "enrollment_activated",
    ] {
        let events = "document.querySelector('#events').innerText";
        browser.until(&format!("{events}.includes('learning.{event}')")).await;
    }
    let stats = client.query("stats", &json!({})).await.ok();
    assert_eq!((&stats["courses"], &stats["published"]), (&json!(2), &json!(1)));
    assert_eq!(stats["enrollments"]["active"], 1);

    // What somebody else does comes in by itself.
    client.command("publish_course", &hostile_course).await.ok();
    browser.until("document.querySelectorAll('#enrol option').length === 2").await;
    browser.until("document.querySelector('#figures').textContent.includes('2 published')").await;
    assert_ne!(browser.evaluate("document.title").await, "broken into");
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn an_enrolment_is_seen_on_its_way() {
    let folder = Folder::new();
    let service = folder.service(&["--payment-timeout", "1h", "--payment-delay", "1s"]);
    let client = &service.client;
    let small = json!({
        "course_id": id(), "title": "Owls", "tutor_id": "ada", "price_cents": 4900, "capacity": 1,
    });
    client.command("create_course", &small).await.ok();
    client.command("publish_course", &small).await.ok();
    let browser = Browser::open(&format!("http://{}/", service.address)).await;
    browser.until("document.querySelector('#live').textContent === 'live'").await;
    browser.until("document.querySelectorAll('#enrol option').length === 1").await;

    // It is pending for a while, and active then.
    browser.evaluate("(document.querySelector('#student').value = '', true)").await;
    browser.type_into("#student", "slow-mina").await;
    browser.click("#enrol button").await;
    let mina = "document.querySelector(\"tr[data-student='slow-mina']\")";
    browser.until(&format!("{mina} && {mina}.dataset.status === 'payment_pending'")).await;
    browser.until(&format!("{mina}.dataset.status === 'active'")).await;
    let way = browser.evaluate(&format!("{mina}.children[2].textContent")).await;
    assert_eq!(way, "payment pending → seat reserved → active");
    browser.until("document.querySelector('#courses tr').innerText.includes('1 of 1')").await;

    // There is no other seat, until it is given back.
    let request = json!({
        "enrollment_id": id(), "course_id": small["course_id"], "student_id": "otto",
    });
    client.command("request_enrollment", &request).await.ok();
    let otto = "document.querySelector(\"tr[data-student='otto']\")";
    browser.until(&format!("{otto} && {otto}.dataset.status === 'cancelled'")).await;
    browser.until(&format!("{otto}.children[2].textContent.includes('(course full)')")).await;
    browser.click("tr[data-student='slow-mina'] button").await;
    browser.until(&format!("{mina}.dataset.status === 'cancelled'")).await;
    browser.until("document.querySelector('#courses tr').innerText.includes('0 of 1')").await;
    assert_eq!(browser.complaints().await, [""; 0]);
}
