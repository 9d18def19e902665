//! Whose playlist is under a name already?

use bytes::Bytes;

use crate::bucket::Bucket;
use crate::error::StorageError;
use crate::key::ObjectKey;

/// How the first versions of a playlist went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is in the bucket, and the next versions may replace it.
    Ours,
    /// A run of the same recording has put it with more segments than these: it stays as it is.
    Ahead,
}

/// Stores a playlist of which this process has not stored any version yet. What another recording left under its name
/// stays.
///
/// # Errors
/// [`StorageError::Conflict`] for the playlist of another recording, and the others.
pub(crate) async fn put_playlist(
    bucket: &Bucket,
    key: &ObjectKey,
    text: &Bytes,
) -> Result<Claim, StorageError> {
    match bucket.put_new(key, text.clone()).await {
        Err(StorageError::Conflict { .. }) => {}
        done => return done.map(|()| Claim::Ours),
    }
    let there = bucket.get(key).await?;
    match relation(&there, text) {
        Relation::Extended => bucket.put(key, text.clone()).await.map(|()| Claim::Ours),
        Relation::Ahead => Ok(Claim::Ahead),
        Relation::Other => Err(StorageError::Conflict { key: key.clone() }),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    /// The new text has all of the old one.
    Extended,
    /// The old text has all of the new one, and more.
    Ahead,
    /// Each has what the other has not.
    Other,
}

fn relation(old: &[u8], new: &[u8]) -> Relation {
    let (mut old, mut new) = (lines(old), lines(new));
    loop {
        match (old.next(), new.next()) {
            (None, _) => return Relation::Extended,
            (Some(_), None) => return Relation::Ahead,
            (Some(old), Some(new)) if old == new => {}
            _ => return Relation::Other,
        }
    }
}

/// Lines that may come or change when a playlist grows: a set of both kinds may begin with one of them.
const CHANGING: [&[u8]; 5] = [
    b"#EXT-X-ENDLIST",
    b"#EXT-X-TARGETDURATION:",
    b"#EXT-X-TRTC-STREAM-TYPE:",
    b"#EXT-X-TRTC-AUDIO-METADATA:",
    b"#EXT-X-TRTC-VIDEO-METADATA:",
];

/// The lines that stay when a playlist grows.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty() && !CHANGING.iter().any(|start| line.starts_with(start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_playlist_may_grow_and_not_become_another() {
        let text = |target: u32, body: &str| format!("#EXTM3U\n#EXT-X-TARGETDURATION:{target}\n{body}");
        let end = "#EXT-X-ENDLIST\n";
        for (old, new, want) in [
            (text(10, "a\n"), text(10, "a\n"), Relation::Extended),
            (text(10, "a\n"), text(12, "a\nb\n"), Relation::Extended),
            (text(10, &format!("a\n{end}")), text(10, "a\nb\n"), Relation::Extended),
            (String::new(), text(10, "a\n"), Relation::Extended),
            (text(12, &format!("a\nb\n{end}")), text(10, "a\n"), Relation::Ahead),
            (text(10, "a\nb\n"), text(10, "a\nc\n"), Relation::Other),
            (text(10, "a\n"), text(10, "b\n"), Relation::Other),
            (
                text(10, "#EXT-X-TRTC-STREAM-TYPE:2\na\n"),
                text(10, "#EXT-X-TRTC-STREAM-TYPE:3\n#EXT-X-TRTC-VIDEO-METADATA:x\na\nb\n"),
                Relation::Extended,
            ),
            ("not a playlist".into(), text(10, "a\n"), Relation::Other),
        ] {
            assert_eq!(relation(old.as_bytes(), new.as_bytes()), want, "{old:?} {new:?}");
        }
    }
}
