//! Servers on the loopback interface, gone with their values: a web server of a folder, S3 where `moto_server` is
//! installed, and Azure Blob Storage where `azurite-blob` is.

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

/// A program that serves, ended with its value.
#[derive(Debug)]
struct Program(Child);

impl Program {
    /// Starts it, and gives what comes behind `mark` in what it says, on standard output or error: its address.
    fn start(mut command: Command, mark: &str) -> (Self, String) {
        let name = command.get_program().to_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} starts: {error}", name.display()));
        let (said, lines) = std::sync::mpsc::channel();
        let out: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().expect("it is piped")),
            Box::new(child.stderr.take().expect("it is piped")),
        ];
        for out in out {
            let said = said.clone();
            // It stops where nobody takes what it says.
            std::thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    // After the address nobody listens any more.
                    let _ = said.send(line);
                }
            });
        }
        drop(said);
        let server = Self(child);
        let address = lines.iter().find_map(|line| {
            line.split_once(mark).map(|(_, address)| address.trim_end_matches('/').trim().to_owned())
        });
        (server, address.unwrap_or_else(|| panic!("{} tells its address", name.display())))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a request without a body of its own, and gives the whole answer.
fn request(address: &str, line: &str, headers: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "{line} HTTP/1.1\r\nHost: {address}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// An S3 server, with one bucket or more.
#[derive(Debug)]
pub struct S3 {
    _program: Program,
    /// Host and port.
    address: String,
    bucket: String,
}

/// A user of an S3 server.
#[derive(Debug)]
pub struct S3Keys {
    /// Its access key's id.
    pub id: String,
    /// The key itself.
    pub secret: String,
}

impl S3 {
    /// Starts `moto_server` on a port that the system chooses and makes an empty bucket. `None`, and `skipped: …` is told,
    /// where it is not installed.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(bucket: &str) -> Option<Self> {
        Self::start_with(bucket, None)
    }

    /// As [`S3::start`], and after `open` requests it looks at the keys: these are for making the bucket and users.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_guarded(bucket: &str, open: u32) -> Option<Self> {
        Self::start_with(bucket, Some(open))
    }

    fn start_with(bucket: &str, open: Option<u32>) -> Option<Self> {
        let mut command = Command::new(find("moto_server")?);
        command.args(["-H", "127.0.0.1", "-p", "0"]);
        if let Some(open) = open {
            command.env("INITIAL_NO_AUTH_ACTION_COUNT", open.to_string());
        }
        let (program, address) = Program::start(command, "Running on http://");
        let server = Self { _program: program, address, bucket: bucket.to_owned() };
        let made = server.request(&format!("PUT /{bucket}"), "", "");
        assert!(made.starts_with("HTTP/1.1 200"), "{made}");
        Some(server)
    }

    fn request(&self, line: &str, headers: &str, body: &str) -> String {
        request(&self.address, line, headers, body).expect("moto_server answers")
    }

    /// Makes a user that may do what `policy` says, JSON of the vendor's form: four of the requests that are open.
    ///
    /// # Panics
    /// If the server does not do it.
    #[must_use]
    pub fn user(&self, name: &str, policy: &str) -> S3Keys {
        let iam = |action: &str, more: &str| {
            let headers = "Content-Type: application/x-www-form-urlencoded\r\nAuthorization: AWS4-HMAC-SHA256 \
                           Credential=any/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=any\r\n";
            let body = format!("Action={action}&Version=2010-05-08&UserName={name}{more}");
            let answer = self.request("POST /", headers, &body);
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            answer
        };
        iam("CreateUser", "");
        let policy: String = policy.bytes().map(|byte| format!("%{byte:02X}")).collect();
        iam("PutUserPolicy", &format!("&PolicyName=p&PolicyDocument={policy}"));
        let keys = iam("CreateAccessKey", "");
        let part = |name: &str| {
            let (_, rest) = keys.split_once(&format!("<{name}>")).expect("the answer has it");
            rest.split('<').next().expect("a text has a beginning").to_owned()
        };
        S3Keys { id: part("AccessKeyId"), secret: part("SecretAccessKey") }
    }

    /// Uploads in parts that are neither completed nor aborted. Of a server that looks at no keys.
    ///
    /// # Panics
    /// If the server does not answer.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        let answer = self.request(&format!("GET /{}?uploads", self.bucket), "", "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer.matches("<UploadId>").count()
    }

    /// The address of what is at `path` in the bucket, or of the bucket for an empty one.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let address = self.address_of(&format!("{}/{path}", self.bucket));
        format!("{address}&access_key_id=test&secret_access_key=test")
    }

    /// The address of the server.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
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

/// A server of Azure Blob Storage, with the account and the key that every emulator has.
#[derive(Debug)]
pub struct Azurite {
    _program: Program,
    /// Host and port.
    address: String,
}

impl Azurite {
    /// The key of the account `devstoreaccount1`: published, and the same everywhere.
    pub const KEY: &str =
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    /// Starts `azurite-blob` on a port that the system chooses and makes an empty container. `None`, and `skipped: …` is
    /// told, where it is not installed.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(container: &str) -> Option<Self> {
        let mut command = Command::new(find("azurite-blob")?);
        command.args([
            "--blobPort",
            "0",
            "--inMemoryPersistence",
            "--skipApiVersionCheck",
            "--disableTelemetry",
        ]);
        command.arg("--silent");
        let (program, address) = Program::start(command, "listens on http://");
        // A signature of the account with that key: HMAC-SHA256 of these settings, in the order of the documentation of an
        // account's SAS. It lets one make containers, and nothing else.
        let sas = "sv=2021-08-06&ss=b&srt=c&sp=c&se=2099-01-01T00%3A00%3A00Z\
                   &sig=Zh%2BxoG0Tpd3TnXTdGJG46O1LhMyMs4WDRlN0HHN4VF4%3D";
        let line = format!("PUT /devstoreaccount1/{container}?restype=container&{sas}");
        let made = request(&address, &line, "", "").expect("azurite answers");
        assert!(made.starts_with("HTTP/1.1 201"), "{made}");
        Some(Self { _program: program, address })
    }

    /// The address of `place`, a container's name and a path in it, with `key`.
    #[must_use]
    pub fn url(&self, place: &str, key: &str) -> String {
        let key = key.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        format!(
            "az://{place}?endpoint=http://{}/devstoreaccount1&account_name=devstoreaccount1&account_key={key}",
            self.address
        )
    }
}
