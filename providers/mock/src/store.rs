//! The world as named pieces of text: a folder of small files, or memory for simulations.
//!
//! In the folder each piece is written whole under a temporary name and then renamed or linked, so a reader never sees half of one and a
//! process killed at any moment leaves each piece old or new. Nothing is flushed to the disk: the mock survives its processes, not the
//! machine. Calls are short, and none waits for anybody: what is no regular file is not opened (a FIFO would block for ever), and whoever
//! holds the lock is waited for between calls, not in one. So they need no thread of their own.
//!
//! | Piece | Means |
//! |---|---|
//! | `balancers/ID.json` | one load balancer |
//! | `addresses/ADDRESS` | whom the address belongs to; the file system's uniqueness is the lock |
//! | `owners/ID.json` | what has been claimed under an id |
//! | `faults/NAME.json`, `faults/NAME.hits` | an armed fault, and whom it has met |
//! | `changes` | what was changed from outside, one id a line |
//! | `lock` | held while several pieces are read and written as one |

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;

/// The piece whose file is the lock.
pub(crate) const LOCK: &str = "lock";

/// How long a holder of the lock is waited for. A section takes less than a millisecond, so whoever holds it longer is stuck, or a person
/// with a shell; either is better told than waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The first pause of those who wait for the lock, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// A handle to a world. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    backend: Arc<Backend>,
    /// How many writes are left before this handle's process dies; none: it lives.
    fuse: Option<Arc<AtomicU64>>,
    #[cfg(test)]
    touched: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Backend {
    Folder(Folder),
    Memory(Memory),
}

impl Store {
    /// The world in this folder. It is made by the first write; reading writes nothing. A process has one handle to a folder and clones
    /// it: to another one it would look like another process.
    pub fn folder(folder: impl Into<PathBuf>) -> Self {
        Self::of(Backend::Folder(Folder {
            root: folder.into(),
            section: Mutex::new(()),
            swept: AtomicBool::new(false),
            temporaries: AtomicU64::new(0),
        }))
    }

    /// A world of its own, in memory.
    pub fn memory() -> Self {
        Self::of(Backend::Memory(Memory::default()))
    }

    fn of(backend: Backend) -> Self {
        Self {
            backend: Arc::new(backend),
            fuse: None,
            #[cfg(test)]
            touched: Arc::default(),
        }
    }

    /// How many pieces were asked for or written, and names listed: what a call costs, free of the machine's mood.
    #[cfg(test)]
    pub(crate) fn touched(&self) -> u64 {
        self.touched.load(Ordering::Relaxed)
    }

    /// The same world, as seen by a process that is killed after this many more writes: from then on all it does fails.
    pub fn killed_after(&self, writes: u64) -> Self {
        // One more than there are writes left: zero means dead.
        let fuse = Some(Arc::new(AtomicU64::new(writes.saturating_add(1))));
        Self { fuse, ..self.clone() }
    }

    /// Where the world is, for messages.
    pub fn place(&self, piece: &str) -> String {
        match self.backend.as_ref() {
            Backend::Folder(folder) => folder.root.join(piece).display().to_string(),
            Backend::Memory(_) => piece.to_owned(),
        }
    }

    /// A piece, if it is there.
    pub fn read(&self, piece: &str) -> io::Result<Option<Vec<u8>>> {
        self.alive()?;
        match self.backend.as_ref() {
            Backend::Folder(folder) => folder.read(piece),
            Backend::Memory(memory) => Ok(memory.pieces().get(piece).cloned()),
        }
    }

    /// A piece is there.
    pub fn exists(&self, piece: &str) -> io::Result<bool> {
        self.alive()?;
        match self.backend.as_ref() {
            Backend::Folder(folder) => Ok(absent(fs::symlink_metadata(folder.root.join(piece)))?.is_some()),
            Backend::Memory(memory) => Ok(memory.pieces().contains_key(piece)),
        }
    }

    /// How long a piece is; 0 if it is not there.
    pub fn length(&self, piece: &str) -> io::Result<u64> {
        self.alive()?;
        match self.backend.as_ref() {
            Backend::Folder(folder) => {
                Ok(absent(fs::metadata(folder.root.join(piece)))?.map_or(0, |found| found.len()))
            }
            Backend::Memory(memory) => Ok(memory.pieces().get(piece).map_or(0, Vec::len) as u64),
        }
    }

    /// The names of the pieces directly in a folder, sorted.
    pub fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.alive()?;
        let names: Vec<String> = match self.backend.as_ref() {
            Backend::Folder(on_disk) => on_disk.list(folder)?,
            Backend::Memory(memory) => {
                let prefix = format!("{folder}/");
                memory.pieces().keys().filter_map(|piece| piece.strip_prefix(&prefix)).map(str::to_owned).collect()
            }
        };
        #[cfg(test)]
        self.touched.fetch_add(names.len() as u64, Ordering::Relaxed);
        Ok(names)
    }

    /// Writes a piece whole, whether it was there or not. In a section, see [`Store::locked`].
    pub fn replace(&self, piece: &str, text: &[u8]) -> io::Result<()> {
        self.write()?;
        match self.backend.as_ref() {
            Backend::Folder(folder) => folder.put(piece, text, |from, to| fs::rename(from, to)),
            Backend::Memory(memory) => {
                memory.pieces().insert(piece.to_owned(), text.to_vec());
                Ok(())
            }
        }
    }

    /// Writes a piece whole if it is not there; false if it is. Of two creators one wins. In a section, see [`Store::locked`].
    pub fn create(&self, piece: &str, text: &[u8]) -> io::Result<bool> {
        self.write()?;
        match self.backend.as_ref() {
            // A link, unlike a rename, fails if its name is taken; and unlike O_EXCL it never shows an empty file.
            Backend::Folder(folder) => {
                match folder.put(piece, text, |from, to| fs::hard_link(from, to).and_then(|()| fs::remove_file(from))) {
                    Ok(()) => Ok(true),
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
                    Err(error) => Err(error),
                }
            }
            Backend::Memory(memory) => {
                let mut pieces = memory.pieces();
                let free = !pieces.contains_key(piece);
                if free {
                    pieces.insert(piece.to_owned(), text.to_vec());
                }
                Ok(free)
            }
        }
    }

    /// Adds to the end of a piece.
    pub fn append(&self, piece: &str, text: &[u8]) -> io::Result<()> {
        self.write()?;
        match self.backend.as_ref() {
            Backend::Folder(folder) => folder.open_to_append(piece)?.write_all(text),
            Backend::Memory(memory) => {
                memory.pieces().entry(piece.to_owned()).or_default().extend_from_slice(text);
                Ok(())
            }
        }
    }

    /// Removes a piece, if it is there.
    pub fn remove(&self, piece: &str) -> io::Result<()> {
        self.write()?;
        match self.backend.as_ref() {
            Backend::Folder(folder) => absent(fs::remove_file(folder.root.join(piece))).map(|_| ()),
            Backend::Memory(memory) => {
                memory.pieces().remove(piece);
                Ok(())
            }
        }
    }

    /// Does something while nobody else, of any process, is in such a section. Never from within one, and never across an await. The kernel
    /// lets go of the lock when a process dies. Who waits for it sleeps on the clock; after five seconds it is an error of the kind
    /// `TimedOut`.
    pub async fn locked<T>(&self, clock: &dyn Clock, act: impl FnOnce() -> T) -> io::Result<T> {
        let mut pauses = pauses();
        loop {
            if let Some(_section) = self.enter()? {
                return Ok(act());
            }
            clock.sleep(pauses.next().ok_or_else(still_locked)?).await;
        }
    }

    /// The same for a command line, which may block its thread.
    pub fn locked_blocking<T>(&self, act: impl FnOnce() -> T) -> io::Result<T> {
        let mut pauses = pauses();
        loop {
            if let Some(_section) = self.enter()? {
                return Ok(act());
            }
            std::thread::sleep(pauses.next().ok_or_else(still_locked)?);
        }
    }

    /// Enters a section, unless another process is in one. Those of this process wait for each other here: a section is short, they take
    /// their turns, and nobody is left to look at the lock whenever it happens to be held.
    fn enter(&self) -> io::Result<Option<Section<'_>>> {
        self.alive()?;
        match self.backend.as_ref() {
            Backend::Folder(folder) => {
                let guard = folder.section.lock().unwrap_or_else(PoisonError::into_inner);
                let lock = folder.open_to_append(LOCK)?;
                match lock.try_lock() {
                    Ok(()) => {}
                    Err(TryLockError::WouldBlock) => return Ok(None),
                    Err(TryLockError::Error(error)) => return Err(error),
                }
                folder.sweep()?;
                Ok(Some(Section { lock: Some(lock), _guard: guard }))
            }
            Backend::Memory(memory) => {
                let guard = memory.section.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(Some(Section { lock: None, _guard: guard }))
            }
        }
    }

    fn alive(&self) -> io::Result<()> {
        #[cfg(test)]
        self.touched.fetch_add(1, Ordering::Relaxed);
        match &self.fuse {
            Some(fuse) if fuse.load(Ordering::Relaxed) == 0 => Err(io::Error::other("killed")),
            Some(_) | None => Ok(()),
        }
    }

    fn write(&self) -> io::Result<()> {
        if let Some(fuse) = &self.fuse {
            let burn = |left: u64| left.checked_sub(1);
            let _ = fuse.fetch_update(Ordering::Relaxed, Ordering::Relaxed, burn);
        }
        self.alive()
    }
}

/// A section lasts as long as this.
struct Section<'a> {
    /// Keeps out other processes.
    lock: Option<File>,
    /// Keeps out the other threads of this one.
    _guard: MutexGuard<'a, ()>,
}

impl Drop for Section<'_> {
    /// Unlocks, rather than only closes: a process that another thread has just forked holds the same open file until it executes its
    /// program, and the lock with it.
    fn drop(&mut self) {
        // Where that fails, closing it is left.
        self.lock.as_ref().map(File::unlock);
    }
}

/// The pauses between looks at the lock, growing: all of them together are as long as our patience.
fn pauses() -> impl Iterator<Item = Duration> {
    let (first, longest) = PAUSES;
    let mut left = PATIENCE;
    let growing = std::iter::successors(Some(first), move |pause| Some(pause.saturating_mul(2).min(longest)));
    growing.map_while(move |pause| {
        left = left.checked_sub(pause)?;
        Some(pause)
    })
}

fn still_locked() -> io::Error {
    io::Error::new(
        ErrorKind::TimedOut,
        format!(
            "another process has held this lock for {} s; find it with lsof or fuser, and end it",
            PATIENCE.as_secs()
        ),
    )
}

#[derive(Debug)]
struct Folder {
    root: PathBuf,
    section: Mutex<()>,
    swept: AtomicBool,
    temporaries: AtomicU64,
}

impl Folder {
    fn read(&self, piece: &str) -> io::Result<Option<Vec<u8>>> {
        let path = self.root.join(piece);
        if regular(&path)? { absent(fs::read(path)) } else { Ok(None) }
    }

    fn open_to_append(&self, piece: &str) -> io::Result<File> {
        let path = self.ready(piece)?;
        regular(&path)?;
        OpenOptions::new().create(true).append(true).open(path)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let Some(entries) = absent(fs::read_dir(self.root.join(folder)))? else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        for entry in entries {
            // A name that is no text is nobody's of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn put(&self, piece: &str, text: &[u8], publish: impl FnOnce(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
        let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
        let temporary = self.ready(&format!("temporary/{}-{number}", std::process::id()))?;
        let path = self.ready(piece)?;
        regular(&temporary)?;
        let written = fs::write(&temporary, text).and_then(|()| publish(&temporary, &path));
        if written.is_err() {
            absent(fs::remove_file(&temporary))?;
        }
        written
    }

    /// The path of a piece, its folder made.
    fn ready(&self, piece: &str) -> io::Result<PathBuf> {
        let path = self.root.join(piece);
        if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
            fs::create_dir_all(folder)?;
        }
        Ok(path)
    }

    /// Removes what a killed process left half written. Under the lock, where every write happens, so no living process's is among it.
    fn sweep(&self) -> io::Result<()> {
        if self.swept.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        for name in self.list("temporary")? {
            absent(fs::remove_file(self.root.join("temporary").join(name)))?;
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Memory {
    pieces: Mutex<BTreeMap<String, Vec<u8>>>,
    section: Mutex<()>,
}

impl Memory {
    fn pieces(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file is there that can be opened without waiting for anybody; false if nothing is. Whatever else it is (a FIFO waits for its other
/// end, a device for its hardware), somebody has put it there by hand, and it is refused.
fn regular(path: &Path) -> io::Result<bool> {
    match absent(fs::metadata(path))? {
        None => Ok(false),
        Some(found) if found.is_file() => Ok(true),
        Some(_) => Err(io::Error::other("this is no regular file; remove it")),
    }
}

/// A name that the file system cannot hold (255 bytes on most) is one that nothing can have: absent like any other.
fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidFilename) => Ok(None),
        Err(error) => Err(error),
    }
}

/// An id as a file name: what is no letter, digit, `.`, `-` or `_`, and a leading dot, stands as `%XX`.
pub(crate) fn file_name(id: &str) -> String {
    let mut name = String::with_capacity(id.len());
    for (index, byte) in id.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && index > 0) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name
}

/// The id that a file name stands for, if it is one that [`file_name`] writes.
pub(crate) fn id_of(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
            let (high, low) = (digit(rest.next())?, digit(rest.next())?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    let id = String::from_utf8(bytes).ok()?;
    (file_name(&id) == name).then_some(id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn both() -> Vec<(Store, Option<PathBuf>)> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("portolan-mock-store-{}-{number}", std::process::id()));
        vec![(Store::memory(), None), (Store::folder(&folder), Some(folder))]
    }

    #[test]
    fn folder_and_memory_keep_the_same_promises() {
        for (store, folder) in both() {
            assert_eq!(store.read("a/x").unwrap(), None);
            assert_eq!(store.list("a").unwrap(), Vec::<String>::new());
            assert!(folder.as_ref().is_none_or(|folder| !folder.exists()), "reading writes nothing");
            assert!(store.create("a/x", b"1").unwrap());
            assert!(!store.create("a/x", b"2").unwrap());
            assert_eq!(store.read("a/x").unwrap().unwrap(), b"1");
            store.replace("a/x", b"3").unwrap();
            store.replace("a/w", b"").unwrap();
            assert_eq!(store.read("a/x").unwrap().unwrap(), b"3");
            assert_eq!(store.list("a").unwrap(), ["w", "x"]);
            store.append("log", b"one\n").unwrap();
            store.append("log", b"two\n").unwrap();
            assert_eq!(store.length("log").unwrap(), 8);
            store.remove("a/x").unwrap();
            store.remove("a/x").unwrap();
            assert!(!store.exists("a/x").unwrap());
            assert_eq!(store.locked_blocking(|| store.list("a").unwrap()).unwrap(), ["w"]);
            if let Some(folder) = folder {
                assert_eq!(store.list("temporary").unwrap(), Vec::<String>::new());
                fs::remove_dir_all(folder).unwrap();
            }
        }
    }

    #[test]
    fn of_many_creators_one_wins() {
        for (store, folder) in both() {
            let winners: usize = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8)
                    .map(|_| {
                        let store = store.clone();
                        scope.spawn(move || (0..50).filter(|n| store.create(&format!("a/{n}"), b"x").unwrap()).count())
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(winners, 50);
            folder.map(fs::remove_dir_all).transpose().unwrap();
        }
    }

    #[test]
    fn a_section_excludes_all_others() {
        for (store, folder) in both() {
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..50 {
                            store
                                .locked_blocking(|| {
                                    let text = store.read("n").unwrap().unwrap_or_default();
                                    let number: u32 = String::from_utf8(text).unwrap().parse().unwrap_or(0);
                                    store.replace("n", (number + 1).to_string().as_bytes()).unwrap();
                                })
                                .unwrap();
                        }
                    });
                }
            });
            assert_eq!(store.read("n").unwrap().unwrap(), b"200");
            folder.map(fs::remove_dir_all).transpose().unwrap();
        }
    }

    #[test]
    fn what_a_killed_process_left_half_written_is_swept() {
        let folder = std::env::temp_dir().join(format!("portolan-mock-sweep-{}", std::process::id()));
        fs::create_dir_all(folder.join("temporary")).unwrap();
        fs::write(folder.join("temporary/1-1"), b"half").unwrap();
        Store::folder(&folder).locked_blocking(|| ()).unwrap();
        assert!(!folder.join("temporary/1-1").exists());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_killed_process_does_nothing_more() {
        let store = Store::memory();
        let dying = store.killed_after(1);
        dying.replace("a", b"1").unwrap();
        assert!(dying.replace("b", b"1").is_err());
        assert!(dying.read("a").is_err());
        assert_eq!(store.list("").unwrap(), Vec::<String>::new());
        assert!(store.exists("a").unwrap() && !store.exists("b").unwrap());
    }

    proptest! {
        #[test]
        fn every_id_has_a_file_name_of_its_own_that_stays_in_its_folder(id in ".{1,24}") {
            let name = file_name(&id);
            prop_assert!(!name.contains('/') && !name.starts_with('.') && name.is_ascii());
            prop_assert_eq!(id_of(&name), Some(id));
        }
    }
}
