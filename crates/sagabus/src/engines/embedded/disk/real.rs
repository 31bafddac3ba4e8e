//! A directory of the operating system.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, DiskFile, Room, write_zeros};

/// A directory of the operating system.
#[derive(Clone, Debug)]
pub struct RealDisk {
    directory: PathBuf,
}

impl RealDisk {
    /// The directory at `path`, made when it is not there.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn new(path: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = path.into();
        std::fs::create_dir_all(&directory)?;
        if let Some(parent) = directory.parent().filter(|it| !it.as_os_str().is_empty()) {
            sync_directory(parent)?;
        }
        // A name that is seen here may not be on the disk yet, when a process before this one ended at that moment.
        sync_directory(&directory)?;
        Ok(Self { directory })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A file that cannot be made whole is not begun: others would find no room meanwhile.
    fn check_room(&self, len: u64) -> io::Result<()> {
        match self.room()? {
            Some(Room { free, total }) if total > 0 && free < len => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.path(name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)?;
        let filled = self
            .check_room(len)
            .and_then(|()| fill(&file, len))
            .and_then(|()| sync_directory(&self.directory));
        if let Err(error) = filled {
            // Half a file is of no use and may be what fills the disk.
            let _removed = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok(Arc::new(file))
    }

    fn room(&self) -> io::Result<Option<Room>> {
        let disk = rustix::fs::statvfs(&self.directory)?;
        Ok(Some(Room {
            free: disk.f_bavail.saturating_mul(disk.f_frsize),
            total: disk.f_blocks.saturating_mul(disk.f_frsize),
        }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.path(name))?;
        Ok(Arc::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))?;
        sync_directory(&self.directory)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))?;
        sync_directory(&self.directory)
    }
}

/// Writes zeros and syncs them, so that later syncs need not change the file's size or its extents.
fn fill(file: &File, len: u64) -> io::Result<()> {
    write_zeros(file, 0, len)?;
    file.sync_all()
}

impl DiskFile for File {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while let Some(rest) = buffer.get_mut(read..)
            && !rest.is_empty()
        {
            match FileExt::read_at(self, rest, offset + read as u64) {
                Ok(0) => break,
                Ok(bytes) => read += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
