//! A folder in memory that can run full, break any operation, and lose power.
//!
//! Files are anonymous ones of the kernel, so that they are mapped and read just like those on a disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;

use crate::sync::lock;
use crate::{FileSystem, Mapping, Populate, SpoolFile};

/// What a disk writes whole.
const SECTOR_BYTES: usize = 512;

/// The kinds of operation, for faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    List,
    Create,
    Open,
    Rename,
    Remove,
    SyncFolder,
    Read,
    Write,
    Allocate,
    Map,
    Sync,
}

/// What is to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The operation with that number, counted from 1.
    Nth(u64, Errno),
    /// Each operation of that kind.
    Each(Operation, Errno),
}

#[derive(Clone)]
pub(crate) struct Memory {
    state: Arc<Mutex<State>>,
}

struct State {
    names: BTreeMap<String, Arc<Inode>>,
    durable_names: BTreeMap<String, Arc<Inode>>,
    /// Changes of names since the folder was synced.
    changes: Vec<Change>,
    capacity: u64,
    operations: u64,
    fault: Option<Fault>,
    /// Before which operation the process is killed, and what was in the folder then.
    kill_before: Option<u64>,
    killed: Option<Memory>,
}

#[derive(Clone)]
enum Change {
    Add(String, Arc<Inode>),
    Rename(String, String),
    Remove(String),
}

struct Inode {
    file: File,
    bytes: u64,
    /// It takes no room: a store to a map of it would be a signal when the disk is full.
    is_sparse: AtomicBool,
    durable: Mutex<Vec<u8>>,
}

impl Inode {
    fn new(content: &[u8], durable: Vec<u8>) -> Inode {
        let file = File::from(memfd_create("spool", MemfdFlags::CLOEXEC).unwrap());
        file.set_len(content.len() as u64).unwrap();
        if content.iter().any(|byte| *byte != 0) {
            file.write_all_at(content, 0).unwrap();
        }
        Inode { file, bytes: content.len() as u64, is_sparse: AtomicBool::new(false), durable: Mutex::new(durable) }
    }

    fn content(&self) -> Vec<u8> {
        let mut content = vec![0; self.bytes as usize];
        self.file.read_exact_at(&mut content, 0).unwrap();
        content
    }

    /// What is there after a power loss: of sectors not synced, any may have reached the disk.
    fn after_power_loss(&self, random: &mut Rng) -> Vec<u8> {
        let mut kept = lock(&self.durable).clone();
        let content = self.content();
        let style = random.u64(..4);
        for (old, new) in kept.chunks_mut(SECTOR_BYTES).zip(content.chunks(SECTOR_BYTES)) {
            let is_written = match style {
                0 => false,
                1 => random.u64(..8) == 0,
                2 => random.u64(..8) != 0,
                _ => random.u64(..2) == 0,
            };
            if is_written {
                old.copy_from_slice(new);
            }
        }
        kept
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, Arc<Inode>>) {
        match self {
            Change::Add(name, inode) => {
                names.insert(name.clone(), Arc::clone(inode));
            }
            Change::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            Change::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Memory {
    pub(crate) fn new() -> Memory {
        Memory::with(BTreeMap::new())
    }

    fn with(names: BTreeMap<String, Arc<Inode>>) -> Memory {
        let durable_names = names.clone();
        let state = State {
            names,
            durable_names,
            changes: Vec::new(),
            capacity: u64::MAX,
            operations: 0,
            fault: None,
            kill_before: None,
            killed: None,
        };
        Memory { state: Arc::new(Mutex::new(state)) }
    }

    /// How many bytes all files together may have.
    pub(crate) fn set_capacity(&self, bytes: u64) {
        lock(&self.state).capacity = bytes;
    }

    /// Lets no file be added.
    pub(crate) fn fill_up(&self) {
        let mut state = lock(&self.state);
        state.capacity = state.used();
    }

    pub(crate) fn used(&self) -> u64 {
        lock(&self.state).used()
    }

    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        lock(&self.state).fault = fault;
    }

    pub(crate) fn operations(&self) -> u64 {
        lock(&self.state).operations
    }

    /// Keeps what is in the folder before the operation with that number, counted from 1.
    pub(crate) fn kill_before(&self, number: u64) {
        lock(&self.state).kill_before = Some(number);
    }

    /// What was in the folder when the process was killed, once it has been.
    pub(crate) fn killed(&self) -> Option<Memory> {
        lock(&self.state).killed.clone()
    }

    /// The folder as the next process finds it after a kill: all that was stored is there. Counting of operations goes
    /// on.
    pub(crate) fn after_kill(&self) -> Memory {
        lock(&self.state).after_kill()
    }

    /// The folder after a power loss: names changed in their order up to some point, and any sectors not synced lost.
    pub(crate) fn after_power_loss(&self, seed: u64) -> Memory {
        let mut random = Rng::with_seed(seed);
        let state = lock(&self.state);
        let mut names = state.durable_names.clone();
        let kept = random.u64(..state.changes.len() as u64 + 1) as usize;
        for change in &state.changes[..kept] {
            change.apply(&mut names);
        }
        let after = names.into_iter().map(|(name, inode)| {
            let content = inode.after_power_loss(&mut random);
            (name, Arc::new(Inode::new(&content, content.clone())))
        });
        Memory::with(after.collect())
    }

    /// Takes the blocks from all files, as a sparse copy of the folder may have none.
    pub(crate) fn make_sparse(&self) {
        lock(&self.state).names.values().for_each(|inode| inode.is_sparse.store(true, Ordering::Relaxed));
    }

    /// Bytes of the files that are not segments.
    pub(crate) fn own_bytes(&self) -> u64 {
        let state = lock(&self.state);
        state.names.iter().filter(|(name, _)| name.starts_with("spool.")).map(|(_, inode)| inode.bytes).sum()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        lock(&self.state).names.keys().cloned().collect()
    }

    pub(crate) fn content(&self, name: &str) -> Vec<u8> {
        lock(&self.state).names.get(name).unwrap().content()
    }

    /// Changes bytes of a file behind the spool's back.
    pub(crate) fn overwrite(&self, name: &str, offset: u64, bytes: &[u8]) {
        lock(&self.state).names.get(name).unwrap().file.write_all_at(bytes, offset).unwrap();
    }

    /// Puts a file there, or takes it away, behind the spool's back.
    pub(crate) fn replace(&self, name: &str, content: Option<&[u8]>) {
        let mut state = lock(&self.state);
        match content {
            Some(content) => {
                state.names.insert(name.to_owned(), Arc::new(Inode::new(content, content.to_vec())));
            }
            None => {
                state.names.remove(name);
            }
        }
        state.durable_names = state.names.clone();
    }

    fn count(&self, operation: Operation) -> io::Result<std::sync::MutexGuard<'_, State>> {
        let mut state = lock(&self.state);
        state.operations += 1;
        if state.kill_before == Some(state.operations) {
            state.killed = Some(state.after_kill());
        }
        let errno = match state.fault {
            Some(Fault::Nth(number, errno)) if number == state.operations => Some(errno),
            Some(Fault::Each(kind, errno)) if kind == operation => Some(errno),
            Some(_) | None => None,
        };
        errno.map_or(Ok(state), |errno| Err(errno.into()))
    }
}

impl State {
    fn after_kill(&self) -> Memory {
        let names = self
            .names
            .iter()
            .map(|(name, inode)| (name.clone(), Arc::new(Inode::new(&inode.content(), lock(&inode.durable).clone()))));
        let memory = Memory::with(names.collect());
        let mut state = lock(&memory.state);
        state.capacity = self.capacity;
        state.operations = self.operations;
        state.fault = self.fault;
        state.kill_before = self.kill_before;
        drop(state);
        memory
    }

    fn used(&self) -> u64 {
        let full = self.names.values().filter(|inode| !inode.is_sparse.load(Ordering::Relaxed));
        full.map(|inode| inode.bytes).sum()
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    fn find(&self, name: &str) -> io::Result<Arc<Inode>> {
        self.names.get(name).cloned().ok_or_else(|| Errno::NOENT.into())
    }
}

impl FileSystem for Memory {
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("memory").join(name)
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let state = self.count(Operation::List)?;
        Ok(state.names.iter().map(|(name, inode)| (name.clone(), inode.bytes)).collect())
    }

    fn create(&self, name: &str, bytes: u64, _: Populate) -> io::Result<Box<dyn SpoolFile>> {
        let mut state = self.count(Operation::Create)?;
        if state.names.contains_key(name) {
            return Err(Errno::EXIST.into());
        }
        if state.used().saturating_add(bytes) > state.capacity {
            return Err(Errno::NOSPC.into());
        }
        let zero = vec![0; bytes as usize];
        let inode = Arc::new(Inode::new(&zero, zero.clone()));
        state.change(Change::Add(name.to_owned(), Arc::clone(&inode)));
        drop(state);
        Ok(Box::new(MemoryFile { memory: self.clone(), inode }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn SpoolFile>> {
        let inode = self.count(Operation::Open)?.find(name)?;
        Ok(Box::new(MemoryFile { memory: self.clone(), inode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.count(Operation::Rename)?;
        state.find(from)?;
        state.change(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.count(Operation::Remove)?;
        state.find(name)?;
        state.change(Change::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        let mut state = self.count(Operation::SyncFolder)?;
        state.durable_names = state.names.clone();
        state.changes.clear();
        Ok(())
    }
}

struct MemoryFile {
    memory: Memory,
    inode: Arc<Inode>,
}

impl SpoolFile for MemoryFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        drop(self.memory.count(Operation::Read)?);
        self.inode.file.read_at(into, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        drop(self.memory.count(Operation::Write)?);
        self.inode.file.write_all_at(bytes, offset)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let state = self.memory.count(Operation::Allocate)?;
        if self.inode.is_sparse.load(Ordering::Relaxed) {
            if state.used().saturating_add(bytes) > state.capacity {
                return Err(Errno::NOSPC.into());
            }
            self.inode.is_sparse.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    fn map(&self, populate: Populate) -> io::Result<Mapping> {
        assert!(!self.inode.is_sparse.load(Ordering::Relaxed), "a file is mapped that has not all its blocks");
        drop(self.memory.count(Operation::Map)?);
        Mapping::of(&self.inode.file, populate)
    }

    fn sync(&self) -> io::Result<()> {
        drop(self.memory.count(Operation::Sync)?);
        *lock(&self.inode.durable) = self.inode.content();
        Ok(())
    }

    fn sync_range(&self, range: Range<u64>) -> io::Result<()> {
        drop(self.memory.count(Operation::Sync)?);
        let content = self.inode.content();
        let to = (range.end as usize).min(content.len());
        // Whole sectors, as a disk writes them, but no byte of others.
        let (from, to) =
            (range.start as usize / SECTOR_BYTES * SECTOR_BYTES, to.next_multiple_of(SECTOR_BYTES).min(content.len()));
        lock(&self.inode.durable)[from..to].copy_from_slice(&content[from..to]);
        Ok(())
    }
}
