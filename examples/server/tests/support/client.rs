//! A client of the API: signs, sends, reads. One connection, used again for each call.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use recorder_api::{Authorization, ScopedRequest, Secret, SignedHeader};
use serde_json::Value;

/// Longest that an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `Response` of the envelope.
    pub fn response(&self) -> Value {
        let body: Value = serde_json::from_slice(&self.body).expect("an answer is JSON");
        body["Response"].clone()
    }

    /// `Error.Code`, or `OK`.
    pub fn code(&self) -> String {
        self.response()["Error"]["Code"].as_str().unwrap_or("OK").to_owned()
    }
}

/// A connection and the key that signs its calls.
pub struct Client {
    address: String,
    pub id: String,
    pub secret: Secret,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    pub fn new(address: &str, id: &str, secret: &str) -> Self {
        Self { address: address.to_owned(), id: id.to_owned(), secret: Secret::new(secret), stream: None }
    }

    /// One signed call.
    pub fn call(&mut self, action: &str, request: &Value) -> Reply {
        let body = request.to_string();
        let headers = self.signed(action, body.as_bytes(), now());
        self.send("POST", "/", &headers, body.as_bytes())
    }

    /// The headers of a call, signed at a Unix second.
    pub fn signed(&self, action: &str, body: &[u8], at: u64) -> Vec<(String, String)> {
        let host = self.address.clone();
        let signed = [
            SignedHeader { name: "content-type", value: "application/json" },
            SignedHeader { name: "host", value: &host },
        ];
        let call = ScopedRequest::post("trtc", &signed, body);
        let authorization = Authorization::sign(&call, &self.id, &self.secret, at).expect("it can be signed");
        [
            ("Content-Type", "application/json"),
            ("X-TC-Action", action),
            ("X-TC-Version", "2019-07-22"),
            ("X-TC-Timestamp", &at.to_string()),
            ("X-TC-Region", "ap-singapore"),
            ("Authorization", &authorization),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// Any request. A `Host` among the headers is sent instead of the address.
    pub fn send(&mut self, method: &str, target: &str, headers: &[(String, String)], body: &[u8]) -> Reply {
        let mut head = format!("{method} {target} HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| name == "Host") {
            head += &format!("Host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        let mut stream = self.stream.take().unwrap_or_else(|| {
            let stream = TcpStream::connect(&self.address).expect("the server takes connections");
            stream.set_nodelay(true).expect("an option of sockets");
            stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
            BufReader::new(stream)
        });
        let sent = stream.get_mut().write_all(&[head.as_bytes(), body].concat());
        // A server may answer and close before it has read everything.
        let reply = read(&mut stream, method == "HEAD")
            .unwrap_or_else(|error| panic!("{method} {target}: {error} ({sent:?})"));
        if reply.header("connection") != Some("close") {
            self.stream = Some(stream);
        }
        reply
    }

    pub fn get(&mut self, target: &str) -> Reply {
        self.send("GET", target, &[], b"")
    }
}

fn read(stream: &mut BufReader<TcpStream>, is_head: bool) -> std::io::Result<Reply> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other(format!("no status in {line:?}")))?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let mut reply = Reply { status, headers, body: Vec::new() };
    if let (Some(length), false) = (reply.header("content-length"), is_head) {
        reply.body = vec![0; length.parse().expect("a length")];
        stream.read_exact(&mut reply.body)?;
    }
    Ok(reply)
}

/// The Unix second.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}
