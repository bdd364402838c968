//! Sessions that come back: which are away, when each is tried again and where, as PROTOCOL asks of clients.
//!
//! Owns pauses, drains, the patience with nodes that say nothing, and the counts of all that. Reads no clock and opens
//! nothing: what happened comes in with its time, and [`Order`]s go out. Messages are none of its concern.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;

use schema::ErrorReply;
use schema::command::Retry;

use crate::engine::Order;
use crate::engine::error::EngineError;
use crate::engine::lost::Lost;
use crate::pace::SECOND_NS;
use crate::report::count_reason;
use crate::target::{SESSION_PATH, Target};

/// How long a try may take from dialling to the upgrade,
const UPGRADE_NS: u64 = 5 * SECOND_NS;
/// and from there to the session: a node closes one that it cannot connect within 10 s.
const CONNECT_NS: u64 = 11 * SECOND_NS;
/// How long a node may say nothing to a session that waits for an answer until it is asked whether it lives,
const SILENCE_NS: u64 = 3 * SECOND_NS;
/// and how long to that.
const PROBE_NS: u64 = 3 * SECOND_NS;
/// How often sessions are looked at for these.
const LOOK_NS: u64 = SECOND_NS / 4;
/// Nodes that are known, those named by drains among them. One more is not gone to.
const TARGETS_MAX: usize = 256;
/// Tries of every connection after which a run in which nobody was ever served gives up.
const TRIES_IN_VAIN: u64 = 4;

/// Where a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Dialled for the first time by the engine, which has its own patience.
    First,
    /// On its way: dialled, or upgraded and asked for.
    Coming {
        until_ns: u64,
    },
    Here(Here),
    /// To be dialled.
    Away {
        due_ns: u64,
    },
    /// Closed in a way after which no client comes back.
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Here {
    /// When its node last said anything.
    heard_ns: u64,
    /// When it was first asked anything after that.
    asked_ns: Option<u64>,
    /// When it was asked whether it lives.
    probed_ns: Option<u64>,
    /// When the session leaves a node that goes away.
    leave_ns: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Device {
    state: State,
    /// Tries since it was last here.
    tries: u32,
    /// The target that it is at, or was last.
    at: u16,
    /// The one that a drain named.
    named: Option<u16>,
}

/// All sessions of a run.
#[derive(Debug)]
pub(crate) struct Reconnect {
    targets: Vec<Arc<Target>>,
    devices: Vec<Device>,
    retry: Retry,
    random: fastrand::Rng,
    /// When those that are away are due.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    orders: VecDeque<Order>,
    look_ns: u64,
    /// Sessions that were lost, and tries that came to none, by reason.
    pub(crate) lost: BTreeMap<String, u64>,
    pub(crate) failed: BTreeMap<String, u64>,
    /// Those of both that no drain had announced.
    pub(crate) unannounced: u64,
    /// Refusals of `connect`, by code.
    pub(crate) refusals: BTreeMap<u16, u64>,
    tries: u64,
    /// How often a session was there, for the first time or again.
    pub(crate) arrivals: u64,
}

impl Reconnect {
    /// Sessions of which number `n` is dialled first at target `n` modulo their number.
    pub(crate) fn new(targets: Vec<Arc<Target>>, sessions: usize, seed: u64) -> Self {
        let device =
            |number: usize| Device { state: State::First, tries: 0, at: (number % targets.len()) as u16, named: None };
        Self {
            devices: (0..sessions).map(device).collect(),
            targets,
            retry: Retry::default(),
            random: fastrand::Rng::with_seed(seed),
            due: BinaryHeap::new(),
            orders: VecDeque::new(),
            look_ns: 0,
            lost: BTreeMap::new(),
            failed: BTreeMap::new(),
            unannounced: 0,
            refusals: BTreeMap::new(),
            tries: 0,
            arrivals: 0,
        }
    }

    /// Sessions that are not here, and will be.
    pub(crate) fn away(&self) -> u64 {
        self.devices.iter().filter(|device| !matches!(device.state, State::Here(_) | State::Gone)).count() as u64
    }

    /// Whether no session is left that could come back.
    pub(crate) fn all_gone(&self) -> bool {
        self.devices.iter().all(|device| device.state == State::Gone)
    }

    /// `connect` goes out over a connection that was upgraded.
    pub(crate) fn connecting(&mut self, number: usize, now_ns: u64) {
        self.devices[number].state = State::Coming { until_ns: now_ns + CONNECT_NS };
    }

    /// The session is here.
    pub(crate) fn connected(&mut self, number: usize, retry: Retry, now_ns: u64) {
        self.retry = retry;
        self.arrivals += 1;
        let here = Here { heard_ns: now_ns, asked_ns: None, probed_ns: None, leave_ns: None };
        let device = &mut self.devices[number];
        (device.state, device.tries, device.named) = (State::Here(here), 0, None);
    }

    /// The session was cut on purpose, and comes back at once.
    pub(crate) fn left(&mut self, number: usize, now_ns: u64) {
        let device = &mut self.devices[number];
        device.state = State::Away { due_ns: now_ns };
        self.due.push(Reverse((now_ns, number)));
    }

    /// Its node said something.
    pub(crate) fn heard(&mut self, number: usize, now_ns: u64) {
        if let State::Here(here) = &mut self.devices[number].state {
            (here.heard_ns, here.asked_ns, here.probed_ns) = (now_ns, None, None);
        }
    }

    /// Its node was asked something.
    pub(crate) fn asked(&mut self, number: usize, now_ns: u64) {
        if let State::Here(here) = &mut self.devices[number].state {
            here.asked_ns.get_or_insert(now_ns);
        }
    }

    /// Its node goes away: the session leaves within `jitter_ms`, to `url` if it can be gone to.
    pub(crate) fn drained(&mut self, number: usize, jitter_ms: u32, url: Option<&str>, now_ns: u64) {
        let named = url.and_then(|url| self.named(url));
        let leave_ns = now_ns + self.random.u64(0..=u64::from(jitter_ms)) * 1_000_000;
        let device = &mut self.devices[number];
        if let State::Here(here) = &mut device.state {
            here.leave_ns = Some(leave_ns);
            device.named = named;
        }
    }

    fn named(&mut self, url: &str) -> Option<u16> {
        let target = match Target::parse(url, SESSION_PATH) {
            Ok(target) => target,
            Err(error) => {
                count_reason(&mut self.failed, format!("a drain named {url}: {error:#}"));
                return None;
            }
        };
        let known = self.targets.iter().position(|known| known.address == target.address);
        if known.is_none() && self.targets.len() < TARGETS_MAX {
            self.targets.push(Arc::new(target));
            return Some(self.targets.len() as u16 - 1);
        }
        known.map(|at| at as u16)
    }

    /// An open connection ended. Whether its session comes back.
    pub(crate) fn lost(&mut self, number: usize, lost: &Lost, now_ns: u64) -> bool {
        let leave_ns = match self.devices[number].state {
            State::Here(here) => here.leave_ns,
            State::First | State::Coming { .. } => None,
            // Given up already.
            State::Away { .. } => return true,
            State::Gone => return false,
        };
        if !lost.may_come_back() {
            self.devices[number].state = State::Gone;
            return false;
        }
        let mut due_ns = self.pause_over_ns(number, now_ns);
        if let (Some(leave_ns), true) = (leave_ns, lost.is_going_away()) {
            // Its wait has begun with the drain.
            due_ns = due_ns.min(leave_ns.max(now_ns));
        }
        self.leaves(number, lost.to_string(), due_ns);
        true
    }

    /// A connection could not be opened. Whether it will be tried again.
    pub(crate) fn unopened(&mut self, number: usize, error: &EngineError, now_ns: u64) -> bool {
        self.tries += 1;
        if self.arrivals == 0 && self.tries > TRIES_IN_VAIN * self.devices.len() as u64 {
            return false;
        }
        let due_ns = self.pause_over_ns(number, now_ns);
        self.leaves(number, error.cause(), due_ns);
        true
    }

    /// `connect` was refused for a time.
    pub(crate) fn refused(&mut self, number: usize, error: &ErrorReply, now_ns: u64) {
        if !matches!(self.devices[number].state, State::Coming { .. }) {
            return;
        }
        *self.refusals.entry(error.code).or_default() += 1;
        let retry_ns = now_ns + u64::from(error.retry_after_ms) * 1_000_000;
        let due_ns = self.pause_over_ns(number, now_ns).max(retry_ns);
        self.orders.push_back(Order::Cut(number));
        self.leaves(number, format!("connect was refused with {}: {}", error.code, error.message), due_ns);
    }

    /// When the pause before the next try is over.
    fn pause_over_ns(&mut self, number: usize, now_ns: u64) -> u64 {
        let Retry { base_ms, cap_ms } = self.retry;
        let doubled = u64::from(base_ms) << self.devices[number].tries.min(16);
        now_ns + self.random.u64(0..=doubled.min(u64::from(cap_ms)) * 1_000_000)
    }

    /// The session, or a try to have one, has ended: it is due at the next target, or at the one that was named.
    fn leaves(&mut self, number: usize, reason: String, due_ns: u64) {
        let device = &mut self.devices[number];
        let (was_here, was_announced) = match device.state {
            State::Here(here) => (true, here.leave_ns.is_some()),
            State::First | State::Coming { .. } | State::Away { .. } | State::Gone => (false, false),
        };
        self.unannounced += u64::from(!was_announced);
        // Half go one way round and half the other, or all of a node's would be at the same next one.
        let step = if number.is_multiple_of(2) { 1 } else { self.targets.len() - 1 };
        let next = (usize::from(device.at) + step) % self.targets.len();
        device.at = device.named.take().unwrap_or(next as u16);
        device.tries += 1;
        device.state = State::Away { due_ns };
        self.due.push(Reverse((due_ns, number)));
        count_reason(if was_here { &mut self.lost } else { &mut self.failed }, reason);
    }

    /// What is to be done now: a session that is given up is cut, and one is pumped to ask whether its node lives.
    /// `waits` says whether a session has a request without an answer.
    pub(crate) fn order(&mut self, now_ns: u64, waits: impl Fn(usize) -> bool) -> Option<Order> {
        if now_ns >= self.look_ns {
            self.look_ns = now_ns + LOOK_NS;
            (0..self.devices.len()).for_each(|number| self.look(number, now_ns, &waits));
        }
        if let Some(order) = self.orders.pop_front() {
            return Some(order);
        }
        while let Some(&Reverse((due_ns, number))) = self.due.peek() {
            if due_ns > now_ns {
                break;
            }
            self.due.pop();
            let device = &mut self.devices[number];
            if device.state == (State::Away { due_ns }) {
                device.state = State::Coming { until_ns: now_ns + UPGRADE_NS };
                let target = Arc::clone(&self.targets[usize::from(device.at)]);
                return Some(Order::Dial { connection: number, target });
            }
        }
        None
    }

    /// Gives up a session that is to leave, or whose node says nothing.
    fn look(&mut self, number: usize, now_ns: u64, waits: impl Fn(usize) -> bool) {
        let (reason, due_ns) = match &mut self.devices[number].state {
            State::First | State::Away { .. } | State::Gone => return,
            State::Coming { until_ns } if now_ns <= *until_ns => return,
            State::Coming { .. } => ("no session in time".to_owned(), None),
            State::Here(Here { leave_ns: Some(leave_ns), .. }) if now_ns >= *leave_ns => {
                ("its node goes away".to_owned(), Some(now_ns))
            }
            State::Here(here) => match (here.probed_ns, here.asked_ns) {
                _ if !waits(number) => return,
                (Some(probed_ns), _) if now_ns - probed_ns > PROBE_NS => {
                    (format!("its node said nothing for {} s", (SILENCE_NS + PROBE_NS) / SECOND_NS), None)
                }
                (None, asked_ns) if now_ns - asked_ns.unwrap_or(here.heard_ns) > SILENCE_NS => {
                    here.probed_ns = Some(now_ns);
                    self.orders.push_back(Order::Pump(number));
                    return;
                }
                (Some(_) | None, _) => return,
            },
        };
        let due_ns = due_ns.unwrap_or_else(|| self.pause_over_ns(number, now_ns));
        self.orders.push_back(Order::Cut(number));
        self.leaves(number, reason, due_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::CloseCode;

    #[test]
    fn a_session_comes_back_to_the_next_node_after_a_random_pause_that_doubles() {
        check("0 here, 10 end, 510 dial b");
        check("0 here, 10 close 3004, 510 dial b, 510 fail, 1510 dial c, 1510 fail, 3510 dial a");
        check("0 here, 10 end, 510 dial b, 600 here, 700 end, 1200 dial c");
        check("0 here, 10 end, 510 dial b, 600 refuse 113 4000, 600 cut, 4599 none, 5100 dial c");
        check("0 here, 10 close 3505, 99999 none");
        check("0 here, 10 end, 510 dial b, 5511 cut, 6511 dial c");
    }

    #[test]
    fn a_session_leaves_a_node_that_goes_away_within_the_jitter_and_for_the_node_that_is_named() {
        check("0 here, 10 drain 400 -, 410 cut, 410 dial b");
        check("0 here, 10 drain 400 ws://127.0.0.1:3, 410 cut, 410 dial c");
        check("0 here, 10 drain 400 ws://127.0.0.1:9, 410 cut, 410 dial 9");
        check("0 here, 10 drain 400 nonsense, 410 cut, 410 dial b");
        check("0 here, 10 drain 60000 -, 20 close 3001, 520 dial b");
        check("0 here, 10 drain 0 -, 700 close 3001, 700 dial b");
    }

    #[test]
    fn what_no_drain_announced_is_counted() {
        let unannounced = |steps, expected| assert_eq!(check(steps), expected, "{steps}");
        unannounced("0 here, 10 drain 400 -, 410 cut, 410 dial b", 0);
        unannounced("0 here, 10 drain 60000 -, 20 close 3001, 520 dial b", 0);
        unannounced("0 here, 10 drain 400 -, 410 cut, 410 dial b, 410 fail, 1410 dial c", 1);
        unannounced("0 here, 10 close 3001, 510 dial b", 1);
        unannounced("0 here, 10 end, 510 dial b, 600 refuse 113 4000", 2);
    }

    #[test]
    fn a_node_that_says_nothing_to_one_who_waits_is_probed_and_left() {
        check("0 here, 9000 none, 9000 ask, 12000 none, 12300 pump, 15000 none, 15600 cut, 16100 dial b");
        check("0 here, 9000 ask, 12300 pump, 12400 hear, 15300 none, 15700 pump, 15800 hear, 15800 answer, 40000 none");
    }

    /// Session 0 of three targets: each step at its time in ms. `dial`, `cut`, `pump` and `none` are what is ordered by
    /// then. How many ends were unannounced.
    fn check(steps: &str) -> u64 {
        let target = |port: u16| Arc::new(Target::parse(&format!("ws://127.0.0.1:{port}"), SESSION_PATH).unwrap());
        let mut sessions = Reconnect::new((1..=3).map(target).collect(), 1, 7);
        let mut waits = false;
        for step in steps.split(", ") {
            let (at_ms, what) = step.split_once(' ').unwrap();
            let now_ns = at_ms.parse::<u64>().unwrap() * 1_000_000;
            let words: Vec<&str> = what.split(' ').collect();
            match words[..] {
                ["here"] => {
                    sessions.connecting(0, now_ns);
                    sessions.connected(0, Retry::default(), now_ns);
                }
                ["end"] => assert!(sessions.lost(0, &Lost::End, now_ns), "{steps}"),
                ["close", code] => {
                    let code: u16 = code.parse().unwrap();
                    let lost = Lost::Closed { code: CloseCode::new(code), reason: String::new() };
                    assert_eq!(sessions.lost(0, &lost, now_ns), code < 3500, "{steps}");
                }
                ["fail"] => {
                    let address = "127.0.0.1:1".parse().unwrap();
                    assert!(sessions.unopened(0, &EngineError::Closed { address, number: 0 }, now_ns), "{steps}");
                }
                ["refuse", code, retry_after_ms] => {
                    let (code, retry_after_ms) = (code.parse().unwrap(), retry_after_ms.parse().unwrap());
                    sessions.connecting(0, now_ns);
                    let message = String::new();
                    sessions.refused(0, &ErrorReply { code, message, temporary: true, retry_after_ms }, now_ns);
                }
                ["drain", jitter_ms, url] => {
                    let url = (url != "-").then_some(url);
                    sessions.drained(0, jitter_ms.parse().unwrap(), url, now_ns);
                }
                ["ask"] => {
                    waits = true;
                    sessions.asked(0, now_ns);
                }
                ["hear"] => sessions.heard(0, now_ns),
                ["answer"] => waits = false,
                _ => {
                    let said = match sessions.order(now_ns, |_| waits) {
                        Some(Order::Dial { target, .. }) => match target.address.port() {
                            port @ 1..=3 => format!("dial {}", char::from(b'a' + port as u8 - 1)),
                            port => format!("dial {port}"),
                        },
                        Some(Order::Cut(_)) => "cut".to_owned(),
                        Some(Order::Pump(_)) => "pump".to_owned(),
                        None => "none".to_owned(),
                    };
                    assert_eq!(said, what, "{step} of {steps}");
                }
            }
        }
        sessions.unannounced
    }

    #[test]
    fn sessions_of_a_node_spread_over_the_others() {
        let target = |port: u16| Arc::new(Target::parse(&format!("ws://127.0.0.1:{port}"), SESSION_PATH).unwrap());
        let mut sessions = Reconnect::new((1..=3).map(target).collect(), 60, 7);
        let of_the_first = || (0..60).step_by(3);
        for number in of_the_first() {
            sessions.connecting(number, 0);
            sessions.connected(number, Retry::default(), 0);
            sessions.lost(number, &Lost::End, 0);
        }
        let mut dialled = BTreeMap::new();
        while let Some(Order::Dial { target, .. }) = sessions.order(SECOND_NS, |_| false) {
            *dialled.entry(target.address.port()).or_insert(0) += 1;
        }
        assert_eq!(dialled, [(2, 10), (3, 10)].into());
    }

    #[test]
    fn pauses_are_random_and_spread() {
        let target = Arc::new(Target::parse("ws://127.0.0.1:1", SESSION_PATH).unwrap());
        let mut sessions = Reconnect::new(vec![target], 1_000, 7);
        for number in 0..1_000 {
            sessions.connecting(number, 0);
            sessions.connected(number, Retry::default(), 0);
            sessions.lost(number, &Lost::End, 0);
        }
        let due = |sessions: &mut Reconnect, ms: u64| {
            std::iter::from_fn(|| sessions.order(ms * 1_000_000, |_| false)).count()
        };
        let early = due(&mut sessions, 250);
        assert!((400..600).contains(&early), "{early} of 1,000 within half of the first pause");
        assert_eq!(due(&mut sessions, 500), 1_000 - early);
    }
}
