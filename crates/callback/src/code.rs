use serde::{Deserialize, Serialize};

/// Makes the type of one status field: the known values as constants, and every other number still readable, so that
/// a receiver does not break when the service learns a new one.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $constant:ident = $value:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(u32);

        impl $name {
            $($(#[$value_doc])* pub const $constant: Self = Self($value);)*

            /// The value with this number, known or not.
            #[must_use]
            pub const fn new(number: u32) -> Self {
                Self(number)
            }

            /// The number.
            #[must_use]
            pub const fn number(self) -> u32 {
                self.0
            }
        }
    };
}

codes! {
    /// `Status` of 301 and 303.
    StartStatus {
        /// It started.
        STARTED = 0;
        /// It could not start.
        FAILED = 1;
    }
}

codes! {
    /// `LeaveCode` of 302: why the recorder left the room.
    LeaveCode {
        /// Stop was called through the API.
        API_STOP = 0;
        /// The customer removed the robot from the room.
        REMOVED_BY_CUSTOMER = 1;
        /// The customer dismissed the room.
        DISMISSED_BY_CUSTOMER = 2;
        /// The server removed the robot.
        REMOVED_BY_SERVER = 3;
        /// The server dismissed the room.
        DISMISSED_BY_SERVER = 4;
        /// Nobody but the robot was left and `MaxIdleTime` ran out.
        IDLE = 99;
        /// The connection to the room was lost for too long: start a new task.
        ROOM_TIMEOUT = 100;
        /// The same robot user entered again and displaced this one.
        DISPLACED = 101;
    }
}

codes! {
    /// `Status` of 305: where the HLS files are.
    UploadStatus {
        /// The recording ended and all files are in the storage.
        ALL_STORED = 0;
        /// The recording ended and at least one file is still on the server or in backup storage.
        SOME_KEPT_BACK = 1;
        /// The files that were kept back have been delivered now.
        KEPT_BACK_DELIVERED = 2;
    }
}

codes! {
    /// `Status` of 306.
    FailoverStatus {
        /// The move to another machine is complete.
        COMPLETE = 0;
    }
}

codes! {
    /// `Status` of 310: where the MP4 files are.
    Mp4Status {
        /// Ended and all files are in the storage.
        ALL_STORED = 0;
        /// At least one file is still on the server or in backup storage.
        SOME_KEPT_BACK = 1;
        /// Ended abnormally, typically because the HLS could not be read from the bucket.
        ABNORMAL = 2;
    }
}

codes! {
    /// `Status` of 311.
    VodCommitStatus {
        /// The file was handed over.
        DELIVERED = 0;
        /// The file is still on the server or in backup storage.
        KEPT_BACK = 1;
        /// An error.
        ERROR = 2;
    }
}

codes! {
    /// `Status` of 312.
    VodStopStatus {
        /// Ended normally.
        NORMAL = 0;
        /// Ended abnormally.
        ABNORMAL = 1;
    }
}
