use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Version of the API (`X-TC-Version`).
pub const API_VERSION: &str = "2019-07-22";

/// Name of the product in a signature's scope.
pub const SERVICE: &str = "trtc";

/// Calls of one action that the service takes in a second.
pub const CALLS_PER_SECOND: u32 = 20;

/// How long the service takes over one call, at most.
pub const CALL_BUDGET: Duration = Duration::from_secs(6);

/// Largest `GET` request, in bytes of its query.
pub const MAX_QUERY_BYTES: usize = 32 * 1024;

/// Largest body that is read, in bytes. Ours: every list full and every text at its longest is under 300 KB.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Tasks that run at a time, unless an operator sets another number.
pub const MAX_RUNNING_TASKS: usize = 100;

/// One of the four actions (`X-TC-Action`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Starts a task.
    CreateCloudRecording,
    /// Says how a task is.
    DescribeCloudRecording,
    /// Changes layout and subscription of a task.
    ModifyCloudRecording,
    /// Ends a task.
    DeleteCloudRecording,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::CreateCloudRecording,
        Self::DescribeCloudRecording,
        Self::ModifyCloudRecording,
        Self::DeleteCloudRecording,
    ];

    /// The name in the header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreateCloudRecording => "CreateCloudRecording",
            Self::DescribeCloudRecording => "DescribeCloudRecording",
            Self::ModifyCloudRecording => "ModifyCloudRecording",
            Self::DeleteCloudRecording => "DeleteCloudRecording",
        }
    }

    /// The regions that the documentation names for the action (`X-TC-Region`). A server of one's own may take any
    /// text; the code of a refusal is [`UnsupportedRegion`](crate::ErrorCode::UnsupportedRegion).
    #[must_use]
    pub const fn documented_regions(self) -> &'static [&'static str] {
        const CREATE: [&str; 4] = ["ap-beijing", "ap-guangzhou", "ap-shanghai", "ap-singapore"];
        const OTHERS: [&str; 5] = ["ap-beijing", "ap-guangzhou", "ap-shanghai", "ap-singapore", "ap-mumbai"];
        match self {
            Self::CreateCloudRecording => &CREATE,
            _ => &OTHERS,
        }
    }
}

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(s: &str) -> Result<Self, UnknownAction> {
        Self::ALL.into_iter().find(|action| action.as_str() == s).ok_or(UnknownAction)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is none of the four. Its code is [`InvalidAction`](crate::ErrorCode::InvalidAction).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the action is none of the four of cloud recording")]
pub struct UnknownAction;
