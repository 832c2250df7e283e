//! The real file system: one folder on a disk.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use rustix::io::{Errno, retry_on_intr};

use crate::files::{FileSystem, SpoolFile};
use crate::mapping::{Mapping, Populate};

/// Files with fewer bytes are not segments and are always created.
const SEGMENT_BYTES_LEAST: u64 = 128 * 1024;
/// The most room that segments leave free on a disk: a sixteenth of it, up to this.
const DATABASE_ROOM_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Bytes written at a time if a file system cannot allocate.
static ZEROES: [u8; 65536] = [0; 65536];

/// A folder of the machine. Files have mode 0600.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Uses that folder, creating it and its parents with mode 0700 if they do not exist.
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

    fn create(&self, name: &str, bytes: u64, populate: Populate) -> io::Result<Box<dyn SpoolFile>> {
        let path = self.path(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        let made = match populate {
            _ if bytes >= SEGMENT_BYTES_LEAST && !leaves_room(&file, bytes) => Err(Errno::NOSPC.into()),
            Populate::Lazily => allocate(&file, bytes),
            Populate::Now => {
                allocate(&file, bytes).and_then(|()| write_zeroes(&file, bytes)).and_then(|()| file.sync_data())
            }
        };
        match made {
            Ok(()) => Ok(Box::new(DiskFile::new(file))),
            Err(error) => {
                fs::remove_file(&path)?;
                Err(error)
            }
        }
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn SpoolFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.path(name))?;
        Ok(Box::new(DiskFile::new(file)))
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

/// Whether the disk has room for a file of so many bytes and for what the databases need to count the clicks in it: a
/// spool that took the last block would never get any back. Where the file system does not say, it has.
fn leaves_room(file: &File, bytes: u64) -> bool {
    let Ok(disk) = fstatvfs(file) else { return true };
    let (free, all) = (disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize));
    free >= bytes.saturating_add((all / 16).min(DATABASE_ROOM_BYTES_MAX))
}

/// Gives a new file its blocks, so that a store to its map can never find the disk full.
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, bytes)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeroes(file, bytes),
        Err(errno) => Err(errno.into()),
        Ok(()) => Ok(()),
    }
}

/// As [`allocate`], for a file with something in it. A file copied by reference shares its blocks with the copy until
/// it is written to, so they are not its own yet; where such copies can be, the file system knows how to part them.
fn allocate_again(file: &File, bytes: u64) -> io::Result<()> {
    match retry_on_intr(|| fallocate(file, FallocateFlags::UNSHARE_RANGE, 0, bytes)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
        Err(errno) => return Err(errno.into()),
        Ok(()) => return Ok(()),
    }
    match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, bytes)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_again(file, bytes),
        Err(errno) => Err(errno.into()),
        Ok(()) => Ok(()),
    }
}

/// Writes what is read, so that holes become blocks.
fn write_again(file: &File, bytes: u64) -> io::Result<()> {
    let mut content = vec![0; ZEROES.len()];
    let mut offset = 0;
    while offset < bytes {
        let count = content.len().min((bytes - offset) as usize);
        let mut filled = 0;
        while filled < count {
            match file.read_at(&mut content[filled..count], offset + filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        content[filled..count].fill(0);
        file.write_all_at(&content[..count], offset)?;
        offset += count as u64;
    }
    Ok(())
}

fn write_zeroes(file: &File, bytes: u64) -> io::Result<()> {
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
    /// Names ranges to the system, and is never read or written.
    map: OnceLock<MmapRaw>,
}

impl DiskFile {
    fn new(file: File) -> DiskFile {
        DiskFile { file, map: OnceLock::new() }
    }

    fn map_once(&self) -> io::Result<&MmapRaw> {
        if let Some(map) = self.map.get() {
            return Ok(map);
        }
        let map = MmapOptions::new().map_raw(&self.file)?;
        Ok(self.map.get_or_init(|| map))
    }
}

impl SpoolFile for DiskFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(into, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        allocate_again(&self.file, bytes)
    }

    fn map(&self, populate: Populate) -> io::Result<Mapping> {
        Mapping::of(&self.file, populate)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_range(&self, range: Range<u64>) -> io::Result<()> {
        // `msync` is the one call that flushes a part of a file and the disk's own cache.
        let map = self.map_once()?;
        let to = (range.end as usize).min(map.len());
        let from = (range.start as usize).min(to);
        map.flush_range(from, to - from)
    }
}
