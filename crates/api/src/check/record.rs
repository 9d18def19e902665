use std::time::Duration;

use recorder_types::UserId;

use super::at::At;
use super::coded::{AvMerge, FillType, MediaSelection, OutputFormat, StreamType, SubscribeAbility};
use super::mixed::MixSettings;
use crate::error::{Problem, RequestError};
use crate::wire;

/// Most entries of a subscription list.
pub const MAX_LIST_ENTRIES: usize = 32;

/// One set of files for each participant, or one for the room (`RecordMode`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordMode {
    /// 1. `MixTranscodeParams` and `MixLayoutParams` are passed over.
    SingleStream,
    /// 2.
    Mixed(Box<MixSettings>),
}

/// How and what is recorded (`RecordParams`, without its mode).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordSettings {
    /// Time without any anchor after which the task ends (`MaxIdleTime`): 5 s to 86 400 s, 30 s by default.
    pub max_idle: Duration,
    /// `StreamType`.
    pub stream_type: StreamType,
    /// Whose audio is recorded.
    pub audio_users: UserList,
    /// Whose video is recorded.
    pub video_users: UserList,
    /// `OutputFormat`; of no meaning for VOD.
    pub output: OutputFormat,
    /// `AvMerge`.
    pub merge: AvMerge,
    /// Longest MP4 or AAC file (`MaxMediaFileDuration`): 1 to 1440 minutes, the default.
    pub max_file_duration: Duration,
    /// `MediaId`.
    pub media: MediaSelection,
    /// `FillType`.
    pub fill: FillType,
    /// `SubscribeAbility`.
    pub mixed_streams: SubscribeAbility,
}

/// Whom a recording takes, for one kind of media. An entry that ends in `.*$` stands for all ids that begin with what is
/// before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UserList {
    /// No list.
    #[default]
    Everyone,
    /// These and no others; 1 to 32.
    Allow(Vec<UserId>),
    /// All but these; 1 to 32.
    Block(Vec<UserId>),
}

impl RecordSettings {
    pub(super) fn check(at: &At<'_>, wire: wire::RecordParams) -> Result<Self, RequestError> {
        let idle = at.number("MaxIdleTime", wire.max_idle_time, 30, 5..=86_400)?;
        let (audio_users, video_users) = user_lists(
            &at.member("SubscribeStreamUserIds"),
            wire.subscribe_stream_user_ids.unwrap_or_default(),
        )?;
        Ok(Self {
            max_idle: Duration::from_secs(idle),
            stream_type: at.code("StreamType", wire.stream_type)?.unwrap_or(StreamType::AudioAndVideo),
            audio_users,
            video_users,
            output: at.code("OutputFormat", wire.output_format)?.unwrap_or(OutputFormat::Hls),
            merge: at.code("AvMerge", wire.av_merge)?.unwrap_or(AvMerge::Separate),
            max_file_duration: file_duration(at, wire.max_media_file_duration)?,
            media: at.code("MediaId", wire.media_id)?.unwrap_or(MediaSelection::Both),
            fill: at.code("FillType", wire.fill_type)?.unwrap_or(FillType::LastPicture),
            mixed_streams: at
                .code("SubscribeAbility", wire.subscribe_ability)?
                .unwrap_or(SubscribeAbility::WithoutMixed),
        })
    }
}

pub(super) fn file_duration(at: &At<'_>, minutes: Option<i64>) -> Result<Duration, RequestError> {
    let minutes: u32 = at.number("MaxMediaFileDuration", minutes, 1440, 1..=1440)?;
    Ok(Duration::from_secs(u64::from(minutes) * 60))
}

/// Of audio and of video.
pub(super) fn user_lists(
    at: &At<'_>,
    wire: wire::SubscribeStreamUserIds,
) -> Result<(UserList, UserList), RequestError> {
    let audio = user_list(
        at,
        ("SubscribeAudioUserIds", wire.subscribe_audio_user_ids),
        ("UnSubscribeAudioUserIds", wire.un_subscribe_audio_user_ids),
    )?;
    let video = user_list(
        at,
        ("SubscribeVideoUserIds", wire.subscribe_video_user_ids),
        ("UnSubscribeVideoUserIds", wire.un_subscribe_video_user_ids),
    )?;
    Ok((audio, video))
}

fn user_list(
    at: &At<'_>,
    (allow_name, allow): (&'static str, Option<Vec<String>>),
    (block_name, block): (&'static str, Option<Vec<String>>),
) -> Result<UserList, RequestError> {
    let allow = entries(&at.member(allow_name), allow.unwrap_or_default())?;
    let block = entries(&at.member(block_name), block.unwrap_or_default())?;
    match (allow.is_empty(), block.is_empty()) {
        (true, true) => Ok(UserList::Everyone),
        (false, true) => Ok(UserList::Allow(allow)),
        (true, false) => Ok(UserList::Block(block)),
        (false, false) => Err(at.member(allow_name).error(Problem::Both { other: block_name })),
    }
}

fn entries(at: &At<'_>, list: Vec<String>) -> Result<Vec<UserId>, RequestError> {
    at.list(&list, MAX_LIST_ENTRIES)?;
    let entry = |(index, entry): (usize, String)| {
        entry.parse().map_err(|rule: recorder_types::InvalidUserId| at.item(index).rule(rule))
    };
    list.into_iter().enumerate().map(entry).collect()
}
