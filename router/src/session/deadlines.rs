//! Deadlines of a session, and the warnings before them.
//!
//! Owns its deadlines: login, silence, a stalled socket, the token, a question without an answer, the end of its node.
//! Which of them is due when its timer fires has been forgotten, so each is looked at.

use schema::limits::{PING_ANSWER_MS, SLOW_MS};
use schema::{CloseCode, ErrorCode, Instant, Now, Push, Refusal};

use super::{Session, ShardContext};

impl Session {
    /// The node is going to stop. Who has a session is told, and goes by itself; who has none yet is closed at once.
    pub(crate) fn told_to_leave(&mut self, push: Push, context: &mut ShardContext<'_>) {
        if self.stage.user().is_some() && !self.is_call() {
            self.push(push, context);
        } else {
            self.leave();
        }
    }

    /// Nothing more is read, and the session closes when its commands are answered.
    pub(crate) fn leave(&mut self) {
        self.draining = true;
        if self.admission.is_idle() {
            self.close(CloseCode::GoingAway);
        }
    }

    /// A deadline may be due.
    pub(crate) fn tick(&mut self, context: &mut ShardContext<'_>) {
        let now = context.effects.now;
        self.release_cold(now.mono);
        self.tick_presence(context);
        self.tick_feeds(context);
        if let Some((request, code)) = self.stage.late(now.mono) {
            if let Some(id) = request {
                let refusal = Refusal::new(ErrorCode::StorageUnavailable, "the store did not answer in time");
                self.answer(id, Err(refusal), context);
            }
            return self.close(code);
        }
        if now.mono >= self.heard_at.plus_ms(context.ping_ms + PING_ANSWER_MS) && self.reads_on {
            return self.close(CloseCode::NoLife);
        }
        if self.outbound.stalled_since().is_some_and(|since| now.mono >= since.plus_ms(SLOW_MS)) {
            return self.close(CloseCode::Slow);
        }
        if now.mono >= self.heard_at.plus_ms(context.ping_ms) && !self.pinged {
            self.pinged = true;
            context.effects.ping(self.conn);
        }
        let has_waited = self.stage.inbox_mut().and_then(|(_, inbox)| inbox.due()).is_some_and(|due| now.mono >= due);
        match self.stage.expiring(now.wall) {
            Ok(None) => {}
            Ok(Some(expires_ms)) => self.push(Push::TokenExpiring { expires_ms }, context),
            Err(code) => return self.close(code),
        }
        if has_waited { self.ask_again(context) } else { self.ask(context) }
    }

    /// When [`tick`](Self::tick) is next wanted, where silence of `ping_ms` is answered by a ping.
    pub(crate) fn due(&self, now: Now, ping_ms: u64) -> Instant {
        let silence_ms = if self.pinged { ping_ms + PING_ANSWER_MS } else { ping_ms };
        // While its socket is not read a session cannot be heard; its other deadlines go on.
        let mut due =
            if self.reads_on { self.heard_at.plus_ms(silence_ms) } else { now.mono.plus_ms(ping_ms + PING_ANSWER_MS) };
        if let Some(since) = self.outbound.stalled_since() {
            due = due.min(since.plus_ms(SLOW_MS));
        }
        if let Some(cold) = self.cold.as_deref() {
            due = due.min(cold.due(self.outbound.is_below_target()).unwrap_or(due));
        }
        due.min(self.stage.due(now))
    }
}
