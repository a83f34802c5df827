//! A real browser without a screen, driven over WebDriver (W3C): the few commands that a test needs.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;

/// What a page needs before a test calls it broken.
const PATIENCE: Duration = Duration::from_secs(30);
/// The key of an element in an answer (W3C WebDriver, section 12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A session of a browser.
pub(crate) struct Browser {
    client: Client,
    /// Where the driver listens: `127.0.0.1:9515`.
    address: String,
    session: String,
    _driver: Option<Driver>,
    _profile: TempDir,
}

/// A driver that was started here, and is ended here.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A driver on a free port, and where it listens.
fn start() -> (Driver, String) {
    let program = env::var("CHROMEDRIVER").unwrap_or_else(|_| "chromedriver".to_owned());
    let child = Command::new(&program)
        .args(["--port=0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!(
                "{program}: {error}\n`cargo xtask services` installs the browser and its driver; \
                 CHROMEDRIVER names another driver, CHROMEDRIVER_URL one that runs"
            )
        });
    let mut driver = Driver(child);
    let stdout = BufReader::new(driver.0.stdout.take().unwrap());
    let mut lines = stdout.lines().map(Result::unwrap);
    let port = lines.find_map(|line| {
        let port = line.strip_prefix("ChromeDriver was started successfully on port ")?;
        Some(port.trim_end_matches('.').to_owned())
    });
    let url = format!("http://127.0.0.1:{}", port.expect("the driver does not start"));
    (driver, url)
}

impl Browser {
    pub(crate) async fn open(page: &str) -> Self {
        let (driver, url) = match env::var("CHROMEDRIVER_URL") {
            Ok(url) => (None, url.trim_end_matches('/').to_owned()),
            Err(_) => {
                let (driver, url) = start();
                (Some(driver), url)
            }
        };
        let profile = TempDir::new().unwrap();
        let mut args: Vec<String> = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
        ]
        .map(str::to_owned)
        .to_vec();
        args.push(format!("--user-data-dir={}", profile.path().display()));
        let capabilities = json!({ "alwaysMatch": {
            "goog:chromeOptions": { "args": args },
            "goog:loggingPrefs": { "browser": "ALL" },
        } });
        let address = url.trim_start_matches("http://").to_owned();
        let client = Client::at(url);
        let answer =
            client.post("/session", json!({ "capabilities": capabilities }).to_string(), &[]).await;
        assert_eq!(answer.status, 200, "no session: {}", answer.text());
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        let session = answer["value"]["sessionId"].as_str().unwrap().to_owned();
        let browser = Self { client, address, session, _driver: driver, _profile: profile };
        browser.tell("/url", &json!({ "url": page })).await;
        browser
    }

    async fn tell(&self, command: &str, body: &Value) -> Value {
        let path = format!("/session/{}{command}", self.session);
        let answer = self.client.post(&path, body.to_string(), &[]).await;
        assert_eq!(answer.status, 200, "{command} {body}: {}", answer.text());
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        answer["value"].clone()
    }

    /// What an expression comes to in the page.
    pub(crate) async fn evaluate(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        self.tell("/execute/sync", &json!({ "script": script, "args": [] })).await
    }

    /// Waits until an expression is true in the page.
    pub(crate) async fn until(&self, expression: &str) {
        let started = Instant::now();
        while self.evaluate(expression).await != true {
            if started.elapsed() > PATIENCE {
                let page = self.evaluate("document.body.innerText").await;
                panic!("never: {expression}\n{page}\n{:?}", self.complaints().await);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Types into what a selector finds, as a person would.
    pub(crate) async fn type_into(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        self.tell(&format!("/element/{element}/value"), &json!({ "text": text })).await;
    }

    /// Clicks on what a selector finds.
    pub(crate) async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.tell(&format!("/element/{element}/click"), &json!({})).await;
    }

    async fn element(&self, selector: &str) -> String {
        let find = json!({ "using": "css selector", "value": selector });
        let element = self.tell("/element", &find).await;
        element[ELEMENT].as_str().unwrap().to_owned()
    }

    /// What the browser has to complain of: errors of scripts, and what the policy forbade.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.tell("/se/log", &json!({ "type": "browser" })).await;
        let severe = log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Tells the driver to end the browser.
    fn end(&self) -> std::io::Result<()> {
        let mut driver = TcpStream::connect(&self.address)?;
        driver.set_read_timeout(Some(PATIENCE))?;
        let (session, address) = (&self.session, &self.address);
        let end = format!("DELETE /session/{session} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        driver.write_all(end.as_bytes())?;
        // The first word of the answer comes when the browser has ended.
        driver.read_exact(&mut [0; 8])
    }
}

/// Also when a test has failed: a driver that is killed leaves its browser behind.
impl Drop for Browser {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("the browser goes on: {error}");
        }
    }
}
