//! The end of a recording to a media library.

use std::collections::HashMap;
use std::sync::Arc;

use recorder_hls::read_playlist::{MediaPlaylist, ReadPlaylistError};
use recorder_naming::{FileIndex, ParsedName, RoomIdKind};
use recorder_storage::{
    Finished, LibraryReport, LibraryReports, LibraryUploader, Medium, PlaylistEnd, SpoolError,
};
use recorder_types::{ObjectName, UnixMillis};

use super::super::options::LibraryTarget;
use super::{Awaited, Driver, SetFiles};
use crate::task::{FileJob, FileSetReport, MadeFile, MissingMedium, StorageReport, track_type};

/// What a task has for its library, and where it is on its way there.
pub(super) struct Library {
    target: LibraryTarget,
    /// Files that were made, in order.
    made: Vec<MadeFile>,
    /// What is being made now.
    making: Option<FileJob>,
    /// Every playlist is put, for want of files.
    without_files: bool,
    handed: Option<Handed>,
}

/// Everything that was handed over.
struct Handed {
    uploader: LibraryUploader,
    reports: Option<LibraryReports>,
    media: HashMap<ObjectName, MadeFile>,
    /// Playlists, and the segments that they name: they go when everything is in the library.
    spooled: Vec<(ObjectName, Vec<ObjectName>)>,
    /// A playlist could not be read: what it names stays for a recovery.
    incomplete: bool,
}

/// A playlist that the spool does not give back as it was written.
#[derive(Debug, thiserror::Error)]
enum UnreadablePlaylist {
    #[error("it cannot be read")]
    Spool(#[source] SpoolError),
    #[error("it is none")]
    Text(#[source] ReadPlaylistError),
    #[error("it names what is no segment of the task")]
    Name,
}

impl Library {
    pub(super) fn new(target: LibraryTarget) -> Self {
        Self { target, made: Vec::new(), making: None, without_files: false, handed: None }
    }

    pub(super) fn begins(&mut self, job: &FileJob) {
        self.making = Some(job.clone());
    }

    /// Media on their way.
    pub(super) fn waiting(&self) -> usize {
        self.handed.as_ref().map_or(0, |handed| handed.uploader.waiting())
    }

    /// The reports of what was handed over, once.
    pub(super) fn take_reports(&mut self) -> Option<LibraryReports> {
        self.handed.as_mut()?.reports.take()
    }

    pub(super) fn redeliver(&self) {
        if let Some(handed) = &self.handed {
            handed.uploader.redeliver();
        }
    }
}

impl Driver {
    /// A job of a task that records to a library has made these files, and no more for this reason. `None` for the files:
    /// it died, and what it was to make them of is not known any more.
    pub(super) fn library_job_ended(&mut self, files: Option<Vec<MadeFile>>, error: Option<String>) {
        let Some(library) = &mut self.library else { return };
        library.without_files |= files.is_none();
        let files = files.unwrap_or_default();
        self.made.extend(files.iter().cloned());
        library.made.extend(files);
        let (Some(job), Some(message)) = (library.making.take(), error) else { return };
        let now = self.now;
        if let (Ok(name), Some(input)) = (job.name(FileIndex::Only), job.inputs.first()) {
            let several = job.inputs.len() > 1;
            let medium = MissingMedium {
                name,
                user: job.user.clone(),
                track_type: if several {
                    recorder_callback::TrackType::AudioVideo
                } else {
                    track_type(input.stream_type)
                },
                retried: false,
                message,
            };
            self.core.report(now, StorageReport::MediumMissing(medium));
        }
    }

    /// Hands over the files that were made, and the playlists where they are delivered or have no file.
    pub(super) fn hand_to_library(&mut self, keeps_hls: bool) {
        let kind = RoomIdKind::of(&self.task.room);
        let reports: HashMap<ObjectName, FileSetReport> =
            self.core.files().map(|report| (report.playlist.clone(), report)).collect();
        let without_files = self.library.as_ref().is_some_and(|library| library.without_files);
        let (mut media, mut known) = (Vec::new(), HashMap::new());
        let (mut spooled, mut incomplete) = (Vec::new(), false);
        for files in std::mem::take(&mut self.sets) {
            let SetFiles { index, recorded, playlists, .. } = files;
            drop(index);
            if let Some(index) = recorded.index_name() {
                self.spool.discard(&index);
            }
            for (name, header) in playlists {
                let (medium, segments, last) = match self.read_medium(&name, &header, kind) {
                    Ok(read) => read,
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::error!(error, "a playlist in the spool cannot be used, recover it");
                        incomplete = true;
                        continue;
                    }
                };
                let wanted =
                    (keeps_hls || recorded.needed || without_files) && !self.core.is_in_library(&name);
                if let Some(report) = reports.get(&name).filter(|_| wanted) {
                    let file = MadeFile {
                        name: name.clone(),
                        user: report.user.clone(),
                        media: report.media,
                        track_type: track_type(report.stream_type),
                        start: report.begin.unwrap_or(last),
                        end: last,
                        bytes: report.bytes,
                    };
                    known.insert(name.clone(), file);
                    media.push(medium);
                }
                spooled.push((name, segments));
            }
        }
        let Some(library) = &mut self.library else { return };
        for file in std::mem::take(&mut library.made) {
            if self.core.is_in_library(&file.name) {
                self.spool.discard(&file.name);
                continue;
            }
            media.push(Medium::file(file.name.clone(), self.spool.path_of(&file.name)));
            known.insert(file.name.clone(), file);
        }
        let LibraryTarget { library: to, settings } = &library.target;
        let (uploader, reports) =
            LibraryUploader::spawn(Arc::clone(to), settings.clone(), media, self.library_options.clone());
        let reports = Some(reports);
        library.handed = Some(Handed { uploader, reports, media: known, spooled, incomplete });
    }

    /// A playlist as a medium, the names of its segments, and when the last one ends.
    fn read_medium(
        &self,
        name: &ObjectName,
        header: &str,
        kind: RoomIdKind,
    ) -> Result<(Medium, Vec<ObjectName>, UnixMillis), UnreadablePlaylist> {
        let text = self.spool.playlist_text(name, header, PlaylistEnd::Ended);
        let text = text.map_err(UnreadablePlaylist::Spool)?;
        let playlist: MediaPlaylist = std::str::from_utf8(&text)
            .map_err(|_| UnreadablePlaylist::Name)?
            .parse()
            .map_err(UnreadablePlaylist::Text)?;
        let (mut names, mut end) = (Vec::new(), UnixMillis::default());
        for segment in &playlist.segments {
            let parsed = ParsedName::parse(segment.uri.as_str(), kind);
            let (
                Ok(ParsedName::SingleSegment { start, .. } | ParsedName::MixedSegment { start, .. }),
                Ok(name),
            ) = (parsed, segment.uri.as_str().parse::<ObjectName>())
            else {
                return Err(UnreadablePlaylist::Name);
            };
            end = start.saturating_add_millis(segment.duration.round_to_room_time().round_to_millis());
            names.push(name);
        }
        let files = names.iter().map(|name| (name.clone(), self.spool.path_of(name))).collect();
        Ok((Medium::hls(name.clone(), text, files), names, end))
    }

    pub(super) fn library_report(&mut self, report: LibraryReport) {
        let now = self.clock.now().unwrap_or(self.now);
        let now = self.advance(now);
        let file_of = |driver: &Self, name: &ObjectName| {
            driver.library.as_ref()?.handed.as_ref()?.media.get(name).cloned()
        };
        match report {
            LibraryReport::Stored { name, stored } => {
                let Some(file) = file_of(self, &name) else { return };
                let (file_id, url) = (stored.file_id, stored.url);
                self.core.report(now, StorageReport::MediumStored { file, file_id, url });
                self.perform();
                // Only what the journal tells is not put again after a crash.
                self.commit();
                if !name.as_str().ends_with(".m3u8") {
                    self.spool.discard(&name);
                }
            }
            LibraryReport::Kept { name, error } => {
                let Some(file) = file_of(self, &name) else { return };
                let medium = MissingMedium {
                    name,
                    user: file.user,
                    track_type: file.track_type,
                    retried: error.is_retryable(),
                    message: error.message(),
                };
                self.core.report(now, StorageReport::MediumMissing(medium));
                self.perform();
            }
            LibraryReport::Tried { kept } => {
                if kept == 0 {
                    self.all_in_library();
                }
                let finished = if kept == 0 { Finished::Delivered } else { Finished::Kept(kept) };
                self.ended(Awaited::Library(finished));
            }
            LibraryReport::AllStored => {
                self.all_in_library();
                self.core.report(now, StorageReport::KeptDelivered);
                self.perform();
            }
            _ => {}
        }
    }

    /// Removes from the spool what everything was made of.
    fn all_in_library(&mut self) {
        let Some(handed) = self.library.as_mut().and_then(|library| library.handed.as_mut()) else { return };
        self.needs_recovery |= handed.incomplete;
        let spooled = std::mem::take(&mut handed.spooled);
        if !self.note_delivered() {
            return;
        }
        for (playlist, segments) in spooled {
            for name in segments {
                self.spool.discard(&name);
            }
            self.spool.discard_playlist(&playlist);
        }
        self.spool.remove_if_empty();
    }
}
