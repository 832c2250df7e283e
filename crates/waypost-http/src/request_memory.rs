//! The memory of running requests: every byte of a body that is read, and of what is built from it, is taken from one
//! budget.
//!
//! The budget has three parts, so that one kind of client cannot use up another's: bodies that anyone may send, bodies
//! of requests with an API key, and what is built from bodies. Bodies are charged as they arrive, so an announced
//! length costs nothing. If a part is used up the response is 503 with `Retry-After`. Work waits a moment for its
//! share, and gets all of it or nothing.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use waypost_api::ProblemCode;
use waypost_control::Problem;

use crate::answer::Refusal;

/// What is charged at a time, in bytes.
const UNIT_BYTES: usize = 1 << 10;
/// How long work waits for its turn.
const WORK_WAIT: Duration = Duration::from_secs(5);
/// Requests that held this much are worth giving memory back to the system.
const LARGE_BYTES_MIN: usize = 1 << 20;
/// When to try again, in seconds.
const RETRY_AFTER_S: u32 = 1;

/// Called after a large request has ended.
pub type OnLargeRequest = Arc<dyn Fn() + Send + Sync>;

/// Whose a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyOf {
    /// Of somebody who has shown no key.
    Anyone,
    /// Of the holder of a key, or the operator.
    Caller,
}

/// The budget of an instance.
pub(crate) struct RequestMemory {
    anyones: Arc<Semaphore>,
    callers: Arc<Semaphore>,
    work: Arc<Semaphore>,
    work_units: usize,
    /// How long work waits for its turn.
    work_wait: Duration,
    on_large: Option<OnLargeRequest>,
}

impl RequestMemory {
    /// A budget of this many bytes: an eighth for bodies that anyone may send, three eighths for bodies of callers,
    /// half for work.
    pub(crate) fn new(bytes_max: usize, on_large: Option<OnLargeRequest>) -> Self {
        let eighth = (bytes_max / UNIT_BYTES / 8).max(1);
        let part = |eighths| Arc::new(Semaphore::new(eighth * eighths));
        Self {
            anyones: part(1),
            callers: part(3),
            work: part(4),
            work_units: eighth * 4,
            work_wait: WORK_WAIT,
            on_large,
        }
    }

    fn part(&self, body_of: BodyOf) -> &Arc<Semaphore> {
        match body_of {
            BodyOf::Anyone => &self.anyones,
            BodyOf::Caller => &self.callers,
        }
    }
}

impl fmt::Debug for RequestMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestMemory").finish_non_exhaustive()
    }
}

/// What one request holds of the budget, until it is answered.
#[derive(Clone, Debug)]
pub(crate) struct HeldMemory(Arc<Held>);

#[derive(Debug)]
struct Held {
    memory: Arc<RequestMemory>,
    /// A std mutex: held to put a permit in, never across an await.
    permits: Mutex<Permits>,
}

#[derive(Debug, Default)]
struct Permits {
    permits: Vec<OwnedSemaphorePermit>,
    /// Bytes of the body that its permits allow and that have not come yet.
    body_bytes_left: usize,
}

impl HeldMemory {
    pub(crate) fn new(memory: Arc<RequestMemory>) -> Self {
        Self(Arc::new(Held { memory, permits: Mutex::default() }))
    }

    /// Charges bytes of a body that have come.
    pub(crate) fn charge_body(&self, body_of: BodyOf, bytes: usize) -> Result<(), Refusal> {
        let mut permits = self.0.permits.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes <= permits.body_bytes_left {
            permits.body_bytes_left -= bytes;
            return Ok(());
        }
        let missing = bytes - permits.body_bytes_left;
        let units = missing.div_ceil(UNIT_BYTES);
        let part = Arc::clone(self.0.memory.part(body_of));
        let permit = part.try_acquire_many_owned(to_u32(units)).map_err(|_| busy())?;
        permits.permits.push(permit);
        permits.body_bytes_left = units * UNIT_BYTES - missing;
        Ok(())
    }

    /// Waits until there is room for this much work. At most once for a request: who waits must hold no work.
    pub(crate) async fn reserve_work(&self, bytes: usize) -> Result<(), Refusal> {
        let memory = &self.0.memory;
        let units = bytes.div_ceil(UNIT_BYTES).min(memory.work_units);
        let acquired = Arc::clone(&memory.work).acquire_many_owned(to_u32(units));
        match tokio::time::timeout(memory.work_wait, acquired).await {
            Ok(Ok(permit)) => {
                self.0.permits.lock().unwrap_or_else(PoisonError::into_inner).permits.push(permit);
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let permits = std::mem::take(&mut self.permits.get_mut().unwrap_or_else(PoisonError::into_inner).permits);
        let units: usize = permits.iter().map(OwnedSemaphorePermit::num_permits).sum();
        drop(permits);
        if let Some(on_large) = self.memory.on_large.as_ref().filter(|_| units * UNIT_BYTES >= LARGE_BYTES_MIN) {
            on_large();
        }
    }
}

/// Gives every request its account, and takes it back once the request is answered.
pub(crate) async fn hold_memory(
    State(memory): State<Arc<RequestMemory>>,
    mut request: Request,
    next: Next,
) -> Response {
    let held = HeldMemory::new(memory);
    request.extensions_mut().insert(held.clone());
    let response = next.run(request).await;
    drop(held);
    response
}

fn to_u32(units: usize) -> u32 {
    u32::try_from(units).unwrap_or(u32::MAX)
}

fn busy() -> Refusal {
    let detail = "other requests take all the memory that there is for them; nothing was done";
    Problem::new(ProblemCode::Busy, detail).retry_after(RETRY_AFTER_S).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn budget(bytes: usize) -> (Arc<RequestMemory>, Arc<AtomicUsize>) {
        let ended = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&ended);
        let on_large: OnLargeRequest = Arc::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        let memory = RequestMemory::new(bytes, Some(on_large));
        (Arc::new(RequestMemory { work_wait: Duration::from_millis(20), ..memory }), ended)
    }

    #[test]
    fn bodies_are_charged_as_they_come_and_by_whose_they_are() {
        let (memory, ended) = budget(16 << 20);
        let first = HeldMemory::new(Arc::clone(&memory));
        for _ in 0..2 << 10 {
            first.charge_body(BodyOf::Anyone, 1_000).unwrap();
        }
        let second = HeldMemory::new(Arc::clone(&memory));
        let refused = second.charge_body(BodyOf::Anyone, 100_000).unwrap_err().problem;
        assert_eq!((refused.code(), refused.retry_after_s()), (ProblemCode::Busy, Some(RETRY_AFTER_S)));
        second.charge_body(BodyOf::Caller, 100_000).unwrap();
        drop(first);
        assert_eq!(ended.load(Ordering::SeqCst), 1, "a large request has ended");
        second.charge_body(BodyOf::Anyone, 100_000).unwrap();
        drop(second);
        assert_eq!(ended.load(Ordering::SeqCst), 1, "a small one is none");
        assert_eq!(memory.anyones.available_permits(), 2 << 10);
    }

    #[tokio::test]
    async fn work_waits_for_its_turn_and_not_for_ever() {
        let (memory, _) = budget(16 << 20);
        let held: Vec<_> = (0..2).map(|_| HeldMemory::new(Arc::clone(&memory))).collect();
        // More than there is altogether: all of it.
        held[0].reserve_work(1 << 30).await.unwrap();
        assert_eq!(held[1].reserve_work(1).await.unwrap_err().problem.code(), ProblemCode::Busy);
        let mut held = held.into_iter();
        let (first, second) = (held.next(), held.next().unwrap());
        let waiting = second.reserve_work(1);
        drop(first);
        waiting.await.unwrap();
    }
}
