//! Allocations of a call, counted by the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::cases::Case;

/// Two tasks that count would slow each other down.
static COUNTING: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, counting.
pub(crate) struct Counting;

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTING.load(Ordering::Relaxed) {
            COUNT.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The mean of 1,000 calls after 100 others.
pub(crate) fn per_call(case: Case) -> f64 {
    const CALLS: u64 = 1_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(async {
        let prepared = case.prepare();
        prepared.run(100).await;
        let before = COUNT.load(Ordering::Relaxed);
        COUNTING.store(true, Ordering::Relaxed);
        prepared.run(CALLS).await;
        COUNTING.store(false, Ordering::Relaxed);
        (COUNT.load(Ordering::Relaxed) - before) as f64 / CALLS as f64
    })
}
