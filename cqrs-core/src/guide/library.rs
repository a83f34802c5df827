use cqrs_core::memory::MemoryStore;
use cqrs_core::{App, BoxError, Context, Decide, Decision, Failure, Never, Repository};
use cqrs_derive::{Aggregate, Command, Event, Query, Rejection, command_handler, query_handler};
use serde::{Deserialize, Serialize};

/// What happens to a book.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Event)]
enum BookEvent {
    #[event(name = "library.book_added")]
    Added { title: String, copies: u32 },
    #[event(name = "library.book_lent")]
    Lent { reader: String },
}

/// A book: how many copies are on the shelf.
#[derive(Debug, Default, Aggregate)]
#[aggregate(category = "book", id = String, event = BookEvent)]
struct Book {
    on_shelf: u32,
}

impl Book {
    fn on(&mut self, event: &BookEvent) {
        match event {
            BookEvent::Added { copies, .. } => self.on_shelf += copies,
            BookEvent::Lent { .. } => self.on_shelf -= 1,
        }
    }
}

/// Adds copies of a book. Answers how many are on the shelf.
#[derive(Debug, Clone, Serialize, Deserialize, Command)]
#[command(name = "library.add_book", output = u32)]
struct AddBook {
    isbn: String,
    #[check(chars = 1..=200)]
    title: String,
    #[check(range = 1..=100)]
    copies: u32,
}

/// Lends a copy to a reader. Answers how many are left.
#[derive(Debug, Clone, Serialize, Deserialize, Command)]
#[command(name = "library.lend_book", output = u32, error = LendError)]
struct LendBook {
    isbn: String,
    #[check(chars = 1..=100)]
    reader: String,
}

/// Why a book is not lent.
#[derive(Debug, PartialEq, thiserror::Error, Serialize, Deserialize, Rejection)]
enum LendError {
    #[error("the library does not have this book")]
    #[rejection(code = "library.unknown_book", field = "isbn")]
    Unknown,
    #[error("all copies are lent")]
    #[rejection(code = "library.all_lent", field = "isbn")]
    AllLent,
}

#[command_handler]
impl Decide<AddBook> for Book {
    fn target(command: &AddBook) -> String {
        command.isbn.clone()
    }

    fn decide(&self, c: &AddBook, _: &Context<'_>) -> Result<Decision<BookEvent, u32>, Never> {
        let added = BookEvent::Added { title: c.title.clone(), copies: c.copies };
        Ok(Decision::event(added).returning(self.on_shelf + c.copies))
    }
}

#[command_handler]
impl Decide<LendBook> for Book {
    fn target(command: &LendBook) -> String {
        command.isbn.clone()
    }

    fn decide(
        &self,
        c: &LendBook,
        ctx: &Context<'_>,
    ) -> Result<Decision<BookEvent, u32>, LendError> {
        if !ctx.exists() {
            return Err(LendError::Unknown);
        }
        let left = self.on_shelf.checked_sub(1).ok_or(LendError::AllLent)?;
        Ok(Decision::event(BookEvent::Lent { reader: c.reader.clone() }).returning(left))
    }
}

/// Asks how many copies are on the shelf.
#[derive(Debug, Clone, Serialize, Deserialize, Query)]
#[query(name = "library.on_shelf", output = u32)]
struct OnShelf {
    isbn: String,
}

#[query_handler]
async fn on_shelf(q: OnShelf, books: Repository<Book>) -> Result<u32, Failure<Never>> {
    Ok(books.load(&q.isbn).await?.on_shelf)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let app = App::builder().store(MemoryStore::default()).discover().build()?;

    let isbn = "978-1".to_owned();
    app.send(AddBook { isbn: isbn.clone(), title: "Faust".into(), copies: 1 }).await?;
    for reader in ["ada", "eve"] {
        match app.send(LendBook { isbn: isbn.clone(), reader: reader.into() }).await {
            Ok(left) => println!("lent to {reader}, {left} left"),
            Err(Failure::Rejected(no)) => println!("not lent to {reader}: {no}"),
            Err(Failure::Failed(error)) => return Err(error.into()),
        }
    }
    println!("on the shelf: {}", app.ask(OnShelf { isbn }).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use cqrs_testing::scenario::Scenario;

    use super::*;

    #[test]
    fn the_last_copy_is_lent_once() {
        let lend = LendBook { isbn: "978-1".into(), reader: "ada".into() };
        Scenario::<Book>::given([BookEvent::Added { title: "Faust".into(), copies: 1 }])
            .when(&lend)
            .then_output(&0)
            .then([BookEvent::Lent { reader: "ada".into() }])
            .when(&lend)
            .then_rejected(&LendError::AllLent);
    }

    #[test]
    fn a_book_that_was_never_added_is_not_lent() {
        let lend = LendBook { isbn: "978-2".into(), reader: "ada".into() };
        Scenario::<Book>::given_nothing().when(&lend).then_rejected(&LendError::Unknown);
    }

    #[tokio::test]
    async fn the_query_shows_what_the_commands_did() -> Result<(), BoxError> {
        let app = App::builder().store(MemoryStore::default()).discover().build()?;
        let isbn = "978-1".to_owned();
        app.send(AddBook { isbn: isbn.clone(), title: "Faust".into(), copies: 2 }).await?;
        assert_eq!(app.ask(OnShelf { isbn }).await?, 2);
        Ok(())
    }
}
