use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::EventType;

const APP: SdkAppId = SdkAppId::new(1_400_000_001);

/// Gives a prepared answer to each look-up in turn, the last one again and again, and remembers the names.
struct Script {
    answers: Mutex<Vec<Vec<&'static str>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn new(answers: &[&[&'static str]]) -> Self {
        let answers = answers.iter().rev().map(|answer| answer.to_vec()).collect();
        Self { answers: Mutex::new(answers), asked: Arc::default() }
    }
}

impl Lookup for Script {
    fn lookup(&self, name: &str) -> std::io::Result<Vec<SocketAddr>> {
        self.asked.lock().unwrap().push(name.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop() } else { answers.last().cloned() };
        let addresses = answer.unwrap_or_default().into_iter().map(|text| text.parse::<IpAddr>().unwrap());
        Ok(addresses.map(|ip| SocketAddr::new(ip, 0)).collect())
    }
}

fn attempt() -> Attempt {
    Attempt {
        event_type: EventType::RecorderStart,
        body: Bytes::from_static(b"{}"),
        sign: Some("s".into()),
        number: 1,
    }
}

fn http(url: &str, policy: AddressPolicy, lookup: Script) -> Http {
    Http::with_lookup(::url::Url::parse(url).unwrap(), APP, policy, Duration::from_millis(500), lookup)
        .unwrap()
}

/// Every spelling ends at an address that is refused; nothing is connected to.
#[tokio::test]
async fn spellings_of_private_addresses_are_refused() {
    let literals = [
        "http://127.0.0.1/",
        "http://127.0.0.1:8080/a?b#c",
        "https://127.0.0.1/",
        "http://127.1/",
        "http://127.0.1/",
        "http://0x7f.1/",
        "http://0x7f.0x0.0x0.0x1/",
        "http://0x7f000001/",
        "http://0X7F000001/",
        "http://017700000001/",
        "http://0177.0.0.1/",
        "http://0177.0.0.01/",
        "http://2130706433/",
        "http://127.0.0.1./",
        "http://2130706433./",
        "http://%31%32%37.0.0.1/",
        "http://127%2e0%2e0%2e1/",
        "http://１２７.0.0.1/",
        "http://127。0。0。1/",
        "http://①②⑦.0.0.1/",
        "http://user@127.0.0.1/",
        "http://example.com@127.0.0.1/",
        "http://example.com:80@127.0.0.1:81/",
        "http:127.0.0.1/",
        "http:\\\\127.0.0.1\\x",
        "http://0/",
        "http://0.0.0.0/",
        "http://00000/",
        "http://0.1.2.3/",
        "http://10.0.0.1/",
        "http://012.0.0.1/",
        "http://167772161/",
        "http://172.16.0.1/",
        "http://172.31.255.254/",
        "http://192.168.1.1/",
        "http://3232235777/",
        "http://100.64.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://0xa9fea9fe/",
        "http://2852039166/",
        "http://169.254.43518/",
        "http://192.0.0.192/",
        "http://192.0.2.1/",
        "http://198.18.0.1/",
        "http://224.0.0.1/",
        "http://239.255.255.250:1900/",
        "http://255.255.255.255/",
        "http://240.0.0.1/",
        "http://[::]/",
        "http://[::1]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[0:0:0:0:0:ffff:10.0.0.1]/",
        "http://[64:ff9b::127.0.0.1]/",
        "http://[64:ff9b:1::a00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[2002:c0a8:101::1]/",
        "http://[2001:0:7f00:1::]/",
        "http://[2001:db8::1]/",
        "http://[fc00::1]/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
        "http://[fec0::1]/",
        "http://[ff02::1]/",
        "http://localhost/",
        "http://localhost./",
        "http://LOCALHOST:80/",
        "http://a.localhost/",
    ];
    for url in literals {
        let http = http(url, AddressPolicy::PublicOnly, Script::new(&[&["8.8.8.8"]]));
        let result = http.post(attempt()).await;
        assert!(matches!(result, Err(Failure::Refused(_))), "{url}: {result:?}");
    }

    let names = [
        ("http://127.0.0.1.nip.example/", "127.0.0.1"),
        ("http://metadata.example/", "169.254.169.254"),
        ("http://a.internal/", "10.0.0.5"),
        ("https://six.example/", "fd00::1"),
        ("http://mapped.example/", "::ffff:192.168.0.1"),
        ("http://nat64.example/", "64:ff9b::a00:1"),
        ("http://6to4.example/", "2002:7f00:1::"),
    ];
    for (url, address) in names {
        let lookup = Script::new(&[&[address]]);
        let asked = Arc::clone(&lookup.asked);
        let result = http(url, AddressPolicy::PublicOnly, lookup).post(attempt()).await;
        assert!(matches!(result, Err(Failure::Refused(_))), "{url}: {result:?}");
        assert_eq!(asked.lock().unwrap().len(), 1, "{url}: a name is resolved once");
    }
}

#[test]
fn public_addresses_and_names_pass() {
    for url in [
        "http://8.8.8.8/",
        "https://1.1/",
        "http://[2606:4700::1111]/",
        "http://[::ffff:8.8.8.8]/",
        "https://a.example./",
        "https://localhost.example/",
    ] {
        assert_eq!(AddressPolicy::PublicOnly.check_host(&::url::Url::parse(url).unwrap()), Ok(()), "{url}");
    }
}

/// The second answer is judged like the first: there is no cache to be fooled.
#[tokio::test]
async fn each_connection_is_judged_by_its_own_look_up() {
    // 203.0.113.9 is refused too, so that nothing leaves the machine whichever answer is taken.
    let lookup = Script::new(&[&["203.0.113.9"], &["127.0.0.1"], &["203.0.113.9", "10.0.0.1"]]);
    let http = http("http://rebind.example/", AddressPolicy::PublicOnly, lookup);
    let expected = ["203.0.113.9", "127.0.0.1", "10.0.0.1"];
    for address in expected {
        match http.post(attempt()).await {
            Err(Failure::Refused(refused)) => assert_eq!(refused.address, address.parse::<IpAddr>().unwrap()),
            other => panic!("{address}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn of_a_mixed_answer_only_the_allowed_addresses_are_left() {
    let resolver = PolicyResolver {
        policy: AddressPolicy::PublicOnly,
        lookup: Arc::new(Script::new(&[&["10.0.0.1", "8.8.8.8", "::1"]])),
        permits: Arc::new(Semaphore::new(1)),
    };
    let left: Vec<_> =
        resolver.resolve("x.example".parse().unwrap()).await.unwrap().map(|a| a.ip()).collect();
    assert_eq!(left, [IpAddr::from(Ipv4Addr::new(8, 8, 8, 8))]);
}

/// Serves each connection with `answer`, repeated for as long as the other side listens if `endless`.
async fn raw_server(answer: &'static [u8], endless: bool) -> (String, tokio::task::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        let mut written = 0;
        while stream.write_all(answer).await.is_ok() && endless {
            written += answer.len();
        }
        written
    });
    (url, served)
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let (url, served) =
        raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nxxxxxxxxxxxxxxxxxxxxxx", true)
            .await;
    let http = http(&url, AddressPolicy::AllowPrivate, Script::new(&[]));
    assert!(http.post(attempt()).await.is_ok());
    // The server saw its connection close; what it wrote sat in the buffers of the sockets.
    let written = tokio::time::timeout(Duration::from_secs(5), served).await.unwrap().unwrap();
    assert!(written < 64 << 20, "{written} bytes");
}

#[tokio::test]
async fn an_answer_that_never_ends_or_never_starts_has_its_time() {
    let (url, _served) = raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{", false).await;
    assert!(http(&url, AddressPolicy::AllowPrivate, Script::new(&[])).post(attempt()).await.is_ok());

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let started = Instant::now();
    let result = http(&url, AddressPolicy::AllowPrivate, Script::new(&[])).post(attempt()).await;
    assert!(matches!(result, Err(Failure::Timeout)), "{result:?}");
    assert!((Duration::from_millis(450)..Duration::from_secs(2)).contains(&started.elapsed()));

    drop(listener);
    let result = http(&url, AddressPolicy::AllowPrivate, Script::new(&[])).post(attempt()).await;
    assert!(matches!(result, Err(Failure::Connect)), "{result:?}");
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_a_failure() {
    let (url, _served) = raw_server(b"SSH-2.0-x\r\n\r\n", false).await;
    let result = http(&url, AddressPolicy::AllowPrivate, Script::new(&[])).post(attempt()).await;
    assert!(matches!(result, Err(Failure::Broken)), "{result:?}");
}
