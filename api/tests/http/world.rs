//! One server, and a language in which rows say what it is asked and what it answers.
//!
//! `bora POST /v1/channels {"kind":"direct","user_id":"$minsu"} => 201 {"channel_id":"$c"}`: in the name of bora, whose
//! token is known, and with headers as `name=value` before the body; `$name` stands for a value that an earlier row
//! saw, or, where an answer has it first, gives it that name. An answer must have the fields that a row has, and may
//! have more; `"*"` is any value.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{
    Applications, CallPurpose, Category, Config, Cost, Counts, LibraryConfig, Limits, Media, Network, Node, Nodes,
    Origins, Peers, Preview, Queues, Running, Shards, StoredApplications, StoredQueues, Templates, TokenKey, Tokens,
};
use chat::keys;
use chat::notices::{Target, Worker};
use chat::timelines::{self, Active};
use kv::memory::{MemoryEngine, MemoryOptions, MemoryStore, ScriptedFaults};
use kv::{Begin, Engine, Transaction};
use notify::template::{self, Rendered};
use schema::mesh::Kicked;
use schema::op::ReactOp;
use schema::record::{DeliveryRecord, DeliveryState, MediaRecord};
use schema::template::{Parameter, Template, Variant};
use schema::{
    Attachment, ChannelOp, ClientMsgId, Incarnation, MediaId, MediaKind, Medium, NoticeId, Seq, UnixMs, UserId,
};
use serde_json::{Map, Value};
use timeline::Reader;

use crate::client::{Answer, Client};
use crate::shards::OneShard;

pub(crate) const START: UnixMs = UnixMs(1_800_000_000_000);
pub(crate) const KEY: [u8; 32] = [7; 32];
/// The cheapest that argon2id has.
const COST: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

/// Feeds whose bounds a test reaches: of more than four readers an author's posts are merged by who reads.
fn feed_limits() -> timelines::Limits {
    timelines::Limits { step_readers: 2, read_fanout_from: 4, ..timelines::Limits::default() }
}

/// What the test lets the node say.
pub(crate) struct TestNode {
    wall_ms: AtomicU64,
    pub(crate) trouble: Mutex<Vec<String>>,
    pub(crate) full: AtomicBool,
    pub(crate) away: AtomicBool,
    pub(crate) nodes: Mutex<Nodes>,
    pub(crate) peers: Mutex<Arc<Peers>>,
    pub(crate) drains: AtomicBool,
    counts: Counts,
    engine: MemoryEngine,
}

impl Node for TestNode {
    fn wall(&self) -> UnixMs {
        UnixMs(self.wall_ms.load(Relaxed))
    }

    fn ready(&self) -> Result<(), Vec<String>> {
        let trouble = self.trouble.lock().expect("no test panics there");
        if trouble.is_empty() { Ok(()) } else { Err(trouble.clone()) }
    }

    fn takes_writes(&self) -> bool {
        !self.full.load(Relaxed)
    }

    fn store_answers(&self) -> bool {
        !self.away.load(Relaxed)
    }

    fn metrics(&self) -> String {
        "rookery_connections 7\n".to_owned()
    }

    fn http_counts(&self) -> &Counts {
        &self.counts
    }

    fn load(&self) -> f32 {
        0.25
    }

    fn nodes(&self) -> Nodes {
        self.nodes.lock().expect("no test panics there").clone()
    }

    fn peers(&self) -> Arc<Peers> {
        Arc::clone(&self.peers.lock().expect("no test panics there"))
    }

    fn applications(&self) -> Option<Arc<dyn Applications>> {
        let may_call = |url: &str, purpose| match (url.starts_with("https://"), url.contains("untold."), purpose) {
            (false, ..) => Err("it is not https".to_owned()),
            (true, true, CallPurpose::Events) => Err("nobody calls it".to_owned()),
            (true, true, CallPurpose::Before) | (true, false, _) => Ok(()),
        };
        Some(Arc::new(StoredApplications::new(self.engine.clone(), may_call)))
    }

    fn queues(&self) -> Option<Arc<dyn Queues>> {
        let media = vec![Medium::Apns, Medium::WebPush];
        Some(Arc::new(StoredQueues { engine: self.engine.clone(), media }))
    }

    fn drain(&self) {
        self.drains.store(true, Relaxed);
    }
}

/// A server that sends to phones of one kind, to browsers whose push service is this one, and mails.
struct PhonesAndBrowsers(Arc<AtomicU64>);

impl Media for PhonesAndBrowsers {
    fn sends(&self, medium: Medium) -> bool {
        matches!(medium, Medium::Apns | Medium::WebPush | Medium::Mail)
    }

    fn check(&self, medium: Medium, address: &str) -> Result<(), String> {
        let refused = |why: &str| Err(why.to_owned());
        match medium {
            Medium::WebPush if !address.contains("https://push.example/") => {
                refused("the endpoint is no push service's")
            }
            Medium::Mail if !address.ends_with("@example.org") => refused("this is no mail address"),
            _ => Ok(()),
        }
    }

    fn categories(&self) -> Vec<Category> {
        vec![Category { name: "alarm".to_owned(), title: "Alarms".to_owned(), critical: true }]
    }

    fn check_quiet(&self, _: &str, _: &str, zone: &str) -> Result<(), String> {
        if zone == "Europe/Berlin" { Ok(()) } else { Err(format!("zone {zone} is not known")) }
    }

    fn backlog(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn is_sms_callback(&self, path: &str, form: &[(String, String)], signature: &str) -> bool {
        path.starts_with("/n/") && !form.is_empty() && signature == "signed"
    }

    fn webpush_key(&self) -> Option<String> {
        Some("BKey".to_owned())
    }
}

/// The engine of templates that nodes have.
struct Jinja;

impl Templates for Jinja {
    fn check(&self, template: &Template) -> Result<(), String> {
        template::check(template).map_err(|error| error.to_string())
    }

    fn check_params(&self, parameters: &[Parameter], params: &Map<String, Value>) -> Result<(), String> {
        template::check_params(parameters, params).map_err(|error| error.to_string())
    }

    fn preview(
        &self,
        template: &Template,
        params: &Map<String, Value>,
        locale: &str,
        medium: Option<Medium>,
    ) -> Result<Preview, String> {
        let previewed = template::preview(template, params, locale, medium).map_err(|error| error.to_string());
        let (Variant { locale, medium, .. }, Rendered { title, body, html }) = previewed?;
        Ok(Preview { locale: locale.clone(), medium: *medium, title, body, html })
    }
}

/// A server with what a test needs of it.
pub(crate) struct World {
    pub(crate) public: SocketAddr,
    pub(crate) internal: SocketAddr,
    pub(crate) node: Arc<TestNode>,
    /// Notifications that wait, as the node says.
    pub(crate) backlog: Arc<AtomicU64>,
    pub(crate) shard: OneShard<MemoryEngine>,
    pub(crate) engine: MemoryEngine,
    pub(crate) feeds: Arc<Reader<MemoryEngine>>,
    pub(crate) running: Option<Running>,
    /// Ends when it is dropped.
    _probing: Running,
    pub(crate) key: TokenKey,
    names: BTreeMap<String, String>,
    reactions: u128,
    client: Client,
}

/// How a world may differ.
pub(crate) struct Options {
    pub(crate) dev_users: Option<Vec<String>>,
    pub(crate) trusted_proxies: Vec<Network>,
    pub(crate) origins: Origins,
    pub(crate) limits: Limits,
    pub(crate) group_members_max: u32,
    /// Ours alone unless given.
    pub(crate) tokens: Option<Tokens>,
    /// Where media are kept; nowhere unless given.
    pub(crate) library: Option<LibraryConfig>,
}

impl Default for Options {
    fn default() -> Self {
        let limits = Limits { stop: Duration::from_secs(2), ..Limits::default() };
        Self {
            dev_users: None,
            trusted_proxies: Vec::new(),
            origins: Origins::default(),
            limits,
            group_members_max: 5,
            tokens: None,
            library: None,
        }
    }
}

impl World {
    /// Leaves the row of a notification that a provider has taken.
    pub(crate) fn sent(&self, Target { notice, user, medium, device }: &Target) {
        let record = DeliveryRecord {
            state: DeliveryState::Sent,
            planned_ms: START,
            at_ms: START,
            attempts: 1,
            provider: "one".into(),
            provider_id: String::new(),
            why: String::new(),
            origin: NoticeId::default(),
        };
        let mut tx = self.engine.begin(Begin::Fresh);
        tx.set(&keys::delivery(*notice, *user, *medium, device), &record.encode());
        block_on(tx.commit()).expect("stored");
    }

    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        let faults = Box::new(ScriptedFaults::new([]));
        let store = MemoryStore::new(kv::Generation(1));
        Self::over(MemoryEngine::open(&store, MemoryOptions { faults, ..MemoryOptions::default() }), options)
    }

    pub(crate) fn over(engine: MemoryEngine, options: Options) -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (clients, probes) = (listen(), listen());
        let address = |listener: &TcpListener| listener.local_addr().expect("it is bound");
        let (public, internal) = (address(&clients), address(&probes));
        let node = Arc::new(TestNode {
            wall_ms: AtomicU64::new(START.0),
            trouble: Mutex::default(),
            full: AtomicBool::new(false),
            away: AtomicBool::new(false),
            nodes: Mutex::default(),
            peers: Mutex::default(),
            drains: AtomicBool::new(false),
            counts: Counts::default(),
            engine: engine.clone(),
        });
        let claim = OneShard::claim(engine.clone(), Arc::<TestNode>::clone(&node), options.group_members_max);
        let shard = block_on(claim);
        let backlog = Arc::new(AtomicU64::new(0));
        let config = Config {
            ws_origin: "ws://127.0.0.1:8001".to_owned(),
            api_origin: "http://0.0.0.0:8000".to_owned(),
            node: "node-1".to_owned(),
            region: "here".to_owned(),
            dev_users: options.dev_users,
            group_members_max: options.group_members_max,
            trusted_proxies: options.trusted_proxies,
            tls: None,
            origins: options.origins,
            media: Arc::new(PhonesAndBrowsers(Arc::clone(&backlog))),
            library: options.library,
            templates: Arc::new(Jinja),
            password_cost: COST,
            limits: options.limits,
        };
        let key = TokenKey::new(&KEY);
        let node_ = Arc::<TestNode>::clone(&node);
        let probing = api::serve_internal(probes, options.limits, Arc::<TestNode>::clone(&node)).expect("served");
        let feeds = Arc::new(Reader::new(engine.clone(), feed_limits(), 1 << 20, Arc::default()));
        let running = api::serve(
            config,
            clients,
            engine.clone(),
            shard.clone(),
            Arc::clone(&feeds),
            options.tokens.unwrap_or_else(|| Tokens::own(key.clone())),
            node_,
        )
        .expect("served");
        let mut names = BTreeMap::new();
        for number in 1..=9_u8 {
            names.insert(format!("m{number}"), ClientMsgId::new(START, u128::from(number)).to_string());
        }
        let client = Client::connect(public);
        Self {
            public,
            internal,
            node,
            backlog,
            shard,
            engine,
            feeds,
            running: Some(running),
            _probing: probing,
            key,
            names,
            reactions: 0,
            client,
        }
    }

    /// Moves the wall clock on.
    pub(crate) fn advance_ms(&self, ms: u64) {
        self.node.wall_ms.fetch_add(ms, Relaxed);
    }

    /// Gives a value a name, for rows to come.
    pub(crate) fn name(&mut self, name: &str, value: impl ToString) {
        self.names.insert(name.to_owned(), value.to_string());
    }

    /// The value behind a name.
    pub(crate) fn value(&self, name: &str) -> &str {
        self.names.get(name).unwrap_or_else(|| panic!("no row named ${name}"))
    }

    /// A user puts an emoji to a message, which only a socket can ask for.
    pub(crate) fn react(&mut self, user: &str, channel: &str, seq: u64, emoji: &str) {
        self.reactions += 1;
        let op = ReactOp {
            by: self.user(user),
            seq: Seq(seq),
            op_id: ClientMsgId::new(self.wall(), self.reactions << 64),
            emoji: emoji.parse().expect("an emoji"),
            on: true,
        };
        let channel = self.value(channel).parse().expect("an id");
        block_on(self.shard.apply(channel, ChannelOp::React(op))).expect("a member reacts");
    }

    /// Brings every post to its readers, as the fan-out of a node does. Whom it told, each once for each post.
    pub(crate) fn fan_out(&self) -> Vec<UserId> {
        let worker = Worker::of(self.shard.view(), Incarnation(1)).expect("it is in the view");
        let (mut told, active) = (Vec::new(), Active::default());
        loop {
            let due = block_on(timelines::due(&self.engine, &worker, None, 100)).expect("read");
            if due.is_empty() {
                return told;
            }
            for channel in due {
                let bounds = (&feed_limits(), self.wall());
                let fanned = block_on(timelines::fan(&self.engine, &worker, channel, &active, bounds)).expect("a step");
                self.feeds.grew(&fanned.readers);
                told.extend(fanned.readers);
            }
        }
    }

    /// A picture of a user that is whole, as if it had been uploaded; `$name` is its id.
    pub(crate) fn picture(&mut self, user: &str, name: &str, file: &str) {
        let media_id = MediaId(self.names.len() as u64 + 1_000);
        let attachment = Attachment {
            media_id,
            kind: MediaKind::Image,
            content_type: "image/jpeg".into(),
            name: file.into(),
            bytes: 482_113,
            width: 1_920,
            height: 1_280,
            blurhash: "LEHV6nWB2yk8pyo0adR*.7kCMdnj".into(),
            poster: None,
        };
        let record = MediaRecord {
            owner: self.user(user),
            attachment,
            sha256: [1; 32],
            uploaded_sha256: [1; 32],
            created_ms: self.wall(),
            reserved_ms: UnixMs(0),
            part_bytes: 1 << 20,
            thumbnails: 0,
            thumbnails_type: String::new(),
        };
        let mut tx = self.engine.begin(Begin::Fresh);
        tx.set(&keys::media(media_id), &record.encode());
        block_on(tx.commit()).expect("written");
        self.name(name, media_id);
    }

    /// The wall clock.
    pub(crate) fn wall(&self) -> UnixMs {
        self.node.wall()
    }

    /// Whose sessions were closed since this was last asked.
    pub(crate) fn kicked(&self) -> Vec<(UserId, Kicked)> {
        std::mem::take(&mut self.shard.kicked.lock().expect("no test panics with it"))
    }

    /// Pairs of users whose sight of each other was to be judged anew since this was last asked.
    pub(crate) fn judged(&self) -> Vec<(UserId, UserId, bool)> {
        std::mem::take(&mut self.shard.judged.lock().expect("no test panics with it"))
    }

    /// The login of who has this name.
    pub(crate) fn family(&self, name: &str) -> Kicked {
        let claims = self.key.verify(self.value(&format!("{name}.token")), self.wall()).expect("issued here");
        Kicked::Family(claims.family)
    }

    /// The user who has this name.
    pub(crate) fn user(&self, name: &str) -> UserId {
        self.value(name).parse().expect("an id")
    }

    /// The access token of a user.
    pub(crate) fn token(&self, name: &str) -> &str {
        self.value(&format!("{name}.token"))
    }

    /// How many rows there are of the tables from one number to before another.
    pub(crate) fn rows_between(&self, first: u8, end: u8) -> usize {
        let range = kv::RangeRequest::new(vec![first], vec![end]);
        let page = block_on(self.engine.begin(Begin::Fresh).get_range(&range));
        page.expect("the store answers").rows.len()
    }

    /// Signs a user up: `$name` is its id, and rows may begin with the name.
    pub(crate) fn sign_up(&mut self, name: &str) {
        let row = format!(
            r#"POST /v1/auth/signup {{"username":"{name}","password":"correct horse"}} => 201 {{"user_id":"${name}","token":"${name}.token","refresh_token":"${name}.refresh"}}"#
        );
        self.check(&row);
    }

    /// Asks what a row asks and compares the answer.
    pub(crate) fn check(&mut self, row: &str) -> Answer {
        let (asked, expected) = row.split_once(" => ").expect("a row has =>");
        let answer = self.ask(asked);
        let (status, body) = expected.split_once(' ').unwrap_or((expected, ""));
        assert_eq!(answer.status.to_string(), status, "{row}\n{}", answer.body);
        if !body.is_empty() {
            let expected: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{row}: {error}"));
            let found: Value = serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{row}\n{}", answer.body));
            self.compare(&expected, &found).unwrap_or_else(|at| panic!("{row}\n{at}\n{}", answer.body));
        }
        if answer.status >= 400 {
            assert_eq!(answer.header("content-type"), "application/problem+json", "{row}");
            let problem: Value = serde_json::from_str(&answer.body).expect("a problem is JSON");
            assert_eq!(problem["status"], answer.status, "{row}");
            assert_eq!(problem["temporary"] == true, !answer.header("retry-after").is_empty(), "{row}");
        }
        answer
    }

    /// Compares how often a bound is said to have refused.
    pub(crate) fn check_counted(&self, bound: &str, times: u32) {
        let metrics = Client::connect(self.internal).ask("GET", "/metrics", &[], "").body;
        let expected = format!("rookery_http_refused_total{{bound=\"{bound}\"}} {times}\n");
        assert!(metrics.contains(&expected), "{expected}{metrics}");
    }

    /// Asks what the left side of a row asks.
    pub(crate) fn ask(&mut self, asked: &str) -> Answer {
        let first = asked.split(' ').next().unwrap_or_default();
        let (caller, asked) = match first.chars().all(|letter| letter.is_ascii_uppercase()) {
            true => (None, asked),
            false => (Some(first), &asked[first.len() + 1..]),
        };
        let asked = self.substitute(asked);
        let mut words = asked.splitn(3, ' ');
        let (method, path) = (words.next().expect("a method"), words.next().expect("a path"));
        let (mut headers, mut body) = (Vec::new(), words.next().unwrap_or_default());
        let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        while let Some((name, rest)) = body.split_once('=').filter(|(name, _)| is_name(name)) {
            let (value, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            headers.push((name, value));
            body = rest;
        }
        // An application's rows begin with its name too.
        let bearer = caller.map(|caller| match self.names.get(&format!("{caller}.basic")) {
            Some(basic) => format!("Basic {basic}"),
            None => format!("Bearer {}", self.value(&format!("{caller}.token"))),
        });
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        self.client.ask(method, path, &headers, body)
    }

    /// One field of every row of a list, over all of its pages.
    pub(crate) fn pages(&mut self, asked: &str, list: &str, field: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let answer = self.check(&format!("{asked}{cursor} => 200"));
            let page: Value = serde_json::from_str(&answer.body).expect("JSON");
            let rows = page[list].as_array().expect("a list");
            found.extend(
                rows.iter().map(|row| row[field].as_str().map_or_else(|| row[field].to_string(), str::to_owned)),
            );
            match page["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    }

    fn substitute(&self, text: &str) -> String {
        let mut parts = text.split('$');
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(|letter: char| !letter.is_alphanumeric() && letter != '.').unwrap_or(part.len());
            out.push_str(self.value(&part[..end]));
            out.push_str(&part[end..]);
        }
        out
    }

    fn compare(&mut self, expected: &Value, found: &Value) -> Result<(), String> {
        match (expected, found) {
            (Value::String(any), _) if any == "*" => Ok(()),
            (Value::String(name), _) if name.starts_with('$') => {
                let found = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
                match self.names.get(&name[1..]) {
                    Some(known) if *known == found => Ok(()),
                    Some(known) => Err(format!("{name} is {known}, not {found}")),
                    None => {
                        self.names.insert(name[1..].to_owned(), found);
                        Ok(())
                    }
                }
            }
            (Value::Object(expected), Value::Object(found)) => {
                for (field, expected) in expected {
                    let found = found.get(field).unwrap_or(&Value::Null);
                    self.compare(expected, found).map_err(|at| format!("{field}: {at}"))?;
                }
                Ok(())
            }
            (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
                for (number, (expected, found)) in expected.iter().zip(found).enumerate() {
                    self.compare(expected, found).map_err(|at| format!("[{number}]: {at}"))?;
                }
                Ok(())
            }
            (expected, found) if expected == found => Ok(()),
            (expected, found) => Err(format!("expected {expected}, found {found}")),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.join();
        }
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}
