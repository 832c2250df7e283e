//! The real file system: one folder on a disk.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{Errno, retry_on_intr};

use crate::files::{FileSystem, SpoolFile};
use crate::mapping::{Mapping, Populate};

/// Bytes written at a time where a file system cannot allocate.
static ZEROES: [u8; 65536] = [0; 65536];

/// A folder of the machine. Files have mode 0600.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Uses that folder, making it and what is above it with mode 0700 where absent.
    ///
    /// # Errors
    ///
    /// The folder is absent and cannot be made.
    pub fn new(folder: &Path) -> io::Result<Disk> {
        let missing: Vec<&Path> = folder.ancestors().take_while(|above| !above.exists()).collect();
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        for new in missing {
            // Else a power loss could take the folder with all that was synced in it.
            let above = new.parent().filter(|above| !above.as_os_str().is_empty());
            File::open(above.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(Disk { folder: folder.to_owned() })
    }
}

impl FileSystem for Disk {
    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.folder.clone() } else { self.folder.join(name) }
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut listed = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            listed.push((entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.len()));
        }
        Ok(listed)
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Box<dyn SpoolFile>> {
        let path = self.path(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        match allocate(&file, bytes) {
            Ok(()) => Ok(Box::new(DiskFile { file })),
            Err(error) => {
                fs::remove_file(&path)?;
                Err(error)
            }
        }
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn SpoolFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.path(name))?;
        Ok(Box::new(DiskFile { file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

/// Gives a new file its blocks, so that a store to its map can never find the disk full.
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, bytes)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
        Err(errno) => return Err(errno.into()),
        Ok(()) => return Ok(()),
    }
    let mut offset = 0;
    while offset < bytes {
        let count = ZEROES.len().min((bytes - offset) as usize);
        file.write_all_at(&ZEROES[..count], offset)?;
        offset += count as u64;
    }
    Ok(())
}

struct DiskFile {
    file: File,
}

impl SpoolFile for DiskFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(into, offset)
    }

    fn map(&self, populate: Populate) -> io::Result<Mapping> {
        Mapping::of(&self.file, populate)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
