//! What the C library is told of memory that is free.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use waypost_http::OnLargeRequest;

/// Has memory given back when it is free. To be called before there are threads.
///
/// glibc raises both limits below by itself, to 32 and 64 MB, once large blocks come and go (its manual, `mallopt(3)`), as they do with
/// every batch of clicks; and threads have heaps of their own. After half a minute of clicks on ten million links 76 MB were kept
/// that nobody used. Other C libraries have no such limits.
pub(super) fn give_back_free_memory() {
    #[cfg(target_env = "gnu")]
    {
        /// Blocks of this size and more are the system's again as soon as they are free.
        const BLOCK_BYTES_MIN: libc::c_int = 256 << 10;
        /// So much may be free at the end of a heap before it is given back.
        const FREE_BYTES_MAX: libc::c_int = 1 << 20;
        #[allow(unsafe_code, reason = "the C library is asked in no other way; see below")]
        // SAFETY: both parameters take any size, and no other thread is there that could be asking for memory meanwhile.
        let is_set = unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, BLOCK_BYTES_MIN) == 1
                && libc::mallopt(libc::M_TRIM_THRESHOLD, FREE_BYTES_MAX) == 1
        };
        if !is_set {
            tracing::debug!("the C library keeps free memory as it likes");
        }
    }
}

/// How long is waited after a large request for others like it to end.
const PAUSE: Duration = Duration::from_millis(500);

/// Has free memory in the middle of heaps given back, too, shortly after large requests. Must be called within a Tokio runtime,
/// on which the task goes on until that ends.
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
        #[allow(unsafe_code, reason = "the C library is asked in no other way; see below")]
        // SAFETY: takes any number, and may be called by any thread at any time.
        let is_less = unsafe { libc::malloc_trim(0) } == 1;
        tracing::debug!(is_less, "free memory was given back");
    }
}
