//! The API at `/`: who calls, what they ask for, what they get. Status 200 always, as the service does.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::{Body, to_bytes};
use axum::extract::{Request as HttpRequest, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use recorder::api::wire::{
    CreateCloudRecordingResponse, DeleteCloudRecordingResponse, DescribeCloudRecordingResponse,
    ModifyCloudRecordingResponse,
};
use recorder::api::{
    API_VERSION, Action, Answer, AuthError, Authorization, CALL_BUDGET, CreateRecording, ErrorCode,
    FormSignature, MAX_BODY_BYTES, Request, RequestId, SERVICE, ScopedRequest, ServiceError, SignedHeader,
    Storage, StorageBucket, UserSig,
};
use recorder::callback::AddressPolicy;
use recorder::types::UnixMillis;
use serde::Serialize;

use crate::keys::Key;
use crate::server::Server;

/// What a call got.
#[derive(Serialize)]
#[serde(untagged)]
enum Reply {
    Create(CreateCloudRecordingResponse),
    Describe(DescribeCloudRecordingResponse),
    Modify(ModifyCloudRecordingResponse),
    Delete(DeleteCloudRecordingResponse),
}

/// Answers one call. Whatever happens it is within the budget.
pub(crate) async fn call(State(server): State<Arc<Server>>, request: HttpRequest) -> Response {
    let begun = Instant::now();
    let request_id = RequestId::from_random(rand::random());
    let mut action = None;
    let answered = tokio::time::timeout(CALL_BUDGET, answer(&server, request, &mut action)).await;
    let result = answered.unwrap_or_else(|_| {
        Err(ServiceError::new(ErrorCode::InternalError, "the call took longer than 6 s: repeat it"))
    });
    let code = result.as_ref().err().map(|error| error.code().to_owned());
    let took = begun.elapsed();
    let told_action = action.map_or("", Action::as_str);
    let told_code = code.as_deref().unwrap_or("OK");
    tracing::info!(%request_id, action = told_action, code = told_code, ms = took.as_millis(), "call");
    server.metrics.call(action, code.as_deref(), took);
    json(Answer { result, request_id }.to_json())
}

/// With the content type alone: with a charset behind it, official SDKs do not see errors.
fn json(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

async fn answer(
    server: &Arc<Server>,
    request: HttpRequest,
    action: &mut Option<Action>,
) -> Result<Reply, ServiceError> {
    let now = unix_now();
    let (head, body) = request.into_parts();
    let is_get = head.method == Method::GET;
    if !is_get && head.method != Method::POST {
        return Err(ServiceError::new(ErrorCode::UnsupportedProtocol, "only GET and POST are"));
    }
    let body = if is_get { bytes::Bytes::new() } else { read(body).await? };
    let call = Call { headers: &head.headers, query: head.uri.query().unwrap_or(""), body: &body, is_get };

    let authorized = call.authorize(server, now)?;
    let named = authorized.name.parse::<Action>().map_err(|unknown| {
        let why = if authorized.name.is_empty() {
            "X-TC-Action is missing".to_owned()
        } else {
            unknown.to_string()
        };
        ServiceError::new(ErrorCode::InvalidAction, why)
    })?;
    *action = Some(named);
    if authorized.version != API_VERSION {
        return Err(ServiceError::new(ErrorCode::NoSuchVersion, format!("the version is {API_VERSION}")));
    }
    if !server.may_call(authorized.secret_id, named) {
        return Err(ServiceError::new(
            ErrorCode::RequestLimitExceeded,
            "more than 20 calls of this action in a second: go slower",
        ));
    }
    let request = (authorized.read)(&call, named)?;
    if !authorized.key.may_use(request.app()) {
        return Err(ServiceError::new(
            ErrorCode::AuthFailureUnauthorizedOperation,
            format!("this SecretId is not for SdkAppId {}", request.app()),
        ));
    }
    if let Request::Create(request) = &request {
        check_user_sig(request, authorized.key, now)?;
        check_storage(&request.storage, server.policy)?;
    }
    perform(server, request).await
}

async fn read(body: Body) -> Result<bytes::Bytes, ServiceError> {
    to_bytes(body, MAX_BODY_BYTES).await.map_err(|_| {
        ServiceError::new(
            ErrorCode::InvalidParameter,
            format!("the body is over {MAX_BODY_BYTES} bytes, or did not arrive whole"),
        )
    })
}

/// What came in.
struct Call<'a> {
    headers: &'a HeaderMap,
    query: &'a str,
    body: &'a [u8],
    is_get: bool,
}

/// A call whose signature is right.
struct Authorized<'a> {
    secret_id: &'a str,
    key: &'a Key,
    /// Of the action.
    name: String,
    version: String,
    read: fn(&Call<'_>, Action) -> Result<Request, ServiceError>,
}

impl<'a> Call<'a> {
    fn header(&self, name: &str) -> &'a str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    const fn method(&self) -> &'static str {
        if self.is_get { "GET" } else { "POST" }
    }

    fn is_form(&self) -> bool {
        let kind = self.header("content-type").split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    }

    /// Verifies the signature: the header where there is one, else the old one among the parameters.
    fn authorize<'s>(&self, server: &'s Server, now: UnixMillis) -> Result<Authorized<'s>, ServiceError> {
        let refused = |error: AuthError| ServiceError::from(&error);
        let unknown = || refused(AuthError::UnknownSecretId);
        if !self.header("x-tc-token").is_empty() {
            return Err(ServiceError::new(
                ErrorCode::AuthFailureTokenFailure,
                "there are no temporary keys here: call without a token",
            ));
        }
        if self.headers.contains_key(header::AUTHORIZATION) {
            let signed = Authorization::parse(self.header("authorization")).map_err(refused)?;
            let (secret_id, key) = server.keys.entry(signed.secret_id()).ok_or_else(unknown)?;
            let headers: Vec<SignedHeader<'_>> = self
                .headers
                .iter()
                .filter_map(|(name, value)| {
                    Some(SignedHeader { name: name.as_str(), value: value.to_str().ok()? })
                })
                .collect();
            let scoped = if self.is_get {
                ScopedRequest::get(SERVICE, &headers, self.query)
            } else {
                ScopedRequest::post(SERVICE, &headers, self.body)
            };
            let timestamp = self.header("x-tc-timestamp");
            signed.verify(&scoped, timestamp, &key.secret_key, now).map_err(refused)?;
            let (name, version) = (self.header("x-tc-action").into(), self.header("x-tc-version").into());
            return Ok(Authorized { secret_id, key, name, version, read: Call::read });
        }
        let parameters = self.parameters()?;
        let signed = FormSignature::parse(parameters).map_err(refused)?;
        let (secret_id, key) = server.keys.entry(signed.secret_id()).ok_or_else(unknown)?;
        signed.verify(self.method(), self.header("host"), &key.secret_key, now).map_err(refused)?;
        let parameter = |name| signed.param(name).unwrap_or_default().to_owned();
        if !parameter("Token").is_empty() {
            return Err(ServiceError::new(
                ErrorCode::AuthFailureTokenFailure,
                "there are no temporary keys here: call without a token",
            ));
        }
        let (name, version) = (parameter("Action"), parameter("Version"));
        Ok(Authorized { secret_id, key, name, version, read: Call::read_form })
    }

    /// Where the parameters of an old signature are.
    fn parameters(&self) -> Result<&'a str, ServiceError> {
        if self.is_get {
            return Ok(self.query);
        }
        let text = std::str::from_utf8(self.body).ok().filter(|_| self.is_form());
        text.ok_or_else(|| ServiceError::from(&AuthError::Missing("no Authorization header")))
    }

    /// The request of a call with the header.
    fn read(call: &Call<'_>, action: Action) -> Result<Request, ServiceError> {
        let read = if call.is_get {
            Request::from_query(action, call.query)
        } else if call.header("content-type").starts_with("application/json") {
            Request::from_json(action, call.body)
        } else {
            return Err(ServiceError::new(
                ErrorCode::InvalidParameter,
                "the Content-Type of a POST is application/json",
            ));
        };
        read.map_err(|error| ServiceError::from(&error))
    }

    /// The request of a call with the old signature.
    fn read_form(call: &Call<'_>, action: Action) -> Result<Request, ServiceError> {
        let parameters = call.parameters()?;
        let read = if call.is_get {
            Request::from_query(action, parameters)
        } else {
            Request::from_form(action, parameters)
        };
        read.map_err(|error| ServiceError::from(&error))
    }
}

fn check_user_sig(request: &CreateRecording, key: &Key, now: UnixMillis) -> Result<(), ServiceError> {
    let Some(secret) = &key.app_secret else { return Ok(()) };
    UserSig::decode(&request.user_sig)
        .and_then(|sig| sig.verify(request.app, &request.robot, secret, now))
        .map_err(|error| ServiceError::new(error.code(), error.to_string()))
}

/// Whether the bucket's endpoint is not private. Names are not looked up.
pub(crate) fn check_storage(storage: &Storage, policy: AddressPolicy) -> Result<(), ServiceError> {
    let Storage::Bucket(StorageBucket { endpoint: Some(endpoint), .. }) = storage else {
        return Ok(());
    };
    let refused = |why: String| {
        let text = format!("StorageParams.CloudStorage.EndpointUrl {why}");
        Err(ServiceError::new(ErrorCode::InvalidParameterValue, text))
    };
    match url::Url::parse(&format!("https://{endpoint}/")).map(|url| policy.check_host(&url)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(address)) => refused(format!(
            "is a private address ({address}); whoever runs the server can allow it (--allow-private-urls)"
        )),
        Err(error) => refused(format!("is no host with an optional port: {error}")),
    }
}

/// Does what is asked for. A creation goes on when the caller has gone: a task that began is never left half made.
async fn perform(server: &Arc<Server>, request: Request) -> Result<Reply, ServiceError> {
    match request {
        Request::Create(request) => {
            let server = Arc::clone(server);
            let created = tokio::spawn(async move { server.service.create(&request).await });
            let failed =
                |_| ServiceError::new(ErrorCode::InternalErrorCrInternalError, "the task could not start");
            created.await.map_err(failed)?.map(Reply::Create)
        }
        Request::Describe(request) => server.service.describe(&request).await.map(Reply::Describe),
        Request::Modify(request) => server.service.modify(&request).map(Reply::Modify),
        Request::Delete(request) => server.service.delete(&request).map(Reply::Delete),
    }
}

/// The time of day.
pub(crate) fn unix_now() -> UnixMillis {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since_1970.as_millis()).ok().and_then(UnixMillis::new).unwrap_or(UnixMillis::MAX)
}
