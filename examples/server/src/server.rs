use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use futures_util::future::join_all;
use recorder::api::Action;
use recorder::callback::{AddressPolicy, Counts, Deliverer, DelivererOptions, Payload, StartStatus};
use recorder::storage::{Bucket, BucketOptions, SealKey, StorageError};
use recorder::types::{SdkAppId, with_causes};
use recorder::{Fate, Recorder, RecorderOptions, RecoverOptions, Service, ServiceOptions, bucket_address};
use tokio::net::TcpListener;

use crate::args::Args;
use crate::board::Board;
use crate::connections::{self, Peer};
use crate::keys::Keys;
use crate::limit::Limiter;
use crate::metrics::{Gauges, Metrics};
use crate::rooms::Rooms;
use crate::templates::read_templates;
use crate::vod::Vod;
use crate::{api, control, ui};

type AnyError = Box<dyn Error + Send + Sync>;

/// How old what is shown of a task may be.
const FRESH: Duration = Duration::from_millis(500);
/// How long the callback servers may still take what they were told, when the server ends.
const CALLBACK_PATIENCE: Duration = Duration::from_secs(75);

/// Everything that calls share.
pub(crate) struct Server {
    pub(crate) service: Service,
    pub(crate) keys: Keys,
    pub(crate) policy: AddressPolicy,
    pub(crate) board: Arc<Board>,
    pub(crate) metrics: Arc<Metrics>,
    /// With `--control`.
    pub(crate) rooms: Option<Rooms>,
    spool: PathBuf,
    /// With `--storage-override`: where every object is.
    pub(crate) bucket: Option<Bucket>,
    vod: Option<Arc<Vod>>,
    deliverers: HashMap<SdkAppId, Deliverer>,
    limiter: Mutex<Limiter>,
    zero: Instant,
    sampled: tokio::sync::Mutex<Option<Instant>>,
}

impl Server {
    /// Sets everything up; takes no calls yet.
    fn new(args: &Args) -> Result<Self, AnyError> {
        if args.control && !args.listen.ip().is_loopback() {
            return Err(
                "--control is not signed: it needs a loopback address, as --listen 127.0.0.1:8080".into()
            );
        }
        let keys = Keys::read(&args.keys).map_err(|error| format!("--keys: {}", with_causes(&error)))?;
        let policy =
            if args.allow_private_urls { AddressPolicy::AllowPrivate } else { AddressPolicy::PublicOnly };
        let bucket = args.storage_override.as_deref().map(open_override).transpose()?;
        let deliverers = deliverers(&keys, policy)?;
        let vod =
            args.vod.as_deref().map(|place| Vod::open(place, args.vod_url.as_deref(), &keys)).transpose()?;
        let (board, metrics) = (Arc::<Board>::default(), Arc::<Metrics>::default());

        let opened = bucket.clone();
        let open = move |named: &recorder::api::StorageBucket| match &opened {
            Some(bucket) => Ok(bucket.clone()),
            None => Bucket::open(bucket_address(named).expose(), BucketOptions::default()),
        };
        let told = deliverers.clone();
        let (made, shown, ended) = (Arc::clone(&board), Arc::clone(&board), Arc::clone(&board));
        let counted = Arc::clone(&metrics);
        let options = ServiceOptions::new(open)
            .with_max_running(args.max_tasks)
            .with_template_callbacks(DelivererOptions::default().with_policy(policy))
            .with_adjust(move |request, options| {
                made.made(&options.task.task, request);
                let options = options.with_image_policy(policy);
                match told.get(&request.app) {
                    Some(deliverer) => options.with_deliverer(deliverer.clone()),
                    None => options,
                }
            })
            .with_on_callback(move |app, body| {
                match body.event().payload() {
                    Payload::RecorderStart(StartStatus::STARTED) => counted.task_started(),
                    Payload::RecorderStop(code) => counted.task_left(code.number()),
                    _ => {}
                }
                shown.event(app, body);
            })
            .with_on_ended(move |task, outcome| ended.ended(task, outcome));
        let vod = vod.map(Arc::new);
        let options = match vod.clone() {
            Some(vod) => options.with_library(move |request, _| vod.library(request.app)),
            None => options,
        };
        let recorder = match &args.seal_key_file {
            Some(file) => {
                let key = SealKey::read(file)
                    .map_err(|error| format!("--seal-key-file: {}", with_causes(&error)))?;
                RecorderOptions::new(&args.spool).with_seal_key(key)
            }
            None => RecorderOptions::new(&args.spool),
        };
        let service = Service::new(Recorder::new(recorder), options);
        if let Some(path) = &args.auto_record {
            let wrong = |error: &dyn Error| format!("--auto-record: {}", with_causes(error));
            for (app, template) in read_templates(path, policy).map_err(|error| wrong(&error))? {
                service.set_auto_recording(app, Some(template)).map_err(|error| wrong(&error))?;
            }
        }
        Ok(Self {
            rooms: args.control.then(|| Rooms::new(service.clone())),
            service,
            keys,
            policy,
            board,
            metrics,
            spool: args.spool.clone(),
            bucket,
            vod,
            deliverers,
            limiter: Mutex::default(),
            zero: Instant::now(),
            sampled: tokio::sync::Mutex::default(),
        })
    }

    /// Takes up what a server that died has left in the spool. What it cannot take up is told, and stays there.
    async fn recover(&self) -> Result<(), AnyError> {
        let (policy, deliverers, board) = (self.policy, self.deliverers.clone(), Arc::clone(&self.board));
        let mut options = RecoverOptions::default().with_adjust(move |recording| {
            board.recovered(&recording.task);
            let recording = recording.with_image_policy(policy);
            match deliverers.get(&recording.task.app) {
                Some(deliverer) => recording.with_deliverer(deliverer.clone()),
                None => recording,
            }
        });
        if let Some(bucket) = self.bucket.clone() {
            // Only where it is the task's own: a server may have been given another place since.
            options = options
                .with_bucket(move |_, address| (bucket.to_string() == address).then(|| bucket.clone()));
        }
        if let Some(vod) = self.vod.clone() {
            options = options.with_library(move |task, address| {
                vod.library(task.app).ok().filter(|library| library.address() == address)
            });
        }
        for recovered in self.service.recover(options).await? {
            let task = &recovered.task;
            match recovered.fate {
                Fate::GoesOn { run, .. } => eprintln!("task {task} goes on as ha{}", run.number()),
                Fate::Ends { .. } => eprintln!("task {task} had ended, what is left of it is delivered"),
                Fate::Busy => eprintln!("task {task} is being recorded by another process"),
                Fate::Waits { address, error } => {
                    let why = error.map_or(String::new(), |error| format!(": {}", with_causes(&error)));
                    eprintln!(
                        "error: task {task} waits in the spool: its bucket or media library {address} cannot be opened{why}; give the --vod or the --seal-key-file that it was begun with, or `record --recover {}` its bucket with --out",
                        self.spool.display()
                    );
                }
                Fate::Failed(error) => {
                    eprintln!("error: task {task} stays in the spool: {}", with_causes(&error))
                }
                other => eprintln!("error: task {task}: {other:?}"),
            }
        }
        Ok(())
    }

    /// Whether a key may make one more call of an action now.
    pub(crate) fn may_call(&self, secret_id: &str, action: Action) -> bool {
        let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        limiter.take(self.zero.elapsed(), secret_id, action)
    }

    /// Asks every task how it is, unless that was done a moment ago.
    pub(crate) async fn sample(&self) {
        let mut sampled = self.sampled.lock().await;
        if sampled.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        join_all(self.board.alive().into_iter().map(async |task| {
            if let Some(status) = self.service.status(&task).await {
                self.board.status(&task, status);
            }
        }))
        .await;
        *sampled = Some(Instant::now());
    }

    fn callback_counts(&self) -> Counts {
        let mut sum = Counts::default();
        for counts in self.deliverers.values().map(Deliverer::counts) {
            sum.delivered += counts.delivered;
            sum.given_up += counts.given_up;
            sum.refused += counts.refused;
            sum.failed_attempts += counts.failed_attempts;
            sum.pending += counts.pending;
        }
        sum
    }

    /// Ends every task, and waits until files are delivered or kept and callbacks told or given up.
    async fn shut_down(&self) {
        self.service.shut_down().await;
        let told = join_all(self.deliverers.values().map(Deliverer::finish));
        if tokio::time::timeout(CALLBACK_PATIENCE, told).await.is_err() {
            tracing::error!("a callback server did not take everything in time");
        }
    }
}

fn open_override(address: &str) -> Result<Bucket, AnyError> {
    Bucket::open(address, BucketOptions::default()).map_err(|error| match error {
        StorageError::FeatureOff { scheme, .. } => {
            format!("--storage-override: this program has no {scheme}:// buckets").into()
        }
        error => format!("--storage-override: {}", with_causes(&error)).into(),
    })
}

fn deliverers(keys: &Keys, policy: AddressPolicy) -> Result<HashMap<SdkAppId, Deliverer>, AnyError> {
    let mut deliverers = HashMap::new();
    for (app, target) in keys.callbacks()? {
        let options = DelivererOptions::default().with_policy(policy);
        let deliverer = Deliverer::new(target.url.clone(), target.key()?, app, options).map_err(|error| {
            let why = with_causes(&error);
            format!("CallbackUrl of SdkAppId {app}: {why} (--allow-private-urls permits private addresses)")
        })?;
        deliverers.insert(app, deliverer);
    }
    Ok(deliverers)
}

/// Serves until a signal comes; then closes and delivers what is there. A second signal ends it at once.
pub(crate) async fn run(args: &Args) -> Result<(), AnyError> {
    let server = Arc::new(Server::new(args)?);
    let listener =
        TcpListener::bind(args.listen).await.map_err(|error| format!("--listen {}: {error}", args.listen))?;
    let address = listener.local_addr()?;
    eprintln!("listening on http://{address}/");
    if address.ip().is_loopback() {
        eprintln!("the page is http://{address}/ui");
    }
    server.recover().await.map_err(|error| format!("--spool: {error}"))?; // before the first call is taken
    connections::serve(listener, router(&server), signal()?).await;
    eprintln!("ending: {} tasks are closed and delivered", server.service.running());
    let again = signal()?;
    tokio::select! {
        () = server.shut_down() => Ok(()),
        () = again => Err("ended by a second signal: what was not delivered is in the spool".into()),
    }
}

fn router(server: &Arc<Server>) -> Router {
    let local = control::routes().merge(ui::routes()).layer(from_fn(local_only));
    Router::new()
        .route("/", any(api::call))
        .route("/healthz", get(async || "ok\n"))
        .route("/metrics", get(metrics))
        .merge(local)
        .with_state(Arc::clone(server))
}

async fn metrics(State(server): State<Arc<Server>>) -> Response {
    server.sample().await;
    let (recorded_bytes, undelivered, lag) = server.board.totals();
    let gauges = Gauges {
        running: server.service.running(),
        participants: server.rooms.as_ref().map_or(0, Rooms::count),
        recorded_bytes,
        undelivered,
        lag,
        callbacks: server.callback_counts(),
    };
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], server.metrics.to_text(&gauges)).into_response()
}

/// The page and `/control` are not signed: they are for this machine, and for pages that came from here. A page of
/// somebody else's whose name was pointed to this machine has that name in `Host`.
async fn local_only(request: Request, next: Next) -> Response {
    let is_local_peer = request.extensions().get::<Peer>().is_some_and(|Peer(peer)| peer.ip().is_loopback());
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if is_local_peer && host.is_some_and(is_local_host) {
        return next.run(request).await;
    }
    (
        StatusCode::FORBIDDEN,
        "only from this machine, by a loopback address: use a tunnel, as ssh -L 8080:127.0.0.1:8080\n",
    )
        .into_response()
}

fn is_local_host(host: &str) -> bool {
    let Ok(url) = url::Url::parse(&format!("http://{host}/")) else { return false };
    match url.host() {
        Some(url::Host::Ipv4(v4)) => v4.is_loopback(),
        Some(url::Host::Ipv6(v6)) => v6.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Comes when the program is asked to end.
fn signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in ["127.0.0.1:8080", "127.1.2.3", "localhost", "localhost:80", "[::1]:8080", "LOCALHOST"] {
            assert!(is_local_host(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "",
            "a b",
            "localhost@evil.example",
        ] {
            assert!(!is_local_host(host), "{host}");
        }
    }
}
