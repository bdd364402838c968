//! TLS of the API: both versions of HTTP, certificates that are renewed, files that cannot be used, and who wastes its time.
//!
//! Real `rookery run` processes, with certificates made for them. HTTP/2 is curl's, where it is there and speaks it.

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustix::process::Signal;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;
use support::{Node, PATIENCE, rookery, said};

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Who signs certificates, and a directory with the files that a node is told of.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    directory: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Else it would be called what the certificates are that it signs.
        params.distinguished_name.push(DnType::CommonName, "authority");
        let key = KeyPair::generate().expect("a key");
        let root = params.self_signed(&key).expect("signed");
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("ca.pem"), root.pem()).expect("written");
        let this = Self { issuer: Issuer::new(params, key), root: root.der().clone(), directory };
        this.issue(|_| ());
        this
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a new certificate and its key; the certificate.
    fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        fs::write(self.file("certificate.pem"), certificate.pem()).expect("written");
        fs::write(self.file("key.pem"), key.serialize_pem()).expect("written");
        certificate.der().clone()
    }

    fn flags(&self) -> [String; 2] {
        ["certificate", "key"]
            .map(|what| format!("--listen.api_tls_{what}_file={}", self.file(&format!("{what}.pem")).display()))
    }

    fn node(&self, data: &Path, more: &[&str]) -> Node {
        let flags = self.flags();
        let flags = [&[flags[0].as_str(), &flags[1], "--shards=1"], more].concat();
        let node = Node::start("run", data, &flags);
        assert!(node.api.starts_with("https://127.0.0.1:"), "{}", node.api);
        node
    }

    /// A connection within TLS whose client speaks these protocols, after these bytes.
    fn connect(&self, node: &Node, protocols: &[&str], before: &str) -> std::io::Result<Stream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("an authority's");
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("ring has it")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut stream = TcpStream::connect(address(node))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(before.as_bytes())?;
        let name = ServerName::try_from("127.0.0.1").expect("an address");
        let mut connection = ClientConnection::new(Arc::new(config), name).expect("a configuration");
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(connection, stream))
    }

    /// The certificate that a node serves.
    fn served(&self, node: &Node) -> CertificateDer<'static> {
        let stream = self.connect(node, &[], "").expect("TLS is agreed on");
        stream.conn.peer_certificates().expect("it shows some")[0].clone().into_owned()
    }

    /// curl's answer: the version of HTTP, the status and the text.
    fn curl(&self, node: &Node, version: &str, path: &str, more: &[&str]) -> (String, String) {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            version,
            "--max-time",
            "30",
            "--write-out",
            "\n%{http_version} %{http_code}",
        ]);
        curl.arg("--cacert").arg(self.file("ca.pem")).args(more).arg(format!("{}{path}", node.api));
        let output = curl.output().expect("curl runs");
        let told = String::from_utf8(output.stdout).expect("text");
        let (body, how) = told.rsplit_once('\n').expect("--write-out");
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        (how.to_owned(), body.to_owned())
    }
}

fn address(node: &Node) -> SocketAddr {
    node.api.trim_start_matches("https://").parse().expect("an address")
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn curl_speaks_http2() -> bool {
    let version = Command::new("curl").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let speaks = String::from_utf8_lossy(&version).contains("HTTP2");
    if !speaks {
        eprintln!("NOT CHECKED: there is no curl with HTTP/2 here");
    }
    speaks
}

/// Asks by HTTP/1.1; the first line of the answer.
fn ask(stream: &mut Stream) -> String {
    stream.write_all(b"GET /v1/servers/best HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("it is open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer, and TLS's end");
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn both_versions_of_http_answer() {
    if !curl_speaks_http2() {
        return;
    }
    let (authority, data) = (Authority::new(), directory());
    let node = authority.node(data.path(), &[]);
    for (flag, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let check = |path: &str, more: &[&str], status: u16, part: &str| {
            let (how, body) = authority.curl(&node, flag, path, more);
            assert_eq!(how, format!("{version} {status}"), "{path} {more:?}: {body}");
            assert!(body.contains(part), "{part} in {body}");
        };
        check("/", &[], 200, "<script");
        check("/", &["--compressed"], 200, "<script");
        check("/v1/servers/best", &[], 200, &format!("\"api_url\":\"{}\"", node.api));
        check("/nowhere", &[], 404, "there is nothing at this path");
        let account =
            json!({"username": format!("ann{}", version.len()), "password": "correct horse battery"}).to_string();
        let post = |body: &str| ["--header", "Content-Type: application/json", "--data", body].map(str::to_owned);
        let words = post(&account);
        check("/v1/auth/signup", &words.each_ref().map(String::as_str), 201, "\"token\":");
        // A body beyond what a stream may have buffered.
        fs::write(authority.file("body"), format!("{account}{}", " ".repeat(300_000))).expect("written");
        let words = post(&format!("@{}", authority.file("body").display()));
        check("/v1/auth/signup", &words.each_ref().map(String::as_str), 409, "taken");
    }
    let two = ["--header", "Host: a, b"];
    assert_eq!(authority.curl(&node, "--http1.1", "/", &two).0, "1.1 400");
    let long = format!("X: {}", "x".repeat(20_000));
    assert_eq!(authority.curl(&node, "--http2", "/", &["--header", &long]).0, "2 431");
    assert_eq!(authority.curl(&node, "--http1.1", "/", &["--header", &long]).0, "1.1 200");
    assert!(node.terminate().success());
}

#[test]
fn a_client_has_the_version_that_it_names_and_a_proxy_header_comes_first() {
    let (authority, data) = (Authority::new(), directory());
    let node = authority.node(data.path(), &["--listen.trusted_proxies=127.0.0.1"]);
    for protocols in [&[][..], &["http/1.1"]] {
        let mut stream = authority.connect(&node, protocols, "").expect("TLS is agreed on");
        assert_eq!(ask(&mut stream), "HTTP/1.1 200 OK", "{protocols:?}");
    }
    let mut stream =
        authority.connect(&node, &[], "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n").expect("TLS is agreed on");
    assert_eq!(ask(&mut stream), "HTTP/1.1 200 OK");
    assert!(authority.connect(&node, &["spdy/3"], "").is_err(), "nobody speaks that");
}

/// A frame of HTTP/2: its kind and what it says.
fn frame(stream: &mut Stream) -> std::io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let [high, middle, low, kind, ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
    stream.read_exact(&mut payload)?;
    Ok((kind, payload))
}

#[test]
fn a_connection_of_http2_has_bounds_and_does_not_idle() {
    let (authority, data) = (Authority::new(), directory());
    let node = authority.node(data.path(), &[]);
    let mut stream = authority.connect(&node, &["h2", "http/1.1"], "").expect("TLS is agreed on");
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]), "the server prefers HTTP/2");
    let began = Instant::now();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").expect("it is open");
    let (kind, settings) = frame(&mut stream).expect("a frame");
    assert_eq!(kind, 4, "SETTINGS come first");
    let setting = |wanted: u8| {
        let pair = settings.chunks(6).find(|pair| pair[..2] == [0, wanted]).expect("it is set");
        u32::from_be_bytes(pair[2..].try_into().expect("four bytes"))
    };
    assert_eq!([3, 4, 6].map(setting), [32, 65_536, 16_384], "streams, a stream's window, a head");
    let goaway = loop {
        let (kind, payload) = frame(&mut stream).expect("it says goodbye before it ends");
        if kind == 7 {
            break payload;
        }
    };
    assert_eq!(goaway[4..8], [0; 4], "no error");
    let idle = began.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(20)).contains(&idle), "{idle:?}");
    // We never answer its PING, and it goes on without us.
    while frame(&mut stream).is_ok() {}
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

/// Asks 32 times, as often as a connection of HTTP/2 may at once, of a client that takes so many bytes of each body; the
/// connection, once it has had so many heads of answers.
fn ask_32(authority: &Authority, node: &Node, path: &str, window_bytes: u16, heads: usize) -> Stream {
    let frame_of = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).expect("a short frame");
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    };
    let literal = |(name, value): (&str, &str)| {
        let text = |text: &str| [&[u8::try_from(text.len()).expect("a short text")], text.as_bytes()].concat();
        [vec![0], text(name), text(value)].concat()
    };
    let head = [(":method", "GET"), (":scheme", "https"), (":path", path), (":authority", "127.0.0.1")];
    let head = head.map(literal).concat();
    let mut stream = authority.connect(node, &["h2"], "").expect("TLS is agreed on");
    let [high, low] = window_bytes.to_be_bytes();
    let settings = frame_of(4, 0, 0, &[0, 4, 0, 0, high, low]);
    let mut sent = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings].concat();
    // Each is a head, and ends with it.
    sent.extend((0..32).flat_map(|number| frame_of(1, 5, 2 * number + 1, &head)));
    stream.write_all(&sent).expect("it is open");
    let mut had = 0;
    while had < heads {
        let (kind, payload) = frame(&mut stream).expect("it is open");
        if kind == 1 {
            assert_eq!(payload[0], 0x88, "200 in the static table of HPACK");
            had += 1;
        }
    }
    stream
}

#[test]
fn who_takes_no_answer_keeps_nobody_out() {
    let (authority, data) = (Authority::new(), directory());
    let node = authority.node(data.path(), &[]);
    let began = Instant::now();
    // 28 of the shared places are had by each, 1,008 of 1,024; the last has the rest, and waits for some.
    let mut silent: Vec<_> = (0..36).map(|_| ask_32(&authority, &node, "/openapi.json", 0, 32)).collect();
    silent.push(ask_32(&authority, &node, "/openapi.json", 0, 4 + 16));
    let full = began.elapsed();
    let _another = ask_32(&authority, &node, "/v1/servers/best", u16::MAX, 32);
    let answered = began.elapsed() - full;
    // A client that does not answer PING is cut off 25 s after its last word, and places that wait get 503 after 30 s.
    assert!(answered < Duration::from_secs(5) && full < Duration::from_secs(15), "{full:?} {answered:?}");
}

#[test]
fn a_renewed_certificate_is_served_from_its_beginning() {
    let (authority, data) = (Authority::new(), directory());
    let first = authority.issue(|_| ());
    let node = authority.node(data.path(), &[]);
    // Two looks at it come before.
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970") + Duration::from_secs(25);
    let second = authority.issue(|params| params.not_before = date_time_ymd(1970, 1, 1) + since_1970);
    let told = node.logged("TLS of the API goes on with the certificate that was read before");
    assert!(told.contains("begins in 0 h 0 min; set the clock right"), "{told}");
    assert_eq!(authority.served(&node), first);
    until_served(&authority, &node, &second);
}

#[test]
fn who_does_not_agree_on_tls_is_cut_and_keeps_nobody() {
    let (authority, data) = (Authority::new(), directory());
    let node = authority.node(data.path(), &[]);
    let cut = |sent: &[u8]| {
        let mut stream = TcpStream::connect(address(&node)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time");
        stream.write_all(sent).expect("it is open");
        let began = Instant::now();
        // Whatever alert it sends; reset is an end too.
        let _ended = stream.read_to_end(&mut Vec::new());
        began.elapsed()
    };
    // The beginning of a ClientHello, and nothing more.
    let slow = cut(&[0x16, 3, 1, 2, 0, 1]);
    assert!((Duration::from_secs(4)..Duration::from_secs(15)).contains(&slow), "{slow:?}");
    assert!(cut(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") < Duration::from_secs(4), "no TLS at all");
    // An end waits for nobody's handshake.
    let _half = TcpStream::connect(address(&node)).expect("it listens");
    let idle = authority.connect(&node, &["h2"], "").expect("TLS is agreed on");
    let began = Instant::now();
    assert!(node.terminate().success());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(idle);
}

#[test]
fn a_file_that_cannot_be_used_keeps_a_node_from_starting() {
    let (authority, data) = (Authority::new(), directory());
    let flags = authority.flags();
    let start = |flags: &[String], expected: &str| {
        for command in ["run", "checkconfig"] {
            let mut command = rookery(&[command, "--api=127.0.0.1:0", "--ws=127.0.0.1:0", "--internal=127.0.0.1:0"]);
            let (status, told) = said(command.arg("--data").arg(data.path()).args(flags));
            let told = told.lines().find(|line| line.starts_with("rookery:")).unwrap_or_default().to_owned();
            assert!(status == 1 && told.contains(expected), "{status} {told:?} is not {expected:?}");
        }
    };
    let check = |name: &str, text: Option<&[u8]>, expected: &str| {
        let path = authority.file(name);
        let before = fs::read(&path).expect("it is there");
        match text {
            Some(text) => fs::write(&path, text).expect("written"),
            None => fs::remove_file(&path).expect("it was there"),
        }
        start(&flags, expected);
        fs::write(&path, before).expect("written");
    };
    start(&flags[..1], "listen.api_tls_certificate_file and listen.api_tls_key_file one is set and one is not");
    check("certificate.pem", None, "certificate.pem; name a file that the node's user may read: No such file");
    check("certificate.pem", Some(b"garbage"), "certificate.pem has no certificate: PEM is expected");
    check("key.pem", Some(b""), "key.pem has no private key: PEM is expected");
    let cut = "-----BEGIN PRIVATE KEY-----\nMIGH";
    check("key.pem", Some(cut.as_bytes()), "key.pem has no private key: PEM is expected");
    let other = KeyPair::generate().expect("a key").serialize_pem();
    check(
        "key.pem",
        Some(other.as_bytes()),
        "are no pair of a certificate and its key; name those that were issued together",
    );
    authority.issue(|params| params.not_after = date_time_ymd(2020, 1, 1));
    start(&flags, " days ago; renew it, or set the clock right");
    authority.issue(|params| params.not_before = date_time_ymd(4000, 1, 1));
    start(&flags, " days; set the clock right");
}

/// Waits until a node serves a certificate.
fn until_served(authority: &Authority, node: &Node, expected: &CertificateDer<'_>) {
    let until = Instant::now() + PATIENCE;
    while authority.served(node) != *expected {
        assert!(Instant::now() < until, "it is not served");
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_renewed_certificate_is_served_without_a_restart() {
    let (authority, data) = (Authority::new(), directory());
    let first = authority.issue(|_| ());
    let node = authority.node(data.path(), &[]);
    assert_eq!(authority.served(&node), first);
    let second = authority.issue(|_| ());
    until_served(&authority, &node, &second);
    fs::write(authority.file("key.pem"), "garbage").expect("written");
    let told = node.logged("TLS of the API goes on with the certificate that was read before");
    assert!(told.contains("key.pem has no private key"), "{told}");
    assert_eq!(authority.served(&node), second);
    let third = authority.issue(|_| ());
    until_served(&authority, &node, &third);
    node.signal(Signal::TERM);
    let (status, _, _) = node.ended();
    assert!(status.success());
}

#[test]
fn a_file_is_uploaded_and_fetched_over_http_2() {
    if !curl_speaks_http2() {
        return;
    }
    let (authority, data) = (Authority::new(), tempfile::tempdir().expect("a directory"));
    let node = authority.node(data.path(), &[]);
    let account = json!({"username": "ann", "password": "correct horse battery"}).to_string();
    let signup = ["--header", "content-type: application/json", "--data", &account];
    let (how, told) = authority.curl(&node, "--http2", "/v1/auth/signup", &signup);
    assert_eq!(how, "2 201", "{told}");
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let file = authority.file("file.txt");
    // Longer than all that a connection may buffer, and than a part.
    let text: String = (0..500_000).map(|line| format!("{line}\n")).collect();
    fs::write(&file, &text).expect("written");
    let token = format!("authorization: Bearer {}", told["token"].as_str().expect("a token"));
    let form = format!("file=@{}", file.display());
    let (how, told) = authority.curl(&node, "--http2", "/v1/media", &["--header", &token, "--form", &form]);
    assert_eq!(how, "2 201", "{told}");
    let made: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((&made["name"], &made["bytes"]), (&json!("file.txt"), &json!(text.len())));
    let url = made["urls"]["original"].as_str().expect("a URL");
    let (how, fetched) = authority.curl(&node, "--http2", url, &[]);
    assert_eq!((how.as_str(), fetched == text), ("2 200", true));
}
