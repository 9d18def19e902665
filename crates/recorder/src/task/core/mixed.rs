use std::sync::Arc;

use recorder_callback::Payload;
use recorder_compositor::Bitmap;
use recorder_layout::{ImageUrl, LayoutParams};
use recorder_types::{MediaId, MediaKind, RoomTime, Sample, UserId};

use super::{Action, EventError, Now, TaskCore};
use crate::mix::Watermark;
use crate::task::file_set::FileSet;
use crate::task::mix::{MixReport, Seat};
use crate::task::track::Track;

/// The mixed mode of a task: tracks go into the mix, and what comes out of it into the one file set.
impl TaskCore {
    pub(super) fn set_layout(
        &mut self,
        layout: LayoutParams,
        watermarks: Vec<Watermark>,
    ) -> Result<(), EventError> {
        let Some(mix) = &mut self.mix else { return Err(EventError::NotMixed) };
        mix.set_layout(layout, watermarks).map_err(EventError::MixOptions)?;
        self.want_images();
        Ok(())
    }

    /// Asks for the images that are shown and not here.
    pub(super) fn want_images(&mut self) {
        let Some(mix) = &mut self.mix else { return };
        self.actions.extend(mix.wanted_images().into_iter().map(|url| Action::FetchImage { url }));
    }

    pub(super) fn take_image(
        &mut self,
        now: Now,
        url: &ImageUrl,
        image: Option<Arc<Bitmap>>,
    ) -> Result<(), EventError> {
        let Some(mix) = &mut self.mix else { return Err(EventError::NotMixed) };
        match image {
            Some(image) => mix.take_image(url, image),
            None => self.notify(now.wall, Payload::DownloadImageError { url: url.as_str().into() }),
        }
        Ok(())
    }

    /// Puts one access unit of the track at `at` into the mix; the first one begins it.
    pub(super) fn mix_sample(
        &mut self,
        now: Now,
        user: &UserId,
        at: usize,
        sample: &Sample,
    ) -> Result<(), EventError> {
        if self.sets.is_empty() {
            self.begin_mix(now)?;
        }
        let Some(mix) = &mut self.mix else { return Ok(()) };
        let Some(track) = self.tracks.get_mut(user).and_then(|tracks| tracks.get_mut(at)) else {
            return Ok(());
        };
        track.join(FileSet::MIXED);
        if !track.push(now.room, sample) {
            self.refused.without_time += 1;
        }
        let begun = track.take_begin().map(|dts| (track.media(), track.kind(), dts));
        while let Some(out) = track.poll() {
            if mix.push(now.room, user, track, out).map_err(EventError::Mix)? {
                let (user, media) = (user.clone(), track.media());
                self.actions.push_back(Action::RequestKeyFrame { user, media });
            }
        }
        if let Some((media, kind, dts)) = begun {
            self.note_begin(now, user, (media, kind), Some(dts));
        }
        Ok(())
    }

    fn begin_mix(&mut self, now: Now) -> Result<(), EventError> {
        let Some(mix) = &mut self.mix else { return Ok(()) };
        let streams = mix.begin(now).map_err(EventError::Mix)?;
        let id = FileSet::mixed(&mut self.sets, &self.options, &self.names)?;
        let set = &mut self.sets[id.index()];
        for stream in streams {
            set.attach(stream, now);
        }
        self.show(now);
        Ok(())
    }

    /// Arranges those who are recorded now.
    pub(super) fn show(&mut self, now: Now) {
        let Some(mix) = &mut self.mix else { return };
        let mut seats = Vec::new();
        for (user, tracks) in &self.tracks {
            let Some(entered) = self.room.entered(user) else { continue };
            for media in [MediaId::Main, MediaId::Aux] {
                let is_mixed = |track: &&Track| {
                    track.media() == media
                        && self.options.media.takes(media)
                        && self.room.records(user, track.kind())
                        && !(media == MediaId::Aux && track.kind() == MediaKind::Audio)
                };
                let mut kinds = tracks.iter().filter(is_mixed).map(Track::kind).peekable();
                if kinds.peek().is_some() {
                    let has_video = kinds.any(|kind| kind == MediaKind::Video);
                    seats.push(Seat { user: user.clone(), entered, media, has_video });
                }
            }
        }
        mix.show(now.room, seats);
    }

    /// Mixes what is due at `at`.
    pub(super) fn advance_mix(&mut self, now: Now, at: RoomTime) {
        let Some(mix) = &self.mix else { return };
        let until = mix.horizon(at, self.empty_since);
        self.mix_until(now, until);
    }

    /// Mixes the rest: up to now, or up to when the last one left.
    pub(super) fn finish_mix(&mut self, now: Now) {
        let end = self.empty_since.unwrap_or(now.room);
        self.mix_until(now, end);
        if let Some(mix) = &mut self.mix {
            mix.finish(end);
        }
        self.take_mixed(now);
    }

    /// In steps, so that no more than a step's media is held.
    fn mix_until(&mut self, now: Now, until: RoomTime) {
        while self.mix.as_mut().is_some_and(|mix| mix.advance(until)) {
            self.take_mixed(now);
        }
    }

    /// Says that the caller does at `now` what was due `behind` ago: a mix leaves work out when it is too much
    /// ([`MixOptions::shed_after`](crate::MixOptions)), and takes it up again when it is not. For callers in real time;
    /// what comes out depends on it.
    pub fn observe_delay(&mut self, now: Now, behind: RoomTime) {
        if let Some(mix) = &mut self.mix {
            let changed = mix.observe(now.room, behind);
            self.actions.extend(changed.map(|now| Action::Shedding { now }));
        }
    }

    /// What the mix has done; `None` for a task that does not mix.
    #[must_use]
    pub fn mix_report(&self) -> Option<MixReport> {
        self.mix.as_ref().map(|mix| mix.report())
    }

    /// Hands what was mixed to its file set.
    fn take_mixed(&mut self, now: Now) {
        let (Some(mix), Some(set)) = (&mut self.mix, self.sets.first_mut()) else { return };
        while let Some((kind, sample)) = mix.poll() {
            set.push(kind, &sample);
        }
        set.drain_into(now.wall, &mut self.actions);
    }
}
