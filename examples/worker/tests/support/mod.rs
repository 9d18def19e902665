#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod proxy;
mod store;

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use recorder_testkit::ffmpeg::find;
use recorder_testkit::until;
use serde_json::Value;
use tempfile::TempDir;

pub use proxy::Proxy;
pub use store::Store;

/// A NATS server with JetStream.
pub struct Nats {
    child: Child,
    pub port: u16,
}

impl Nats {
    /// On the port, or a free one; `None`, and it is told, where the server is not installed.
    pub fn start(root: &Path, port: Option<u16>) -> Option<Self> {
        let program = find("nats-server")?;
        let port = port.unwrap_or_else(|| {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            free.local_addr().unwrap().port()
        });
        let child = Command::new(program)
            .args(["-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd"])
            .arg(root.join("nats"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, port };
        until("the NATS server", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
        Some(server)
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A NATS server, a store, and a directory.
pub struct Setting {
    pub nats: Nats,
    pub store: Store,
    pub root: TempDir,
}

impl Setting {
    pub fn new() -> Option<Self> {
        let root = tempfile::tempdir().unwrap();
        let nats = Nats::start(root.path(), None)?;
        Some(Self { nats, store: Store::default(), root })
    }

    fn command(&self, port: u16) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_worker"));
        command.args(["--nats", &format!("nats://127.0.0.1:{port}")]);
        command
    }

    /// A worker that reaches NATS and the store through doors of its own.
    pub fn worker(&self, name: &str) -> WorkerProcess {
        let nats = Proxy::to(self.nats.port);
        let door = self.store.door(name);
        let out =
            format!("s3://rec?endpoint=http://127.0.0.1:{door}&region=r&access_key_id=k&secret_access_key=s");
        let mut command = self.command(nats.port);
        command.args(["run", "--name", name, "--out", &out, "--spool"]).arg(self.root.path().join(name));
        let mut child =
            command.env("RUST_LOG", "info").stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let lines = Arc::<Mutex<Vec<Value>>>::default();
        let (told, stdout) = (Arc::clone(&lines), child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                told.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        let child = Mutex::new(child);
        WorkerProcess { child, name: name.into(), nats, spool: self.root.path().join(name), lines }
    }

    fn run(&self, arguments: &[&str]) -> String {
        let done = self.command(self.nats.port).args(arguments).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    pub fn create(&self, task: &str) {
        self.run(&["create", task, "--out", "memory:", "--participant", "alice"]);
    }

    pub fn stop(&self, task: &str) {
        self.run(&["stop", task]);
    }

    pub fn list(&self) -> String {
        self.run(&["list"])
    }
}

pub struct WorkerProcess {
    child: Mutex<Child>,
    pub name: String,
    pub nats: Proxy,
    spool: PathBuf,
    lines: Arc<Mutex<Vec<Value>>>,
}

impl WorkerProcess {
    pub fn spool(&self) -> PathBuf {
        self.spool.clone()
    }

    /// What it has told: the number of an event and 0, or `begins` and the prefix.
    pub fn events(&self) -> Vec<(String, u32)> {
        let lines = self.lines.lock().unwrap();
        lines
            .iter()
            .map(|line| match line["Begins"].as_u64() {
                Some(run) => ("begins".into(), u32::try_from(run).unwrap()),
                None => (line["EventType"].to_string(), 0),
            })
            .collect()
    }

    /// When it told the first event of this kind, in Unix milliseconds.
    pub fn event_at(&self, number: u32, task: &str) -> Option<u64> {
        let lines = self.lines.lock().unwrap();
        let of_task = |line: &&Value| line["EventInfo"]["TaskId"] == task;
        let found = lines.iter().filter(of_task).find(|line| line["EventType"] == number)?;
        found["EventInfo"]["EventMsTs"].as_u64().or_else(|| panic!("{found}"))
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.lock().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub fn wait(&self) -> ExitStatus {
        until("the worker ends", || self.child.lock().unwrap().try_wait().unwrap())
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap();
        // It may have ended already.
        let _ = child.kill();
        let _ = child.wait();
    }
}
