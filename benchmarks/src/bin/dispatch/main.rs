//! What sending a command costs beside the handler itself: instructions, allocations, and what two
//! tasks at once cost each other.
//!
//! Instructions are counted by valgrind's callgrind, so that they are the same on a busy machine:
//! this program runs itself under it, for N calls and for 2N, and takes the difference.
//!
//! `cargo run --release --bin dispatch` prints the table and fails when a bar is missed.

mod allocations;
mod cases;
mod instructions;
mod speed;

use std::process::ExitCode;

use cases::Case;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [name, calls] = &args[..] {
        // Under valgrind.
        let case = Case::ALL.into_iter().find(|case| case.name() == name);
        let (Some(case), Ok(calls)) = (case, calls.parse()) else { return ExitCode::from(2) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(case.prepare().run(calls));
        return ExitCode::SUCCESS;
    }
    match compare() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare() -> Result<bool, String> {
    println!("{:<44}{:>14}{:>14}{:>16}", "", "instructions", "allocations", "two tasks");
    let mut measured = Vec::new();
    for case in Case::ALL {
        let instructions = instructions::per_call(case)?;
        let allocations = allocations::per_call(case);
        let slowdown = speed::slowdown_of_two(case);
        println!("{:<44}{instructions:>14.0}{allocations:>14.1}{slowdown:>15.2}x", case.title());
        measured.push((instructions, allocations, slowdown));
    }
    let [floor, send, layered, peer] = measured[..] else { return Err("four cases".into()) };
    println!();
    Ok([
        bar("send / one boxed await, instructions", send.0 / floor.0, 3.0),
        bar("send / mediator-rs, instructions", send.0 / peer.0, 0.5),
        bar("send, allocations", send.1, 2.0),
        bar("send through three tower layers, allocations", layered.1, 8.0),
        // The floor's own slow-down, and a tenth for the noise of two threads.
        bar("slow-down of two tasks / that of the boxed await", send.2 / floor.2, 1.1),
    ]
    .into_iter()
    .all(|met| met))
}

fn bar(what: &str, value: f64, most: f64) -> bool {
    let met = value <= most;
    println!("{what:<52}{value:>8.2}  at most {most:<6}{}", if met { "ok" } else { "MISSED" });
    met
}
