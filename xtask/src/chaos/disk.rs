//! A small disk that can be filled: a tmpfs of its own, which only root can mount.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::run::{program, read, run};

/// The disk's size: enough for the database, the link table and a few segments.
const DISK_BYTES: u64 = 160 << 20;
/// What is written at once while it is filled.
const CHUNK_BYTES: usize = 64 * 1024;

/// The disk. Dropping it unmounts it.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts it, or says why that cannot be.
    pub(crate) fn mount() -> Result<Self, String> {
        let is_root = read(&mut program("id", ["-u"])).is_ok_and(|id| id.trim() == "0");
        if !is_root {
            return Err("a small disk needs root, to mount it".to_owned());
        }
        let folder = tempfile::Builder::new().prefix("waypost-disk-").tempdir();
        let folder = folder.map_err(|error| format!("no folder to mount a disk on: {error}"))?.keep();
        let size = format!("size={DISK_BYTES}");
        let mut mount = program("mount", ["-t", "tmpfs", "-o", &size, "tmpfs"]);
        if let Err(error) = run(mount.arg(&folder)) {
            // It was made just now and is empty.
            let _ = fs::remove_dir(&folder);
            return Err(format!("a small disk could not be mounted: {error:#}"));
        }
        Ok(Self { folder })
    }

    /// A folder on it.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Fills it but for so many bytes.
    pub(crate) fn fill(&self, room_bytes: u64) -> anyhow::Result<()> {
        let mut filler = File::options().create(true).append(true).open(self.filler())?;
        let chunk = [0_u8; CHUNK_BYTES];
        let full = loop {
            if let Err(error) = filler.write_all(&chunk) {
                break error;
            }
        };
        ensure!(full.kind() == std::io::ErrorKind::StorageFull, "filling the disk: {full}");
        let bytes = filler.metadata()?.len();
        filler.set_len(bytes.saturating_sub(room_bytes)).context("leave room on the disk")
    }

    /// Takes away what filled it.
    pub(crate) fn free(&self) -> anyhow::Result<()> {
        match fs::remove_file(self.filler()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("free the disk"),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(&self.folder);
    }
}

fn unmount(folder: &Path) {
    let unmounted = run(program("umount", [folder]).arg("--lazy"));
    if let Err(error) = unmounted.and_then(|()| Ok(fs::remove_dir(folder)?)) {
        eprintln!("the small disk at {} is left behind: {error:#}", folder.display());
    }
}
