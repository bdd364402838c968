//! Deadlines of a session, and the warnings before them.
//!
//! Owns its deadlines: login, silence, a stalled socket, the token, a question without an answer, the end of its node.
//! Which of them is due when its timer fires has been forgotten, so each is looked at.

use schema::limits::{LOGIN_MS, PING_MS, RETRY_BASE_MS, SILENCE_MS, SLOW_MS, TOKEN_EXPIRING_MS};
use schema::{CloseCode, ErrorCode, Instant, Now, Push, Refusal, UnixMs};

use super::{Session, ShardContext, Stage};

impl Session {
    /// The node stops: nothing more is read, and the session closes when its commands are answered.
    pub(crate) fn drain(&mut self, deadline_ms: UnixMs, context: &mut ShardContext<'_>) {
        if !self.draining {
            self.draining = true;
            if self.is_live() {
                self.push(Push::Drain { deadline_ms, jitter_ms: RETRY_BASE_MS, url: None }, context);
            }
        }
        if self.admission.is_idle() {
            self.close(CloseCode::GoingAway);
        }
    }

    /// The node stops now.
    pub(crate) fn go_away(&mut self) {
        self.close(CloseCode::GoingAway);
    }

    /// A deadline may be due.
    pub(crate) fn tick(&mut self, context: &mut ShardContext<'_>) {
        let now = context.now;
        self.release_cold(now.mono);
        self.tick_presence(context);
        self.tick_feeds(context);
        match &self.stage {
            &Stage::Anonymous { opened_at, refused_for_now } if now.mono >= opened_at.plus_ms(LOGIN_MS) => {
                return self.close(login_is_late(refused_for_now));
            }
            Stage::Connecting(connecting) if now.mono >= connecting.opened_at.plus_ms(LOGIN_MS) => {
                let refusal = Refusal::new(ErrorCode::StorageUnavailable, "the store did not answer in time");
                self.answer(connecting.request, Err(refusal), context);
                return self.close(login_is_late(true));
            }
            Stage::Anonymous { .. } | Stage::Connecting(_) | Stage::Live(_) => {}
        }
        if now.mono >= self.heard_at.plus_ms(SILENCE_MS) && self.reads_on {
            return self.close(CloseCode::NoLife);
        }
        if self.outbound.stalled_since().is_some_and(|since| now.mono >= since.plus_ms(SLOW_MS)) {
            return self.close(CloseCode::Slow);
        }
        if now.mono >= self.heard_at.plus_ms(PING_MS) && !self.pinged {
            self.pinged = true;
            context.effects.ping(self.conn);
        }
        let Stage::Live(live) = &mut self.stage else { return };
        if live.inbox.due().is_some_and(|due| now.mono >= due) {
            live.inbox.forget_question();
        }
        let expires_ms = live.expires_ms;
        if now.wall >= expires_ms {
            return self.close(CloseCode::TokenExpired);
        }
        if now.wall.plus_ms(TOKEN_EXPIRING_MS) >= expires_ms && !live.told_expiring {
            live.told_expiring = true;
            self.push(Push::TokenExpiring { expires_ms }, context);
        }
        self.ask(context);
    }

    /// When [`tick`](Self::tick) is next wanted.
    pub(crate) fn due(&self, now: Now) -> Instant {
        let silence_ms = if self.pinged { SILENCE_MS } else { PING_MS };
        // While its socket is not read a session cannot be heard; its other deadlines go on.
        let mut due = if self.reads_on { self.heard_at.plus_ms(silence_ms) } else { now.mono.plus_ms(SILENCE_MS) };
        if let Some(since) = self.outbound.stalled_since() {
            due = due.min(since.plus_ms(SLOW_MS));
        }
        if let Some(cold) = self.cold.as_deref() {
            due = due.min(cold.due(self.outbound.is_below_target()).unwrap_or(due));
        }
        match &self.stage {
            Stage::Anonymous { opened_at, .. } => due.min(opened_at.plus_ms(LOGIN_MS)),
            Stage::Connecting(connecting) => due.min(connecting.opened_at.plus_ms(LOGIN_MS)),
            Stage::Live(live) => {
                due = due.min(live.inbox.due().unwrap_or(due));
                let warn_ms = if live.told_expiring { 0 } else { TOKEN_EXPIRING_MS };
                let left_ms = live.expires_ms.since_ms(now.wall).saturating_sub(warn_ms);
                due.min(now.mono.plus_ms(left_ms))
            }
        }
    }
}

/// A client that did its part comes back by itself: 3502 would keep it away for good over a store that was away for 10
/// s.
fn login_is_late(is_ours: bool) -> CloseCode {
    if is_ours { CloseCode::Internal } else { CloseCode::NotAuthenticated }
}
