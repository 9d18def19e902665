use std::collections::VecDeque;

use bytes::Bytes;
use recorder_hls::index::Pictures;
use recorder_mp4::{SampleEntry, SampleInfo};
use recorder_types::h264::DisplayOrientation;
use recorder_types::{MediaKind, Size, Timescale, Timestamp};

use crate::clock::HZ;
use crate::error::MergeError;
use crate::execute::Reason;
use crate::feed::{Feed, Media, Planned};
use crate::job::Job;
use crate::script::{Script, ScriptReader};

/// What a picture is taken to last where nothing tells: 1/30 s.
const DEFAULT_PICTURE: i64 = HZ / 30;
/// Pictures that come before the end of those before them by less than this are squeezed in: durations in playlists
/// and names are rounded. Others are left out, up to the next key frame.
const SQUEEZED: i64 = HZ / 2;
/// The last picture is held to the end of the output if that comes later than this.
const HELD: i64 = HZ / 2;

/// Pictures as they are.
pub(crate) struct CopyVideo {
    lane: VecDeque<usize>,
    /// The size that they have to have, once it is known.
    size: Option<(Size, Reason)>,
    /// How pictures are turned, once there were some.
    orientation: Option<DisplayOrientation>,
    current: Option<Current>,
    run: Option<u32>,
    /// Pictures up to the next key frame cannot be decoded.
    waits_for_key: bool,
    last_dts: Option<i64>,
    /// Ticks of the last picture that was followed by another.
    lasts: i64,
    /// Waits for the next, which tells how long it lasts.
    pending: Option<Planned>,
    entry: Option<SampleEntry>,
    script: Script,
}

struct Current {
    pictures: Pictures,
    /// From which picture on which parameter sets hold.
    sets: VecDeque<(u32, Vec<Bytes>)>,
    number: u32,
    offset: i64,
}

impl CopyVideo {
    /// Of `job`'s output; pictures of another size than `asked` cannot be copied.
    pub(crate) fn new(lane: VecDeque<usize>, asked: Option<Size>) -> Self {
        Self {
            lane,
            size: asked.map(|size| (size, Reason::Size)),
            orientation: None,
            current: None,
            run: None,
            waits_for_key: true,
            last_dts: None,
            lasts: DEFAULT_PICTURE,
            pending: None,
            entry: None,
            script: Script::default(),
        }
    }

    /// Opens the next segment with pictures; `false` if there is none.
    fn open(&mut self, job: &mut Job<'_>) -> Result<bool, MergeError> {
        while let Some(number) = self.lane.pop_front() {
            let loaded = job.load(number)?;
            let run = job.output.pieces.get(number).map(|piece| piece.run);
            let video = loaded.as_ref().and_then(|loaded| loaded.index.video());
            // What was predicted from pictures that are not there waits too.
            self.waits_for_key |= run != self.run || video.is_none();
            self.run = run;
            let (Some(video), Some(loaded)) = (video, &loaded) else { continue };
            match (self.orientation, video.orientation()) {
                (None, told) => self.orientation = Some(told.unwrap_or_default()),
                (Some(before), Some(told)) if told != before => {
                    return Err(MergeError::NotCopyable(Reason::Turned));
                }
                _ => {}
            }
            let first = (0, video.parameter_sets().to_vec());
            let changes = video.set_changes().map(|(from, sets)| (from, sets.to_vec()));
            let sets = std::iter::once(first).chain(changes).filter(|(_, sets)| !sets.is_empty()).collect();
            self.current =
                Some(Current { pictures: video.pictures(), sets, number: 0, offset: loaded.offset });
            self.script.segment(number);
            return Ok(true);
        }
        Ok(false)
    }

    /// The next picture that is kept, with its own times.
    fn picture(&mut self, job: &mut Job<'_>) -> Result<Option<Planned>, MergeError> {
        loop {
            let Some(current) = &mut self.current else {
                if !self.open(job)? {
                    return Ok(None);
                }
                continue;
            };
            let Some(picture) = current.pictures.next() else {
                self.current = None;
                continue;
            };
            let mut sets = None;
            while current.sets.front().is_some_and(|(from, _)| *from <= current.number) {
                sets = current.sets.pop_front().map(|(_, sets)| sets);
            }
            current.number += 1;
            let offset = current.offset;
            let described = sets.map(|sets| self.describe(sets)).transpose()?.flatten();
            let dts = picture.dts.saturating_add(offset);
            let early = self.last_dts.map_or(0, |last| last.saturating_sub(dts).saturating_add(1));
            self.waits_for_key = (self.waits_for_key && !picture.sync) || early > SQUEEZED;
            if let Some(entry) = described {
                self.entry = Some(entry);
            }
            if self.waits_for_key || self.entry.is_none() && self.last_dts.is_none() {
                self.script.skip();
                continue;
            }
            let dts = dts.saturating_add(early.max(0));
            let pts = picture.pts.saturating_add(offset).max(dts);
            if let Some(last) = self.last_dts {
                self.lasts = dts.saturating_sub(last);
            }
            self.last_dts = Some(dts);
            self.script.keep();
            let at = |ticks| Timestamp::new(ticks, Timescale::HZ_90000);
            let info =
                SampleInfo { pts: at(pts), dts: at(dts), duration: 0, sync: picture.sync, len: picture.len };
            return Ok(Some(Planned { info, entry: self.entry.take() }));
        }
    }

    /// The sample entry of these parameter sets, if they are others than before.
    fn describe(&mut self, sets: Vec<Bytes>) -> Result<Option<SampleEntry>, MergeError> {
        let unfit = |_| MergeError::NotCopyable(Reason::ParameterSets);
        let entry = SampleEntry::avc1(sets).map_err(unfit)?;
        match (&self.size, entry.size) {
            (Some((size, reason)), Some(own)) if *size != own => {
                return Err(MergeError::NotCopyable(reason.clone()));
            }
            (None, Some(own)) => self.size = Some((own, Reason::SizesDiffer)),
            _ => {}
        }
        Ok(Some(entry))
    }
}

impl Feed for CopyVideo {
    fn timescale(&self) -> Timescale {
        Timescale::HZ_90000
    }

    fn orientation(&self) -> DisplayOrientation {
        self.orientation.unwrap_or_default()
    }

    fn next(&mut self, job: &mut Job<'_>) -> Result<Option<Planned>, MergeError> {
        if self.pending.is_none() {
            self.pending = self.picture(job)?;
        }
        let Some(mut planned) = self.pending.take() else { return Ok(None) };
        self.pending = self.picture(job)?;
        let dts = planned.info.dts.ticks();
        let until = match &self.pending {
            Some(next) => next.info.dts.ticks(),
            None => {
                let end = dts.saturating_add(self.lasts.min(HZ));
                if job.end().saturating_sub(end) > HELD { job.end() } else { end }
            }
        };
        planned.info.duration = u32::try_from(until.saturating_sub(dts)).unwrap_or(u32::MAX);
        Ok(Some(planned))
    }

    fn finish(self: Box<Self>) -> Result<Media, MergeError> {
        Ok(Media::Copied(Box::new(ScriptReader::new(self.script, MediaKind::Video, Bytes::new()))))
    }
}
