//! Rooms by hand, at `/control`: for trying things out, on this machine alone.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post};
use recorder::RoomKey;
use recorder::types::{MediaId, RoomId, SdkAppId, UserId, with_causes};
use serde::Deserialize;

use crate::rooms::{Play, Rooms, RoomsError};
use crate::server::Server;

/// A body is as long as this, at most.
const MAX_BODY: usize = 64 << 10;

/// The routes under `/control`.
pub(crate) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route("/control/rooms/{app}/{room}", delete(dismiss))
        .route("/control/rooms/{app}/{room}/participants", post(join))
        .route("/control/rooms/{app}/{room}/participants/{user}", delete(leave))
}

/// A refusal: its status and what to do about it.
#[derive(Debug)]
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "Error": self.1 }).to_string();
        (self.0, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

impl From<RoomsError> for Refusal {
    fn from(error: RoomsError) -> Self {
        let status = match &error {
            RoomsError::Taken { .. } => StatusCode::CONFLICT,
            RoomsError::TooMany => StatusCode::TOO_MANY_REQUESTS,
            RoomsError::Nobody => StatusCode::NOT_FOUND,
            RoomsError::Source(_) => StatusCode::BAD_REQUEST,
            RoomsError::Thread(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(status, with_causes(&error))
    }
}

fn bad(why: impl Into<String>) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, why.into())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Participant {
    user_id: String,
    #[serde(default)]
    simulate: bool,
    file: Option<PathBuf>,
    #[serde(default)]
    media_id: Media,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Media {
    #[default]
    Main,
    Aux,
}

/// As in a request of the API: 1, the default, is a number, 0 a text.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RoomKind {
    #[serde(default = "integer")]
    room_id_type: u8,
}

const fn integer() -> u8 {
    1
}

fn room(app: u32, room: &str, kind: &RoomKind) -> Result<RoomKey, Refusal> {
    let room = match kind.room_id_type {
        0 => RoomId::text(room),
        1 => RoomId::parse_integer(room),
        _ => return Err(bad("RoomIdType is 0 or 1")),
    }
    .map_err(|error| bad(format!("{error}; ?RoomIdType=0 is for rooms that are named by a text")))?;
    Ok(RoomKey { app: SdkAppId::new(app), room })
}

fn user(text: &str) -> Result<UserId, Refusal> {
    text.parse().map_err(|error| bad(format!("UserId: {error}")))
}

fn rooms(server: &Server) -> Result<Rooms, Refusal> {
    let off = || Refusal(StatusCode::NOT_FOUND, "start the server with --control".into());
    server.rooms.clone().ok_or_else(off)
}

async fn join(
    State(server): State<Arc<Server>>,
    Path((app, room_id)): Path<(u32, String)>,
    Query(kind): Query<RoomKind>,
    request: Request,
) -> Result<StatusCode, Refusal> {
    let rooms = rooms(&server)?;
    let room = room(app, &room_id, &kind)?;
    // A page of somebody else's cannot send this type without asking first, which is not answered.
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    if !kind.starts_with("application/json") {
        return Err(Refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the Content-Type is application/json".into(),
        ));
    }
    let body = to_bytes(request.into_body(), MAX_BODY).await.map_err(|_| {
        Refusal(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has at most {MAX_BODY} bytes"))
    })?;
    let asked: Participant = serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))?;
    let user = user(&asked.user_id)?;
    let play = match (asked.simulate, asked.file) {
        (true, None) => Play::Simulated,
        (false, Some(file)) => Play::File(file),
        _ => return Err(bad("either \"Simulate\": true or \"File\": \"…\"")),
    };
    let media = match asked.media_id {
        Media::Main => MediaId::Main,
        Media::Aux => MediaId::Aux,
    };
    let joined = tokio::task::spawn_blocking(move || rooms.join(&room, user, media, play)).await;
    joined
        .map_err(|_| Refusal(StatusCode::INTERNAL_SERVER_ERROR, "the source cannot be opened".into()))??;
    Ok(StatusCode::NO_CONTENT)
}

async fn leave(
    State(server): State<Arc<Server>>,
    Path((app, room_id, user_id)): Path<(u32, String, String)>,
    Query(kind): Query<RoomKind>,
) -> Result<StatusCode, Refusal> {
    rooms(&server)?.leave(&room(app, &room_id, &kind)?, &user(&user_id)?)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn dismiss(
    State(server): State<Arc<Server>>,
    Path((app, room_id)): Path<(u32, String)>,
    Query(kind): Query<RoomKind>,
) -> Result<StatusCode, Refusal> {
    rooms(&server)?.dismiss(&room(app, &room_id, &kind)?);
    Ok(StatusCode::NO_CONTENT)
}
