//! The plan of a run: its faults in their order, all derived from the seed.

use std::time::Duration;

use waypost_testkit::faults::{self, Calls, Failure};
use waypost_testkit::postgres::Shutdown;
use waypost_testkit::random::Random;

use super::options::Scenario;

/// One fault, or the end of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL, and a start on the same folder and port.
    Kill,
    /// SIGKILL, a start, SIGKILL again this soon, and a start.
    KillTwice(Duration),
    /// SIGTERM, which must end the process well, and a start.
    Terminate,
    /// The database ends.
    StopDatabase(Shutdown),
    /// The database is there again.
    StartDatabase,
    /// The disk has room for so many bytes more.
    FillDisk(u64),
    /// The disk has room again.
    FreeDisk,
    /// Some calls that write fail, from now on.
    FailWrites(faults::Fault<'static>),
    /// None fails any more.
    EndFailing,
    /// SIGKILL, so many bits of the table's file that flip, anywhere, and a start.
    KillAndFlip { bits: u64, seed: u64 },
    /// SIGKILL, a data folder that is copied as backups are, with holes where zeros were, and a start.
    KillAndRestore,
    /// The clock shows another time.
    MoveClock(ClockMove),
}

/// Where a clock goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClockMove {
    /// By so many seconds from the true time.
    Offset(i64),
    /// To so many seconds before the next midnight in UTC.
    BeforeMidnight(u32),
}

/// A fault, and how long everything goes on before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) after: Duration,
    pub(crate) fault: Fault,
}

const HOUR: i64 = 3_600;
/// Parts of the paths of what is written.
const FILES: [&str; 4] = ["/waypost.db", "/clicks.db", "/table/", "/spool/"];
/// Room in which the program starts, and no segment of the spool fits.
const DISK_FOR_A_START: u64 = 2 << 20;

/// The steps of a scenario with so many kills.
pub(crate) fn plan(scenario: Scenario, kills: u32, random: &mut Random) -> Vec<Step> {
    let mut steps = Vec::new();
    for number in 0..kills {
        match scenario {
            Scenario::Kill => {}
            Scenario::Postgres => steps.extend(outage(number, random)),
            Scenario::Disk => steps.extend(full_disk(random)),
            Scenario::Writes => steps.extend(failing_writes(random)),
            Scenario::Damage => steps.extend(damage(random)),
            Scenario::Clock => steps.extend(clock_moves(number, random)),
            // Only the kill after which clicks are taken away.
            Scenario::Lossy => {}
        }
        if random.chance(0.1) {
            steps.push(Step { after: moment(random), fault: Fault::Terminate });
        }
        steps.push(kill(random));
    }
    match scenario {
        Scenario::Kill | Scenario::Lossy => {}
        Scenario::Postgres => steps.push(step(0, Fault::StartDatabase)),
        Scenario::Disk => steps.push(step(0, Fault::FreeDisk)),
        Scenario::Damage => steps.push(step(0, Fault::FreeDisk)),
        Scenario::Writes => steps.push(step(300, Fault::EndFailing)),
        Scenario::Clock => steps.push(step(300, Fault::MoveClock(ClockMove::Offset(0)))),
    }
    steps
}

/// Mostly while it serves; sometimes while it starts.
fn kill(random: &mut Random) -> Step {
    let is_twice = random.chance(0.25);
    let fault = if is_twice { Fault::KillTwice(Duration::from_millis(random.below(250))) } else { Fault::Kill };
    Step { after: moment(random), fault }
}

/// A random moment, as likely a very early one as a late one.
fn moment(random: &mut Random) -> Duration {
    let exponent = random.unit();
    Duration::from_micros((5_000.0 * 200_f64.powf(exponent)) as u64)
}

/// In two of three rounds the database is away for a while, begun or ended by the kill or not.
fn outage(number: u32, random: &mut Random) -> Vec<Step> {
    if number.is_multiple_of(3) {
        return Vec::new();
    }
    let shutdown = if random.chance(0.5) { Shutdown::Fast } else { Shutdown::Immediate };
    let mut steps = vec![Step { after: moment(random), fault: Fault::StopDatabase(shutdown) }];
    if random.chance(0.6) {
        steps.push(Step { after: moment(random), fault: Fault::StartDatabase });
    }
    steps
}

/// The disk is full before the kill, and free again before it or after.
fn full_disk(random: &mut Random) -> Vec<Step> {
    let room_bytes = *random.pick(&[0, 0, 100_000, DISK_FOR_A_START, DISK_FOR_A_START, 2 * DISK_FOR_A_START]);
    let mut steps = vec![Step { after: moment(random), fault: Fault::FillDisk(room_bytes) }];
    if room_bytes >= DISK_FOR_A_START {
        // Every start takes what was set aside for clicks, and nothing is given back: soon clicks are lost.
        steps.extend([kill(random), kill(random), kill(random)]);
    }
    steps.push(step(random.between(200, 1_500), Fault::FreeDisk));
    if random.chance(0.3) {
        steps.push(Step { after: moment(random), fault: Fault::FillDisk(0) });
    }
    steps
}

/// One call fails, or some, or all for a while: of a database, the table or the spool. What failed before fails no
/// longer.
fn failing_writes(random: &mut Random) -> Vec<Step> {
    let failing = |random: &mut Random| {
        let fault = faults::Fault {
            calls: *random.pick(&[Calls::Write, Calls::Sync, Calls::Size, Calls::AnyWrite]),
            failure: *random.pick(&[Failure::Io, Failure::NoSpace]),
            path: random.pick::<&'static str>(&FILES),
            first: random.between(1, 6),
            count: *random.pick(&[1, 1, 1, 3, 1_000]),
        };
        Step { after: moment(random), fault: Fault::FailWrites(fault) }
    };
    let mut steps = vec![failing(random), failing(random), failing(random)];
    if random.chance(0.5) {
        steps.push(Step { after: moment(random), fault: Fault::EndFailing });
    }
    steps
}

/// Files that are not what was written. After a sparse restore the disk may fill.
fn damage(random: &mut Random) -> Vec<Step> {
    if random.chance(0.6) {
        let fault = Fault::KillAndFlip { bits: random.between(1, 12), seed: random.below(1_000_000) };
        return vec![Step { after: moment(random), fault }];
    }
    let mut steps = vec![Step { after: moment(random), fault: Fault::KillAndRestore }];
    if random.chance(0.7) {
        steps.push(Step { after: moment(random), fault: Fault::FillDisk(0) });
        steps.push(step(random.between(200, 1_500), Fault::FreeDisk));
    }
    steps
}

fn clock_moves(number: u32, random: &mut Random) -> Vec<Step> {
    let moves = [
        ClockMove::Offset(-HOUR),
        ClockMove::BeforeMidnight(1),
        ClockMove::Offset(365 * 24 * HOUR),
        ClockMove::Offset(0),
        ClockMove::Offset(24 * HOUR),
        ClockMove::Offset(-24 * HOUR),
    ];
    let place = moves[number as usize % moves.len()];
    let mut steps = vec![Step { after: moment(random), fault: Fault::MoveClock(place) }];
    if matches!(place, ClockMove::BeforeMidnight(_)) {
        // Time for the day to end, and then it is yesterday again.
        steps.push(step(1_500, Fault::MoveClock(ClockMove::Offset(0))));
    }
    steps
}

fn step(after_ms: u64, fault: Fault) -> Step {
    Step { after: Duration::from_millis(after_ms), fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kills(steps: &[Step]) -> usize {
        steps.iter().filter(|step| matches!(step.fault, Fault::Kill | Fault::KillTwice(_))).count()
    }

    #[test]
    fn a_seed_gives_the_same_plan_again() {
        for scenario in Scenario::ALL {
            let plan_of = |seed| plan(scenario, 20, &mut Random::new(seed));
            assert_eq!(plan_of(1), plan_of(1));
            assert_ne!(plan_of(1), plan_of(2), "{scenario:?}");
            assert!(kills(&plan_of(1)) >= 20);
        }
    }

    #[test]
    fn faults_end() {
        for seed in 0..20 {
            let last = |scenario| plan(scenario, 10, &mut Random::new(seed)).last().map(|step| step.fault);
            assert_eq!(last(Scenario::Postgres), Some(Fault::StartDatabase));
            assert_eq!(last(Scenario::Disk), Some(Fault::FreeDisk));
            assert_eq!(last(Scenario::Damage), Some(Fault::FreeDisk));
            assert_eq!(last(Scenario::Writes), Some(Fault::EndFailing));
            assert_eq!(last(Scenario::Clock), Some(Fault::MoveClock(ClockMove::Offset(0))));
        }
    }

    #[test]
    fn moments_are_between_five_milliseconds_and_one_second() {
        let mut random = Random::new(1);
        for _ in 0..1_000 {
            let moment = moment(&mut random);
            assert!((Duration::from_millis(5)..=Duration::from_secs(1)).contains(&moment), "{moment:?}");
        }
    }
}
