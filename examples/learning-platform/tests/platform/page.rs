//! The page, in a real browser: courses are created, published and enrolled in, events come live.

use serde_json::json;

use crate::service::{course, fresh, id};
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
    for event in ["course_created", "course_published", "enrollment_requested"] {
        let events = "document.querySelector('#events').innerText";
        browser.until(&format!("{events}.includes('learning.{event}')")).await;
    }
    let stats = client.query("stats", &json!({})).await.ok();
    assert_eq!((&stats["courses"], &stats["published"]), (&json!(2), &json!(1)));
    assert_eq!(stats["enrollments"]["payment_pending"], 1);

    // What somebody else does comes in by itself.
    client.command("publish_course", &hostile_course).await.ok();
    browser.until("document.querySelectorAll('#events li').length === 5").await;
    browser.until("document.querySelector('#figures').textContent.includes('2 published')").await;
    assert_ne!(browser.evaluate("document.title").await, "broken into");
    assert_eq!(browser.complaints().await, [""; 0]);
}
