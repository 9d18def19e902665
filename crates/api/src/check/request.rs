use std::time::Duration;

use recorder_types::{RoomId, SdkAppId, UserId};
use serde::de::DeserializeOwned;

use super::at::{At, given};
use super::mixed::{Layout, MixSettings};
use super::record::{RecordMode, RecordSettings, UserList, user_lists};
use super::storage::Storage;
use crate::error::{FieldPath, Problem, RequestError, TextRule};
use crate::tree::Tree;
use crate::{Action, MAX_BODY_BYTES, MAX_QUERY_BYTES, Secret, form, read, tree, wire};

/// Longest `UserSig` and `PrivateMapKey`, in bytes. Ours.
const MAX_SIG_BYTES: usize = 8192;

/// A request that keeps every rule of the API, but for what only a server can know: whether there is such an
/// application, task or room, and whether the signatures are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Starts a task.
    Create(Box<CreateRecording>),
    /// Asks for one.
    Describe(DescribeRecording),
    /// Changes one.
    Modify(Box<ModifyRecording>),
    /// Ends one.
    Delete(DeleteRecording),
}

impl Request {
    /// Reads the body of a `POST` with JSON.
    ///
    /// # Errors
    /// [`RequestError`] with the code and the path of the first member that breaks a rule. Types are looked at first,
    /// then what is missing, then ranges, in the order of the documentation.
    pub fn from_json(action: Action, body: &[u8]) -> Result<Self, RequestError> {
        let root = |problem| RequestError { path: FieldPath::default(), problem };
        if body.len() > MAX_BODY_BYTES {
            return Err(root(Problem::TooLarge { got: body.len(), max: MAX_BODY_BYTES }));
        }
        Self::from_tree(action, &tree::from_json(body).map_err(root)?)
    }

    /// Reads the query of a `GET`: `A.B=1&A.C.0=x`, percent-encoded.
    ///
    /// # Errors
    /// As [`Self::from_json`]; also over 32 KB.
    pub fn from_query(action: Action, query: &str) -> Result<Self, RequestError> {
        Self::from_pairs(action, query, MAX_QUERY_BYTES)
    }

    /// Reads the form-encoded body of a `POST` with the old signature. Its common parameters (`Action`, `Nonce` and
    /// so on) are passed over, as they are by [`Self::from_query`].
    ///
    /// # Errors
    /// As [`Self::from_json`].
    pub fn from_form(action: Action, body: &str) -> Result<Self, RequestError> {
        Self::from_pairs(action, body, MAX_BODY_BYTES)
    }

    fn from_pairs(action: Action, text: &str, max: usize) -> Result<Self, RequestError> {
        const COMMON: [&str; 11] = [
            "Action",
            "Version",
            "Region",
            "Timestamp",
            "Nonce",
            "SecretId",
            "Signature",
            "SignatureMethod",
            "Token",
            "Language",
            "RequestClient",
        ];
        let root = |problem| RequestError { path: FieldPath::default(), problem };
        if text.len() > max {
            return Err(root(Problem::TooLarge { got: text.len(), max }));
        }
        let pairs = form::pairs(text).map_err(root)?;
        let own = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let tree = form::nest(own.filter(|(name, _)| !COMMON.contains(name))).map_err(root)?;
        Self::from_tree(action, &tree)
    }

    fn from_tree(action: Action, tree: &Tree) -> Result<Self, RequestError> {
        fn checked<W: DeserializeOwned, T>(
            tree: &Tree,
            check: impl Fn(W) -> Result<T, RequestError>,
        ) -> Result<T, RequestError> {
            check(read::read(tree)?)
        }
        Ok(match action {
            Action::CreateCloudRecording => {
                Self::Create(Box::new(checked(tree, wire::CreateCloudRecordingRequest::check)?))
            }
            Action::DescribeCloudRecording => {
                Self::Describe(checked(tree, wire::DescribeCloudRecordingRequest::check)?)
            }
            Action::ModifyCloudRecording => {
                Self::Modify(Box::new(checked(tree, wire::ModifyCloudRecordingRequest::check)?))
            }
            Action::DeleteCloudRecording => {
                Self::Delete(checked(tree, wire::DeleteCloudRecordingRequest::check)?)
            }
        })
    }

    /// Which action it is.
    #[must_use]
    pub const fn action(&self) -> Action {
        match self {
            Self::Create(_) => Action::CreateCloudRecording,
            Self::Describe(_) => Action::DescribeCloudRecording,
            Self::Modify(_) => Action::ModifyCloudRecording,
            Self::Delete(_) => Action::DeleteCloudRecording,
        }
    }

    /// Application that it is for.
    #[must_use]
    pub const fn app(&self) -> SdkAppId {
        match self {
            Self::Create(request) => request.app,
            Self::Describe(request) => request.app,
            Self::Modify(request) => request.app,
            Self::Delete(request) => request.app,
        }
    }
}

/// How long a task can be asked for where the request does not say (`ResourceExpiredHour`): 72 h.
pub(super) const DEFAULT_EXPIRY: Duration = Duration::from_secs(72 * 3600);

/// Starts a task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreateRecording {
    /// Application of the room.
    pub app: SdkAppId,
    /// Room to record.
    pub room: RoomId,
    /// The robot.
    pub robot: UserId,
    /// To be verified with [`UserSig`](crate::UserSig) where the application's key is known.
    pub user_sig: Secret,
    /// Single-stream or mixed.
    pub mode: RecordMode,
    /// How and what.
    pub record: RecordSettings,
    /// Where files go.
    pub storage: Storage,
    /// How long the task can be asked for, from its id on: 6 h to 720 h, 72 h by default.
    pub resource_expires_after: Duration,
    /// Ticket of the room.
    pub private_map_key: Option<Secret>,
}

/// Asks for a task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DescribeRecording {
    /// Application of the task.
    pub app: SdkAppId,
    /// Any text: one that is no task's is for the server to answer with `ResourceNotFound`.
    pub task: String,
}

/// Changes a task: both parts are replaced whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModifyRecording {
    /// Application of the task.
    pub app: SdkAppId,
    /// As in [`DescribeRecording`].
    pub task: String,
    /// The grid where the request has none. It is not known yet to fit the canvas: [`Layout::check_canvas`].
    pub layout: Layout,
    /// Whose audio; everyone's where the request has no lists.
    pub audio_users: UserList,
    /// Whose video.
    pub video_users: UserList,
}

/// Ends a task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteRecording {
    /// Application of the task.
    pub app: SdkAppId,
    /// As in [`DescribeRecording`].
    pub task: String,
}

impl wire::CreateCloudRecordingRequest {
    /// What is meant, with every default.
    ///
    /// # Errors
    /// As [`Request::from_json`].
    pub fn check(self) -> Result<CreateRecording, RequestError> {
        let at = At::ROOT;
        let app = app(&at, self.sdk_app_id)?;
        let room = at.required("RoomId", given(self.room_id))?;
        let robot = at.required("UserId", at.parsed("UserId", self.user_id)?)?;
        let user_sig = at.required("UserSig", at.secret("UserSig", self.user_sig, MAX_SIG_BYTES)?)?;
        let record = at.required("RecordParams", self.record_params)?;
        let storage = at.required("StorageParams", self.storage_params)?;
        let record_at = at.member("RecordParams");
        let mode: u8 = record_at.required_number("RecordMode", record.record_mode, 1..=2)?;
        let room = match at.integer("RoomIdType", self.room_id_type, 1, 0..=1)? {
            0 => RoomId::text(&room),
            _ => RoomId::parse_integer(&room),
        }
        .map_err(|rule| at.member("RoomId").rule(rule))?;
        let record = RecordSettings::check(&record_at, record)?;
        let storage = Storage::check(&at.member("StorageParams"), storage, record.stream_type)?;
        let mode = match mode {
            1 => RecordMode::SingleStream,
            _ => RecordMode::Mixed(Box::new(MixSettings::check(
                &at,
                self.mix_transcode_params.unwrap_or_default(),
                self.mix_layout_params,
            )?)),
        };
        let expires = match self.resource_expired_hour {
            None => DEFAULT_EXPIRY,
            Some(_) => {
                let hours: u64 =
                    at.required_number("ResourceExpiredHour", self.resource_expired_hour, 6..=720)?;
                Duration::from_secs(hours * 3600)
            }
        };
        Ok(CreateRecording {
            app,
            room,
            robot,
            user_sig,
            mode,
            record,
            storage,
            resource_expires_after: expires,
            private_map_key: at.secret("PrivateMapKey", self.private_map_key, MAX_SIG_BYTES)?,
        })
    }
}

impl wire::DescribeCloudRecordingRequest {
    /// What is meant.
    ///
    /// # Errors
    /// As [`Request::from_json`].
    pub fn check(self) -> Result<DescribeRecording, RequestError> {
        let (app, task) = (app(&At::ROOT, self.sdk_app_id)?, task_id(self.task_id)?);
        Ok(DescribeRecording { app, task })
    }
}

impl wire::ModifyCloudRecordingRequest {
    /// What is meant, with every default.
    ///
    /// # Errors
    /// As [`Request::from_json`].
    pub fn check(self) -> Result<ModifyRecording, RequestError> {
        let at = At::ROOT;
        let (app, task) = (app_for_change(&at, self.sdk_app_id)?, task_id(self.task_id)?);
        let layout = Layout::check(&at.member("MixLayoutParams"), self.mix_layout_params)?;
        let lists = self.subscribe_stream_user_ids.unwrap_or_default();
        let (audio_users, video_users) = user_lists(&at.member("SubscribeStreamUserIds"), lists)?;
        Ok(ModifyRecording { app, task, layout, audio_users, video_users })
    }
}

impl wire::DeleteCloudRecordingRequest {
    /// What is meant.
    ///
    /// # Errors
    /// As [`Request::from_json`].
    pub fn check(self) -> Result<DeleteRecording, RequestError> {
        let (app, task) = (app(&At::ROOT, self.sdk_app_id)?, task_id(self.task_id)?);
        Ok(DeleteRecording { app, task })
    }
}

/// An application id is 1 to 4294967295.
fn app(at: &At<'_>, id: Option<i64>) -> Result<SdkAppId, RequestError> {
    app_for_change(at, id).map_err(|error| match error.problem {
        Problem::OutOfRange { got, min, max } => {
            RequestError { problem: Problem::NoApp { got, min, max }, ..error }
        }
        _ => error,
    })
}

/// As [`app`], for a change: its page does not list `InvalidParameter.SdkAppId`.
fn app_for_change(at: &At<'_>, id: Option<i64>) -> Result<SdkAppId, RequestError> {
    at.required_number("SdkAppId", id, 1..=i64::from(u32::MAX)).map(SdkAppId::new)
}

fn task_id(task: Option<String>) -> Result<String, RequestError> {
    /// Longer than any task id; what is longer is not worth keeping.
    const MAX_TASK_BYTES: usize = 1024;
    let at = At::ROOT;
    let task = at.required("TaskId", given(task))?;
    if task.len() > MAX_TASK_BYTES {
        return Err(at.member("TaskId").rule(TextRule::TooLong { len: task.len(), max: MAX_TASK_BYTES }));
    }
    Ok(task)
}
