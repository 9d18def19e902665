use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use serde::Serialize;
use url::Url;

use super::{LibraryError, MediaLibrary, MediaSettings, Medium, StoredMedium};
use crate::bucket::Durability;
use crate::disk::{Disk, SystemDisk, create_dirs};
use crate::error::StorageError;

const INDEX: &str = "index.jsonl";

/// A folder as the media library: `<FileId>/` holds the files of a medium, and a line of `index.jsonl` tells of it, as a
/// JSON object.
///
/// Files are linked where the file system allows it, and copied elsewhere. A medium that is in the index is whole. What the
/// settings tell is kept in the index and is for whoever reads it: nothing is deleted when `ExpireTime` comes, and no task
/// flow is started.
#[derive(Clone, Debug)]
pub struct LocalLibrary(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    address: String,
    base: Url,
    has_base_url: bool,
    durability: Durability,
    /// Held while a line is added.
    index: Mutex<()>,
}

/// A line of the index; what is not set is left out.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line<'a> {
    file_id: &'a str,
    media_url: &'a str,
    media_type: &'a str,
    media_name: &'a str,
    /// Path in the folder.
    file: String,
    /// Of all files together.
    bytes: u64,
    /// Unix seconds.
    create_time: u64,
    /// Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    procedure: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_region: Option<&'a str>,
    class_id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_app_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_context: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_context: Option<&'a str>,
}

impl LocalLibrary {
    /// The library in `directory`, which is made when it is missing. Media play from `file://` addresses.
    ///
    /// # Errors
    /// [`StorageError::InvalidUrl`] when there is no such directory and it cannot be made, or its path is not text.
    pub fn open(directory: &Path, durability: Durability) -> Result<Self, StorageError> {
        let invalid = |reason: String| StorageError::InvalidUrl {
            url: directory.display().to_string().escape_debug().collect::<String>().into(),
            reason: reason.into(),
        };
        create_dirs(&SystemDisk, directory, durability == Durability::Sync)
            .map_err(|error| invalid(error.to_string()))?;
        let root = fs::canonicalize(directory).map_err(|error| invalid(error.to_string()))?;
        let address = root.to_str().ok_or_else(|| invalid("its path is not UTF-8".into()))?.to_owned();
        let base =
            Url::from_directory_path(&root).map_err(|()| invalid("it has no file:// address".into()))?;
        let index = Mutex::default();
        Ok(Self(Arc::new(Inner { root, address, base, has_base_url: false, durability, index })))
    }

    /// The same library, whose folder a web server serves at `base`: media play from there.
    ///
    /// # Errors
    /// [`StorageError::InvalidUrl`] if it is no `http` or `https` address, or has a query, a fragment or keys.
    pub fn with_base_url(self, base: &str) -> Result<Self, StorageError> {
        let slash = if base.ends_with('/') { "" } else { "/" };
        let usable = |url: &Url| {
            matches!(url.scheme(), "http" | "https")
                && url.query().is_none()
                && url.fragment().is_none()
                && url.username().is_empty()
                && url.password().is_none()
        };
        let base = Url::parse(&format!("{base}{slash}")).ok().filter(usable).ok_or_else(|| {
            StorageError::InvalidUrl {
                url: crate::error::redact_text(base).escape_debug().collect::<String>().into(),
                reason: "it is no plain http:// or https:// address".into(),
            }
        })?;
        let Inner { root, address, durability, .. } = &*self.0;
        let (root, address, durability) = (root.clone(), address.clone(), *durability);
        let index = Mutex::default();
        Ok(Self(Arc::new(Inner { root, address, base, has_base_url: true, durability, index })))
    }
}

#[async_trait]
impl MediaLibrary for LocalLibrary {
    fn address(&self) -> &str {
        &self.0.address
    }

    fn reopens(&self) -> bool {
        !self.0.has_base_url
    }

    async fn put(&self, medium: &Medium, settings: &MediaSettings) -> Result<StoredMedium, LibraryError> {
        let (inner, medium, settings) = (Arc::clone(&self.0), medium.clone(), settings.clone());
        match tokio::task::spawn_blocking(move || inner.put(&medium, &settings)).await {
            Ok(stored) => stored,
            // The runtime is going down, or the closure panicked: nothing was acknowledged.
            Err(join) => {
                Err(LibraryError::Disk { path: self.0.root.clone(), source: io::Error::other(join) })
            }
        }
    }
}

impl Inner {
    fn put(&self, medium: &Medium, settings: &MediaSettings) -> Result<StoredMedium, LibraryError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let staged = Staged::create(&self.root)?;
        let bytes = self.fill(&staged.path, medium)?;
        let (file_id, directory) = staged.publish(&self.root, now)?;
        let file = format!("{file_id}/{}", medium.name());
        let url = self.url_of(&file_id, medium);
        let line = Line {
            file_id: &file_id,
            media_url: &url,
            media_type: medium.extension(),
            media_name: medium.title(),
            file,
            bytes,
            create_time: now.as_secs(),
            expire_time: settings.expire_after.map(|after| now.saturating_add(after).as_secs()),
            procedure: settings.procedure.as_deref(),
            storage_region: settings.storage_region.as_deref(),
            class_id: settings.class_id,
            sub_app_id: settings.sub_app_id,
            session_context: settings.session_context.as_deref(),
            source_context: settings.source_context.as_deref(),
        };
        let listed = self.sync_dir(&self.root).and_then(|()| self.add(&line));
        if let Err(error) = listed {
            // What the index does not tell is not in the library.
            let _ = fs::remove_dir_all(directory);
            return Err(error);
        }
        Ok(StoredMedium { file_id, url })
    }

    fn url_of(&self, file_id: &str, medium: &Medium) -> String {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(file_id).push(medium.name().as_str());
        }
        // In a name it is a plus; a web server may take it for a space.
        url.as_str().replace('+', "%2B")
    }

    /// Brings the files of `medium` into `directory`; gives their bytes.
    fn fill(&self, directory: &Path, medium: &Medium) -> Result<u64, LibraryError> {
        let mut bytes = 0u64;
        for (name, path) in medium.files() {
            let unreadable = |source| LibraryError::Source { name: name.clone(), source };
            let found = fs::symlink_metadata(path).map_err(unreadable)?;
            if !found.is_file() {
                return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
            }
            bytes = bytes.saturating_add(found.len());
            let to = directory.join(name.as_str());
            if fs::hard_link(path, &to).is_err() {
                // Another file system, or one without links.
                let mut source = File::open(path).map_err(unreadable)?;
                self.write(&to, |out| io::copy(&mut source, out).map(drop))?;
            }
        }
        if let Some(playlist) = medium.playlist() {
            bytes = bytes.saturating_add(playlist.len() as u64);
            self.write(&directory.join(medium.name().as_str()), |out| out.write_all(playlist))?;
        }
        self.sync_dir(directory)?;
        Ok(bytes)
    }

    fn write(&self, path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), LibraryError> {
        let mut create = OpenOptions::new();
        let written = create.write(true).create_new(true).open(path).and_then(|mut file| {
            fill(&mut file)?;
            if self.durability == Durability::Sync { file.sync_all() } else { Ok(()) }
        });
        written.map_err(|source| disk(path, source))
    }

    fn sync_dir(&self, directory: &Path) -> Result<(), LibraryError> {
        if self.durability == Durability::Sync {
            SystemDisk.sync_dir(directory).map_err(|source| disk(directory, source))?;
        }
        Ok(())
    }

    /// Adds a line to the index, whole or not at all as far as readers of whole lines can tell.
    fn add(&self, line: &Line<'_>) -> Result<(), LibraryError> {
        let path = self.root.join(INDEX);
        let mut text = serde_json::to_vec(line).expect("a line holds texts and numbers only");
        text.push(b'\n');
        let _one_at_a_time = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let appended =
            OpenOptions::new().read(true).append(true).create(true).open(&path).and_then(|mut file| {
                if ends_in_a_line(&mut file)? {
                    file.write_all(&text)?;
                } else {
                    // Somebody died while writing the last one.
                    file.write_all(&[b"\n", text.as_slice()].concat())?;
                }
                if self.durability == Durability::Sync { file.sync_all() } else { Ok(()) }
            });
        appended.map_err(|source| disk(&path, source))?;
        self.sync_dir(&self.root)
    }
}

fn ends_in_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn disk(path: &Path, source: io::Error) -> LibraryError {
    LibraryError::Disk { path: path.to_owned(), source }
}

/// A directory that is filled and has no file id yet; it goes away unless it gets one.
struct Staged {
    path: PathBuf,
    published: bool,
}

/// Sets apart what one process fills.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Staged {
    fn create(root: &Path) -> Result<Self, LibraryError> {
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = root.join(format!(".put-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path, published: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(disk(&path, source)),
            }
        }
    }

    /// Gives it the first free id of this instant: Unix milliseconds and five digits more.
    fn publish(mut self, root: &Path, now: Duration) -> Result<(String, PathBuf), LibraryError> {
        let mut number = now.as_millis().saturating_mul(100_000);
        loop {
            let file_id = number.to_string();
            let path = root.join(&file_id);
            // It replaces no directory but an empty one, and none of the library is empty.
            match fs::rename(&self.path, &path) {
                Ok(()) => {
                    self.published = true;
                    return Ok((file_id, path));
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::AlreadyExists
                            | io::ErrorKind::DirectoryNotEmpty
                            | io::ErrorKind::NotADirectory
                    ) =>
                {
                    number = number.saturating_add(1);
                }
                Err(source) => return Err(disk(&path, source)),
            }
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.published {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
