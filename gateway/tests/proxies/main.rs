//! A node behind proxies as `deploy/proxies` has them: WebSockets, event streams, polls, commands and the API.
//!
//! nginx, HAProxy and Caddy are Debian's; where one is not installed its tests say that they check nothing. The gate installs them.
//! `ROOKERY_EVENTSOURCE` names a directory whose `node_modules` has what `package.json` here lists.

#[path = "../support/mod.rs"]
mod support;

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use support::plain::{Events, answer, ask, call, get, lines, request};
use support::{Client, Node, PATIENCE, Place, client_msg_id, message, text};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nginx,
    /// The same, which refuses WebSockets, as proxies of some networks do.
    NginxWithoutWebSockets,
    HaProxy,
    Caddy,
}

impl Kind {
    /// The command, and the name of its example.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Nginx | Self::NginxWithoutWebSockets => ("nginx", "nginx.conf"),
            Self::HaProxy => ("haproxy", "haproxy.cfg"),
            Self::Caddy => ("caddy", "Caddyfile"),
        }
    }
}

/// A proxy that runs. Killed when dropped.
struct Proxy {
    kind: Kind,
    child: Child,
    config: PathBuf,
    port: u16,
}

impl Proxy {
    /// In front of a node, by the example with its addresses; `None` where the program is not installed.
    fn start(kind: Kind, node: &Place, directory: &Path) -> Option<Self> {
        let (program, example) = kind.names();
        if Command::new(program).arg("-v").output().is_err() {
            eprintln!("NOT CHECKED: there is no {program} here");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound").port();
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/proxies");
        let example = examples.join(example);
        let mut config = std::fs::read_to_string(&example).expect("the example is there");
        let addresses = [
            ("127.0.0.1:8000", node.api.trim_start_matches("http://").to_owned()),
            ("127.0.0.1:8001", node.ws.trim_start_matches("ws://").to_owned()),
            ("listen 80;", format!("listen 127.0.0.1:{port};")),
            ("bind :80\n", format!("bind 127.0.0.1:{port}\n")),
            // Any host, and no certificate for it.
            ("chat.example.org {\n", format!("http://:{port} {{\n\tbind 127.0.0.1\n")),
        ];
        let known = addresses.iter().filter(|(example, _)| config.contains(example)).count();
        assert_eq!(known, 3, "{} has its addresses", example.display());
        for (example, own) in addresses {
            config = config.replace(example, &own);
        }
        if kind == Kind::NginxWithoutWebSockets {
            let refuses = "    location = /connection/websocket {\n        return 403;\n    }\n\n    location / {";
            config = config.replacen("    location / {", refuses, 1);
        }
        config = match kind {
            Kind::Nginx | Kind::NginxWithoutWebSockets => around(&config, directory),
            Kind::HaProxy => config,
            Kind::Caddy => format!("{{\n\tadmin off\n}}\n{config}"),
        };
        let path = directory.join(format!("{program}.conf"));
        std::fs::write(&path, config).expect("it can be written");
        let child = Self::spawn(kind, &path);
        let mut proxy = Self { kind, child, config: path, port };
        proxy.listens();
        Some(proxy)
    }

    fn spawn(kind: Kind, config: &Path) -> Child {
        let mut command = Command::new(kind.names().0);
        match kind {
            Kind::Nginx | Kind::NginxWithoutWebSockets => {
                command.arg("-c").arg(config).args(["-g", "daemon off;"]);
            }
            Kind::HaProxy => {
                command.arg("-db").arg("-f").arg(config);
            }
            Kind::Caddy => {
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config);
                // It keeps what it was told last, and an authority of its own.
                let own = config.parent().expect("it is in a directory");
                command.env("XDG_CONFIG_HOME", own).env("XDG_DATA_HOME", own);
            }
        }
        command.stdout(Stdio::null()).spawn().expect("it starts")
    }

    fn listens(&mut self) {
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "{:?} does not listen", self.kind);
            let ended = self.child.try_wait().expect("it is our child");
            assert!(ended.is_none(), "{:?} ended: {ended:?}", self.kind);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where clients go.
    fn place(&self) -> Place {
        Place { api: format!("http://127.0.0.1:{}", self.port), ws: format!("ws://127.0.0.1:{}", self.port) }
    }

    /// Cuts all connections off, and starts anew.
    fn cut(&mut self) {
        self.end();
        self.child = Self::spawn(self.kind, &self.config);
        self.listens();
    }

    fn end(&mut self) {
        // At once, not when its connections have ended.
        let signal = if self.kind == Kind::Caddy { Signal::QUIT } else { Signal::TERM };
        let _gone = kill_process(Pid::from_child(&self.child), signal);
        let _status = self.child.wait();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end();
    }
}

/// What Debian's `nginx.conf` has around a site, with all files in a directory of its own.
fn around(site: &str, directory: &Path) -> String {
    let own = |name: &str| directory.join(name).display().to_string();
    let user = if geteuid().is_root() { "user root;\n" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {};\n", own(kind)))
        .concat();
    format!(
        "{user}worker_processes 1;\npid {};\nerror_log stderr error;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{site}}}\n",
        own("nginx.pid")
    )
}

/// A node that trusts proxies of this machine, and a proxy of this kind before it.
fn behind(kind: Kind, check: impl FnOnce(Proxy)) {
    let data = tempfile::tempdir().expect("a directory");
    let files = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2", "--listen.trusted_proxies", "127.0.0.1"]);
    if let Some(proxy) = Proxy::start(kind, &node, files.path()) {
        check(proxy);
    }
}

/// All that clients do goes through, and an event comes when it happens.
fn all_goes_through(proxy: &Place) {
    let (channel, [ann, bob]) = proxy.two();
    let mut stream = Events::open(&proxy.ws, &format!("device_id=web&token={bob}"), None);
    let cursor = text(&stream.value()["connect"]["cursor"]);
    let mut talker = Client::connect(&proxy.ws, &ann, "phone", None).0;
    for number in 0..20_u64 {
        let began = Instant::now();
        let reply = talker.send(&channel, &client_msg_id(number), &"x".repeat(100));
        assert_eq!(reply["send"]["seq"], json!(number + 1), "{reply}");
        assert_eq!(stream.value()["push"]["message"]["message"]["seq"], json!(number + 1));
        // A proxy that keeps what it gets until its buffer is full would have kept this.
        assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    }
    let said = json!({"id": 1, "send": message(&channel, &client_msg_id(20), "by a command")});
    assert_eq!(call(&proxy.ws, &bob, &[said]).1[0]["send"]["seq"], json!(21));
    let target = format!("/connection/poll?device_id=old&wait=20&cursor={cursor}");
    let polled = answer(request(&proxy.ws, &get(&target, &format!("Authorization: Bearer {bob}\r\n")), ""));
    let seqs: Vec<Value> =
        lines(&polled.2).into_iter().map(|line| line["push"]["message"]["message"]["seq"].clone()).collect();
    assert_eq!((polled.0, seqs.get(1), seqs.len()), (200, Some(&json!(1)), 22), "{polled:?}");
    let long = "y".repeat(100_000);
    let said = json!({"id": 1, "send": message(&channel, &client_msg_id(21), &long)});
    assert_eq!(call(&proxy.ws, &ann, &[said]).1[0]["send"]["seq"], json!(22));
    let (status, page) = proxy.http("GET", &format!("/v1/channels/{channel}/messages?limit=1"), Some(&bob), None);
    assert_eq!((status, page["messages"][0]["body"].as_str().map(str::len)), (200, Some(100_000)));
}

#[test]
fn all_goes_through_nginx() {
    behind(Kind::Nginx, |proxy| all_goes_through(&proxy.place()));
}

#[test]
fn all_goes_through_haproxy() {
    behind(Kind::HaProxy, |proxy| all_goes_through(&proxy.place()));
}

#[test]
fn all_goes_through_caddy() {
    behind(Kind::Caddy, |proxy| all_goes_through(&proxy.place()));
}

/// The same messages as without a proxy, and heart-beats.
#[test]
fn stomp_goes_through_nginx() {
    behind(Kind::Nginx, |proxy| {
        let facts = support::stomp_facts(&proxy.place(), &json!({"versions": ["1.2"]}));
        for script in ["talk.js", "beats.js", "talk.py"] {
            support::check_stomp(script, &facts);
        }
    });
}

/// A connection from another address of loopback, whom the node does not trust.
fn from(address: [u8; 4], port: u16) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((address, 0)).into()).expect("all of 127.0.0.0/8 is this machine");
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).expect("the proxy listens");
    socket.into()
}

/// Who calls a proxy is known to the node, whatever else is said of where it is.
fn clients_are_told_apart(proxy: &Proxy) {
    proxy.place().sign_up("ann");
    let login = |address, claimed: &str| {
        let body = json!({"username": "ann", "password": "wrong horse battery"}).to_string();
        let head = format!(
            "POST /v1/auth/login HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n\
             X-Forwarded-For: {claimed}\r\nContent-Length: {}\r\n",
            body.len()
        );
        answer(ask(from(address, proxy.port), &head, &body)).0
    };
    let statuses: Vec<u16> = (0..12).map(|number| login([127, 0, 0, 2], &format!("192.0.2.{number}"))).collect();
    assert_eq!(statuses, [[401; 10].as_slice(), &[429; 2]].concat(), "ten tries of an address");
    assert_eq!(login([127, 0, 0, 3], "192.0.2.0"), 401, "another has tries of its own");
}

#[test]
fn nginx_says_who_calls() {
    behind(Kind::Nginx, |proxy| clients_are_told_apart(&proxy));
}

#[test]
fn haproxy_says_who_calls() {
    behind(Kind::HaProxy, |proxy| clients_are_told_apart(&proxy));
}

#[test]
fn caddy_says_who_calls() {
    behind(Kind::Caddy, |proxy| clients_are_told_apart(&proxy));
}

#[test]
fn where_websockets_are_refused_an_event_source_goes_on_over_cuts() {
    let Some(packages) = std::env::var_os("ROOKERY_EVENTSOURCE") else {
        eprintln!("NOT CHECKED: ROOKERY_EVENTSOURCE names no directory with eventsource");
        return;
    };
    behind(Kind::NginxWithoutWebSockets, |mut proxy| {
        let place = proxy.place();
        assert!(Client::try_open(&place.ws, Duration::from_secs(5)).is_none(), "a WebSocket gets through");
        let (channel, [ann, bob]) = place.two();
        let script = Path::new(&packages).join(format!("{}-listen.js", std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proxies/listen.js");
        std::fs::copy(source, &script).expect("ROOKERY_EVENTSOURCE is a directory that can be written");
        let facts = json!({"url": place.api, "token": bob, "messages": 100});
        let mut node_js = Command::new("node");
        let mut listener =
            node_js.arg(&script).arg(facts.to_string()).stdout(Stdio::piped()).spawn().expect("node runs");
        let mut said = BufReader::new(listener.stdout.take().expect("it is piped")).lines();
        assert_eq!(said.next().expect("it says something").expect("text"), "open");
        for number in 0..100_u64 {
            if number % 25 == 24 {
                proxy.cut();
            }
            let line = json!({"id": 1, "send": message(&channel, &client_msg_id(number), "x")});
            assert_eq!(call(&place.ws, &ann, &[line]).1[0]["send"]["seq"], json!(number + 1));
        }
        let heard: Vec<String> = said.map_while(Result::ok).collect();
        std::fs::remove_file(&script).expect("it was written above");
        assert_eq!(heard.last().map(String::as_str), Some("OK"), "{heard:?}");
        assert!(listener.wait().expect("it is our child").success());
    });
}
