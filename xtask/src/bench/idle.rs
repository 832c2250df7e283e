//! `bench idle`: ten thousand connections that have followed one link each and then stay open, beside the load: what
//! memory one takes in the process, and what they add to the cost of a redirect.
//!
//! What the kernel keeps of a connection is not counted: it is the same for every server.

use serde_json::json;
use waypost_testkit::http::Connection;

use super::figures::{Budget, Figure};
use super::load::PLAIN;
use super::peers::Peer;
use super::ratio::Rounds;
use super::stage::{Stage, write_report};

const CONNECTIONS: u64 = 10_000;
const CONNECTIONS_QUICK: u64 = 200;
/// Files that a server has open beside its connections, and those of the load.
const FILES_BESIDE: u64 = 500;

pub(crate) fn bench(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    let load = stage.sized(PLAIN);
    let wanted = stage.options.sized(CONNECTIONS, CONNECTIONS_QUICK);
    let connections = wanted.min(stage.files_max.saturating_sub(FILES_BESIDE));
    if connections < wanted {
        println!("only {connections} of {wanted} connections: a process may have no more files open here");
    }
    let (mut bytes_each, mut cpu_ratio) = (Rounds::default(), Rounds::default());
    for round in stage.rounds() {
        // Anew in each round: memory that was used once shows no growth.
        let product = stage.product("idle", "plain", load)?;
        stage.warm_up(&product, load)?;
        let without = stage.load(&product, load, round)?.edge_us;
        let before = product.private_bytes()?;
        let held = open(&product, connections)?;
        bytes_each.push(growth_each(&product, before, connections)?);
        cpu_ratio.push(stage.load(&product, load, round)?.edge_us / without);
        drop(held);
    }
    let nginx_bytes = stage.nginx.as_ref().map(|nginx| {
        let before = nginx.private_bytes()?;
        let _held = open(nginx, connections)?;
        growth_each(nginx, before, connections)
    });
    let nginx_bytes = nginx_bytes.transpose()?;
    println!(
        "{connections} idle connections: {} bytes each{}; CPU a redirect {} x that without",
        bytes_each.text(),
        nginx_bytes.map_or_else(String::new, |bytes| format!(", nginx {bytes:.0}")),
        cpu_ratio.text()
    );
    let report = json!({
        "connections": connections, "bytes_each": bytes_each.to_json(), "nginx_bytes_each": nginx_bytes,
        "cpu_to_without": cpu_ratio.to_json(),
    });
    write_report("idle", &report)?;
    Ok(vec![
        Figure::of_rounds("memory of an idle connection", &bytes_each, "B", Budget::None),
        Figure::of_rounds("redirect beside idle connections, CPU", &cpu_ratio, "x without", Budget::None),
    ])
}

/// Connections whose server has answered on each, so that it has them all.
fn open(peer: &Peer, connections: u64) -> anyhow::Result<Vec<Connection>> {
    let mut held = Vec::with_capacity(connections as usize);
    for _ in 0..connections {
        let mut connection = Connection::open(peer.address)?;
        connection.send(b"GET /00000000 HTTP/1.1\r\nHost: go.example\r\n\r\n")?;
        anyhow::ensure!(connection.read_response()?.status == 302, "{} does not redirect", peer.name);
        held.push(connection);
    }
    Ok(held)
}

fn growth_each(peer: &Peer, before: u64, connections: u64) -> anyhow::Result<f64> {
    Ok(peer.private_bytes()?.saturating_sub(before) as f64 / connections as f64)
}
