//! A spool in memory together with what should be true of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::consumer::{Consumer, Fate, payload, small};
use super::memory::Memory;
use crate::background::{Retired, flush_all, prepare_all};
use crate::{
    Appended, LossCause, Position, RECORD_BYTES_MAX, ReadLimit, Reader, Spool, SpoolError, SpoolOptions, Writer,
};

/// A spool without threads: what happens in the background happens when a test says so.
pub(crate) struct World {
    pub(crate) memory: Memory,
    pub(crate) options: SpoolOptions,
    pub(crate) spool: Option<Spool>,
    pub(crate) writers: Vec<Writer>,
    pub(crate) reader: Option<Reader>,
    /// What a consumer has committed: it survives whatever happens to the spool.
    pub(crate) consumer: Consumer,
    /// What became of each append, by epoch.
    pub(crate) answered: BTreeMap<u64, Vec<Fate>>,
    /// How many appends of each epoch a successful flush covered, while its writer was there.
    pub(crate) flushed: BTreeMap<u64, usize>,
    /// What was committed and answered at the moment of [`Memory::kill_before`], with the folder of that moment.
    pub(crate) killed: Option<Killed>,
}

/// A moment.
pub(crate) struct Killed {
    pub(crate) memory: Memory,
    pub(crate) consumer: Consumer,
    pub(crate) answered: BTreeMap<u64, Vec<Fate>>,
}

impl World {
    pub(crate) fn new() -> World {
        World::on(Memory::new(), small())
    }

    pub(crate) fn on(memory: Memory, options: SpoolOptions) -> World {
        World {
            memory,
            options,
            spool: None,
            writers: Vec::new(),
            reader: None,
            consumer: Consumer::default(),
            answered: BTreeMap::new(),
            flushed: BTreeMap::new(),
            killed: None,
        }
    }

    pub(crate) fn try_open(&mut self) -> Result<(), SpoolError> {
        if self.spool.is_none() {
            let spool = Spool::open_without_threads(Arc::new(self.memory.clone()), self.options.clone())?;
            let mut reader = spool.reader().unwrap();
            reader.start_at(&self.consumer.positions());
            self.reader = Some(reader);
            self.spool = Some(spool);
        }
        Ok(())
    }

    #[track_caller]
    pub(crate) fn open(&mut self) {
        self.try_open().unwrap();
    }

    pub(crate) fn try_add_writer(&mut self) -> Result<(), SpoolError> {
        let writer = self.spool.as_ref().unwrap().writer()?;
        let is_new = self.answered.insert(writer.epoch(), Vec::new()).is_none();
        assert!(is_new, "epoch {} was used before", writer.epoch());
        self.writers.push(writer);
        Ok(())
    }

    #[track_caller]
    pub(crate) fn add_writer(&mut self) {
        self.try_add_writer().unwrap();
    }

    /// Appends through one of the writers.
    #[track_caller]
    pub(crate) fn append(&mut self, writer: usize, bytes: usize) -> Appended {
        let writer = &mut self.writers[writer];
        let epoch = writer.epoch();
        let fates = self.answered.get_mut(&epoch).unwrap();
        let expected = fates.len() as u64 + 1;
        let payload = payload(epoch, expected, bytes);
        let appended = writer.append(&payload);
        match appended {
            Appended::Stored { sequence } => {
                assert_eq!(sequence, expected);
                fates.push(Fate::Record(payload));
            }
            Appended::Lost { sequence } => {
                assert_eq!(sequence, expected);
                fates.push(Fate::Lost(LossCause::Full));
                // In the lost state a payload that is too long is one more that found no room.
                assert!(payload.len() <= RECORD_BYTES_MAX, "use append_too_long");
            }
        }
        appended
    }

    pub(crate) fn prepare(&self) -> Result<(), SpoolError> {
        prepare_all(self.spool.as_ref().unwrap().shared())
    }

    pub(crate) fn flush(&mut self) -> Result<(), SpoolError> {
        flush_all(self.spool.as_ref().unwrap().shared(), &mut Retired::default())?;
        for writer in &self.writers {
            self.flushed.insert(writer.epoch(), self.answered[&writer.epoch()].len());
        }
        Ok(())
    }

    /// Hands chunks to the consumer.
    #[track_caller]
    pub(crate) fn consume(&mut self, chunks: usize) -> Result<(), SpoolError> {
        for _ in 0..chunks {
            let Some(chunk) = self.reader.as_mut().unwrap().next(ReadLimit { records: 5, bytes: 0 })? else { break };
            self.consumer.take(&chunk);
        }
        Ok(())
    }

    pub(crate) fn positions(&self) -> Vec<Position> {
        self.consumer.positions()
    }

    pub(crate) fn release(&mut self) -> Result<(), SpoolError> {
        let positions = self.positions();
        self.reader.as_mut().unwrap().release(&positions)
    }

    /// Ends the process without a word. What it still did before it went does not reach the folder.
    pub(crate) fn kill(&mut self) {
        self.go_on_with(self.memory.after_kill());
    }

    /// Ends the process in good order.
    pub(crate) fn close(&mut self) {
        self.writers.clear();
        self.reader = None;
        self.spool = None;
    }

    /// Goes on with another folder, leaving the spool as it is.
    pub(crate) fn go_on_with(&mut self, memory: Memory) {
        self.memory = memory;
        self.close();
    }

    /// Opens what is there and takes everything out of it.
    #[track_caller]
    pub(crate) fn drain(&mut self) {
        self.open();
        self.consumer.drain(self.reader.as_mut().unwrap());
    }

    /// Notes the moment of a kill that has come since the last call.
    pub(crate) fn note_kill(&mut self) {
        if self.killed.is_none()
            && let Some(memory) = self.memory.killed()
        {
            let (consumer, answered) = (self.consumer.clone(), self.answered.clone());
            self.killed = Some(Killed { memory, consumer, answered });
        }
    }

    /// Everything was handed out as it was answered, once.
    #[track_caller]
    pub(crate) fn check_exact(&self) {
        for (epoch, answered) in &self.answered {
            assert_eq!(self.consumer.of(*epoch).len(), answered.len(), "length of epoch {epoch}");
            for (index, (got, answered)) in self.consumer.of(*epoch).iter().zip(answered).enumerate() {
                assert_eq!(got, answered, "epoch {epoch}, sequence {}", index + 1);
            }
        }
    }

    /// With power losses: what was flushed is there, what was not is right or declared lost, and nothing is made up.
    #[track_caller]
    pub(crate) fn check_after_power_loss(&self) {
        for (epoch, got) in &self.consumer.fates {
            let answered = &self.answered[epoch];
            assert!(got.len() <= answered.len(), "epoch {epoch} has more than was appended");
            for (index, (got, answered)) in got.iter().zip(answered).enumerate() {
                let is_damage = *got == Fate::Lost(LossCause::Damaged);
                assert!(got == answered || is_damage, "epoch {epoch}, sequence {}: {got:?}", index + 1);
            }
        }
        for (epoch, flushed) in &self.flushed {
            let answered = &self.answered[epoch][..*flushed];
            assert!(self.consumer.of(*epoch).len() >= *flushed, "epoch {epoch} lost flushed records");
            for (got, answered) in self.consumer.of(*epoch).iter().zip(answered) {
                // Of what was lost, the reason may be forgotten.
                let is_lost = matches!((got, answered), (Fate::Lost(_), Fate::Lost(_)));
                assert!(got == answered || is_lost, "epoch {epoch}: {got:?} for {answered:?}");
            }
        }
    }
}
