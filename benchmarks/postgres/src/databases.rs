//! The databases of a run: each measurement starts on one that nobody used before.

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::contender::{Contender, Result};
use crate::server::{self, Server};

/// Makes databases of a name of their own, and drops them.
pub(crate) struct Databases {
    server: Server,
    /// To be dropped at the end.
    made: Mutex<BTreeSet<String>>,
    /// Those of them that are filled.
    filled: Mutex<BTreeSet<String>>,
}

impl Databases {
    pub(crate) fn new(server: Server) -> Self {
        Self { server, made: Mutex::default(), filled: Mutex::default() }
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// One with the tables of a contender and accounts in them, as one finds it after a while: with
    /// statistics and without dirty pages. Made once; answers with its name.
    pub(crate) async fn filled(
        &self,
        contender: &dyn Contender,
        accounts: i32,
        events: i32,
    ) -> Result<String> {
        let words = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let name: String = contender.name().chars().map(words).collect();
        let name = format!("bench_{}_{name}_{accounts}_{events}", std::process::id());
        if self.filled.lock().expect("nobody panicked").contains(&name) {
            return Ok(name);
        }
        self.drop(&name).await?;
        self.execute(&name, &format!(r#"CREATE DATABASE "{name}""#)).await?;
        let url = self.server.url(&name);
        contender.create(&url).await?;
        contender.fill(&url, accounts, events).await?;
        let client = server::connect(&url).await?;
        client.batch_execute("VACUUM ANALYZE").await?;
        client.batch_execute("CHECKPOINT").await?;
        self.filled.lock().expect("nobody panicked").insert(name.clone());
        Ok(name)
    }

    /// A copy of a database, to be [dropped](Self::drop). Answers with its name.
    pub(crate) async fn copy_of(&self, template: &str) -> Result<String> {
        let name = format!("{template}_copy");
        self.cut_off(template).await?;
        let copy = format!(r#"CREATE DATABASE "{name}" TEMPLATE "{template}""#);
        self.execute(&name, &copy).await?;
        let client = self.server.admin().await?;
        client.batch_execute("CHECKPOINT").await?;
        Ok(name)
    }

    pub(crate) async fn drop(&self, name: &str) -> Result<()> {
        let client = self.server.admin().await?;
        let drop = format!(r#"DROP DATABASE IF EXISTS "{name}" WITH (FORCE)"#);
        client.batch_execute(&drop).await?;
        self.made.lock().expect("nobody panicked").remove(name);
        self.filled.lock().expect("nobody panicked").remove(name);
        Ok(())
    }

    pub(crate) async fn drop_all(&self) -> Result<()> {
        let made = self.made.lock().expect("nobody panicked").clone();
        for name in made {
            self.drop(&name).await?;
        }
        Ok(())
    }

    /// Remembers the database before it is there, so that it is dropped whatever happens.
    async fn execute(&self, name: &str, statement: &str) -> Result<()> {
        self.made.lock().expect("nobody panicked").insert(name.to_owned());
        Ok(self.server.admin().await?.batch_execute(statement).await?)
    }

    /// Waits until nobody is connected: pools close in the background.
    async fn cut_off(&self, name: &str) -> Result<()> {
        const CUT_OFF: &str = include_str!("sql/cut_off.sql");
        let client = self.server.admin().await?;
        while client.query_one(CUT_OFF, &[&name]).await?.get::<_, i64>(0) > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        Ok(())
    }
}
