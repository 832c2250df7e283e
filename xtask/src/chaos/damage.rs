//! Files of a data folder that are not what was written to them.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use waypost_testkit::random::Random;

use crate::run::{program, run};

/// Flips bits of the table's file, anywhere in it.
pub(crate) fn flip_bits(data_dir: &Path, bits: u64, random: &mut Random) -> anyhow::Result<()> {
    let generations = fs::read_dir(data_dir.join("table")).context("the folder of the table")?;
    let files = generations.filter_map(|entry| Some(entry.ok()?.path().join("data.mdb"))).filter(|path| path.exists());
    let path = files.max().context("a generation of the table")?;
    let file = File::options().read(true).write(true).open(&path).with_context(|| path.display().to_string())?;
    let bytes = file.metadata()?.len();
    ensure!(bytes > 0, "{} is empty", path.display());
    for _ in 0..bits {
        let (at, mut byte) = (random.below(bytes), [0]);
        file.read_exact_at(&mut byte, at)?;
        byte[0] ^= 1 << random.below(8);
        file.write_all_at(&byte, at)?;
    }
    Ok(())
}

/// Puts a copy of the folder in its place that has holes wherever there were zeros.
pub(crate) fn restore_sparsely(data_dir: &Path) -> anyhow::Result<()> {
    let copy = data_dir.with_extension("copy");
    run(program("cp", ["-a", "--sparse=always"]).arg(data_dir).arg(&copy))?;
    fs::remove_dir_all(data_dir)?;
    Ok(fs::rename(&copy, data_dir)?)
}
