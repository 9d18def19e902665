use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use recorder_callback::CallbackBody;
use recorder_storage::{
    Bucket, Disk, Durability, MediaLibrary, MediaSettings, SealKey, SystemDisk, UploaderOptions,
};
use recorder_types::{MediaId, UserId};

use super::clock::ClockMode;
use crate::task::{Delivery, TaskOptions};

/// What every recording of a [`super::Recorder`] shares.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecorderOptions {
    /// Directory where each task has its own, for files that are open or not delivered yet. On the file system of a
    /// local bucket, delivering a segment is a rename; elsewhere it is a copy.
    pub spool: PathBuf,
    /// How hard files are pressed to the disk before the next step relies on them. Default: [`Durability::Sync`].
    pub durability: Durability,
    /// The most that the undelivered files of one task may take, in bytes. Default: no limit but the disk's.
    pub spool_limit: Option<u64>,
    /// Seals the keys of buckets in the journals of tasks, so that [`super::Recorder::recover`] can open them again. Default:
    /// none; keys are not written then.
    pub seal_key: Option<SealKey>,
    /// The file system of the spool, and of local buckets that a recovery opens. Default: [`SystemDisk`].
    pub disk: Arc<dyn Disk>,
}

impl RecorderOptions {
    /// Spools to `spool`, synced, without a limit.
    #[must_use]
    pub fn new(spool: impl Into<PathBuf>) -> Self {
        Self {
            spool: spool.into(),
            durability: Durability::default(),
            spool_limit: None,
            seal_key: None,
            disk: SystemDisk::shared(),
        }
    }

    /// Sets [`RecorderOptions::durability`].
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets [`RecorderOptions::seal_key`].
    #[must_use]
    pub fn with_seal_key(mut self, key: SealKey) -> Self {
        self.seal_key = Some(key);
        self
    }

    /// Sets [`RecorderOptions::spool_limit`], in bytes.
    #[must_use]
    pub fn with_spool_limit(mut self, bytes: u64) -> Self {
        self.spool_limit = Some(bytes);
        self
    }

    /// Sets [`RecorderOptions::disk`].
    #[must_use]
    pub fn with_disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.disk = disk;
        self
    }
}

/// One recording: the task, where its files go and who is told.
#[derive(Clone)]
#[non_exhaustive]
pub struct RecordingOptions {
    /// What is recorded, and under which names.
    pub task: TaskOptions,
    /// Where the files go, unless there is a [`RecordingOptions::library`].
    pub bucket: Bucket,
    /// The media library that they go into when the recording has ended.
    pub library: Option<LibraryTarget>,
    /// Where the time comes from. Default: [`ClockMode::System`].
    pub clock: ClockMode,
    /// How files are uploaded and retried.
    pub uploader: UploaderOptions,
    /// Bytes of samples that may wait for the task's thread. Default 64 MiB. Live events beyond are refused
    /// ([`super::SendError::Full`]), told ones wait.
    pub queue_bytes: usize,
    /// How long the task's thread lets events gather before it looks again. Default 10 ms: a room of 25 then wakes
    /// it a hundred times a second and not thousands. Zero for batches ([`super::Recording::events_at`]) as fast as the
    /// machine allows.
    pub gather: Duration,
    /// Where images of the mixed picture may be fetched from. Default: the public Internet only.
    #[cfg(all(feature = "mix", feature = "http"))]
    pub image_policy: recorder_callback::AddressPolicy,
    /// Whether the embedder tells the images of the mixed picture ([`crate::RoomEvent::Image`]) and none is fetched.
    /// Default: no.
    #[cfg(feature = "mix")]
    pub images_told: bool,
    /// What the embedder wants to know again of this recording after a crash ([`super::Recovered::note`]). It is in the
    /// journal as it stands, so it is no place for secrets. At most half a megabyte. Default: nothing.
    pub note: Option<String>,
    pub(super) on_callback: Option<CallbackSink>,
    pub(super) on_key_frame: Option<KeyFrameSink>,
    #[cfg(feature = "mix")]
    pub(super) on_shedding: Option<SheddingSink>,
    #[cfg(feature = "http")]
    pub(super) deliverer: Option<recorder_callback::Deliverer>,
}

pub(super) type CallbackSink = Arc<dyn Fn(&CallbackBody) + Send + Sync>;
pub(super) type KeyFrameSink = Arc<dyn Fn(&UserId, MediaId) + Send + Sync>;
#[cfg(feature = "mix")]
pub(super) type SheddingSink = Arc<dyn Fn(recorder_mixer::Shedding) + Send + Sync>;

impl RecordingOptions {
    /// Records `task` into `bucket` by the system's clock and tells nobody.
    #[must_use]
    pub fn new(task: TaskOptions, bucket: Bucket) -> Self {
        Self {
            task,
            bucket,
            library: None,
            clock: ClockMode::System,
            uploader: UploaderOptions::default(),
            queue_bytes: 64 << 20,
            gather: Duration::from_millis(10),
            #[cfg(all(feature = "mix", feature = "http"))]
            image_policy: recorder_callback::AddressPolicy::PublicOnly,
            #[cfg(feature = "mix")]
            images_told: false,
            note: None,
            on_callback: None,
            on_key_frame: None,
            #[cfg(feature = "mix")]
            on_shedding: None,
            #[cfg(feature = "http")]
            deliverer: None,
        }
    }

    /// Records `task` into a media library: its [`TaskOptions::delivery`] becomes [`Delivery::Library`], if it is not that
    /// already. Until the end everything stays in the spool.
    #[must_use]
    pub fn to_library(mut task: TaskOptions, target: LibraryTarget) -> Self {
        if !task.delivery.is_library() {
            task.delivery = Delivery::Library { record_id: None };
        }
        Self { library: Some(target), ..Self::new(task, Bucket::memory()) }
    }

    /// Sets [`RecordingOptions::clock`].
    #[must_use]
    pub fn with_clock(mut self, clock: ClockMode) -> Self {
        self.clock = clock;
        self
    }

    /// Sets [`RecordingOptions::uploader`].
    #[must_use]
    pub fn with_uploader(mut self, uploader: UploaderOptions) -> Self {
        self.uploader = uploader;
        self
    }

    /// Names the bucket for what [`RecordingOptions::bucket`] refuses or does not take: [`UploaderOptions::backup`].
    #[must_use]
    pub fn with_backup(mut self, bucket: Bucket) -> Self {
        self.uploader.backup = Some(bucket);
        self
    }

    /// Sets [`RecordingOptions::queue_bytes`].
    #[must_use]
    pub fn with_queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// Sets [`RecordingOptions::gather`].
    #[must_use]
    pub fn with_gather(mut self, time: Duration) -> Self {
        self.gather = time;
        self
    }

    /// Sets [`RecordingOptions::image_policy`].
    #[cfg(all(feature = "mix", feature = "http"))]
    #[must_use]
    pub fn with_image_policy(mut self, policy: recorder_callback::AddressPolicy) -> Self {
        self.image_policy = policy;
        self
    }

    /// Sets [`RecordingOptions::images_told`].
    #[cfg(feature = "mix")]
    #[must_use]
    pub fn with_images_told(mut self) -> Self {
        self.images_told = true;
        self
    }

    /// Sets [`RecordingOptions::note`].
    #[must_use]
    pub fn with_note(mut self, note: String) -> Self {
        self.note = Some(note);
        self
    }

    /// Calls `sink` with each event, in order, on the task's thread: it should not block.
    #[must_use]
    pub fn with_on_callback(mut self, sink: impl Fn(&CallbackBody) + Send + Sync + 'static) -> Self {
        self.on_callback = Some(Arc::new(sink));
        self
    }

    /// Calls `sink` when a stream cannot go on without a key frame, on the task's thread: ask its sender for one.
    #[must_use]
    pub fn with_on_key_frame_needed(
        mut self,
        sink: impl Fn(&UserId, MediaId) + Send + Sync + 'static,
    ) -> Self {
        self.on_key_frame = Some(Arc::new(sink));
        self
    }

    /// Calls `sink` when a mix leaves out more work because the machine is too slow
    /// ([`MixOptions::shed_after`](crate::MixOptions::shed_after)), or takes it up again, with what it leaves out from now on;
    /// on the task's thread.
    #[cfg(feature = "mix")]
    #[must_use]
    pub fn with_on_shedding(
        mut self,
        sink: impl Fn(recorder_mixer::Shedding) + Send + Sync + 'static,
    ) -> Self {
        self.on_shedding = Some(Arc::new(sink));
        self
    }

    /// Sends each event to the customer's server.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn with_deliverer(mut self, deliverer: recorder_callback::Deliverer) -> Self {
        self.deliverer = Some(deliverer);
        self
    }
}

/// A media library, and how it is to keep what it gets.
#[derive(Clone, Debug)]
pub struct LibraryTarget {
    /// The library.
    pub library: Arc<dyn MediaLibrary>,
    /// As the customer wants it.
    pub settings: MediaSettings,
}

impl fmt::Debug for RecordingOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordingOptions")
            .field("task", &self.task)
            .field("bucket", &self.bucket)
            .field("library", &self.library)
            .field("clock", &self.clock)
            .field("uploader", &self.uploader)
            .field("queue_bytes", &self.queue_bytes)
            .field("gather", &self.gather)
            .finish_non_exhaustive()
    }
}
