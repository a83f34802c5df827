//! Sends what commits send.
