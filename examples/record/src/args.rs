use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use recorder::storage::SealKey;
use recorder::types::{MediaId, RoomId, RoomTime, SdkAppId, TaskId, UnixMillis, UserId, with_causes};
use recorder::{MaxFileDuration, OutputFormat, RecorderOptions};
use recorder_mix_args::MixArgs;

use crate::room::AnyError;

/// Records a room: one HLS file set per participant and track, named and written as the TRTC on-cloud recorder
/// does.
///
/// Participants are files. Without any, a room of three simulated people is recorded.
#[derive(Debug, Parser)]
#[command(name = "record", version)]
pub(crate) struct Args {
    /// A participant: their user id, the media file they send (MP4, fMP4, Annex-B .h264/.264, ADTS .aac/.adts, Ogg
    /// Opus), seconds at which they join and leave, primary stream or substream, and frames per second of a raw
    /// H.264 file. The same USER may be given several times (a camera and a screen, or coming back later).
    #[arg(long = "participant", value_name = "USER=FILE[,join=S][,leave=S][,media=main|aux][,fps=N]")]
    pub(crate) participants: Vec<Participant>,

    /// The room.
    #[arg(long = "room", value_name = "ID", default_value = "1001")]
    room: String,

    /// How the room id is read: a 32-bit number, or a name. By default what the id looks like.
    #[arg(long, value_name = "KIND")]
    room_id_type: Option<RoomIdType>,

    /// Application of the room.
    #[arg(long, value_name = "N", default_value_t = 1_400_000_001)]
    sdk_app_id: u32,

    /// The task: names the directory of the files. By default made from application, room and start time.
    #[arg(long, value_name = "ID")]
    task_id: Option<TaskId>,

    /// What is recorded: each participant, or the room as one video and one sound.
    #[arg(long, value_name = "MODE", default_value = "single")]
    pub(crate) mode: Mode,

    #[command(flatten)]
    pub(crate) mix: MixArgs,

    /// Also writes what happens in the room and when, beside the recordings: `compose` makes the mixed recording of the
    /// single ones by it.
    #[arg(long)]
    pub(crate) timeline: bool,

    /// What is written.
    #[arg(long, value_name = "FORMAT", default_value = "hls")]
    pub(crate) format: Format,

    /// Longest MP4 or AAC file, 1 to 1440 minutes; the next one goes on. 2 GB end a file in any case.
    #[arg(long, value_name = "N", default_value = "1440", value_parser = parse_minutes)]
    pub(crate) max_file_minutes: MaxFileDuration,

    /// Audio and video of a participant in one file set instead of two.
    #[arg(long)]
    pub(crate) av_merge: bool,

    /// Where to: a directory, or the URL of a bucket: memory:, and where the program is built with --features aws,
    /// azure or gcp also s3://bucket/prefix?endpoint=…&region=…, az://… or gs://….
    /// [default: recordings; with --recover where each recording went]
    #[arg(long, value_name = "DIR|URL")]
    pub(crate) out: Option<String>,

    /// Into a media library in place of --out: a folder where each playlist and each MP4 or AAC file gets an id, an address
    /// and a line in index.jsonl (events 311 and 312).
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "prefix", "timeline"])]
    pub(crate) vod: Option<PathBuf>,

    /// Where goes what --out refuses or does not take, until that takes it: a directory, or the URL of a bucket.
    /// [default: nowhere; with --recover where each recording had it]
    #[arg(long, value_name = "DIR|URL", conflicts_with = "vod")]
    pub(crate) backup: Option<String>,

    /// Directory for files until they are delivered. By default a hidden one inside of --out or --vod, or in the system's
    /// temporary directory when --out is a URL. It is removed when everything was delivered.
    #[arg(long, value_name = "DIR")]
    pub(crate) spool: Option<PathBuf>,

    /// Takes up the recordings that a run which died left in this spool: delivers what they have and ends them. With
    /// --participant the first that had not ended goes on with those, under its next prefix (ha1_ to ha3_).
    #[arg(long, value_name = "DIR", conflicts_with_all = ["spool", "task_id", "prefix", "format", "seconds", "av_merge"])]
    pub(crate) recover: Option<PathBuf>,

    /// File with 64 hexadecimal digits: seals the keys of --out in the spool, so that --recover with the same file needs
    /// no --out.
    #[arg(long, value_name = "FILE")]
    pub(crate) seal_key_file: Option<PathBuf>,

    /// Directories before the task's: components of a-z A-Z 0-9 _ - joined by slashes.
    #[arg(long, value_name = "A/B")]
    pub(crate) prefix: Option<String>,

    /// URL that is told what happens (events 301 to 312).
    #[arg(long, value_name = "URL")]
    pub(crate) callback: Option<String>,

    /// Key that signs the callbacks: at most 32 letters and digits.
    #[arg(long, value_name = "KEY", requires = "callback")]
    pub(crate) callback_key: Option<String>,

    /// Seconds after the end in which the callback server may still take what it was told.
    #[arg(long, value_name = "S", default_value = "75", value_parser = parse_patience, requires = "callback")]
    pub(crate) callback_patience: Duration,

    /// Let --callback, and the images of a layout, reach private and loopback addresses.
    #[arg(long)]
    pub(crate) allow_private_urls: bool,

    /// Start of the recording in Unix milliseconds; by default now. The same arguments and start give the same
    /// bytes.
    #[arg(long, value_name = "UNIX_MS", value_parser = parse_unix_millis)]
    pub(crate) start_time: Option<UnixMillis>,

    /// As fast as people would speak, instead of as fast as the machine allows.
    #[arg(long)]
    pub(crate) realtime: bool,

    /// Length of the simulated room.
    #[arg(long, value_name = "S", default_value = "30", value_parser = parse_seconds, allow_negative_numbers = true, conflicts_with = "participants")]
    pub(crate) seconds: RoomTime,

    /// No progress bar and no table.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl Args {
    /// Where the files go by `--out`.
    pub(crate) fn out(&self) -> &str {
        self.out.as_deref().unwrap_or("recordings")
    }

    /// Where spools are by default, if that is a directory.
    pub(crate) fn directory(&self) -> Option<&Path> {
        match &self.vod {
            Some(folder) => Some(folder),
            None => Some(Path::new(self.out())).filter(|_| !self.out().contains(':')),
        }
    }

    /// What recordings share, with their spool in `spool`.
    pub(crate) fn recorder_options(&self, spool: &Path) -> Result<RecorderOptions, AnyError> {
        let options = RecorderOptions::new(spool);
        let Some(file) = &self.seal_key_file else { return Ok(options) };
        let key = SealKey::read(file).map_err(|error| format!("--seal-key-file: {}", with_causes(&error)))?;
        Ok(options.with_seal_key(key))
    }

    /// The room by `--room` and `--room-id-type`.
    pub(crate) fn room(&self) -> Result<RoomId, recorder::types::InvalidRoomId> {
        let looks_like_number = RoomId::parse_integer(&self.room).is_ok();
        match self.room_id_type {
            Some(RoomIdType::Int) => RoomId::parse_integer(&self.room),
            None if looks_like_number => RoomId::parse_integer(&self.room),
            Some(RoomIdType::String) | None => RoomId::text(&self.room),
        }
    }

    pub(crate) const fn app(&self) -> SdkAppId {
        SdkAppId::new(self.sdk_app_id)
    }

    /// The task by `--task-id`, else one that differs from room to room and start to start.
    pub(crate) fn task(&self, room: &RoomId, start: UnixMillis) -> TaskId {
        self.task_id.clone().unwrap_or_else(|| {
            let seed = format!("{}/{room}", self.sdk_app_id);
            format!("rec-{}-{:08x}", start.utc_digits(), fnv1a(seed.as_bytes()))
                .parse()
                .expect("letters, digits and dashes are a task id")
        })
    }
}

/// FNV-1a, 32 bits: tells rooms apart in default task ids, nothing more.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoomIdType {
    Int,
    String,
}

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// A file set per participant and track.
    Single,
    /// One file set for the room.
    Mixed,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Playlists and TS segments.
    Hls,
    /// The same, and an MP4 file of each participant's stream at the end.
    #[value(name = "hls+mp4")]
    HlsAndMp4,
    /// The same, and an AAC file of each participant's sound at the end.
    #[value(name = "hls+aac")]
    HlsAndAac,
    /// MP4 files only.
    Mp4,
    /// AAC files only: sound, no pictures.
    Aac,
}

impl From<Format> for OutputFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Hls => Self::Hls,
            Format::HlsAndMp4 => Self::HlsAndMp4,
            Format::HlsAndAac => Self::HlsAndAac,
            Format::Mp4 => Self::Mp4,
            Format::Aac => Self::Aac,
        }
    }
}

/// One `--participant`.
#[derive(Clone, Debug)]
pub(crate) struct Participant {
    pub(crate) user: UserId,
    pub(crate) file: PathBuf,
    pub(crate) join: RoomTime,
    pub(crate) leave: Option<RoomTime>,
    pub(crate) media: MediaId,
    /// Frames per second of a raw H.264 file, as a fraction.
    pub(crate) fps: Option<(u32, u32)>,
}

impl FromStr for Participant {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let (user, rest) = s.split_once('=').ok_or("USER=FILE is missing its `=`")?;
        let user = user.parse().map_err(|error| format!("{error}"))?;
        let mut file = rest;
        let mut options = Vec::new();
        // Options are taken from the end, so that a file name may hold commas.
        while let Some((before, option)) = file.rsplit_once(',') {
            let Some((key @ ("join" | "leave" | "media" | "fps"), value)) = option.split_once('=') else {
                break;
            };
            options.push((key, value));
            file = before;
        }
        if file.is_empty() {
            return Err("the file name is empty".into());
        }
        let mut participant = Self {
            user,
            file: file.into(),
            join: RoomTime::ZERO,
            leave: None,
            media: MediaId::Main,
            fps: None,
        };
        for (key, value) in options {
            match key {
                "join" => participant.join = parse_seconds(value)?,
                "leave" => participant.leave = Some(parse_seconds(value)?),
                "media" => {
                    participant.media = match value {
                        "main" => MediaId::Main,
                        "aux" => MediaId::Aux,
                        _ => return Err(format!("media is `main` or `aux`, not `{value}`")),
                    }
                }
                _ => participant.fps = Some(parse_fps(value)?),
            }
        }
        if participant.leave.is_some_and(|leave| leave <= participant.join) {
            return Err("leave is not after join".into());
        }
        Ok(participant)
    }
}

/// Seconds with up to nine decimals, 0 to one million.
fn parse_seconds(text: &str) -> Result<RoomTime, String> {
    let wrong = || format!("`{text}` is not a number of seconds from 0 to 1000000");
    let (nanos, scale) = decimal(text, 9).ok_or_else(wrong)?;
    let nanos = i64::try_from(nanos).map_err(|_| wrong())?;
    if scale != 1_000_000_000 || nanos > 1_000_000 * 1_000_000_000 {
        return Err(wrong());
    }
    Ok(RoomTime::from_nanos(nanos))
}

/// Frames per second: `25`, `29.97` or `30000/1001`.
fn parse_fps(text: &str) -> Result<(u32, u32), String> {
    let wrong = || format!("`{text}` is not a frame rate from 0.1 to 1000");
    let (num, den) = match text.split_once('/') {
        Some((num, den)) => (num.parse().map_err(|_| wrong())?, den.parse().map_err(|_| wrong())?),
        None => decimal(text, 3).ok_or_else(wrong)?,
    };
    let (num, den) = (u32::try_from(num).map_err(|_| wrong())?, u32::try_from(den).map_err(|_| wrong())?);
    let (num_wide, den_wide) = (u64::from(num), u64::from(den));
    if den == 0 || num_wide * 10 < den_wide || num_wide > den_wide * 1000 {
        return Err(wrong());
    }
    Ok((num, den))
}

/// A decimal number as an integer over `10^digits`.
fn decimal(text: &str, digits: usize) -> Option<(u64, u64)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || fraction.len() > digits || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let value = format!("{whole}{fraction:0<digits$}").parse().ok()?;
    Some((value, 10u64.checked_pow(u32::try_from(digits).ok()?)?))
}

fn parse_patience(text: &str) -> Result<Duration, String> {
    let seconds: Option<u16> = text.parse().ok();
    seconds.map(|s| Duration::from_secs(s.into())).ok_or_else(|| "not whole seconds from 0 to 65535".into())
}

fn parse_minutes(text: &str) -> Result<MaxFileDuration, String> {
    let minutes = text.parse().ok().and_then(MaxFileDuration::from_minutes);
    minutes.ok_or_else(|| "not a whole number of minutes from 1 to 1440".into())
}

fn parse_unix_millis(text: &str) -> Result<UnixMillis, String> {
    text.parse()
        .ok()
        .and_then(UnixMillis::new)
        .ok_or_else(|| "not a number of milliseconds since 1970 and before the year 10000".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn participants_are_read_with_commas_in_file_names() {
        let p: Participant = "alice=a,b.mp4,join=1.5,leave=10,media=aux,fps=29.97".parse().unwrap();
        assert_eq!(p.user.as_str(), "alice");
        assert_eq!(p.file, PathBuf::from("a,b.mp4"));
        assert_eq!((p.join, p.leave), (RoomTime::from_millis(1500), Some(RoomTime::from_secs(10))));
        assert_eq!((p.media, p.fps), (MediaId::Aux, Some((29_970, 1000))));
        let p: Participant = "a=x=1,y.mp4,fps=30000/1001".parse().unwrap();
        assert_eq!(p.file, PathBuf::from("x=1,y.mp4"));
        assert_eq!(p.fps, Some((30_000, 1001)));
    }

    #[test]
    fn wrong_participants_say_why() {
        for (text, why) in [
            ("alice", "`=`"),
            ("=x.mp4", "empty"),
            ("a=", "empty"),
            ("a=x,join=-1", "seconds"),
            ("a=x,join=5,leave=5", "leave"),
            ("a=x,media=screen", "media"),
            ("a=x,fps=0", "frame rate"),
            ("a\n=x", "control"),
        ] {
            let error = text.parse::<Participant>().unwrap_err();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }
}
