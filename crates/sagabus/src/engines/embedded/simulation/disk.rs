//! A disk that crashes, fails to sync, fills up and rots, all by a seed.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::chance::Chance;
use crate::engines::embedded::disk::{Disk, DiskFile};

/// What a disk writes as a whole or not at all.
const SECTOR_BYTES: usize = 512;

/// What a crash takes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process ends; the operating system keeps what was written.
    Process,
    /// The process ends, and the operating system forgets what it need not keep: it reads it from the disk again.
    ProcessAndCache,
    /// Each write that was not synced is lost, whole or torn.
    Power,
}

/// Damage to a closed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// One bit is the other way round.
    Flip,
    /// The file ends earlier.
    Cut,
    /// A sector is all zeros.
    ZeroSector,
    /// Two files have each other's content.
    Swap,
}

/// A disk in memory with faults. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Is called at the very moment of a crash or a failed sync, before anybody else learns of it.
    watch: Mutex<Option<Watch>>,
}

type Watch = Box<dyn Fn() + Send>;

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimDisk")
    }
}

#[derive(Debug)]
struct State {
    chance: Chance,
    names: BTreeMap<String, usize>,
    contents: Vec<Content>,
    /// Handles of an earlier life do nothing.
    life: u64,
    is_down: bool,
    crash_in: Option<u64>,
    sync_failure_in: Option<u64>,
    has_failed_sync: bool,
    room_bytes: u64,
    trace: u64,
}

/// A file: what reading shows, what is on the disk for good, and the writes between.
#[derive(Clone, Debug, Default)]
struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
}

/// The files of a disk at one moment.
#[derive(Debug)]
pub struct Snapshot {
    names: BTreeMap<String, usize>,
    contents: Vec<Content>,
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    id: usize,
    life: u64,
}

/// What becomes of an operation.
enum Fate {
    Done,
    Crash,
    Fails,
}

impl SimDisk {
    /// An empty disk whose faults come from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::new(State {
                chance: Chance::new(seed),
                names: BTreeMap::new(),
                contents: Vec::new(),
                life: 0,
                is_down: false,
                crash_in: None,
                sync_failure_in: None,
                has_failed_sync: false,
                room_bytes: u64::MAX,
                trace: 0,
            }),
            watch: Mutex::new(None),
        }))
    }

    /// Has `watch` called at the moment of each crash and failed sync.
    pub fn watch(&self, watch: impl Fn() + Send + 'static) {
        *lock(&self.0.watch) = Some(Box::new(watch));
    }

    /// The operation after `operations` more is cut short by a crash.
    pub fn crash_in(&self, operations: u64) {
        self.state().crash_in = Some(operations);
    }

    /// The sync after `syncs` more fails; what it should have written is on the disk or not, and no longer known as
    /// unwritten.
    pub fn fail_sync_in(&self, syncs: u64) {
        self.state().sync_failure_in = Some(syncs);
    }

    /// Room for all files together.
    pub fn set_room(&self, bytes: u64) {
        self.state().room_bytes = bytes;
    }

    /// Whether there was a crash since the last start.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.state().is_down
    }

    /// Whether a sync failed since the last start.
    #[must_use]
    pub fn has_failed_sync(&self) -> bool {
        self.state().has_failed_sync
    }

    /// A number that tells apart all that was done so far.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.state().trace
    }

    /// The machine goes down now.
    pub fn crash(&self) {
        self.state().is_down = true;
        self.watched();
    }

    /// Names of all files.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    /// Starts the machine, or only the process, again.
    pub fn restart(&self, crash: Crash) {
        let mut state = self.state();
        let State {
            contents, chance, ..
        } = &mut *state;
        // All lost, all there, or anything between: the ends are worth seeing often.
        let share = *chance.pick(&[0, 1, 2, 2]);
        for content in contents {
            match crash {
                Crash::Process => {}
                Crash::ProcessAndCache => {
                    content.seen.clone_from(&content.durable);
                    for (at, bytes) in &content.pending {
                        land(&mut content.seen, *at, bytes);
                    }
                }
                Crash::Power => {
                    for (at, bytes) in std::mem::take(&mut content.pending) {
                        match share {
                            0 => {}
                            1 => land(&mut content.durable, at, &bytes),
                            _ => land_by_chance(chance, &mut content.durable, at, &bytes),
                        }
                    }
                    content.seen.clone_from(&content.durable);
                }
            }
        }
        state.life += 1;
        state.is_down = false;
        state.crash_in = None;
        state.sync_failure_in = None;
        state.has_failed_sync = false;
        state.note(7, crash as u64, 0);
    }

    /// All files as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let state = self.state();
        Snapshot {
            names: state.names.clone(),
            contents: state.contents.clone(),
        }
    }

    /// Takes the files back to what they were.
    pub fn restore(&self, snapshot: Snapshot) {
        let mut state = self.state();
        state.names = snapshot.names;
        state.contents = snapshot.contents;
        state.life += 1;
    }

    /// Whether all files that end in `suffix` read as they did then.
    #[must_use]
    pub fn is_as(&self, snapshot: &Snapshot, suffix: &str) -> bool {
        let state = self.state();
        let files = |names: &BTreeMap<String, usize>, contents: &[Content]| -> Vec<_> {
            names
                .iter()
                .filter(|(name, _)| name.ends_with(suffix))
                .map(|(name, id)| (name.clone(), contents.get(*id).map(|it| it.seen.clone())))
                .collect()
        };
        files(&state.names, &state.contents) == files(&snapshot.names, &snapshot.contents)
    }

    /// Damages a file that ends in `suffix`; `false` when there is nothing to damage in this way.
    #[must_use]
    pub fn mutate(&self, mutation: Mutation, suffix: &str) -> bool {
        let mut state = self.state();
        let ids: Vec<usize> = state
            .names
            .iter()
            .filter(|(name, _)| name.ends_with(suffix))
            .map(|(_, id)| *id)
            .collect();
        if ids.is_empty() || (mutation == Mutation::Swap && ids.len() < 2) {
            return false;
        }
        let State {
            contents, chance, ..
        } = &mut *state;
        let number = chance.index(ids.len());
        let Some(id) = ids.get(number).copied() else {
            return false;
        };
        if mutation == Mutation::Swap {
            let other = ids.get((number + 1) % ids.len()).copied().unwrap_or(id);
            contents.swap(id, other);
            return true;
        }
        let Some(content) = contents.get_mut(id) else {
            return false;
        };
        let used = content.seen.iter().rposition(|it| *it != 0).unwrap_or(0) + 1;
        let at = chance.index(used);
        match mutation {
            Mutation::Flip => {
                if let Some(byte) = content.seen.get_mut(at) {
                    *byte ^= 1 << chance.below(8);
                }
            }
            Mutation::Cut => content.seen.truncate(chance.index(content.seen.len())),
            Mutation::ZeroSector => {
                let start = at / SECTOR_BYTES * SECTOR_BYTES;
                let end = (start + SECTOR_BYTES).min(content.seen.len());
                if let Some(sector) = content.seen.get_mut(start..end) {
                    sector.fill(0);
                }
            }
            Mutation::Swap => {}
        }
        content.durable.clone_from(&content.seen);
        content.pending.clear();
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }

    fn watched(&self) {
        if let Some(watch) = lock(&self.0.watch).as_ref() {
            watch();
        }
    }

    /// Does `act` and, when this is the moment of a crash, as much of it as `act` says.
    fn operate<R>(
        &self,
        life: Option<u64>,
        is_sync: bool,
        act: impl FnOnce(&mut State, &Fate) -> io::Result<R>,
    ) -> io::Result<R> {
        let mut state = self.state();
        if state.is_down || life.is_some_and(|it| it != state.life) {
            return Err(io::Error::other("the machine is down"));
        }
        let fate = if counted(&mut state.crash_in) {
            state.is_down = true;
            Fate::Crash
        } else if is_sync && counted(&mut state.sync_failure_in) {
            state.has_failed_sync = true;
            Fate::Fails
        } else {
            Fate::Done
        };
        let result = act(&mut state, &fate);
        drop(state);
        match fate {
            Fate::Done => result,
            Fate::Crash => {
                self.watched();
                Err(io::Error::other("the machine went down"))
            }
            Fate::Fails => {
                self.watched();
                Err(io::Error::other("injected: the disk did not sync"))
            }
        }
    }

    fn file(&self, id: usize, life: u64) -> Arc<dyn DiskFile> {
        Arc::new(SimFile {
            disk: self.clone(),
            id,
            life,
        })
    }
}

impl State {
    fn note(&mut self, operation: u64, what: u64, how_much: u64) {
        let word = operation << 56 ^ what << 28 ^ how_much ^ self.trace.rotate_left(1);
        self.trace = crate::clock::mix(word);
    }

    fn content(&mut self, id: usize) -> io::Result<&mut Content> {
        self.contents
            .get_mut(id)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn id(&self, name: &str) -> io::Result<usize> {
        self.names
            .get(name)
            .copied()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no file `{name}`")))
    }

    fn make(&mut self, name: &str, len: usize) -> usize {
        let id = self.contents.len();
        self.contents.push(Content {
            seen: vec![0; len],
            durable: vec![0; len],
            pending: Vec::new(),
        });
        self.names.insert(name.to_owned(), id);
        id
    }

    fn used_bytes(&self) -> u64 {
        self.names
            .values()
            .filter_map(|id| self.contents.get(*id))
            .map(|content| content.seen.len() as u64)
            .sum()
    }

    /// Frees the file's content.
    fn forget(&mut self, name: &str) {
        if let Some(id) = self.names.remove(name)
            && let Some(content) = self.contents.get_mut(id)
        {
            *content = Content::default();
        }
    }
}

/// Counts down; true when it was at zero.
fn counted(left: &mut Option<u64>) -> bool {
    match left {
        Some(0) => {
            *left = None;
            true
        }
        Some(left) => {
            *left -= 1;
            false
        }
        None => false,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn land(image: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    if let Some(to) = image.get_mut(at..end) {
        to.copy_from_slice(bytes);
    }
}

/// The write is lost, whole, torn, or there in some sectors.
fn land_by_chance(chance: &mut Chance, image: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    match chance.below(4) {
        0 => {}
        1 => land(image, at, bytes),
        2 => {
            let torn = chance.index(bytes.len() + 1);
            land(image, at, bytes.get(..torn).unwrap_or_default());
        }
        _ => {
            let mut from = 0;
            while from < bytes.len() {
                let to_boundary = SECTOR_BYTES - (at + from) % SECTOR_BYTES;
                let to = (from + to_boundary).min(bytes.len());
                if chance.one_in(2) {
                    land(image, at + from, bytes.get(from..to).unwrap_or_default());
                }
                from = to;
            }
        }
    }
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.operate(None, false, |state, _| {
            Ok(state.names.keys().cloned().collect())
        })
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let bytes = usize::try_from(len).map_err(io::Error::other)?;
        let (id, life) = self.operate(None, false, |state, fate| {
            state.note(1, len, 0);
            let made = match fate {
                Fate::Done => {
                    state.forget(name);
                    if state.used_bytes().saturating_add(len) > state.room_bytes {
                        return Err(io::Error::from(io::ErrorKind::StorageFull));
                    }
                    bytes
                }
                // Perhaps not even begun; perhaps not yet as long as it should be.
                Fate::Crash | Fate::Fails if state.chance.one_in(3) => return Ok((0, 0)),
                Fate::Crash | Fate::Fails => {
                    state.forget(name);
                    state.chance.index(bytes + 1)
                }
            };
            Ok((state.make(name, made), state.life))
        })?;
        Ok(self.file(id, life))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let (id, life) = self.operate(None, false, |state, _| Ok((state.id(name)?, state.life)))?;
        Ok(self.file(id, life))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.operate(None, false, |state, fate| {
            state.note(2, 0, 0);
            if matches!(fate, Fate::Crash) && state.chance.one_in(2) {
                return Ok(());
            }
            let id = state.id(from)?;
            state.forget(to);
            state.names.remove(from);
            state.names.insert(to.to_owned(), id);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.operate(None, false, |state, fate| {
            state.note(3, 0, 0);
            state.id(name)?;
            if !(matches!(fate, Fate::Crash) && state.chance.one_in(2)) {
                state.forget(name);
            }
            Ok(())
        })
    }

    fn is_instant(&self) -> bool {
        true
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        self.disk.operate(Some(self.life), false, |state, fate| {
            state.note(4, offset, u64::from(crc32c::crc32c(bytes)));
            let done = match fate {
                Fate::Done => bytes.len(),
                Fate::Crash | Fate::Fails => state.chance.index(bytes.len() + 1),
            };
            let done = bytes.get(..done).unwrap_or_default();
            let content = state.content(self.id)?;
            land(&mut content.seen, at, done);
            content.pending.push((at, done.to_vec()));
            Ok(())
        })
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        self.disk.operate(Some(self.life), false, |state, _| {
            let content = state.content(self.id)?;
            let from = content.seen.get(start..).unwrap_or_default();
            let bytes = from.len().min(buffer.len());
            if let (Some(to), Some(from)) = (buffer.get_mut(..bytes), from.get(..bytes)) {
                to.copy_from_slice(from);
            }
            Ok(bytes)
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.operate(Some(self.life), true, |state, fate| {
            state.note(5, self.id as u64, 0);
            let mut chance = state.chance.clone();
            let content = state.content(self.id)?;
            match fate {
                Fate::Done => {
                    for (at, bytes) in content.pending.drain(..) {
                        land(&mut content.durable, at, &bytes);
                    }
                }
                Fate::Crash => {
                    if chance.one_in(3) {
                        for (at, bytes) in content.pending.drain(..) {
                            land(&mut content.durable, at, &bytes);
                        }
                    }
                }
                // The kernel calls the pages clean whether they reached the disk or not.
                Fate::Fails => {
                    for (at, bytes) in std::mem::take(&mut content.pending) {
                        land_by_chance(&mut chance, &mut content.durable, at, &bytes);
                    }
                }
            }
            state.chance = chance;
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.operate(Some(self.life), false, |state, _| {
            Ok(state.content(self.id)?.seen.len() as u64)
        })
    }
}
