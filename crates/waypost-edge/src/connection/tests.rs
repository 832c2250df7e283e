//! How many requests a connection answers in one turn of its thread.

#![allow(clippy::unwrap_used)]

use std::future::{pending, poll_fn};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use waypost_core::SchemePolicy;
use waypost_core::compact::compile;
use waypost_table::{Change, Table, TableOptions};

use super::*;
use crate::admission::Admission;
use crate::client::Proxies;
use crate::host::HostPolicy;
use crate::notices::FaultLog;
use crate::notices::Notices;

fn acceptor(table: Arc<Table>) -> Acceptor {
    let limits = Limits { requests_per_connection_max: None, ..Limits::default() };
    Acceptor {
        admission: Arc::new(Admission::new(&limits)),
        drain: Rc::default(),
        crowd: Rc::default(),
        turning_away: Rc::default(),
        thread: Rc::new(Thread::new(table.clone(), None, Arc::default())),
        shared: Arc::new(Shared {
            table,
            control: Arc::new(|_, _| Box::pin(pending())),
            limits,
            proxies: Proxies::new(Vec::new(), None),
            hosts: HostPolicy::AnyIsDefault,
            plain_requests: true,
            countries: None,
            grant_key: Arc::default(),
            faults: FaultLog::default(),
            misses: None,
            notices: Notices::default(),
        }),
    }
}

/// How many requests are answered in each turn of a connection, until so many are.
fn requests_by_turn(request: &str, count: u64) -> Vec<u64> {
    let dir = tempfile::tempdir().unwrap();
    let table = Table::open(dir.path(), TableOptions { map_size_bytes: 1 << 24, ..TableOptions::default() }).unwrap();
    table.confirm().unwrap();
    let record = serde_json::from_str(r#"{"link_id": "link_a", "destination_url": "https://example.com/"}"#).unwrap();
    let record = compile(&record, &SchemePolicy::default()).unwrap();
    table.apply(&[Change { domain: "", slug: "abc", version: 1, record: Some(&record) }], 1).unwrap();
    let acceptor = acceptor(Arc::new(table));
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, from) = listener.accept().await.unwrap();
        // All of it is there before the first turn.
        client.write_all(request.repeat(usize::try_from(count).unwrap()).as_bytes()).unwrap();
        let peer = Peer::new(from, &acceptor.shared.proxies);
        let permit = acceptor.admission.admit(None).unwrap();
        let mut connection = Connection::new(stream, peer, &acceptor, permit);
        let channel = connection.channel.clone();
        let (mut turns, mut answered) = (Vec::new(), 0);
        poll_fn(|cx| {
            let polled = Pin::new(&mut connection).poll(cx);
            turns.push(channel.activity.requests() - answered);
            answered = channel.activity.requests();
            if answered == count { Poll::Ready(()) } else { polled }
        })
        .await;
        assert_eq!(answered, count, "all are answered");
        turns
    })
}

#[test]
fn a_peer_that_pipelines_leaves_others_their_turn() {
    let plain = "GET /abc HTTP/1.1\r\nHost: go.example\r\n\r\n";
    let engine = "POST /abc HTTP/1.1\r\nHost: go.example\r\n\r\n";
    for request in [plain, engine] {
        let turns = requests_by_turn(request, 1_400);
        let most = turns.iter().max().unwrap();
        assert!(*most <= TURN_REQUESTS_MAX, "{request:?}: {turns:?}");
    }
}
