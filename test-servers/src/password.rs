//! A password that nobody guesses.

use std::fs::File;
use std::io::Read;

use crate::error::ServerError;

/// 128 bits from the system, as hexadecimal digits.
pub(crate) fn fresh() -> Result<String, ServerError> {
    let mut bytes = [0; 16];
    let read = File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes));
    read.map_err(ServerError::io("/dev/urandom"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
