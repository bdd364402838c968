//! `cargo xtask sessions`: bytes of a node for each idle session, by the way that it came: JSON, STOMP, an event stream.
//!
//! Owns the clients, which say as little as their protocol lets them, and the account. The store is the stand-in, in a process of
//! its own: the memory tables of an embedded one grow by megabytes. Accounts are made in a life of the node of its own: what
//! hashing their passwords took goes back to the system later, and sessions would come to lie in it. What the kernel holds for
//! a socket is in no process and is not counted.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::nodes::{PATIENCE, Profile, Programs, Running, say, secret};

/// Devices of an account, as many as one may have.
const DEVICES: u64 = 16;
/// One of so many sessions comes first and is not counted: the first of a node also make what all share.
const FIRST_OF: u64 = 5;
/// How long a node has to come to rest.
const REST: Duration = Duration::from_secs(3);

/// How many, and which binary.
#[derive(Debug, Clone, Args)]
pub(crate) struct Sessions {
    /// Sessions of each kind, a fifth of which come first and are not counted
    #[arg(long, default_value_t = 6_000)]
    sessions: u64,
    /// How programs are built
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
    /// The node's binary, in place of building one; the stand-in is built in any case
    #[arg(long)]
    binary: Option<PathBuf>,
    /// First of three ports of loopback
    #[arg(long, default_value_t = 8_100)]
    port: u16,
}

/// The way of a session to its node.
#[derive(Debug, Clone, Copy)]
enum Way {
    Json,
    Stomp,
    Events,
}

/// Measures each kind on a node of its own, and prints the bytes.
///
/// # Errors
/// A node does not start, or refuses a session.
pub(crate) fn run(options: &Sessions) -> Result<()> {
    let packages: &[&str] = if options.binary.is_some() { &["standin"] } else { &["standin", "gateway"] };
    let programs = Programs::build(packages, options.profile)?;
    let directory = std::env::temp_dir().join(format!("rookery-sessions-{}", std::process::id()));
    fs::create_dir_all(directory.join("data"))?;
    let measured = Place { options, programs, directory: &directory }.measure_all();
    // What could not be removed is in a directory for temporary files.
    let _ = fs::remove_dir_all(&directory);
    measured
}

/// Where a node runs, one after the other.
struct Place<'a> {
    options: &'a Sessions,
    programs: Programs,
    directory: &'a Path,
}

impl Place<'_> {
    fn address(&self, offset: u16) -> String {
        format!("127.0.0.1:{}", self.options.port + offset)
    }

    fn measure_all(&self) -> Result<()> {
        for name in ["cluster.secret", "token.key"] {
            secret(&self.directory.join(name))?;
        }
        let cluster_file = self.directory.join("fdb.cluster");
        let mut store = Command::new(self.programs.path("fdb-standin"));
        store.args(["--listen", "127.0.0.1:0", "--cluster-file"]).arg(&cluster_file).stdout(Stdio::null());
        let _store = Running::start("store", &mut store, |_| {})?;
        wait(|| cluster_file.exists(), "the store is not ready")?;
        let node = self.start()?;
        let api = format!("http://{}", self.address(0));
        let accounts = self.options.sessions.div_ceil(DEVICES);
        let tokens = (0..accounts).map(|number| sign_up(&api, number)).collect::<Result<Vec<_>>>()?;
        node.stop()?;
        let mut json_bytes = None;
        for way in [Way::Json, Way::Stomp, Way::Events] {
            let bytes = self.measure(&tokens, way)?;
            let json_bytes = *json_bytes.get_or_insert(bytes);
            say(&format!("{way:?}: {bytes:.0} bytes a session, {:.2} of JSON's", bytes / json_bytes));
        }
        Ok(())
    }

    fn start(&self) -> Result<Running> {
        let own = |name: &str| self.directory.join(name);
        let binary = self.options.binary.clone().unwrap_or_else(|| self.programs.path("rookery"));
        let mut node = Command::new(binary);
        node.args(["run", "--node.name", "a", "--shards", "1", "--links", "127.0.0.1:0", "--log", "warn"]);
        for (flag, offset) in [("--api", 0), ("--ws", 1), ("--internal", 2)] {
            node.args([flag, &self.address(offset)]);
        }
        node.arg("--data").arg(own("data")).arg("--cluster.secret_file").arg(own("cluster.secret"));
        node.arg("--auth.key_file").arg(own("token.key"));
        node.args(["--store.engine", "foundationdb", "--store.cluster_file"]).arg(own("fdb.cluster"));
        node.arg("--store.client_library").arg(self.programs.path("libfdb_c.so")).stdout(Stdio::null());
        let node = Running::start("rookery", &mut node, |line| say(&line))?;
        wait(|| TcpStream::connect(self.address(1)).is_ok(), "the node does not listen")?;
        Ok(node)
    }

    /// Bytes of a session, in a life of the node of its own.
    fn measure(&self, tokens: &[String], way: Way) -> Result<f64> {
        let node = self.start()?;
        let sessions = self.options.sessions;
        let first = sessions.div_ceil(FIRST_OF);
        let (mut open, mut before) = (Vec::new(), 0);
        for number in 0..sessions {
            if number == first {
                thread::sleep(REST);
                before = resident_bytes(node.pid())?;
            }
            let token = &tokens[usize::try_from(number / DEVICES).expect("an account")];
            open.push(connect(&self.address(1), token, number % DEVICES, way)?);
        }
        thread::sleep(REST);
        let bytes = resident_bytes(node.pid())?;
        drop(open);
        node.stop()?;
        ensure!(bytes > before, "the node shrank from {before} to {bytes} bytes: take more sessions");
        Ok((bytes - before) as f64 / (sessions - first) as f64)
    }
}

fn wait(is: impl Fn() -> bool, otherwise: &'static str) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    while !is() {
        ensure!(Instant::now() < until, otherwise);
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Makes an account; its token.
fn sign_up(api: &str, number: u64) -> Result<String> {
    let body = json!({"username": format!("user{number}"), "password": "correct horse battery"}).to_string();
    let request = ureq::post(format!("{api}/v1/auth/signup")).header("content-type", "application/json");
    let said = request.send(body)?.body_mut().read_to_string()?;
    let account: Value = serde_json::from_str(&said)?;
    Ok(account["token"].as_str().context("an account has a token")?.to_owned())
}

/// A session that has begun. It is read no further.
fn connect(ws: &str, token: &str, device: u64, way: Way) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(ws)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let upgrade = |protocol: &str| {
        format!(
            "GET /connection/websocket HTTP/1.1\r\nHost: {ws}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: {protocol}\r\n\r\n"
        )
    };
    match way {
        Way::Json => {
            stream.write_all(upgrade("rookery.json.v1").as_bytes())?;
            said(&mut stream, "\r\n\r\n")?;
            let line = json!({"id": 1, "connect": {"token": token, "device_id": format!("d{device}")}}).to_string();
            stream.write_all(&masked(&line))?;
            said(&mut stream, "\"session_id\"")?;
        }
        Way::Stomp => {
            stream.write_all(upgrade("v12.stomp").as_bytes())?;
            said(&mut stream, "\r\n\r\n")?;
            let frame = format!(
                "CONNECT\naccept-version:1.2\nhost:a\nheart-beat:0,0\ndevice-id:d{device}\npasscode:{token}\n\n\0"
            );
            stream.write_all(&masked(&frame))?;
            said(&mut stream, "CONNECTED")?;
        }
        Way::Events => {
            let head = format!(
                "GET /connection/sse?device_id=d{device} HTTP/1.1\r\nHost: {ws}\r\nAuthorization: Bearer {token}\r\n\r\n"
            );
            stream.write_all(head.as_bytes())?;
            said(&mut stream, "\"session_id\"")?;
        }
    }
    Ok(stream)
}

/// Reads until this was said.
fn said(stream: &mut TcpStream, what: &str) -> Result<()> {
    let (mut heard, mut buffer) = (Vec::new(), [0; 4_096]);
    while !String::from_utf8_lossy(&heard).contains(what) {
        let bytes = stream.read(&mut buffer).context("the node says nothing")?;
        ensure!(bytes > 0, "the node refuses a session: {}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&buffer[..bytes]);
    }
    Ok(())
}

/// A text frame of a client, whose mask changes nothing.
fn masked(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u16::try_from(text.len()).expect("a short text") {
        short @ 0..126 => frame.push(0x80 | u8::try_from(short).expect("below 126")),
        long => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&long.to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// What a process has in memory of its own.
fn resident_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("the system says")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1_024)
}
