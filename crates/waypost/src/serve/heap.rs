//! Settings of the C library's allocator, so that it returns free memory to the system.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use waypost_http::OnLargeRequest;

/// Sets that free memory is returned to the system. Must be called before there are threads.
///
/// glibc raises both limits below by itself, to 32 and 64 MB, once large blocks come and go (its manual, `mallopt(3)`),
/// as they do with every batch of clicks; and threads have heaps of their own. After half a minute of clicks on ten
/// million links, 76 MB of unused memory were kept. Other C libraries have no such limits.
pub(super) fn return_free_memory() {
    #[cfg(target_env = "gnu")]
    {
        /// Blocks of at least this size are returned to the system as soon as they are free.
        const BLOCK_BYTES_MIN: libc::c_int = 256 << 10;
        /// How much memory may be free at the end of a heap before it is returned.
        const FREE_BYTES_MAX: libc::c_int = 1 << 20;
        #[allow(unsafe_code, reason = "there is no safe interface to the C library's allocator; see below")]
        // SAFETY: both parameters accept any size, and there is no other thread that could allocate memory meanwhile.
        let is_set = unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, BLOCK_BYTES_MIN) == 1
                && libc::mallopt(libc::M_TRIM_THRESHOLD, FREE_BYTES_MAX) == 1
        };
        if !is_set {
            tracing::debug!("the C library did not accept the limits for free memory");
        }
    }
}

/// How long to wait after a large request, because others like it may still run.
const PAUSE: Duration = Duration::from_millis(500);

/// Also returns free memory in the middle of heaps, shortly after large requests. Must be called within a Tokio
/// runtime; the task runs until that ends.
pub(crate) fn give_back_after_large_requests() -> OnLargeRequest {
    let ended = Arc::new(Notify::new());
    let told = Arc::clone(&ended);
    tokio::spawn(async move {
        loop {
            ended.notified().await;
            tokio::time::sleep(PAUSE).await;
            if tokio::task::spawn_blocking(trim).await.is_err() {
                return;
            }
        }
    });
    Arc::new(move || told.notify_one())
}

fn trim() {
    #[cfg(target_env = "gnu")]
    {
        #[allow(unsafe_code, reason = "there is no safe interface to the C library's allocator; see below")]
        // SAFETY: accepts any number, and may be called by any thread at any time.
        let is_less = unsafe { libc::malloc_trim(0) } == 1;
        tracing::debug!(is_less, "free memory was returned to the system");
    }
}
