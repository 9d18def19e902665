//! Joins the tracks of an output into one file.

use std::io::{self, Read, Write};

use recorder_mp4::{MovieIndex, MoviePlan, PlanError, TrackSetup};
use recorder_types::{MediaKind, RoomTime, Timescale, Timestamp};

use crate::error::MergeError;
use crate::feed::{Feed, Media, Planned};
use crate::job::Job;
use crate::sink::Sink;

/// A file of which everything but its media is known, and where that is.
pub(crate) struct Movie {
    pub(crate) plan: MoviePlan,
    /// Of its tracks, which are as many as `media`.
    kinds: Vec<MediaKind>,
    media: Vec<Media>,
}

/// Takes all samples of `feeds`, by decode time. Feeds without any are left out.
pub(crate) fn gather(
    mut feeds: Vec<(MediaKind, Box<dyn Feed>)>,
    job: &mut Job<'_>,
) -> Result<Movie, MergeError> {
    let mut index = MovieIndex::new().with_origin(Timestamp::new(0, Timescale::HZ_90000));
    let mut tracks: Vec<(Box<dyn Feed>, Option<Planned>)> = Vec::new();
    let mut kinds = Vec::new();
    for (kind, mut feed) in feeds.drain(..) {
        let Some(mut first) = feed.next(job)? else { continue };
        let Some(entry) = first.entry.take() else { continue };
        let setup = TrackSetup::new(entry, feed.timescale()).with_orientation(feed.orientation());
        index.add_track(setup).map_err(|source| unfit(job, source))?;
        tracks.push((feed, Some(first)));
        kinds.push(kind);
    }
    if tracks.is_empty() {
        return Err(MergeError::Empty);
    }
    loop {
        let time = |planned: &Planned| planned.info.dts.to_room_time().unwrap_or(RoomTime::MAX);
        let waiting = tracks.iter().enumerate();
        let waiting = waiting.filter_map(|(track, (_, planned))| Some((time(planned.as_ref()?), track)));
        let Some((_, track)) = waiting.min() else { break };
        let Some((feed, slot)) = tracks.get_mut(track) else { break };
        let Some(planned) = slot.take() else { break };
        if let Some(entry) = &planned.entry {
            index.change_entry(track, entry).map_err(|source| unfit(job, source))?;
        }
        index.push(track, planned.info).map_err(|source| unfit(job, source))?;
        *slot = feed.next(job)?;
    }
    let media = tracks.into_iter().map(|(feed, _)| feed.finish()).collect::<Result<_, _>>()?;
    let plan = index.finish().map_err(|source| unfit(job, source))?;
    Ok(Movie { plan, kinds, media })
}

fn unfit(job: &Job<'_>, source: PlanError) -> MergeError {
    MergeError::Samples { segment: job.segment(), source }
}

impl Movie {
    /// Whether it has a track of `kind`: segments may hold less than their playlists tell.
    pub(crate) fn has(&self, kind: MediaKind) -> bool {
        self.kinds.contains(&kind)
    }

    /// Writes the file, front to back.
    pub(crate) fn write(mut self, job: &mut Job<'_>, sink: &mut dyn Sink) -> Result<(), MergeError> {
        let output = job.output;
        let name = &output.name;
        let failed = |source| MergeError::Write { name: name.clone(), source };
        let mut file = sink.create(name).map_err(|source| match source.kind() {
            io::ErrorKind::InvalidInput => MergeError::Name { name: name.clone() },
            _ => failed(source),
        })?;
        for piece in self.plan.header() {
            file.write_all(&piece).map_err(failed)?;
        }
        for chunk in self.plan.chunks() {
            let written = match self.media.get_mut(chunk.track) {
                Some(Media::Copied(reader)) => {
                    let mut written = 0;
                    for _ in 0..chunk.samples {
                        let sample = reader.next(job)?;
                        written += sample.len() as u64;
                        file.write_all(&sample).map_err(failed)?;
                    }
                    written
                }
                Some(Media::Spooled(spool)) => {
                    io::copy(&mut spool.take(chunk.bytes), &mut file).map_err(failed)?
                }
                None => 0,
            };
            if written != chunk.bytes {
                return Err(MergeError::Changed { segment: job.segment() });
            }
        }
        file.finish().map_err(failed)
    }
}
