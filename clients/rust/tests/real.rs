//! Real nodes that are killed, and real programs that are killed: no message is lost, none is doubled, all are in order.

mod node;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use node::{Node, Ports, sign_up};
use rookery_client::{
    Api, Bounds, ChannelId, Client, Config, Connection, DirectoryStore, Endpoint, Event, Events, Login, NewChannel,
    Operation, Seq, Window,
};
use tokio::sync::mpsc;

/// Time that anything may take before a test fails: a lease of 5 s, on a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two accounts with a channel.
struct Two {
    channel: ChannelId,
    ann: Login,
    bob: Login,
}

impl Two {
    async fn new(api: &Api) -> Self {
        let ann = sign_up(api, "ann").await.expect("a name is free");
        let bob = sign_up(api, "bob").await.expect("a name is free");
        let channel = api.create_channel(&ann.token, &NewChannel::Direct(bob.user_id)).await.expect("it is made");
        Self { channel: channel.channel_id, ann, bob }
    }
}

/// A client with a store in a directory.
fn start(apis: Vec<String>, login: &Login, directory: &Path) -> (Client, Events) {
    let store = DirectoryStore::open(directory).expect("it opens");
    let token = login.token.clone();
    let device = store.device_id().to_owned();
    let config = Config::new("", device, move |_| std::future::ready(Ok(token.clone())))
        .endpoint(Endpoint::Discover(apis))
        .store(store);
    Client::start(config).expect("the configuration works")
}

/// Bodies that arrive in a channel in their order, and where the client is connected.
fn follow(mut events: Events) -> (mpsc::UnboundedReceiver<(Seq, String)>, mpsc::UnboundedReceiver<String>) {
    let (tell, told) = mpsc::unbounded_channel();
    let (live, lives) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            // A test that has all it wants hears no more.
            let _ = match event {
                Event::Message(message) => tell.send((message.seq, message.body)).is_ok(),
                Event::Connection(Connection::Live { url, .. }) => live.send(url).is_ok(),
                _ => true,
            };
        }
    });
    (told, lives)
}

/// The whole history of a channel, by seq.
async fn history(client: &Client, channel: ChannelId) -> BTreeMap<Seq, String> {
    let mut found = BTreeMap::new();
    loop {
        let after = found.last_key_value().map_or(Seq(0), |(seq, _)| *seq);
        let page = client.history(channel, Window::After(after), 200).await.expect("the node answers");
        for message in page.messages {
            assert!(found.insert(message.seq, message.body).is_none(), "seq {} twice", message.seq);
        }
        if !page.more {
            return found;
        }
    }
}

/// Waits until nothing is left in the outbox.
async fn sent(client: &Client) {
    let until = Instant::now() + PATIENCE;
    loop {
        let left = client.outgoing().await.expect("the client lives");
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "{} are left: {:?}", left.len(), left.first());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The next bodies that are told, in order.
async fn told(arrived: &mut mpsc::UnboundedReceiver<(Seq, String)>, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    let mut last = Seq(0);
    while bodies.len() < count {
        let next = tokio::time::timeout(PATIENCE, arrived.recv()).await;
        let (seq, body) = next.unwrap_or_else(|_| panic!("after {bodies:?} nothing comes")).expect("it follows");
        assert!(seq > last, "seq {seq} is told after {last}");
        last = seq;
        bodies.push(body);
    }
    bodies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_kills_of_the_node_each_message_arrives_once_and_in_order() {
    const MESSAGES: usize = 200;
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    fs::create_dir(&data).expect("a directory");
    let ports = Ports::free();
    let mut node = Some(Node::start(&data, &ports, &[]));
    let api = Api::new(ports.api_url()).expect("it needs no TLS");
    let two = Two::new(&api).await;
    let (ann, ann_events) = start(vec![ports.api_url()], &two.ann, &place.path().join("ann"));
    let (bob, bob_events) = start(vec![ports.api_url()], &two.bob, &place.path().join("bob"));
    let (mut ann_told, mut ann_live) = follow(ann_events);
    let (mut bob_told, mut bob_live) = follow(bob_events);
    // Without a cursor a device begins at the newest: from here on nothing is missed.
    for live in [&mut ann_live, &mut bob_live] {
        tokio::time::timeout(PATIENCE, live.recv()).await.expect("it connects").expect("it follows");
    }
    let bodies: Vec<String> = (0..MESSAGES).map(|number| format!("message {number}")).collect();
    for (number, body) in bodies.iter().enumerate() {
        ann.submit(two.channel, Operation::Send(body.as_str().into())).await.expect("the outbox takes it");
        match number % 50 {
            // In the middle of sends, some of which are under way.
            20 => node.take().expect("it runs").kill(),
            // A part was done while there was no node.
            40 => node = Some(Node::start(&data, &ports, &[])),
            _ => tokio::time::sleep(Duration::from_millis(3)).await,
        }
    }
    ann.hurry();
    sent(&ann).await;
    assert_eq!(told(&mut bob_told, MESSAGES).await, bodies, "what the other is told");
    assert_eq!(told(&mut ann_told, MESSAGES).await, bodies, "what the sender is told");
    let held = history(&bob, two.channel).await;
    assert_eq!(held.into_values().collect::<Vec<_>>(), bodies, "what the node keeps");
    ann.close().await;
    bob.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_takeover_each_message_arrives_once_and_in_order() {
    const MESSAGES: usize = 150;
    let place = tempfile::tempdir().expect("a directory");
    // It has a runtime of its own, which is neither started nor ended within another.
    let server = tokio::task::spawn_blocking(|| fdb_c::Server::start(fdb_c::ServerOptions::default()));
    let server = server.await.expect("it does not panic").expect("a stand-in starts");
    let secret = |name: &str, byte: u8| {
        let path = place.path().join(name);
        let file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path);
        file.expect("it is new").write_all(&[byte; 32]).expect("it can be written");
        path.display().to_string()
    };
    let shared = [
        "--store.engine=foundationdb".to_owned(),
        format!("--store.cluster_file={}", server.cluster_file(place.path()).display()),
        format!("--store.client_library={}", fdb_c::library().display()),
        format!("--cluster.secret_file={}", secret("cluster.secret", 9)),
        format!("--auth.key_file={}", secret("token.key", 7)),
    ];
    let ports = [Ports::free(), Ports::free()];
    let mut nodes: Vec<Option<Node>> = Vec::new();
    for (at, ports) in ports.iter().enumerate() {
        let data = place.path().join(format!("node-{at}"));
        fs::create_dir(&data).expect("a directory");
        let own = [format!("--node.name=node-{at}"), Node::links(ports)];
        nodes.push(Some(Node::start(&data, ports, &[&shared[..], &own].concat())));
    }
    let api = Api::new(ports[0].api_url()).expect("it needs no TLS");
    let two = Two::new(&api).await;
    let apis = || ports.iter().map(Ports::api_url).collect();
    let (ann, ann_events) = start(apis(), &two.ann, &place.path().join("ann"));
    let (bob, bob_events) = start(apis(), &two.bob, &place.path().join("bob"));
    let (_ann_told, mut ann_live) = follow(ann_events);
    let (mut bob_told, mut bob_live) = follow(bob_events);
    let first = tokio::time::timeout(PATIENCE, ann_live.recv()).await.expect("it connects").expect("it follows");
    tokio::time::timeout(PATIENCE, bob_live.recv()).await.expect("it connects").expect("it follows");
    let hers = ports.iter().position(|ports| ports.is_at(&first)).expect("it is one of the two");
    let bodies: Vec<String> = (0..MESSAGES).map(|number| format!("message {number}")).collect();
    for (number, body) in bodies.iter().enumerate() {
        ann.submit(two.channel, Operation::Send(body.as_str().into())).await.expect("the outbox takes it");
        if number == MESSAGES / 3 {
            nodes[hers].take().expect("it runs").kill();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sent(&ann).await;
    let next = ann_live.recv().await.expect("it follows");
    assert!(ports[1 - hers].is_at(&next), "the other node took {first} over, not {next}");
    assert_eq!(told(&mut bob_told, MESSAGES).await, bodies, "what the other is told");
    let held = history(&ann, two.channel).await;
    assert_eq!(held.into_values().collect::<Vec<_>>(), bodies, "what the nodes keep");
    ann.close().await;
    bob.close().await;
    drop(nodes);
    tokio::task::spawn_blocking(move || drop(server)).await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_fetches_nothing_is_answered_and_misses_nothing() {
    const MESSAGES: usize = 300;
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    fs::create_dir(&data).expect("a directory");
    let ports = Ports::free();
    let _node = Node::start(&data, &ports, &[]);
    let api = Api::new(ports.api_url()).expect("it needs no TLS");
    let two = Two::new(&api).await;
    let mut bounds = Bounds::default();
    bounds.events = 20;
    let token = two.ann.token.clone();
    let config = Config::new(ports.api_url(), "slow", move |_| std::future::ready(Ok(token.clone()))).bounds(bounds);
    let (ann, mut events) = Client::start(config).expect("the configuration works");
    while !matches!(events.next().await, Some(Event::Connection(Connection::Live { .. }))) {}
    let (bob, _bob_events) = start(vec![ports.api_url()], &two.bob, &place.path().join("bob"));
    for number in 0..MESSAGES {
        let operation = Operation::Send(number.to_string().into());
        bob.submit(two.channel, operation).await.expect("the outbox takes it");
    }
    sent(&bob).await;
    // Ten times as many events as there is room for come before this answer.
    let answer = tokio::time::timeout(PATIENCE, ann.send(two.channel, "mine")).await.expect("it is answered");
    assert_eq!(answer.expect("it is taken").seq, Seq(MESSAGES as u64 + 1));
    let mut told = Vec::new();
    while told.len() <= MESSAGES {
        let event = tokio::time::timeout(PATIENCE, events.next()).await;
        if let Some(Event::Message(message)) = event.unwrap_or_else(|_| panic!("after {told:?} nothing comes")) {
            told.push(message.seq.0);
        }
    }
    assert!(told.iter().copied().eq(1..=MESSAGES as u64 + 1), "all are told in order, each once: {told:?}");
}

/// A program that sends `LIFE-NUMBER` until it is killed or has sent `count`, and says each line of what it did. It is this
/// test, run again.
struct Program {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    /// Messages that it has said that it took into the outbox.
    taken: Vec<String>,
    /// Seqs that it has said that it was told.
    told: Vec<u64>,
}

impl Program {
    fn start(life: usize, count: usize, api: &str, two: &Two, directory: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("it runs"));
        command.args(["--exact", "the_program_that_is_killed", "--ignored", "--nocapture"]);
        command.env("CLIENT_LIFE", life.to_string()).env("CLIENT_COUNT", count.to_string()).env("CLIENT_API", api);
        command.env("CLIENT_TOKEN", &two.ann.token).env("CLIENT_CHANNEL", two.channel.to_string());
        command.env("CLIENT_DIRECTORY", directory).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, lines, taken: Vec::new(), told: Vec::new() }
    }

    /// Reads on until it has taken so many, or has ended.
    fn until_taken(&mut self, count: usize) {
        while self.taken.len() < count && self.read() {}
    }

    fn read(&mut self) -> bool {
        let Some(line) = self.lines.next() else { return false };
        let line = line.expect("it writes text");
        // The harness says the test's name before the first of them.
        if let Some((_, body)) = line.rsplit_once("taken ") {
            self.taken.push(body.to_owned());
        } else if let Some((_, seq)) = line.rsplit_once("told ") {
            self.told.push(seq.parse().expect("a seq"));
        }
        true
    }

    /// kill -9, and what it had said by then.
    fn kill(mut self) -> (Vec<String>, Vec<u64>) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is our child");
        while self.read() {}
        (self.taken, self.told)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_program_took_before_it_was_killed_arrives_once_and_in_order() {
    const LIVES: usize = 4;
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("data");
    fs::create_dir(&data).expect("a directory");
    let ports = Ports::free();
    let mut node = Some(Node::start(&data, &ports, &[]));
    let api = Api::new(ports.api_url()).expect("it needs no TLS");
    let two = Two::new(&api).await;
    let directory = place.path().join("ann");
    let (mut taken, mut told) = (Vec::new(), Vec::new());
    for life in 0..LIVES - 1 {
        let mut program = Program::start(life, usize::MAX, &ports.api_url(), &two, &directory);
        program.until_taken(20);
        // The second half of each life but the last has no node, so that the next finds an outbox.
        node.take().expect("it runs").kill();
        program.until_taken(40);
        let (life_taken, life_told) = program.kill();
        taken.extend(life_taken);
        told.push(life_told);
        node = Some(Node::start(&data, &ports, &[]));
    }
    let mut program = Program::start(LIVES - 1, 10, &ports.api_url(), &two, &directory);
    while program.read() {}
    assert!(program.child.wait().expect("it is our child").success(), "the last life ends by itself");
    taken.extend(program.taken);
    told.push(program.told);

    let (bob, _events) = start(vec![ports.api_url()], &two.bob, &place.path().join("bob"));
    let held = loop {
        // It is connecting still.
        match bob.history(two.channel, Window::Newest, 1).await {
            Ok(_) => break history(&bob, two.channel).await,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let bodies: Vec<String> = held.values().cloned().collect();
    let mut once = bodies.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), bodies.len(), "some are doubled: {bodies:?}");
    // Of each life one more may have been taken than it had time to say.
    let said: Vec<&String> = bodies.iter().filter(|body| taken.contains(body)).collect();
    assert_eq!(said, taken.iter().collect::<Vec<_>>(), "what was taken is there, in order");
    assert!(bodies.len() <= taken.len() + LIVES, "{} of {}: {bodies:?}", bodies.len(), taken.len());

    // Events: in each life in order without a hole, and none is missed between two lives.
    let mut next = told[0].first().copied().expect("the first life is told something");
    for (life, seqs) in told.iter().enumerate() {
        let Some(&first) = seqs.first() else { continue };
        assert!(first <= next, "life {life} is told {first} first, and {next} was never told");
        assert!(seqs.iter().copied().eq(first..first + seqs.len() as u64), "life {life} is told {seqs:?}");
        next = next.max(first + seqs.len() as u64);
    }
    assert_eq!(next, held.len() as u64 + 1, "all are told in the end: {told:?}");
}

/// Program that [`Program`] runs: no test of its own.
#[test]
#[ignore = "what_a_program_took_before_it_was_killed_arrives_once_and_in_order runs it, and kills it"]
#[expect(clippy::print_stdout, reason = "its parent reads it")]
fn the_program_that_is_killed() {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is for its parent to set"));
    let (life, count) = (variable("CLIENT_LIFE"), variable("CLIENT_COUNT").parse::<usize>().expect("a number"));
    let channel: ChannelId = variable("CLIENT_CHANNEL").parse().expect("an id");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = DirectoryStore::open(variable("CLIENT_DIRECTORY")).expect("it opens");
        let token = variable("CLIENT_TOKEN");
        let config =
            Config::new(variable("CLIENT_API"), store.device_id(), move |_| std::future::ready(Ok(token.clone())));
        let (client, mut events) = Client::start(config.store(store)).expect("the configuration works");
        let (live, mut lives) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                match event {
                    Event::Message(message) => println!("told {}", message.seq),
                    // The program waits for the first one alone.
                    Event::Connection(Connection::Live { .. }) => _ = live.send(()),
                    _ => {}
                }
            }
        });
        // The first life begins at the newest, which is known once it is connected.
        lives.recv().await.expect("it connects");
        for number in 0..count {
            let body = format!("{life}-{number}");
            client.submit(channel, Operation::Send(body.as_str().into())).await.expect("the outbox takes it");
            println!("taken {body}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        sent(&client).await;
        // What was sent is told, too.
        tokio::time::sleep(Duration::from_millis(500)).await;
        client.close().await;
    });
}
