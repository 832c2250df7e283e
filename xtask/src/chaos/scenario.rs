//! One scenario from an empty data folder to the verdict.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;
use waypost_testkit::clicks::{ClickWorld, ClickWorldOptions};
use waypost_testkit::faults::Faults;
use waypost_testkit::postgres::{Cluster, Durability, TestDatabase, fresh_database};
use waypost_testkit::random::Random;
use waypost_testkit::server::ServerOptions;

use super::clock::FakeClock;
use super::counted;
use super::damage;
use super::disk::SmallDisk;
use super::instance::Instance;
use super::ledger::{Counted, Ledger, Tally, violations};
use super::options::{Options, Scenario};
use super::plan::{Fault, Step, plan};
use super::traffic::{Phase, Route, Traffic};
use crate::postgres;

/// Links that are followed.
const LINKS: usize = 24;
/// How long everything goes on after the last fault.
const CALM: Duration = Duration::from_millis(300);
/// How long clicks come before some are taken away.
const LOSSY_WAIT: Duration = Duration::from_millis(1_500);

/// What a scenario came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It could not be run here, and why.
    Skipped(String),
    /// It was.
    Ran(Box<Record>),
}

/// The numbers of a scenario.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) kills: u32,
    pub(crate) starts: u32,
    /// Faults beside kills.
    pub(crate) other_faults: u32,
    /// Starts that had to wait for the end of another fault.
    pub(crate) late_starts: u32,
    pub(crate) slowest_start: Duration,
    /// Calls of the program that were made to fail.
    pub(crate) failed_calls: u64,
    pub(crate) drained_after: Duration,
    pub(crate) tally: Tally,
    pub(crate) counted: Counted,
    pub(crate) violations: Vec<String>,
}

/// What a scenario needs beside the program. Dropped after the instance.
#[derive(Debug)]
struct Around {
    /// The folder of the instance, if that is not on the small disk.
    folder: TempDir,
    /// Dropped before its cluster.
    database: Option<TestDatabase>,
    cluster: Option<Cluster>,
    is_database_down: bool,
    disk: Option<SmallDisk>,
    is_disk_full: bool,
    faults: Option<Faults>,
    are_writes_failing: bool,
    /// Calls that failed, by orders before the present one.
    failed_calls: u64,
    clock: Option<FakeClock>,
}

/// Runs it. Errors are faults of the harness or of a start; what the counts say is in the record.
pub(crate) fn run(scenario: Scenario, options: &Options, binary: &Path) -> anyhow::Result<Outcome> {
    let mut around = match Around::of(scenario)? {
        Ok(around) => around,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    let random = Random::new(options.seed).fork(scenario.name());
    let kills = match scenario {
        Scenario::Kill | Scenario::Postgres => options.rounds,
        Scenario::Disk | Scenario::Writes | Scenario::Damage | Scenario::Clock => options.rounds.div_ceil(2),
        Scenario::Lossy => 1,
    };
    let steps = plan(scenario, kills, &mut random.fork("plan"));
    let phase = Arc::new(Phase::default());
    let mut instance = Instance::start(around.server_options(binary), Arc::clone(&phase))?;
    let world = ClickWorld::new(ClickWorldOptions {
        seed: options.seed,
        links: LINKS,
        visitors: 5_000,
        ..ClickWorldOptions::default()
    });
    let link_ids = instance.create_links(world.links())?;
    let route = Route {
        address: instance.address(),
        world: Arc::new(world),
        ledger: Arc::new(Ledger::new(LINKS)),
        phase,
        may_be_unavailable: scenario == Scenario::Damage,
    };
    let traffic = Traffic::start(&route, &random);
    let mut record = Record::default();
    if scenario == Scenario::Lossy {
        lose_clicks(&mut instance)?;
    } else {
        go_through(&steps, &mut instance, &mut around, &mut record)?;
    }
    thread::sleep(CALM);
    traffic.finish()?;
    record.drained_after = counted::wait_until_drained(&instance)?;
    record.tally = route.ledger.tally(&link_ids);
    record.counted = counted::read(&instance, &link_ids)?;
    record.violations.extend(violations(&record.tally, &record.counted));
    record.failed_calls = around.failed_calls;
    if scenario == Scenario::Writes && record.failed_calls == 0 {
        record.violations.push("no call failed".to_owned());
    }
    if scenario == Scenario::Clock && record.counted.days.len() < 2 {
        record.violations.push("all clicks are of one day: the clock did not move".to_owned());
    }
    // After the count, for its clicks are in no ledger.
    if let Err(error) = instance.take_changes() {
        record.violations.push(format!("when everything was well again: {error:#}"));
    }
    (record.kills, record.starts, record.slowest_start) = (instance.kills, instance.starts, instance.slowest_start);
    instance.terminate()?;
    Ok(Outcome::Ran(Box::new(record)))
}

fn go_through(steps: &[Step], instance: &mut Instance, around: &mut Around, record: &mut Record) -> anyhow::Result<()> {
    for step in steps {
        thread::sleep(step.after);
        match step.fault {
            Fault::Kill => instance.kill()?,
            Fault::KillTwice(after) => {
                instance.kill()?;
                instance.start_and_kill(after)?;
            }
            Fault::Terminate => instance.terminate()?,
            Fault::KillAndFlip { bits, seed } => {
                instance.kill()?;
                damage::flip_bits(instance.data_dir(), bits, &mut Random::new(seed))?;
            }
            Fault::KillAndRestore => {
                instance.kill()?;
                damage::restore_sparsely(instance.data_dir(), around.folder.path())?;
            }
            other => {
                around.meet(other).with_context(|| format!("{other:?}"))?;
                record.other_faults += 1;
                continue;
            }
        }
        record.late_starts += u32::from(around.start_again(instance)?);
    }
    Ok(())
}

/// Takes away what waits to be counted, as no fault may: the checker must see it.
fn lose_clicks(instance: &mut Instance) -> anyhow::Result<()> {
    thread::sleep(LOSSY_WAIT);
    instance.kill()?;
    for entry in fs::read_dir(instance.data_dir().join("spool")).context("the folder of waiting clicks")? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("seg-")) {
            fs::remove_file(path)?;
        }
    }
    instance.start_again()
}

impl Around {
    /// Makes what the scenario needs; the inner error is why it cannot be had here.
    fn of(scenario: Scenario) -> anyhow::Result<Result<Self, String>> {
        let folder = tempfile::Builder::new().prefix("waypost-chaos-").tempdir()?;
        let mut around = Self {
            folder,
            database: None,
            cluster: None,
            is_database_down: false,
            disk: None,
            is_disk_full: false,
            faults: None,
            are_writes_failing: false,
            failed_calls: 0,
            clock: None,
        };
        let missing = match scenario {
            Scenario::Kill | Scenario::Lossy => None,
            Scenario::Postgres => {
                let cluster = Cluster::start_with(&postgres::find_or_install()?, Durability::ServerEnd)?;
                around.database = Some(fresh_database(cluster.url())?);
                around.cluster = Some(cluster);
                None
            }
            Scenario::Disk | Scenario::Damage => SmallDisk::mount().map(|disk| around.disk = Some(disk)).err(),
            Scenario::Writes => {
                Faults::new().map(|faults| around.faults = Some(faults)).map_err(|error| format!("{error:#}")).err()
            }
            Scenario::Clock => FakeClock::find().map(|clock| around.clock = Some(clock)).err(),
        };
        Ok(missing.map_or(Ok(around), Err))
    }

    fn server_options(&self, binary: &Path) -> ServerOptions {
        let mut options = ServerOptions::new(binary);
        let mut give = |flag: &str, value: &str| options.arguments.extend([flag.to_owned(), value.to_owned()]);
        give("--log", "warn");
        give("--trusted-proxies", "127.0.0.0/8");
        give("--country-header", "cf-ipcountry");
        // What is asked here is asked as fast as it is answered.
        give("--api-rate", "off");
        // A clock that is years ahead must not take away what is to be checked.
        give("--clicks-retention-days", "36500");
        if let Some(database) = &self.database {
            give("--database-url", database.url());
        }
        let own_folder = self.folder.path().join("data");
        options.data_dir = Some(self.disk.as_ref().map_or(own_folder, SmallDisk::data_dir));
        if let Some(clock) = &self.clock {
            options.environment = clock.environment();
        }
        if let Some(faults) = &self.faults {
            options.environment = faults.environment().into();
        }
        options
    }

    /// Lets a fault begin or end.
    fn meet(&mut self, fault: Fault) -> anyhow::Result<()> {
        let (cluster, disk) = (self.cluster.as_mut(), self.disk.as_ref());
        match fault {
            Fault::Kill
            | Fault::KillTwice(_)
            | Fault::Terminate
            | Fault::KillAndFlip { .. }
            | Fault::KillAndRestore => {}
            Fault::StopDatabase(shutdown) if !self.is_database_down => {
                cluster.context("a cluster")?.stop(shutdown)?;
                self.is_database_down = true;
            }
            Fault::StartDatabase if self.is_database_down => {
                cluster.context("a cluster")?.start_again()?;
                self.is_database_down = false;
            }
            Fault::StopDatabase(_) | Fault::StartDatabase => {}
            Fault::FillDisk(room_bytes) => {
                disk.context("a disk")?.fill(room_bytes)?;
                self.is_disk_full = true;
            }
            Fault::FreeDisk => {
                disk.context("a disk")?.free()?;
                self.is_disk_full = false;
            }
            Fault::FailWrites(fault) => {
                let faults = self.faults.as_ref().context("what makes calls fail")?;
                if self.are_writes_failing {
                    self.failed_calls += faults.failed()?;
                }
                faults.arm(fault)?;
                self.are_writes_failing = true;
            }
            Fault::EndFailing => {
                let faults = self.faults.as_ref().context("what makes calls fail")?;
                faults.disarm()?;
                if self.are_writes_failing {
                    self.failed_calls += faults.failed()?;
                }
                self.are_writes_failing = false;
            }
            Fault::MoveClock(place) => self.clock.as_ref().context("a clock")?.show(place)?,
        }
        Ok(())
    }

    /// Starts the instance again. A database that is down is started first, since a start asks it for keys; a full disk
    /// is freed, and writes succeed again, only when the start was refused. Tells whether the start had to wait for any
    /// of them.
    fn start_again(&mut self, instance: &mut Instance) -> anyhow::Result<bool> {
        if self.is_database_down {
            self.meet(Fault::StartDatabase)?;
            instance.start_again()?;
            return Ok(true);
        }
        match instance.start_again() {
            Err(refused) if self.is_disk_full => {
                println!("a start on a full disk was refused: {}", first_lines(&refused));
                self.meet(Fault::FreeDisk)?;
                instance.start_again()?;
                Ok(true)
            }
            Err(refused) if self.are_writes_failing => {
                println!("a start while writes fail was refused: {}", first_lines(&refused));
                self.meet(Fault::EndFailing)?;
                instance.start_again()?;
                Ok(true)
            }
            outcome => outcome.map(|()| false),
        }
    }
}

fn first_lines(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    text.lines().take(6).collect::<Vec<_>>().join(" | ")
}

/// Where cargo puts the program that is tried.
pub(crate) fn binary_path(target: &Path, is_release: bool) -> PathBuf {
    target.join(if is_release { "release" } else { "debug" }).join("waypost")
}
