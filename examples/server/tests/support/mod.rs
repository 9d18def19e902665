#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test file uses a part")]

pub mod client;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use client::{Client, Reply};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const APP: u32 = 1_400_000_001;
pub const ID: &str = "AKIDexample";
pub const SECRET: &str = "canary-secret-key";

/// Longest that a test waits for what should come at once.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// One key for one application.
pub fn keys() -> Value {
    json!({ ID: { "SecretKey": SECRET, "SdkAppIds": [APP] } })
}

/// The program on a port of its own, with a spool and a place for objects in one temporary directory.
pub struct Running {
    child: Ended,
    pub address: String,
    pub root: TempDir,
    log: std::thread::JoinHandle<String>,
}

impl Running {
    pub fn start(arguments: &[&str]) -> Self {
        Self::with_keys(&keys(), arguments)
    }

    pub fn with_keys(keys: &Value, arguments: &[&str]) -> Self {
        Self::in_place(tempfile::tempdir().unwrap(), keys, arguments)
    }

    /// In the place of one that was there before.
    pub fn in_place(root: TempDir, keys: &Value, arguments: &[&str]) -> Self {
        let mut child = command(root.path(), keys)
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .env("RUST_LOG", "trace,hyper=info")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = lines.next().expect("it says where it listens").unwrap();
        let address = first.strip_prefix("listening on http://").unwrap_or_else(|| panic!("{first}"));
        let address = address.trim_end_matches('/').to_owned();
        let log = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>().join("\n"));
        Self { child: Ended(child), address, root, log }
    }

    pub fn client(&self) -> Client {
        Client::new(&self.address, ID, SECRET)
    }

    /// Ends it as a crash does.
    pub fn kill(mut self) -> TempDir {
        self.child.0.kill().unwrap();
        self.child.0.wait().unwrap();
        self.root
    }

    /// Asks it to end, and gives how it did and what it logged.
    pub fn stop(mut self) -> (ExitStatus, String, TempDir) {
        signal(self.child.0.id(), "TERM");
        let status = self.child.0.wait().unwrap();
        (status, self.log.join().unwrap(), self.root)
    }
}

/// A process that does not outlive its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program with a key file, a spool and `out` under `root`.
pub fn command(root: &Path, keys: &Value) -> Command {
    let file = root.join("keys.json");
    std::fs::write(&file, keys.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command.arg("--keys").arg(file).arg("--spool").arg(root.join("spool"));
    command.arg("--storage-override").arg(root.join("out"));
    command
}

fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &process.to_string()]).status().unwrap();
    assert!(sent.success());
}

/// A request that makes a single-stream task.
pub fn create(room: &str, robot: &str) -> Value {
    json!({
        "SdkAppId": APP, "RoomId": room, "UserId": robot, "UserSig": "canary-user-sig",
        "RecordParams": { "RecordMode": 1, "MaxIdleTime": 3600 },
        "StorageParams": { "CloudStorage": { "Vendor": 1, "Region": "r", "Bucket": "b", "AccessKey": "canary-access",
            "SecretKey": "canary-storage-key" } },
    })
}

/// A call of `/control` for room 1001.
pub fn control(client: &mut Client, method: &str, rest: &str, body: &Value) -> Reply {
    let kind = [("Content-Type".to_owned(), "application/json".to_owned())];
    let target = format!("/control/rooms/{APP}/1001{rest}");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    client.send(method, &target, &kind, body.as_bytes())
}

/// The names of all files below `root`.
pub fn files(root: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    names.sort();
    names
}
