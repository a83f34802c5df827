//! How the service is started: flags, each with a twin in the environment.

use std::fmt;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Courses and enrolments as commands, queries and events, over HTTP.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub struct Settings {
    /// Where everything is kept: `sqlite:PATH`, `postgres://…`, `mongodb://…` or `memory:`.
    #[arg(
        long,
        env = "STORE_URL",
        hide_env_values = true,
        default_value = "sqlite:learning-platform.db"
    )]
    pub store: Secret,
    /// What carries requests and messages between services: `nats://…`, `amqp://…` or `memory:`.
    #[arg(long, env = "BUS_URL", hide_env_values = true, default_value = "memory:")]
    pub bus: Secret,
    /// Which part of the platform this process is.
    #[arg(long, env = "ROLE", default_value = "all")]
    pub role: Role,
    /// Address and port to listen on; port 0 picks one.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Milliseconds that a request may take; it is answered 504 then.
    #[arg(long, env = "TIMEOUT_MS", default_value_t = 10_000)]
    pub timeout_ms: u64,
    /// Requests that are handled at once; more are answered 429.
    #[arg(long, env = "AT_ONCE", default_value_t = 512)]
    pub at_once: usize,
    /// How long the payment of an enrolment may take: `10s`, `500ms`, `2m`.
    #[arg(long, env = "PAYMENT_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub payment_timeout: Duration,
    /// How long a student takes to pay whose id begins with `slow-`.
    #[arg(long, env = "PAYMENT_DELAY", default_value = "5s", value_parser = duration)]
    pub payment_delay: Duration,
    /// Whoever brings it may look after the service at `/admin`; without one nobody may. Others can
    /// see the arguments of a process: better in the environment.
    #[arg(long, env = "ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Option<Secret>,
    /// How the log on stderr looks. `RUST_LOG` says what is in it: `warn`, `info,cqrs_core=debug`.
    #[arg(long, env = "LOG", default_value = "text")]
    pub log: LogFormat,
}

/// Which part of the platform a process is: it answers to the requests of that part and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// All of it.
    All,
    /// Courses and enrolments.
    Learning,
    /// Charges and refunds.
    Payments,
}

impl Role {
    /// What the process is called where it meets others.
    pub fn service(self) -> &'static str {
        match self {
            Self::All => "learning-platform",
            Self::Learning => "learning",
            Self::Payments => "payments",
        }
    }

    /// Whether the process answers for courses and enrolments.
    pub fn is_learning(self) -> bool {
        matches!(self, Self::All | Self::Learning)
    }

    /// Whether the process answers for charges and refunds.
    pub fn is_payments(self) -> bool {
        matches!(self, Self::All | Self::Payments)
    }
}

/// A text that is nobody's business: nothing shows it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A whole number and its unit: `500ms`, `10s`, `2m`, `1h`.
fn duration(text: &str) -> Result<Duration, &'static str> {
    const WANTED: &str = "a time is a whole number and its unit: 500ms, 10s, 2m, 1h";
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| WANTED)?;
    let seconds = match unit {
        "ms" => return Ok(Duration::from_millis(number)),
        "s" => Some(number),
        "m" => number.checked_mul(60),
        "h" => number.checked_mul(60 * 60),
        _ => None,
    };
    seconds.map(Duration::from_secs).ok_or(WANTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        let millis = |text| duration(text).ok().map(|time| time.as_millis());
        assert_eq!(millis("500ms"), Some(500));
        assert_eq!(millis("0s"), Some(0));
        assert_eq!(millis("10s"), Some(10_000));
        assert_eq!(millis("2m"), Some(120_000));
        assert_eq!(millis("1h"), Some(3_600_000));
        for not in
            ["", "10", "s", "1.5s", "-1s", "+1s", "1 s", "10S", "1d", "99999999999999999999s"]
        {
            assert_eq!(millis(not), None, "{not}");
        }
        assert_eq!(duration(&format!("{}h", u64::MAX)).ok(), None);
    }

    #[test]
    fn a_secret_is_not_shown() {
        let urls = ["--store", "postgres://me:sesame@db", "--bus", "nats://me:sesame@bus"];
        let arguments = ["learning-platform", "--admin-token", "open sesame"];
        let settings = Settings::parse_from([&arguments[..], &urls].concat());
        assert!(!format!("{settings:?}").contains("sesame"));
        assert_eq!(settings.bus.expose(), "nats://me:sesame@bus");
        assert_eq!(settings.admin_token.unwrap().expose(), "open sesame");
    }
}
