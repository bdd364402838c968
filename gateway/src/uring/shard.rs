//! The loop of one shard: enter, complete, take a turn, send, and sleep only if nobody has anything to do.
//!
//! Owns the order of a turn and the decision to sleep. Upholds I12: the shard waits only if nobody called since it last
//! looked, and in the system call that would return at once if the kernel had anything for it.

use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use super::Config;
use super::conn::Phase;
use super::error::DriverError;
use super::handler::{Closed, Handler};
use super::ring::Completion;
use super::slab::{ConnId, Op};
use super::sockets::Sockets;
use super::wake::Sleeper;

/// Turns for which the kernel may take to complete what was cancelled at the end.
const LAST_TURNS_MAX: u32 = 1000;

/// Completions after which what they made the driver itself say, echoes and pongs, is sent before the next are looked at.
const COMPLETIONS_A_SUBMISSION: u32 = 24;
/// A turn of this length is felt by those who wait for the store.
const LONG: Duration = Duration::from_millis(1);
/// A turn of this length keeps every client of the shard waiting.
const STALL: Duration = Duration::from_millis(100);
/// How often that is said in the log.
const STALLS_TOLD_EACH: Duration = Duration::from_secs(10);

pub(super) struct Shard<H> {
    pub(super) sockets: Sockets,
    pub(super) handler: H,
    pub(super) config: Config,
    sleeper: Sleeper,
    /// When it was last said that a turn took long.
    stall_told: Option<Instant>,
}

impl<H: Handler> Shard<H> {
    pub(super) fn new(config: Config, sleeper: Sleeper, sockets: Sockets, handler: H) -> Self {
        Shard { sockets, handler, config, sleeper, stall_told: None }
    }

    /// Runs until the handler stopped it and its connections are gone.
    pub(super) async fn run(mut self) -> Result<H, DriverError> {
        self.run_turns().await.and_then(|()| self.end()).map_err(DriverError::io("entering the ring"))?;
        Ok(self.handler)
    }

    async fn run_turns(&mut self) -> io::Result<()> {
        self.read_calls();
        // The first turn is the handler's chance to ask for a timer.
        let (mut wanted, mut now) = (Some(self.sockets.started), self.sockets.started);
        while !self.is_over() {
            self.enter(wanted, now)?;
            let began = Instant::now();
            self.handler.between_turns().await;
            wanted = self.turn(began);
            now = Instant::now();
            self.note_stall(began, now);
        }
        Ok(())
    }

    /// Submits what the last turn queued and fetches what completed; waits for it if nobody has anything to do.
    fn enter(&mut self, wanted: Option<Instant>, now: Instant) -> io::Result<()> {
        let has_work = !self.sockets.dirty.is_empty()
            || !self.sockets.resumed.is_empty()
            || wanted.is_some_and(|wanted| wanted <= now);
        if !has_work && self.sleeper.try_sleep() {
            self.sockets.counters.waits += 1;
            if let Some(wanted) = wanted {
                self.sockets.ring.alarm(wanted, now, Op::Alarm.alone(), Op::Cancel.alone());
            }
            self.sockets.ring.enter_and_wait()?;
        } else {
            self.sockets.ring.enter()?;
        }
        // Before the handler looks into its mailboxes, and after the system call, to see as many calls as possible.
        self.sleeper.awake();
        self.sockets.ring.reap();
        Ok(())
    }

    /// Handles what completed, lets the handler have its turn, queues the sends. Returns when the next turn is wanted.
    fn turn(&mut self, now: Instant) -> Option<Instant> {
        self.sockets.counters.turns += 1;
        self.sockets.now_s = self.seconds(now);
        let mut handled = 0;
        // All that has come: the handler judges who was silent.
        while let Some(completion) = self.sockets.ring.next() {
            self.complete(completion);
            self.tell_closed();
            handled += 1;
            if handled % COMPLETIONS_A_SUBMISSION == 0 {
                self.sockets.flush();
                self.sockets.ring.submit();
            }
        }
        for _ in 0..self.sockets.resumed.len() {
            let Some(id) = self.sockets.resumed.pop_front() else { break };
            self.resume(id);
        }
        self.check_due();
        self.tell_closed();
        let wanted = self.handler.on_turn(&mut self.sockets, now);
        self.tell_closed();
        self.sockets.arm_accept(now);
        self.sockets.flush();
        let deadlines = [wanted, self.next_check(), self.sockets.acceptor.paused_until(), self.sockets.stop_at];
        deadlines.into_iter().flatten().min()
    }

    /// Tells of a turn that was too long. Nothing is waited for in one, so none should be.
    fn note_stall(&mut self, began: Instant, ended: Instant) {
        let took = ended - began;
        self.sockets.counters.long_turns += u64::from(took >= LONG);
        if took < STALL {
            return;
        }
        self.sockets.counters.stalls += 1;
        if self.stall_told.is_none_or(|told| told + STALLS_TOLD_EACH <= began) {
            self.stall_told = Some(began);
            let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(
                took_ms,
                "a turn of this shard took long, or the machine had no time for it: no client was served"
            );
        }
    }

    fn read_calls(&mut self) {
        self.sockets.ring.read_calls(self.sleeper.eventfd().as_raw_fd(), Op::Calls.alone());
    }

    fn complete(&mut self, completion: Completion) {
        let (op, id) = self.sockets.conns.resolve(completion.user_data);
        match (op, id) {
            (Op::Accept, _) => self.sockets.accepted(completion.result, completion.more()),
            (Op::Calls, _) => self.read_calls(),
            (Op::Alarm, _) => self.sockets.ring.alarmed(),
            (Op::Recv, id) => self.received(id, completion),
            (Op::Poll, Some(id)) => self.polled(id),
            (Op::Send, Some(id)) => self.sent(id, completion),
            (Op::Cancel, _) => {}
            (Op::Poll | Op::Send, None) => self.sockets.counters.stale += 1,
        }
    }

    fn tell_closed(&mut self) {
        while let Some((id, why)) = self.sockets.closed.pop_front() {
            tracing::debug!(conn = %id, ?why, "connection closed");
            self.handler.on_closed(&mut self.sockets, id, why);
        }
    }

    fn check_due(&mut self) {
        let now_s = self.sockets.now_s;
        while let Some((at_s, due)) = self.sockets.wheel.pop_due(u64::from(now_s)) {
            for id in due {
                if self.sockets.conns.get(id).is_some_and(|conn| u64::from(conn.check_s) == at_s) {
                    self.check(id);
                }
            }
        }
    }

    /// Looks at one connection whose time has come.
    fn check(&mut self, id: ConnId) {
        let Some(conn) = self.sockets.conns.get(id) else { return };
        match conn.phase {
            Phase::Handshake | Phase::Draining | Phase::Lingering => self.sockets.tear_down(id),
            Phase::CloseSent => self.sockets.drain(id),
            // One that is idle already is looked at no more.
            Phase::Open if conn.flags.idle => {}
            Phase::Open => {
                let (now_s, idle_s) = (self.sockets.now_s, self.sockets.now_s - conn.heard_s);
                if conn.requests.recv && idle_s >= self.config.idle_after_s {
                    self.sockets.idle(id);
                } else {
                    let left_s = self.config.idle_after_s.saturating_sub(idle_s).max(1);
                    self.sockets.check_at(id, now_s + left_s);
                }
            }
            Phase::Dead => {}
        }
    }

    fn seconds(&self, now: Instant) -> u32 {
        u32::try_from((now - self.sockets.started).as_secs()).expect("a shard lives less than 136 years")
    }

    fn next_check(&self) -> Option<Instant> {
        let due_s = self.sockets.wheel.first_before(u64::MAX)?;
        Some(self.sockets.started + Duration::from_secs(due_s))
    }

    fn is_over(&self) -> bool {
        self.sockets.stop_at.is_some_and(|stop_at| self.sockets.conns.len() == 0 || stop_at <= Instant::now())
    }

    /// Ends what is left, and gives the kernel time to let go of it.
    fn end(&mut self) -> io::Result<()> {
        let ids: Vec<ConnId> = self.sockets.conns.ids().collect();
        for id in ids {
            self.sockets.announce_closed(id, Closed::Stopped);
            self.sockets.tear_down(id);
        }
        for _ in 0..LAST_TURNS_MAX {
            self.tell_closed();
            if self.sockets.conns.len() == 0 && !self.sockets.acceptor.is_armed() {
                break;
            }
            self.sockets.ring.enter()?;
            self.sockets.ring.reap();
            while let Some(completion) = self.sockets.ring.next() {
                self.complete(completion);
            }
        }
        Ok(())
    }
}
