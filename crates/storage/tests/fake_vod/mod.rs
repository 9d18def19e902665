//! The API of Tencent VOD and the COS bucket behind it, as far as an upload needs them. Who calls has to sign with the
//! right key; who uploads has to use the temporary keys of the latest grants, before they run out.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use recorder_api::{Authorization, ScopedRequest, Secret, SignedHeader};
use recorder_types::UnixMillis;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

pub(crate) const SECRET_ID: &str = "AKIDEXAMPLE";
pub(crate) const SECRET_KEY: &str = "s3cret";
pub(crate) const BUCKET: &str = "xadagzp111211-100922";

/// What the API does in place of its work.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scripted {
    /// Answers with this code.
    Error(&'static str),
    /// Gives nothing that can be read.
    Lost,
    /// Answers as a proxy does.
    Page,
    /// Answers in its own form, without a `RequestId`.
    WithoutRequestId,
}

#[derive(Default)]
struct State {
    calls: Vec<(String, Value)>,
    scripts: HashMap<String, VecDeque<Scripted>>,
    grants: Vec<Grant>,
    lives: VecDeque<u64>,
    instead: Option<(&'static str, &'static str)>,
    revoked: Vec<String>,
    committed: u64,
    objects: BTreeMap<String, usize>,
    put_order: Vec<String>,
    tokens: Vec<String>,
    uploads: HashMap<String, BTreeMap<u32, usize>>,
    started: u32,
    failing_part: Option<u32>,
}

struct Grant {
    secret_id: String,
    token: String,
    session: String,
    directory: String,
    expires: u64,
}

pub(crate) struct FakeVod {
    server: MockServer,
    state: Arc<Mutex<State>>,
}

struct Answers(Arc<Mutex<State>>);

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl FakeVod {
    pub(crate) async fn start() -> Self {
        let (server, state) = (MockServer::start().await, Arc::<Mutex<State>>::default());
        Mock::given(any()).respond_with(Answers(Arc::clone(&state))).mount(&server).await;
        Self { server, state }
    }

    pub(crate) fn address(&self) -> String {
        self.server.uri()
    }

    /// The next calls of an action end like this.
    pub(crate) fn script(&self, action: &str, script: impl IntoIterator<Item = Scripted>) {
        self.state.lock().unwrap().scripts.entry(action.into()).or_default().extend(script);
    }

    /// Lives of the next temporary keys, in seconds; an hour after these.
    pub(crate) fn give_keys_for(&self, seconds: impl IntoIterator<Item = u64>) {
        self.state.lock().unwrap().lives.extend(seconds);
    }

    /// Member `member` of each grant is this.
    pub(crate) fn answer_with(&self, member: &'static str, value: &'static str) {
        self.state.lock().unwrap().instead = Some((member, value));
    }

    pub(crate) fn revoke(&self, token: &str) {
        self.state.lock().unwrap().revoked.push(token.into());
    }

    pub(crate) fn fail_part(&self, number: u32) {
        self.state.lock().unwrap().failing_part = Some(number);
    }

    /// Actions and their bodies, in order, those that were refused too.
    pub(crate) fn calls(&self) -> Vec<(String, Value)> {
        self.state.lock().unwrap().calls.clone()
    }

    /// Keys and sizes.
    pub(crate) fn objects(&self) -> Vec<(String, usize)> {
        self.state.lock().unwrap().objects.clone().into_iter().collect()
    }

    pub(crate) fn put_order(&self) -> Vec<String> {
        self.state.lock().unwrap().put_order.clone()
    }

    /// Of requests that the store followed.
    pub(crate) fn tokens_used(&self) -> Vec<String> {
        self.state.lock().unwrap().tokens.clone()
    }

    pub(crate) fn open_uploads(&self) -> usize {
        self.state.lock().unwrap().uploads.len()
    }
}

impl Respond for Answers {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut state = self.0.lock().unwrap();
        if request.url.path() == "/" { state.api(request) } else { state.store(request) }
    }
}

fn header<'a>(request: &'a Request, name: &str) -> &'a str {
    request.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

fn failed(code: &str) -> ResponseTemplate {
    let error = json!({"Code": code, "Message": "as scripted"});
    ResponseTemplate::new(200).set_body_json(json!({"Response": {"Error": error, "RequestId": "r-1"}}))
}

fn refused(status: u16, code: &str) -> ResponseTemplate {
    let text = format!("<Error><Code>{code}</Code><Message>as scripted</Message></Error>");
    ResponseTemplate::new(status).set_body_string(text)
}

impl State {
    fn api(&mut self, request: &Request) -> ResponseTemplate {
        let action = header(request, "X-TC-Action").to_owned();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        self.calls.push((action.clone(), body.clone()));
        if !is_signed(request) || header(request, "X-TC-Version") != "2018-07-17" {
            return failed("AuthFailure.SignatureFailure");
        }
        match self.scripts.get_mut(&action).and_then(VecDeque::pop_front) {
            Some(Scripted::Error(code)) => return failed(code),
            Some(Scripted::Lost) => return ResponseTemplate::new(502),
            Some(Scripted::Page) => return ResponseTemplate::new(200).set_body_string("<html>"),
            Some(Scripted::WithoutRequestId) => {
                let error = json!({"Error": {"Code": "InternalError", "Message": ""}});
                return ResponseTemplate::new(500).set_body_json(json!({ "Response": error }));
            }
            None => {}
        }
        let mut answer = match action.as_str() {
            "ApplyUpload" => self.grant(body["MediaType"].as_str().unwrap()),
            "CommitUpload" => {
                let known = |grant: &Grant| body["VodSessionKey"] == grant.session.as_str();
                if !self.grants.iter().any(known) {
                    return failed("InvalidParameterValue.VodSessionKey");
                }
                self.committed += 1;
                let id = format!("24820810452266{:03}", self.committed);
                json!({"FileId": id, "MediaUrl": format!("http://251000333.vod2.example/{id}/f0.mp4"), "CoverUrl": null})
            }
            _ => return failed("InvalidAction"),
        };
        answer["RequestId"] = json!("r-1");
        ResponseTemplate::new(200).set_body_json(json!({ "Response": answer }))
    }

    fn grant(&mut self, media_type: &str) -> Value {
        let number = self.grants.len() + 1;
        let grant = Grant {
            secret_id: format!("TEMP{number}"),
            token: format!("token-{number}"),
            session: format!("session-{number}"),
            directory: format!("dir{number}"),
            expires: now() + self.lives.pop_front().unwrap_or(3600),
        };
        let mut answer = json!({
            "StorageBucket": BUCKET, "StorageRegion": "ap-guangzhou-2",
            "MediaStoragePath": format!("/{}/media.{media_type}", grant.directory),
            "VodSessionKey": grant.session, "CoverStoragePath": null,
            "TempCertificate": {"SecretId": grant.secret_id, "SecretKey": "temporary", "Token": grant.token,
                "ExpiredTime": grant.expires},
        });
        if let Some((member, value)) = self.instead {
            answer[member] = json!(value);
        }
        self.grants.push(grant);
        answer
    }

    fn store(&mut self, request: &Request) -> ResponseTemplate {
        let token = header(request, "x-amz-security-token").to_owned();
        let Some(grant) = self.grants.iter().find(|grant| grant.token == token) else {
            return refused(403, "InvalidToken");
        };
        let authorization = header(request, "authorization");
        let signed = authorization.contains(&format!("Credential={}/", grant.secret_id))
            && authorization.contains("/ap-guangzhou-2/s3/aws4_request")
            && authorization.contains("x-amz-security-token");
        let Some(key) = request.url.path().strip_prefix(&format!("/{BUCKET}/")).filter(|_| signed) else {
            return refused(403, "AccessDenied");
        };
        if grant.expires <= now() || self.revoked.contains(&token) {
            return refused(403, "ExpiredToken");
        }
        self.tokens.push(token);
        let query: HashMap<_, _> = request.url.query_pairs().into_owned().collect();
        let upload = query.get("uploadId");
        match (request.method.as_str(), upload) {
            ("PUT", None) => self.put(key, request.body.len()),
            ("POST", None) if query.contains_key("uploads") => {
                self.started += 1;
                let id = format!("upload-{}", self.started);
                self.uploads.insert(id.clone(), BTreeMap::new());
                ResponseTemplate::new(200).set_body_string(format!(
                    "<InitiateMultipartUploadResult><Bucket>{BUCKET}</Bucket><Key>{key}</Key><UploadId>{id}</UploadId>\
                     </InitiateMultipartUploadResult>"
                ))
            }
            ("PUT", Some(upload)) => {
                let number = query["partNumber"].parse().unwrap();
                if self.failing_part == Some(number) {
                    return refused(503, "SlowDown");
                }
                self.uploads.get_mut(upload).unwrap().insert(number, request.body.len());
                ResponseTemplate::new(200).insert_header("ETag", format!("\"{number}\""))
            }
            ("POST", Some(upload)) => {
                let parts = self.uploads.remove(upload).unwrap();
                self.put(key, parts.values().sum());
                ResponseTemplate::new(200).set_body_string(
                    "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>",
                )
            }
            ("DELETE", Some(upload)) => {
                self.uploads.remove(upload);
                ResponseTemplate::new(204)
            }
            _ => refused(400, "InvalidRequest"),
        }
    }

    fn put(&mut self, key: &str, size: usize) -> ResponseTemplate {
        self.objects.insert(key.to_owned(), size);
        self.put_order.push(key.to_owned());
        ResponseTemplate::new(200).insert_header("ETag", "\"e\"")
    }
}

fn is_signed(request: &Request) -> bool {
    let headers: Vec<(&str, &str)> = ["content-type", "host", "x-tc-action"]
        .into_iter()
        .map(|name| (name, header(request, name)))
        .collect();
    let headers: Vec<SignedHeader<'_>> =
        headers.iter().map(|(name, value)| SignedHeader { name, value }).collect();
    let call = ScopedRequest::post("vod", &headers, &request.body);
    let Ok(authorization) = Authorization::parse(header(request, "authorization")) else { return false };
    let at = UnixMillis::new(now() * 1000).unwrap();
    let timestamp = header(request, "X-TC-Timestamp");
    authorization.secret_id() == SECRET_ID
        && authorization.signed_headers() == "content-type;host;x-tc-action"
        && authorization.verify(&call, timestamp, &Secret::new(SECRET_KEY), at).is_ok()
}
