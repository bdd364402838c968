//! Departure of a node that serves: it hands over what it owns, sends its clients elsewhere and waits for its shards.
//!
//! Owns how long each may take, and where clients are sent. Housekeeping goes on meanwhile, and so does the heartbeat:
//! until its last session is gone the node is one of the cluster. Whatever else ends it makes it short.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use api::{Node as _, Peer, Peers, ws_address};
use router::Drain;
use schema::Incarnation;
use schema::limits::{DRAIN_JITTER_MS_MAX, DRAIN_MS_A_SESSION, RETRY_BASE_MS};
use tokio::time::{sleep, timeout_at};

use crate::runtime::{self, Commander};

use super::heartbeat::Heartbeat;
use super::shutdown::{End, Shutdown};
use super::state::NodeState;
use super::stopping;

/// Time that sessions may take to finish what is under way when they are closed. With the time that connections take to
/// close, that HTTP takes and that the store takes, a node that is alone stops within 10 s.
const DRAIN_MS: u64 = 4_000;
/// The same for a node that was taken over: nothing that is under way there can succeed.
const FENCED_DRAIN_MS: u64 = 1_000;
/// How long a node that stops may take to hand its partitions over, in as many views as its share has eighths.
const HAND_OVER: Duration = Duration::from_secs(30);
/// How often it is looked whether all shards have ended.
const LOOK: Duration = Duration::from_millis(20);
/// Clients are sent to a node that has more than a tenth of its places left, if there is one.
const FULL: f32 = 0.9;

pub(super) struct Departure<'a, H> {
    pub(super) shutdown: &'a mut Shutdown,
    pub(super) state: &'a NodeState,
    pub(super) commander: &'a Commander,
    /// A round of it.
    pub(super) housekeep: H,
}

impl<H: FnMut()> Departure<'_, H> {
    /// Hands over what this node owns. Returns what else ends it, if something does meanwhile.
    pub(super) fn hand_over(&mut self, heartbeat: &Heartbeat, me: Incarnation) -> Option<End> {
        let until = Instant::now() + HAND_OVER;
        loop {
            let work = async { timeout_at(until.into(), heartbeat.hand_over(me)).await };
            match self.shutdown.wait(work, &mut self.housekeep) {
                Ok(Ok(())) => return None,
                Ok(Err(_)) => {
                    tracing::warn!("could not hand everything over in time: the others take it after the lease");
                    return None;
                }
                // It is on its way.
                Err(End::Asked(_)) => {}
                Err(end) => return Some(stopping(end, self.state)),
            }
        }
    }

    /// Brings every session to its end and waits until no shard is left.
    pub(super) fn drain(&mut self, drain: Drain, shards: Vec<JoinHandle<()>>) {
        let Drain { jitter_ms, urls, .. } = &drain;
        if !urls.is_empty() {
            let sessions = self.state.counts().sessions();
            tracing::info!(sessions, jitter_ms, "sends its clients to other nodes");
        }
        self.commander.drain(drain);
        loop {
            let work = async {
                while !shards.iter().all(JoinHandle::is_finished) {
                    sleep(LOOK).await;
                }
            };
            match self.shutdown.wait(work, &mut self.housekeep) {
                Ok(()) => break,
                // One that has nothing more to do, or the wish that is being fulfilled.
                Err(End::Shard(_, None) | End::Asked(_)) => {}
                Err(end) => {
                    drop(stopping(end, self.state));
                    self.commander.drain(Drain::alone(runtime::wall().plus_ms(FENCED_DRAIN_MS)));
                }
            }
        }
        for shard in shards {
            shard.join().expect("a shard that panics ends the process");
        }
    }

    /// What sessions are told where the node ends for this reason; none for what has failed.
    pub(super) fn farewell(&self, end: Option<&End>) -> Drain {
        let by = |ms: u64| runtime::wall().plus_ms(ms);
        match end {
            Some(End::Fenced | End::TakenOver(_)) => Drain::alone(by(FENCED_DRAIN_MS)),
            Some(End::Refused(_) | End::Shard(..)) | None => Drain::alone(by(DRAIN_MS)),
            Some(End::Asked(_) | End::Clock(_)) => {
                let urls = addresses(&self.state.peers());
                if urls.is_empty() {
                    return Drain::alone(by(DRAIN_MS));
                }
                let jitter_ms = jitter_ms(self.state.counts().sessions());
                Drain { deadline_ms: by(2 * u64::from(jitter_ms) + DRAIN_MS), jitter_ms, urls }
            }
        }
    }
}

/// Over how long so many sessions are to connect elsewhere.
fn jitter_ms(sessions: u64) -> u32 {
    let ms = u32::try_from(sessions).unwrap_or(u32::MAX).saturating_mul(DRAIN_MS_A_SESSION);
    ms.clamp(RETRY_BASE_MS, DRAIN_JITTER_MS_MAX)
}

/// Where clients are sent, in turn: to nodes of this one's region that have room, if there are any, and more often to
/// one that has more room.
fn addresses(peers: &Peers) -> Arc<[String]> {
    let region = peers.nodes.iter().find(|peer| peer.incarnation == peers.me).map(|me| me.region.as_str());
    let others = || peers.nodes.iter().filter(|peer| peer.incarnation != peers.me && !peer.is_draining);
    let has_room = |peer: &&Peer| peer.load < FULL;
    let is_near = |peer: &&Peer| Some(peer.region.as_str()) == region;
    let tiers: [Vec<&Peer>; 3] =
        [others().filter(has_room).filter(is_near).collect(), others().filter(has_room).collect(), others().collect()];
    let Some(chosen) = tiers.into_iter().find(|tier| !tier.is_empty()) else { return Arc::default() };
    // The tenths of its places that each has left, one round a tenth, and all in the first.
    let rounds = (0..10_u8).flat_map(|tenth| {
        let taken = 1.0 - f32::from(tenth) / 10.0;
        chosen.iter().filter(move |peer| tenth == 0 || peer.load < taken)
    });
    rounds.map(|peer| ws_address(&peer.ws_url)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Others as `name@region load`, `~` before one that goes too. How often each is told in a round, by name.
    fn check(others: &str, expected: &str) {
        let peer = |(number, words): (u64, &str)| {
            let (place, load) = words.split_once(' ').expect("a node and its load");
            let (name, region) = place.split_once('@').expect("name@region");
            Peer {
                incarnation: Incarnation(number),
                name: name.to_owned(),
                region: region.to_owned(),
                ws_url: name.trim_start_matches('~').to_owned(),
                api_url: String::new(),
                load: load.parse().expect("a part"),
                is_draining: name.starts_with('~'),
            }
        };
        let nodes = (1..).zip(["me@x 0.5"].into_iter().chain(others.split(", ").filter(|other| !other.is_empty())));
        let peers = Peers { me: Incarnation(1), view: None, nodes: nodes.map(peer).collect() };
        let mut counts = std::collections::BTreeMap::new();
        for url in &*addresses(&peers) {
            let name = url.strip_suffix("/connection/websocket").expect("the whole address");
            *counts.entry(name.to_owned()).or_insert(0) += 1;
        }
        let told: Vec<String> = counts.into_iter().map(|(name, count)| format!("{name}:{count}")).collect();
        assert_eq!(told.join(" "), expected, "{others}");
    }

    #[test]
    fn clients_are_sent_where_there_is_room_in_their_region_first() {
        check("", "");
        check("~a@x 0.1", "");
        check("a@x 0.05, b@y 0.0", "a:10");
        check("a@x 0.05, b@x 0.75", "a:10 b:3");
        check("a@x 0.95, b@y 0.5", "b:5");
        check("a@x 0.95, b@y 0.99", "a:1 b:1");
        check("~a@x 0.0, b@y 0.5", "b:5");
    }

    #[test]
    fn two_hundred_sessions_a_second_connect_elsewhere() {
        assert_eq!([0, 10, 100, 1_000, 100_000, u64::MAX].map(jitter_ms), [500, 500, 500, 5_000, 500_000, 600_000]);
    }
}
