use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// Objects in memory that speak as much S3 as a recorder needs, with a door for each writer.
#[derive(Clone, Default)]
pub struct Store(Arc<Mutex<Objects>>);

#[derive(Default)]
struct Objects {
    objects: BTreeMap<String, Vec<u8>>,
    puts: Vec<Put>,
}

/// One request that was to put something.
#[derive(Clone, Debug)]
pub struct Put {
    pub name: String,
    pub writer: String,
    /// Unix milliseconds.
    pub at: u64,
    /// It was not refused for being there already.
    pub stored: bool,
}

impl Store {
    /// A port for one writer.
    pub fn door(&self, writer: &str) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (store, writer) = (self.clone(), writer.to_owned());
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (store, writer) = (store.clone(), writer.clone());
                std::thread::spawn(move || {
                    // Clients may go at any time.
                    let _ = store.serve(stream, &writer);
                });
            }
        });
        port
    }

    pub fn puts(&self) -> Vec<Put> {
        self.0.lock().unwrap().puts.clone()
    }

    pub fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().objects.keys().cloned().collect()
    }

    /// Every playlist has its end, and names only segments that are there.
    pub fn assert_whole(&self) {
        let objects = self.0.lock().unwrap().objects.clone();
        let mut playlists = 0;
        for (name, text) in objects.iter().filter(|(name, _)| name.ends_with(".m3u8")) {
            let text = std::str::from_utf8(text).unwrap();
            assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{name}:\n{text}");
            let directory = name.rsplit_once('/').unwrap().0;
            let lookup = |segment: &str| objects.get(&format!("{directory}/{segment}")).cloned();
            let broken = recorder_testkit::hls_rules::check(text, lookup);
            assert!(broken.is_empty(), "{name}: {broken:#?}\n{text}");
            playlists += 1;
        }
        assert!(playlists >= 2, "{:?}", objects.keys());
    }

    /// Within a playlist nothing breaks off.
    pub fn assert_no_gap(&self) {
        for (name, text) in self.0.lock().unwrap().objects.iter().filter(|(name, _)| name.ends_with(".m3u8"))
        {
            let text = std::str::from_utf8(text).unwrap();
            assert!(!text.contains("#EXT-X-DISCONTINUITY"), "{name}:\n{text}");
        }
    }

    fn serve(&self, stream: TcpStream, writer: &str) -> io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut out = stream;
        loop {
            let mut first = String::new();
            if reader.read_line(&mut first)? == 0 {
                return Ok(());
            }
            let (mut length, mut only_new, mut expects) = (0, false, false);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line)?;
                let line = line.trim().to_ascii_lowercase();
                match line.split_once(": ") {
                    Some(("content-length", value)) => length = value.parse().unwrap(),
                    Some(("if-none-match", _)) => only_new = true,
                    Some(("expect", _)) => expects = true,
                    Some(_) => {}
                    None => break,
                }
            }
            if expects {
                out.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            let mut words = first.split(' ');
            let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            let name = path.strip_prefix("/rec/").unwrap_or(path).split('?').next().unwrap_or("").to_owned();
            self.answer(&mut out, method, name, (body, only_new), writer)?;
        }
    }

    fn answer(
        &self,
        out: &mut TcpStream,
        method: &str,
        name: String,
        (body, only_new): (Vec<u8>, bool),
        writer: &str,
    ) -> io::Result<()> {
        let mut guard = self.0.lock().unwrap();
        if method == "PUT" {
            let stored = !(only_new && guard.objects.contains_key(&name));
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let at = u64::try_from(since.as_millis()).unwrap();
            guard.puts.push(Put { name: name.clone(), writer: writer.into(), at, stored });
            if !stored {
                return out.write_all(b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n");
            }
            guard.objects.insert(name, body);
            return out.write_all(b"HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\n");
        }
        let Some(object) = guard.objects.get(&name).cloned() else {
            return out.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        };
        drop(guard);
        let head = format!(
            "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nLast-Modified: Tue, 14 Nov 2023 22:13:20 GMT\r\nContent-Length: {}\r\n\r\n",
            object.len()
        );
        out.write_all(head.as_bytes())?;
        if method == "HEAD" { Ok(()) } else { out.write_all(&object) }
    }
}
