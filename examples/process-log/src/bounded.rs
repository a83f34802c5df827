//! A file whose records are bounded: a quote that is never closed must not swallow the memory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that one record may have.
pub(crate) const LONGEST_RECORD: u64 = 1 << 20;

/// A file that is read record by record, and fails in the middle of one that is too long.
pub(crate) struct BoundedFile {
    file: File,
    read: Budget,
}

/// What is left for the record that is being read.
#[derive(Clone, Default)]
pub(crate) struct Budget(Arc<AtomicU64>);

impl Budget {
    /// Begins a record.
    pub(crate) fn renew(&self) {
        self.0.store(LONGEST_RECORD, Ordering::Relaxed);
    }

    /// Whether it was used up.
    pub(crate) fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

impl BoundedFile {
    pub(crate) fn new(file: File) -> (Self, Budget) {
        let read = Budget::default();
        read.renew();
        (Self { file, read: read.clone() }, read)
    }
}

impl Read for BoundedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.read.0.load(Ordering::Relaxed);
        if left == 0 {
            return Err(io::Error::other("a record is too long"));
        }
        let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.file.read(&mut buffer[..room])?;
        self.read.0.store(left - read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Seek for BoundedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
