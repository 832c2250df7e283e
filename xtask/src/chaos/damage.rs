//! Damages files of a data folder.

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

/// Puts in the folder's place a copy that has holes wherever there were zeros, by way of a folder that has room.
pub(crate) fn restore_sparsely(data_dir: &Path, by_way_of: &Path) -> anyhow::Result<()> {
    let copy = by_way_of.join("copy");
    for (from, to) in [(data_dir, copy.as_path()), (copy.as_path(), data_dir)] {
        run(program("cp", ["-a", "--sparse=always"]).arg(from).arg(to))?;
        fs::remove_dir_all(from)?;
    }
    Ok(())
}
