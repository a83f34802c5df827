//! Something is sent that is no command.

use cqrs_core::App;

struct Letter;

async fn send(app: App) {
    let _ = app.send(Letter).await;
}

fn main() {}
