//! `cargo xtask sessions`: bytes of a node for each idle session, by the way that it came: JSON, STOMP, an event stream.
//!
//! Owns the clients, which say as little as their protocol lets them, and the account. What the kernel holds for a socket is in
//! no process and is not counted.

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

use crate::nodes::{PATIENCE, Profile, Programs, Running, say};

/// Devices of an account, as many as one may have.
const DEVICES: u64 = 16;
/// How long a node has to come to rest.
const REST: Duration = Duration::from_secs(3);

/// How many, and which binary.
#[derive(Debug, Clone, Args)]
pub(crate) struct Sessions {
    /// Sessions of each kind
    #[arg(long, default_value_t = 4_000)]
    sessions: u64,
    /// How programs are built
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
    /// The node's binary, in place of building one
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
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => Programs::build(&["gateway"], options.profile)?.path("rookery"),
    };
    let mut json_bytes = None;
    for way in [Way::Json, Way::Stomp, Way::Events] {
        let directory = std::env::temp_dir().join(format!("rookery-sessions-{}", std::process::id()));
        fs::create_dir_all(directory.join("data"))?;
        let measured = measure(options, &binary, &directory, way);
        // What could not be removed is in a directory for temporary files.
        let _ = fs::remove_dir_all(&directory);
        let bytes = measured?;
        let json_bytes = *json_bytes.get_or_insert(bytes);
        say(&format!("{way:?}: {bytes:.0} bytes a session, {:.2} of JSON's", bytes / json_bytes));
    }
    Ok(())
}

fn measure(options: &Sessions, binary: &Path, directory: &Path, way: Way) -> Result<f64> {
    let at = |offset: u16| format!("127.0.0.1:{}", options.port + offset);
    let (api, ws) = (format!("http://{}", at(0)), at(1));
    let mut process = Command::new(binary);
    process.args(["run", "--shards", "1", "--api", &at(0), "--ws", &at(1), "--internal", &at(2), "--log", "warn"]);
    process.arg("--data").arg(directory.join("data")).stdout(Stdio::null());
    let node = Running::start("rookery", &mut process, |line| say(&line))?;
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect(&ws).is_err() {
        ensure!(Instant::now() < until, "the node does not listen");
        thread::sleep(Duration::from_millis(50));
    }
    let accounts = options.sessions.div_ceil(DEVICES);
    let tokens = (0..accounts).map(|number| sign_up(&api, number)).collect::<Result<Vec<_>>>()?;
    // The first sessions of a node also make what all share.
    let mut open = vec![connect(&ws, &tokens[0], 0, way)?];
    thread::sleep(REST);
    let before = resident_bytes(node.pid())?;
    for number in 1..options.sessions {
        let token = &tokens[usize::try_from(number / DEVICES).expect("an account")];
        open.push(connect(&ws, token, number % DEVICES, way)?);
    }
    thread::sleep(REST);
    let bytes = resident_bytes(node.pid())?.saturating_sub(before);
    drop(open);
    node.stop()?;
    Ok(bytes as f64 / (options.sessions - 1) as f64)
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
