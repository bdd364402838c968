//! Soak against lost wakeups: shards and foreign threads play ping-pong through mailboxes, with pauses in between in
//! which the shards fall asleep. First one item alone, since in a crowd the next wakeup makes good a lost one; then
//! several, while clients make the same shards' rings wake them too.
//!
//! Runs 2 s each; `ROOKERY_SOAK_S` makes it longer. The watchdog fails it when an item waited for more than a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use gateway::uring::{
    Config, ConnId, Decision, Endpoint, Handler, Inbox, Mailbox, Sockets, listen, mailbox, run, sleep_and_wake,
};
use tungstenite::Message;
use wire::Request;

const SHARDS: usize = 2;
/// What an item may wait. The machine may be busy; a lost wakeup waits for ever.
const LATE: Duration = Duration::from_secs(1);

/// Goes around the shards and back to the thread that sent it.
struct Ball {
    hops_left: u32,
    home: Sender<u32>,
    number: u32,
}

enum Item {
    Ball(Ball),
    Stop,
}

struct Player {
    inbox: Inbox<Item>,
    shards: Vec<Mailbox<Item>>,
    index: usize,
    /// Some balls are held for a moment, by a timer: another way to sleep.
    held: Vec<(Instant, Ball)>,
    hops: Arc<AtomicU64>,
    sleeps: Arc<AtomicU64>,
}

impl Player {
    fn pass(&self, ball: Ball) {
        self.hops.fetch_add(1, Ordering::Relaxed);
        if ball.hops_left == 0 {
            // A thread that gave up says so itself.
            let _ = ball.home.send(ball.number);
            return;
        }
        let next = &self.shards[(self.index + 1) % SHARDS];
        let ball = Ball { hops_left: ball.hops_left - 1, ..ball };
        assert!(next.push(Item::Ball(ball)).is_ok(), "the few balls there are fit in the mailbox");
    }
}

impl Handler for Player {
    fn on_request(&mut self, _: &mut Sockets, _: ConnId, _: &Request) -> Decision {
        Decision::Accept { protocol: None, endpoint: Endpoint::Echo { message_bytes_max: 1000 } }
    }

    fn on_turn(&mut self, sockets: &mut Sockets, now: Instant) -> Option<Instant> {
        while let Some(item) = self.inbox.pop() {
            match item {
                Item::Ball(ball) if ball.number.is_multiple_of(7) => {
                    self.held.push((now + Duration::from_micros(u64::from(ball.number % 5) * 700), ball));
                }
                Item::Ball(ball) => self.pass(ball),
                Item::Stop => sockets.stop(Duration::ZERO),
            }
        }
        // Work after looking, in which somebody may call.
        spin(Duration::from_micros(scramble(sockets.counters().turns) % 15));
        for (_, ball) in self.held.extract_if(.., |(at, _)| *at <= now).collect::<Vec<_>>() {
            self.pass(ball);
        }
        self.sleeps.store(sockets.counters().waits, Ordering::Relaxed);
        self.held.iter().map(|(at, _)| *at).min()
    }
}

/// Numbers that look random and are the same in each run.
fn scramble(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

fn spin(time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

/// From none to 5 ms, mostly around the time in which a shard falls asleep.
fn pause(seed: u64) {
    match scramble(seed) % 10 {
        0..=3 => {}
        4..=7 => spin(Duration::from_micros(scramble(seed + 1) % 120)),
        8 => thread::yield_now(),
        _ => thread::sleep(Duration::from_micros(scramble(seed + 2) % 5000)),
    }
}

#[test]
fn no_wakeup_is_lost_by_a_lone_item() {
    soak(1, 0);
}

#[test]
fn no_wakeup_is_lost_while_a_shard_waits_for_a_batch() {
    soak(1, 5);
}

#[test]
fn no_wakeup_is_lost_in_a_crowd() {
    soak(3, 5);
}

/// `clients` to each shard, which then waits for batches all the time.
fn soak(threads: u64, clients: usize) {
    let soak = Duration::from_secs(std::env::var("ROOKERY_SOAK_S").map_or(2, |s| s.parse().expect("seconds")));
    let ends: Vec<_> = (0..SHARDS).map(|_| sleep_and_wake().expect("descriptors are left")).collect();
    let boxes: Vec<_> = ends.iter().map(|(_, waker)| mailbox::<Item>(waker, 1024)).collect();
    let mailboxes: Vec<_> = boxes.iter().map(|(mailbox, _)| mailbox.clone()).collect();
    let hops = Arc::new(AtomicU64::new(0));
    let sleeps: Vec<_> = (0..SHARDS).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let mut addrs = Vec::new();
    let mut shards = Vec::new();
    for (index, ((sleeper, _), (_, inbox))) in ends.into_iter().zip(boxes).enumerate() {
        let listener = listen("127.0.0.1:0".parse().expect("an address"), 16).expect("listening");
        addrs.push(listener.local_addr().expect("bound"));
        let (shards_of, hops, sleeps) = (mailboxes.clone(), Arc::clone(&hops), Arc::clone(&sleeps[index]));
        shards.push(thread::spawn(move || {
            let player = |_: &mut Sockets| Player { inbox, shards: shards_of, index, held: Vec::new(), hops, sleeps };
            block_on(run(Config::new("soak", 100), listener, sleeper, player)).expect("the shard runs");
        }));
    }

    let over = Arc::new(AtomicBool::new(false));
    let mut players = Vec::new();
    for thread_number in 0..threads {
        let (mailboxes, over) = (mailboxes.clone(), Arc::clone(&over));
        players.push(thread::spawn(move || {
            let (home, back) = channel();
            let mut slowest = Duration::ZERO;
            for number in 0u32.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let seed = thread_number << 40 | u64::from(number);
                pause(seed);
                let ball = Ball { hops_left: (scramble(seed + 3) % 4) as u32, home: home.clone(), number };
                let served = Instant::now();
                let shard = (scramble(seed + 4) % SHARDS as u64) as usize;
                assert!(mailboxes[shard].push(Item::Ball(ball)).is_ok(), "the mailbox has room");
                match back.recv_timeout(LATE) {
                    Ok(returned) => assert_eq!(returned, number),
                    Err(RecvTimeoutError::Timeout) => panic!("I12: ball {number} of thread {thread_number} is lost"),
                    Err(RecvTimeoutError::Disconnected) => unreachable!("we hold a sender"),
                }
                slowest = slowest.max(served.elapsed());
            }
            slowest
        }));
    }
    for (client, addr) in addrs.iter().flat_map(|addr| std::iter::repeat_n(*addr, clients)).enumerate() {
        let over = Arc::clone(&over);
        players.push(thread::spawn(move || {
            let stream = std::net::TcpStream::connect(addr).expect("connected");
            stream.set_read_timeout(Some(LATE)).expect("set");
            stream.set_nodelay(true).expect("set");
            let (mut socket, _) = tungstenite::client(format!("ws://{addr}/"), stream).expect("a handshake");
            let mut slowest = Duration::ZERO;
            for number in 0u64.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                pause((client as u64 + 1) << 50 | number);
                let sent = Instant::now();
                socket.send(Message::text(number.to_string())).expect("sent");
                let back = socket.read().expect("I12: the shard wakes for its ring");
                assert_eq!(back, Message::text(number.to_string()));
                slowest = slowest.max(sent.elapsed());
            }
            slowest
        }));
    }
    thread::sleep(soak);
    over.store(true, Ordering::Relaxed);
    let outcomes: Vec<_> = players.into_iter().map(thread::JoinHandle::join).collect();
    for mailbox in &mailboxes {
        assert!(mailbox.push(Item::Stop).is_ok(), "the mailbox has room");
    }
    for shard in shards {
        shard.join().expect("the shard ended in good order");
    }
    let slowest = outcomes.into_iter().map(|outcome| outcome.expect("nothing was lost")).max();
    let hops = hops.load(Ordering::Relaxed);
    let sleeps: Vec<u64> = sleeps.iter().map(|sleeps| sleeps.load(Ordering::Relaxed)).collect();
    eprintln!("{hops} hops, shards slept {sleeps:?} times, slowest {slowest:?}");
    assert!(hops > 100 && sleeps.iter().all(|sleeps| *sleeps > 100), "the shards played and slept: {hops} {sleeps:?}");
}
