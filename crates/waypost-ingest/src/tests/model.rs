//! A model without files and databases: what was appended, what was counted, and an error at a chosen step. The
//! database checks that every batch continues where the last one ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use waypost_clicks::{ClickPosition, ClicksError, LossCause, SqlError};
use waypost_core::click::Click;
use waypost_core::{Source, Timestamp};
use waypost_spool::{ReadLimit, SpoolError};

use crate::fill::Filled;
use crate::ingest::ClickSink;
use crate::source::{ClickSource, SourceEntry};

/// How a step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing happens.
    Error,
    /// It happens, and nobody learns of it.
    ErrorAfterwards,
    Panic,
}

/// Shared by the source, the sink and the test.
#[derive(Clone, Default)]
pub(super) struct World(Arc<Mutex<State>>);

#[derive(Default)]
pub(super) struct State {
    epochs: BTreeMap<u64, Vec<Item>>,
    /// The first number of each epoch that the source has not let go of.
    pub(super) released: BTreeMap<u64, u64>,
    pub(super) repeats_everything: bool,
    /// Leaves out this number, once.
    pub(super) skips_once: Option<(u64, u64)>,
    counted: BTreeMap<u64, u64>,
    clicks: u64,
    lost: u64,
    is_down: bool,
    steps: u64,
    fault: Option<(u64, Fault)>,
}

#[derive(Clone)]
enum Item {
    Record(Vec<u8>),
    Lost(u64, LossCause),
}

impl Item {
    fn count(&self) -> u64 {
        match self {
            Self::Record(_) => 1,
            Self::Lost(count, _) => *count,
        }
    }
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn append(&self, epoch: u64, bytes: Vec<u8>) {
        self.state().epochs.entry(epoch).or_default().push(Item::Record(bytes));
    }

    pub(super) fn lose(&self, epoch: u64, count: u64, cause: LossCause) {
        self.state().epochs.entry(epoch).or_default().push(Item::Lost(count, cause));
    }

    pub(super) fn fail_at(&self, step: u64, fault: Fault) {
        self.state().fault = Some((step, fault));
    }

    pub(super) fn has_fault_left(&self) -> bool {
        self.state().fault.is_some()
    }

    pub(super) fn set_down(&self, is_down: bool) {
        self.state().is_down = is_down;
    }

    pub(super) fn misbehave(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
    }

    pub(super) fn counted(&self) -> u64 {
        self.state().clicks
    }

    pub(super) fn pending(&self) -> u64 {
        let state = self.state();
        let all: u64 = state.epochs.values().flatten().map(Item::count).sum();
        all - state.released.values().map(|next| next - 1).sum::<u64>()
    }

    /// Every number was counted once, as a click or as lost, and let go of.
    #[track_caller]
    pub(super) fn assert_counted_once(&self, clicks: u64, lost: u64) {
        let state = self.state();
        assert_eq!((state.clicks, state.lost), (clicks, lost));
        for (epoch, items) in &state.epochs {
            let end = 1 + items.iter().map(Item::count).sum::<u64>();
            assert_eq!(state.counted.get(epoch), Some(&end), "counted of epoch {epoch}");
            assert_eq!(state.released.get(epoch), Some(&end), "let go of epoch {epoch}");
        }
    }
}

impl State {
    /// Whether this step fails, and how.
    fn step(&mut self) -> Option<Fault> {
        self.steps += 1;
        let fault = self.fault.filter(|(step, _)| *step == self.steps)?.1;
        self.fault = None;
        assert!(fault != Fault::Panic, "as the test wants it");
        Some(fault)
    }

    fn count(&mut self, filled: &Filled) -> Result<(), ClicksError> {
        assert_eq!(filled.clicks, filled.batch.clicks());
        let mut numbers = 0;
        for (epoch, begins) in &filled.from {
            let counted = self.counted.get(epoch).copied().unwrap_or(1);
            if counted != *begins {
                let (edge_id, epoch) = ("edge".to_owned(), *epoch);
                return Err(ClicksError::ClicksMoved { edge_id, epoch, counted: counted - 1, begins: *begins });
            }
            numbers += filled.to[epoch] - begins;
        }
        assert_eq!(numbers, filled.clicks + filled.lost, "every number is a click or lost");
        self.counted.extend(&filled.to);
        self.clicks += filled.clicks;
        self.lost += filled.lost;
        Ok(())
    }
}

#[derive(Clone)]
pub(super) struct ModelSink(World);

impl ModelSink {
    pub(super) fn new(world: &World) -> Self {
        Self(world.clone())
    }
}

fn store_error() -> ClicksError {
    SqlError::Corrupt { what: "test", id: String::new(), reason: "as the test wants it".to_owned() }.into()
}

impl ClickSink for ModelSink {
    async fn positions(&self, edge_id: &str) -> Result<Vec<ClickPosition>, ClicksError> {
        assert_eq!(edge_id, "edge");
        let mut state = self.0.state();
        // A task of the job itself: a panic here would be one of the test.
        if state.fault.is_some_and(|(step, fault)| fault == Fault::Panic && step == state.steps + 1) {
            state.fault = Some((state.steps + 1, Fault::Error));
        }
        if state.step().is_some() || state.is_down {
            return Err(store_error());
        }
        let position = |(epoch, next): (&u64, &u64)| ClickPosition { epoch: *epoch, next_sequence: *next };
        Ok(state.counted.iter().map(position).collect())
    }

    async fn count(&self, filled: Filled) -> Result<(), ClicksError> {
        let mut state = self.0.state();
        let fault = state.step();
        if fault == Some(Fault::Error) || state.is_down {
            return Err(store_error());
        }
        state.count(&filled)?;
        if fault.is_some() { Err(store_error()) } else { Ok(()) }
    }
}

pub(super) struct ModelSource {
    world: World,
    cursors: BTreeMap<u64, u64>,
}

impl ModelSource {
    pub(super) fn new(world: &World) -> Self {
        Self { world: world.clone(), cursors: BTreeMap::new() }
    }
}

fn source_error() -> SpoolError {
    SpoolError::Options("as the test wants it".to_owned())
}

/// Entries of an epoch from this number on, in full; what the first one has before it is shown again.
fn entries(items: &[Item], from: u64) -> Vec<(u64, Item)> {
    let mut next = 1;
    let mut found = Vec::new();
    for item in items {
        let first = next;
        next += item.count();
        if next > from {
            found.push((first, item.clone()));
        }
    }
    found
}

impl ClickSource for ModelSource {
    fn edge_id(&self) -> &str {
        "edge"
    }

    fn start_at(&mut self, positions: &[ClickPosition]) {
        self.cursors = positions.iter().map(|at| (at.epoch, at.next_sequence)).collect();
    }

    fn next(&mut self, limit: ReadLimit, show: &mut dyn FnMut(SourceEntry<'_>)) -> Result<bool, SpoolError> {
        let mut state = self.world.state();
        let fault = state.step();
        if fault == Some(Fault::Error) {
            return Err(source_error());
        }
        let (released, repeats) = (state.released.clone(), state.repeats_everything);
        for (epoch, items) in state.epochs.clone() {
            let released = released.get(&epoch).copied().unwrap_or(1);
            let cursor = self.cursors.get(&epoch).copied().unwrap_or(1).max(released);
            let found = entries(&items, cursor);
            if found.is_empty() {
                continue;
            }
            let from = if repeats { released } else { cursor };
            let taken = entries(&items, from).into_iter().filter(|(first, _)| *first < cursor || repeats);
            let repeated = taken.filter(|(first, _)| *first < cursor).count();
            for (first_sequence, item) in entries(&items, from).into_iter().take(repeated + limit.records.clamp(1, 3)) {
                self.cursors.insert(epoch, first_sequence + item.count());
                if state.skips_once == Some((epoch, first_sequence)) {
                    state.skips_once = None;
                    continue;
                }
                show(match &item {
                    Item::Record(payload) => SourceEntry::Record { epoch, sequence: first_sequence, payload },
                    Item::Lost(count, cause) => {
                        SourceEntry::Lost { epoch, first_sequence, count: *count, cause: *cause }
                    }
                });
            }
            return if fault.is_some() { Err(source_error()) } else { Ok(true) };
        }
        Ok(false)
    }

    fn release(&mut self, positions: &[ClickPosition]) -> Result<(), SpoolError> {
        let mut state = self.world.state();
        let fault = state.step();
        if fault == Some(Fault::Error) {
            return Err(source_error());
        }
        for at in positions {
            let counted = state.counted.get(&at.epoch).copied().unwrap_or(1);
            assert!(at.next_sequence <= counted, "let go of before it was counted");
            let released = state.released.entry(at.epoch).or_insert(1);
            *released = at.next_sequence.max(*released);
        }
        if fault.is_some() { Err(source_error()) } else { Ok(()) }
    }

    fn pending(&self) -> u64 {
        self.world.pending()
    }
}

/// A click in compact form on the link with this slug.
pub(super) fn bytes_of(slug: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    click(slug).write(&mut bytes);
    bytes
}

pub(super) fn click(slug: &str) -> Click<'_> {
    Click {
        clicked_at: Timestamp::from_micros(1_768_473_000_123_456),
        status: 302,
        is_head: false,
        is_scan: false,
        source: Source::Default,
        country: Some(*b"AT"),
        visitor: Some(7),
        address: None,
        is_cut: false,
        link_id: "link_1".into(),
        account_id: "acc_1".into(),
        domain: "".into(),
        slug: slug.into(),
        rule_id: "".into(),
        ab_test_id: "".into(),
        variant_id: "".into(),
        purpose: "".into(),
        user_agent: "curl/8.5.0".into(),
        referrer: "".into(),
        accept_language: "".into(),
        utm: "".into(),
    }
}
