//! What a redirect asks of the allocator: nothing, its recorded click included. Where a URL is made for the visitor,
//! that URL.
#![allow(clippy::unwrap_used)]
#![allow(unsafe_code, reason = "an allocator that counts is written with unsafe functions that pass everything on")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use support::{Setup, TestEdge};
use waypost_core::visitor::AddressPolicy;
use waypost_edge::ClickRecording;
use waypost_spool::{Spool, SpoolOptions};

/// Requests of one kind. Threads beside the edge's allocate a little now and then, which is far less than one each.
const REQUESTS: u64 = 2_000;

/// The least that counts as one for each request, which leaves that to them.
const OF_OTHERS: f64 = 0.1;
/// Its status and its length as texts, and what is asked of them.
const FOR_A_PAGE: f64 = 4.0;
/// The URL that is made of a destination and what is added to it, and its UTM parameters by themselves.
const FOR_A_URL: f64 = 2.0;

/// The system's allocator, and how often threads other than those of tests have asked it.
struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_TEST: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    if !IS_TEST.get() {
        CALLS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: everything is the system's doing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller says.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller says.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller says.
        unsafe { System.realloc(memory, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations for each of many requests for this target on one connection.
fn allocations(edge: &TestEdge, target: &str) -> f64 {
    let mut stream = TcpStream::connect(edge.address()).unwrap();
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: go.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0\r\n\
         Accept-Language: de-AT,de;q=0.9\r\nReferer: https://news.example/a\r\n\r\n"
    );
    let mut before = 0;
    // The first half lets buffers grow.
    for number in 0..2 * REQUESTS {
        if number == REQUESTS {
            before = CALLS.load(Ordering::Relaxed);
        }
        stream.write_all(request.as_bytes()).unwrap();
        // An answer without a body ends like this, and every other one has its last byte where this stops, too.
        let (mut answer, mut bytes) = ([0; 4_096], 0);
        while !is_whole(&answer[..bytes]) {
            let count = stream.read(&mut answer[bytes..]).unwrap();
            assert_ne!(count, 0, "the edge closed the connection");
            bytes += count;
        }
    }
    (CALLS.load(Ordering::Relaxed) - before) as f64 / REQUESTS as f64
}

/// Whether an answer has come in full: its head, and a page's end where it has one.
fn is_whole(answer: &[u8]) -> bool {
    let is_page = answer.starts_with(b"HTTP/1.1 404");
    answer.ends_with(if is_page { b"</html>\n" } else { b"\r\n\r\n" })
}

#[test]
fn a_redirect_allocates_nothing() {
    IS_TEST.set(true);
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), SpoolOptions::default()).unwrap();
    let clicks = ClickRecording {
        spool,
        address_policy: AddressPolicy::Truncated,
        salt_of_day: Arc::new(|day| Some([day as u8; 16])),
    };
    let edge = Setup::new()
        .config(|config| config.clicks = Some(clicks))
        .plain_link("plain")
        .link(
            "ruled",
            r#"{"link_id": "l1", "destination_url": "https://example.com/none", "rules": [
                {"id": "r1", "when": {"devices": ["mobile"]}, "to": {"url": "https://example.com/mobile"}},
                {"id": "r2", "when": {"referrers": ["t.co"]}, "to": {"url": "https://example.com/t"}},
                {"id": "r3", "when": {"languages": ["de"]}, "to": {"url": "https://example.com/de"}}]}"#,
        )
        .link(
            "split",
            r#"{"link_id": "l2", "destination_url": "https://example.com/none", "ab_test":
                {"id": "t", "status": "active", "variants": [
                    {"id": "v1", "destination_url": "https://example.com/1", "weight": 1},
                    {"id": "v2", "destination_url": "https://example.com/2", "weight": 1}]}}"#,
        )
        .link(
            "forward",
            r#"{"link_id": "l3", "destination_url": "https://example.com/?a=1", "forward_query": true,
                "link_utms": {"utm_campaign": "spring"}}"#,
        )
        .start();
    for (target, most) in [
        ("/plain", 0.0),
        ("/ruled", 0.0),
        ("/split", 0.0),
        ("/none", FOR_A_PAGE),
        ("/forward?b=2&utm_source=t", FOR_A_URL),
    ] {
        let each = allocations(&edge, target);
        assert!(each < most + OF_OTHERS, "{target}: {each} allocations a request");
    }
}
