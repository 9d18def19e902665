use bytes::Bytes;
use recorder_types::RoomTime;

/// One access unit at its place on the room's time line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// When it is shown or heard.
    pub pts: RoomTime,
    /// When it is decoded.
    pub dts: RoomTime,
    /// The bytes, in the framing of its track.
    pub data: Bytes,
}
