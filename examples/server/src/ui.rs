//! The page at `/ui`: its parts, what it shows, and the files that it plays.

use std::ops::Range;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream;
use recorder::storage::{Bucket, ObjectKey, StorageError};
use serde::Serialize;

use crate::board::{self, TaskView};
use crate::server::Server;

/// Bytes of a file that are read at a time, and the most that one answer to a `Range` has.
const PIECE: u64 = 4 << 20;

/// Nothing but what came with the page, and what it plays.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; media-src 'self' blob:; worker-src blob:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// The routes under `/ui`.
pub(crate) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route("/ui", get(async || Redirect::permanent("/ui/")))
        .route("/ui/", get(async || part("text/html; charset=utf-8", include_str!("../ui/index.html"))))
        .route("/ui/page.css", get(async || part("text/css; charset=utf-8", include_str!("../ui/page.css"))))
        .route("/ui/page.js", get(async || part(SCRIPT, include_str!("../ui/page.js"))))
        .route("/ui/sign.js", get(async || part(SCRIPT, include_str!("../ui/sign.js"))))
        .route("/ui/hls.min.js", get(async || part(SCRIPT, include_str!("../ui/vendor/hls.min.js"))))
        .route("/ui/state", get(state))
        .route("/ui/files/{task}/{name}", get(file))
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

fn part(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

#[derive(Serialize)]
struct View {
    running: usize,
    /// Whether people can be put into rooms.
    control: bool,
    /// Whether files can be played and taken here.
    files: bool,
    tasks: Vec<TaskView>,
}

async fn state(State(server): State<Arc<Server>>) -> Response {
    server.sample().await;
    let mut tasks = server.board.view();
    if let Some(rooms) = &server.rooms {
        for task in &mut tasks {
            task.participants = task.key.as_ref().map(|room| rooms.participants(room)).unwrap_or_default();
        }
    }
    let view = View {
        running: server.service.running(),
        control: server.rooms.is_some(),
        files: server.bucket.is_some(),
        tasks,
    };
    let body = serde_json::to_vec(&view).expect("texts, numbers and lists, which JSON can hold");
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

/// An object of a task on the board, whole or a range of it.
async fn file(
    State(server): State<Arc<Server>>,
    Path((task, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let Some(bucket) = &server.bucket else {
        return (StatusCode::NOT_FOUND, "files are shown with --storage-override only\n").into_response();
    };
    let Some(key) = board::object(&server.board, &task, &name) else {
        return (StatusCode::NOT_FOUND, "no task on the board has this file\n").into_response();
    };
    match send(bucket, key, headers.get(header::RANGE).and_then(|range| range.to_str().ok())).await {
        Ok(response) => response,
        Err(StorageError::NotFound { .. }) => (StatusCode::NOT_FOUND, "not in the storage\n").into_response(),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a file could not be read");
            (StatusCode::BAD_GATEWAY, "the storage does not give it\n").into_response()
        }
    }
}

async fn send(bucket: &Bucket, key: ObjectKey, range: Option<&str>) -> Result<Response, StorageError> {
    let size = bucket.size(&key).await?;
    let headers = [
        (header::CONTENT_TYPE, kind(key.name())),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::ACCEPT_RANGES, "bytes"),
    ];
    match range.map(|range| parse_range(range, size)) {
        None | Some(Asked::All) => {
            let length = [(header::CONTENT_LENGTH, size.to_string())];
            Ok((headers, length, Body::from_stream(pieces(bucket.clone(), key, size))).into_response())
        }
        Some(Asked::Part(part)) => {
            let data = bucket.get_range(&key, part.clone()).await?;
            let told = [(header::CONTENT_RANGE, format!("bytes {}-{}/{size}", part.start, part.end - 1))];
            Ok((StatusCode::PARTIAL_CONTENT, headers, told, data).into_response())
        }
        Some(Asked::Nothing) => {
            let told = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            Ok((StatusCode::RANGE_NOT_SATISFIABLE, told).into_response())
        }
    }
}

/// The whole object, a piece at a time.
fn pieces(
    bucket: Bucket,
    key: ObjectKey,
    size: u64,
) -> impl stream::Stream<Item = Result<Bytes, StorageError>> {
    stream::unfold((bucket, key, 0), move |(bucket, key, at)| async move {
        if at >= size {
            return None;
        }
        let end = size.min(at + PIECE);
        let piece = bucket.get_range(&key, at..end).await;
        let next = if piece.is_ok() { end } else { size };
        Some((piece, (bucket, key, next)))
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    All,
    Part(Range<u64>),
    /// A range outside of the file.
    Nothing,
}

/// One range of bytes, of which no more than [`PIECE`] are given; everything that is not one is passed over, as RFC
/// 9110 section 14.2 lets a server do.
fn parse_range(range: &str, size: u64) -> Asked {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Asked::All;
    };
    let number =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let part = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Some(first), None) if last.is_empty() => first..size,
        (None, Some(length)) if first.is_empty() => size.saturating_sub(length)..size,
        _ => return Asked::All,
    };
    if part.start >= part.end {
        return Asked::Nothing;
    }
    Asked::Part(part.start..part.end.min(part.start.saturating_add(PIECE)))
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("m3u8") => "application/vnd.apple.mpegurl",
        Some("ts") => "video/mp2t",
        Some("mp4") => "video/mp4",
        Some("aac") => "audio/aac",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_file_and_to_a_piece() {
        let size = 10 << 20;
        for (range, asked) in [
            ("bytes=0-", Asked::Part(0..PIECE)),
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=5-9", Asked::Part(5..10)),
            ("bytes=-5", Asked::Part(size - 5..size)),
            ("bytes=10485759-", Asked::Part(size - 1..size)),
            ("bytes=10485750-99999999999", Asked::Part(size - 10..size)),
            ("bytes=10485760-", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=9-5", Asked::All),
            ("bytes=0-1,3-4", Asked::All),
            ("bytes=", Asked::All),
            ("bytes=-", Asked::All),
            ("bytes=+1-2", Asked::All),
            ("lines=0-1", Asked::All),
        ] {
            assert_eq!(parse_range(range, size), asked, "{range}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Asked::Nothing);
    }
}
