//! Servers on the loopback interface, gone with their values: a web server of a folder, and S3 where `moto_server` is
//! installed.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::ffmpeg::find;

/// Serves the files of one folder by GET and HEAD, ranges of bytes too.
#[derive(Debug)]
pub struct WebFolder {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl WebFolder {
    /// Begins to serve.
    ///
    /// # Panics
    /// If there is no port.
    #[must_use]
    pub fn serve(folder: &Path) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port of the loopback interface");
        let address = listener.local_addr().expect("it is bound");
        let over = Arc::new(AtomicBool::new(false));
        let (folder, ended) = (folder.to_owned(), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let folder = folder.clone();
                std::thread::spawn(move || {
                    // Clients may go at any time.
                    let _ = answer_all(stream, &folder);
                });
            }
        });
        Self { address, over, thread: Some(thread) }
    }

    /// The address of a file in the folder.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }
}

impl Drop for WebFolder {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if TcpStream::connect(self.address).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn answer_all(stream: TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let (mut first, mut range) = (String::new(), None);
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(told) = line.strip_prefix("range: bytes=") {
                let (from, to) = told.split_once('-').unwrap_or((told, ""));
                range = Some((from.parse().unwrap_or(0usize), to.parse().unwrap_or(usize::MAX)));
            }
        }
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let file: PathBuf = folder.join(path.trim_start_matches('/'));
        let mut out = &stream;
        let Ok(data) = fs::read(file) else {
            out.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        };
        let last = data.len().saturating_sub(1);
        let (status, part) = match range.map(|(from, to)| (from, to.min(last))) {
            Some((from, to)) if from <= to => (
                format!("206 Partial Content\r\nContent-Range: bytes {from}-{to}/{}", data.len()),
                from..to + 1,
            ),
            Some(_) => ("416 Range Not Satisfiable".to_owned(), 0..0),
            None => ("200 OK".to_owned(), 0..data.len()),
        };
        write!(out, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", part.len())?;
        if method != "HEAD" {
            out.write_all(&data[part])?;
        }
    }
}

/// An S3 server, with one bucket or more.
#[derive(Debug)]
pub struct S3 {
    child: Child,
    /// Host and port.
    address: String,
    bucket: String,
}

impl S3 {
    /// Starts `moto_server` on a port that the system chooses and makes an empty bucket. `None`, and `skipped: …` is told,
    /// where it is not installed.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(bucket: &str) -> Option<Self> {
        let program = find("moto_server")?;
        let mut child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("moto_server starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            line.split_once("Running on http://").map(|(_, address)| address.trim().to_owned())
        });
        // It stops where nobody takes what it says.
        std::thread::spawn(move || lines.for_each(drop));
        let mut server = Self { child, address: String::new(), bucket: bucket.to_owned() };
        server.address = address.expect("moto_server tells its port");
        server.make_bucket().expect("moto_server makes a bucket");
        Some(server)
    }

    fn make_bucket(&self) -> std::io::Result<()> {
        let (bucket, address) = (&self.bucket, &self.address);
        let mut stream = TcpStream::connect(address)?;
        write!(
            stream,
            "PUT /{bucket} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        Ok(())
    }

    /// The address of what is at `path` in the bucket, or of the bucket for an empty one.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let address = self.address_of(&format!("{}/{path}", self.bucket));
        format!("{address}&access_key_id=test&secret_access_key=test")
    }

    /// The address of `place`, a bucket's name and a path in it, without keys.
    #[must_use]
    pub fn address_of(&self, place: &str) -> String {
        format!(
            "s3://{place}?endpoint=http://{}&region=us-east-1&virtual_hosted_style_request=false",
            self.address
        )
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
