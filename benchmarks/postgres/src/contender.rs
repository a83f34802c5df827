//! What takes part: a store that can run the bank.

use async_trait::async_trait;

/// An error, for people.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Commands per second of many clients at once.
    Throughput,
    /// The 1,000th command on one account beside the 10th.
    Length,
    /// Reading all events.
    Replay,
    /// Round trips of a command.
    RoundTrips,
}

/// A library, or a floor written by hand.
#[async_trait]
pub(crate) trait Contender: Send + Sync {
    /// The name in the table.
    fn name(&self) -> &'static str;

    /// Its version and how it is used: a line under the table.
    fn note(&self) -> &'static str;

    /// The floor that does the same work, if its share of that is of interest.
    fn floor(&self) -> Option<&'static str> {
        None
    }

    /// Whether it says anything in this measure.
    fn takes_part(&self, _measure: Measure) -> bool {
        true
    }

    /// Makes its tables in an empty database, in its own way.
    async fn create(&self, url: &str) -> Result<()>;

    /// Writes accounts with `events` events each straight into its tables: `Opened`, then deposits of
    /// [`FILLED_AMOUNT`](crate::account::FILLED_AMOUNT), account by account in turns.
    async fn fill(&self, url: &str, accounts: i32, events: i32) -> Result<()>;

    /// Connects to the database with its tables.
    async fn connect(&self, url: &str, connect: Connect) -> Result<Box<dyn Bank>>;
}

/// What a contender may know when it connects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connect {
    /// How many clients there will be at once.
    pub(crate) clients: usize,
    /// How many connections a pool has.
    pub(crate) pool: u32,
}

/// A contender with a database.
#[async_trait]
pub(crate) trait Bank: Send + Sync {
    /// A client of its own, of as many as were told of.
    async fn client(&self) -> Result<Box<dyn Client>>;

    /// Reads all events in their order, each decoded into its type.
    async fn replay(&self) -> Result<Totals>;
}

/// One who gives one command after another. A command that is answered is stored.
#[async_trait]
pub(crate) trait Client: Send {
    /// Opens an account under a new id: a command. Answers with the id.
    async fn open(&mut self) -> Result<String>;

    /// Deposits into an account that this client opened: a command on an account loaded by replay.
    async fn deposit(&mut self, account: &str, amount: i64) -> Result<()>;

    /// The balance by replay.
    async fn balance(&mut self, account: &str) -> Result<i64>;

    /// How often it had to give a command again because of another's commit.
    fn repeats(&self) -> u64 {
        0
    }
}

/// All events taken together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) events: u64,
    pub(crate) balance: i64,
}

impl Totals {
    /// Those of the accounts that a contender was filled with.
    pub(crate) fn filled(accounts: i32, events: i32) -> Self {
        let (accounts, events) = (i64::from(accounts), i64::from(events));
        Self {
            events: (accounts * events).unsigned_abs(),
            balance: accounts * (events - 1) * crate::account::FILLED_AMOUNT,
        }
    }

    pub(crate) fn add(&mut self, amount: i64) {
        self.events += 1;
        self.balance += amount;
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self { events: self.events + other.events, balance: self.balance + other.balance }
    }

    /// Err: these are not the expected ones.
    pub(crate) fn must_be(self, expected: Self) -> Result<()> {
        if self == expected {
            Ok(())
        } else {
            Err(format!("the books do not add up: {self:?} instead of {expected:?}").into())
        }
    }
}
