use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// Serves the recording API of TRTC (version 2019-07-22): an official SDK with its endpoint set to this address goes on
/// working.
///
/// Stop it with SIGTERM or SIGINT: open segments are closed and uploads finished first. A second signal ends it at once.
#[derive(Debug, Parser)]
#[command(name = "server", version)]
pub(crate) struct Args {
    /// Where calls come in. Speaks HTTP: put TLS in front of it where calls cross a network.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,

    /// Who may call: `{"AKID…": {"SecretKey": "…", "SdkAppIds": [1400000001], "AppSecret": "…", "CallbackUrl": "…",
    /// "CallbackKey": "…", "VodSecretId": "…", "VodSecretKey": "…"}}`; the last five may be left out.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) keys: PathBuf,

    /// Directory for files until they are delivered.
    #[arg(long, value_name = "DIR")]
    pub(crate) spool: PathBuf,

    /// File with 64 hexadecimal digits: seals the keys of requests' buckets in the spool, so that the tasks of a server that
    /// died are taken up with them.
    #[arg(long, value_name = "FILE")]
    pub(crate) seal_key_file: Option<PathBuf>,

    /// Lets /control put simulated people and files into rooms, and dismiss them. Unsigned, so only with a loopback
    /// address.
    #[arg(long)]
    pub(crate) control: bool,

    /// Lets callbacks, images of layouts and EndpointUrl reach private and loopback addresses.
    #[arg(long)]
    pub(crate) allow_private_urls: bool,

    /// Puts every object into one place, whatever vendor and bucket a request names: a directory, or the URL of a bucket.
    #[arg(long, value_name = "DIR|URL")]
    pub(crate) storage_override: Option<String>,

    /// Takes recordings to VOD (CloudVod): into a folder with an index, or into Tencent VOD, by `tencent:`, or `tencent:HOST`
    /// for another host of its API. Its keys are VodSecretId and VodSecretKey of an application in --keys, or else
    /// TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY.
    #[arg(long, value_name = "DIR|tencent:[HOST]")]
    pub(crate) vod: Option<String>,

    /// Where a web server serves the folder of --vod: media play from there, and not from file:// addresses.
    #[arg(long, value_name = "URL", requires = "vod")]
    pub(crate) vod_url: Option<String>,

    /// Records the rooms of applications without a call, by a template for each: `{"1400000001": {"StorageParams": {…},
    /// "ResumptionTimeout": 30, …}}`.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) auto_record: Option<PathBuf>,

    /// Tasks that run at a time.
    #[arg(long, value_name = "N", default_value_t = recorder::api::MAX_RUNNING_TASKS)]
    pub(crate) max_tasks: usize,
}
