//! Files in memory: gone with the process, otherwise like a disk that never fails.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::{Disk, DiskFile};

/// Files in memory. Clones share the files, so that a log can be closed and opened again in a test.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    files: Arc<Mutex<BTreeMap<String, Arc<MemoryFile>>>>,
}

struct MemoryFile(RwLock<Vec<u8>>);

impl std::fmt::Debug for MemoryFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryFile")
    }
}

impl MemoryDisk {
    fn with<R>(&self, act: impl FnOnce(&mut BTreeMap<String, Arc<MemoryFile>>) -> R) -> R {
        act(&mut self.files.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn missing(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no file `{name}`"))
}

impl Disk for MemoryDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.with(|files| files.keys().cloned().collect()))
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        let file = Arc::new(MemoryFile(RwLock::new(vec![0; len])));
        self.with(|files| files.insert(name.to_owned(), Arc::clone(&file)));
        Ok(file)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.with(|files| files.get(name).cloned());
        Ok(file.ok_or_else(|| missing(name))?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.with(|files| {
            let file = files.remove(from).ok_or_else(|| missing(from))?;
            files.insert(to.to_owned(), file);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.with(|files| files.remove(name))
            .map(drop)
            .ok_or_else(|| missing(name))
    }

    fn is_instant(&self) -> bool {
        true
    }
}

impl DiskFile for MemoryFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut content = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start + bytes.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        if let Some(to) = content.get_mut(start..end) {
            to.copy_from_slice(bytes);
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let content = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let from = content.get(start..).unwrap_or_default();
        let bytes = from.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..bytes), from.get(..bytes)) {
            to.copy_from_slice(from);
        }
        Ok(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).len() as u64)
    }
}
