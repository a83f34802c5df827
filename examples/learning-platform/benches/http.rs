//! What HTTP costs: 16 clients that create courses on a SQLite file, over HTTP and without, in turns.
//!
//! `cargo bench -p learning-platform --bench http [-- --rounds N --commands N]`. It prints the median
//! of each and their ratio, and fails when the ratio is below 0.60. Then it asks queries of the courses
//! that were made.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use cqrs_core::memory::MemoryBus;
use cqrs_core::{App, BoxError, Failure, MessageId};
use learning_platform::http::{self, Gateway, Stop};
use learning_platform::learning::requests::{CreateCourse, GetCourse, GetStats, ListCourses};
use learning_platform::learning::views::CourseStatus;
use learning_platform::service::{self, Bounds};
use learning_platform::settings::Role;
use learning_platform::store::Opened;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The least that HTTP may leave of the commands without it.
const FLOOR: f64 = 0.60;
const CLIENTS: u32 = 16;
/// How often each query is asked.
const READINGS: usize = 21;

/// What HTTP costs.
#[derive(Parser)]
struct Arguments {
    /// How often each takes its turn.
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Commands of all clients in a turn.
    #[arg(long, default_value_t = 8_000)]
    commands: u32,
    /// What cargo hands to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(ratio) if ratio >= FLOOR => ExitCode::SUCCESS,
        Ok(ratio) => {
            eprintln!("HTTP leaves {ratio:.2} of the commands, at least {FLOOR} are wanted");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("the benchmark broke: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(Arguments { rounds, commands, .. }: Arguments) -> Result<f64, BoxError> {
    // On the disk that the build is on, and not on one in memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let url = format!("sqlite:{}", folder.path().join("bench.db").display());
    let opened = Opened::at(&url).await?;
    let app = service::app(
        opened.store(),
        Arc::new(MemoryBus::default()),
        Role::Learning,
        Bounds::default(),
        opened.tutors(),
    )
    .await?;
    let (stopper, stop) = Stop::new();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let gateway = Gateway::new(app.clone(), opened.store(), stop.clone());
    let router = service::router(gateway, Role::Learning);
    let served = tokio::spawn(http::serve(listener, router, stop));

    let each = commands / CLIENTS;
    let (mut direct, mut over_http) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        // Who goes first takes turns too: the second finds the file larger.
        let (d, h) = if round.is_multiple_of(2) {
            let d = rate(each, |n| send(app.clone(), n)).await?;
            (d, rate(each, |n| post(address, n)).await?)
        } else {
            let h = rate(each, |n| post(address, n)).await?;
            (rate(each, |n| send(app.clone(), n)).await?, h)
        };
        // The first round warms up.
        if round > 0 {
            println!("round {round}: {d:>7.0} commands/s without HTTP, {h:>7.0} over HTTP");
            direct.push(d);
            over_http.push(h);
        }
    }
    reading(&app).await?;
    stopper.stop();
    served.await?;
    opened.close().await?;
    let (direct, over_http) = (median(&mut direct), median(&mut over_http));
    let ratio = over_http / direct;
    println!("{CLIENTS} clients, create_course, SQLite with synchronous=FULL, medians:");
    println!("  without HTTP {direct:>7.0} commands/s");
    println!("  over HTTP    {over_http:>7.0} commands/s, {ratio:.2} of it");
    Ok(ratio)
}

/// What queries take when there are that many courses, all of one tutor.
async fn reading(app: &App) -> Result<(), BoxError> {
    let list = |status, tutor_id: Option<&str>, page| {
        let tutor_id = tutor_id.map(str::to_owned);
        app.ask(ListCourses { status, tutor_id, page, limit: 100 })
    };
    let first = list(None, None, 1).await?;
    let last = u32::try_from(first.total.div_ceil(100))?;
    let course_id = first.items[0].course_id;
    println!("queries of {} courses, medians of {READINGS}:", first.total);
    median_time("get_course", || app.ask(GetCourse { course_id })).await?;
    median_time("list_courses, the first 100", || list(None, None, 1)).await?;
    median_time("list_courses, the last page", || list(None, None, last)).await?;
    let (draft, ada) = (Some(CourseStatus::Draft), Some("ada"));
    median_time("list_courses by both, the first 100", || list(draft, ada, 1)).await?;
    median_time("list_courses by both, the last page", || list(draft, ada, last)).await?;
    median_time("stats", || app.ask(GetStats {})).await?;
    Ok(())
}

async fn median_time<F, O, E>(what: &str, query: impl Fn() -> F) -> Result<(), BoxError>
where
    F: Future<Output = Result<O, Failure<E>>>,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut times = Vec::new();
    for _ in 0..READINGS {
        let started = Instant::now();
        query().await?;
        times.push(started.elapsed().as_secs_f64() * 1_000.0);
    }
    println!("  {what:<36}{:>9.2} ms", median(&mut times));
    Ok(())
}

/// Commands a second of all clients, each of which does so many.
async fn rate<F>(each: u32, client: impl Fn(u32) -> F) -> Result<f64, BoxError>
where
    F: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    let started = Instant::now();
    let mut clients: JoinSet<_> = (0..CLIENTS).map(|_| client(each)).collect();
    while let Some(done) = clients.join_next().await {
        done??;
    }
    Ok(f64::from(each * CLIENTS) / started.elapsed().as_secs_f64())
}

async fn send(app: App, commands: u32) -> Result<(), BoxError> {
    for _ in 0..commands {
        let course = CreateCourse {
            course_id: MessageId::fresh().uuid(),
            title: "Rust for everyone".into(),
            tutor_id: "ada".into(),
            price_cents: 4900,
            capacity: 30,
        };
        app.send(course).await?;
    }
    Ok(())
}

/// A client that does as little as one can: the machine's two cores are the service's.
async fn post(address: SocketAddr, commands: u32) -> Result<(), BoxError> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut answer = vec![0; 4096];
    for _ in 0..commands {
        let course = MessageId::fresh();
        let body = format!(
            r#"{{"course_id":"{course}","title":"Rust for everyone","tutor_id":"ada","price_cents":4900,"capacity":30}}"#
        );
        let request = format!(
            "POST /commands/learning.create_course HTTP/1.1\r\nhost: bench\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut read = 0;
        while !is_whole(&answer[..read])? {
            let more = stream.read(&mut answer[read..]).await?;
            if more == 0 {
                return Err("the service hung up".into());
            }
            read += more;
        }
    }
    Ok(())
}

/// Err: the answer is not 200.
fn is_whole(answer: &[u8]) -> Result<bool, BoxError> {
    let text = std::str::from_utf8(answer)?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(false) };
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(format!("the service answered {text}").into());
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    Ok(body.len() >= length.ok_or("the answer has no length")?.parse::<usize>()?)
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
