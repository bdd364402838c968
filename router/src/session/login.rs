//! Login of a session: from `connect` to following its inbox, and on with a new token.
//!
//! Owns the way of a login: to the store, at the pace of its shard, which says whose token it is, then to the account's home, which says where
//! the inbox goes on; and the way to another home, or to one that has forgotten the session, at the shard's pace. What the
//! answers lead to is [`stage`](super::stage)'s.

use schema::command::{ClientLimits, Connect, Connected, Retry};
use schema::mesh::Returning;
use schema::page::SessionStart;
use schema::{CloseCode, ErrorCode, Instant, Owner, Refusal, Reply, UserId};

use crate::counters::Counter;
use crate::effects::Effects;
use crate::io::ConnId;
use crate::logins::Later;
use crate::store::{Answer, Authenticate, Claims, Identity};

use super::stage::{Registered, ends_login};
use super::{Session, ShardContext};

/// A session that waits for what its token says.
#[derive(Debug)]
pub struct TokenWaiter {
    pub(crate) conn: ConnId,
    bearer: Bearer,
}

/// The command that bore the token.
#[derive(Debug)]
enum Bearer {
    Connect {
        asked_at: Instant,
    },
    /// The `connect` of a call: one read, which is nothing beside what a login asks of the store.
    Call,
    /// Under the client's number.
    Refresh(u32),
}

impl TokenWaiter {
    /// When the store was asked, if that is for a `connect`.
    pub(crate) fn login_asked_at(&self) -> Option<Instant> {
        match self.bearer {
            Bearer::Connect { asked_at } => Some(asked_at),
            Bearer::Call | Bearer::Refresh(_) => None,
        }
    }
}

impl Session {
    pub(super) fn connect(&mut self, id: u32, connect: Connect, context: &mut ShardContext<'_>) {
        let now = context.effects.now.mono;
        let token = match self.stage.connect(id, connect) {
            Ok(token) => token,
            Err(refusal) => return self.answer(id, Err(refusal), context),
        };
        if self.is_call() {
            return self.authenticate(token, Bearer::Call, context.effects);
        }
        match context.logins.begin(now, self.stage.login_until()) {
            Ok(()) => self.authenticate(token, Bearer::Connect { asked_at: now }, context.effects),
            Err(Later { retry_after_ms, is_too_late }) => {
                context.effects.count(Counter::Logins);
                let message = "more log in at once than can be served, connect again later";
                let refusal = Refusal::new(ErrorCode::Overloaded, message).after_ms(retry_after_ms);
                self.refuse_connect(refusal, context);
                if is_too_late {
                    self.turn_away(context);
                }
            }
        }
    }

    /// Its turn to log in would come when the time for it is over.
    pub(crate) fn turn_away(&mut self, context: &mut ShardContext<'_>) {
        context.effects.count(Counter::LateLogins);
        self.close(CloseCode::Overloaded);
    }

    pub(super) fn refresh(&self, id: u32, token: String, context: &mut ShardContext<'_>) {
        self.authenticate(token, Bearer::Refresh(id), context.effects);
    }

    fn authenticate(&self, token: String, bearer: Bearer, effects: &mut Effects) {
        effects.ask(Authenticate { token, conn: self.conn }, TokenWaiter { conn: self.conn, bearer });
    }

    /// The store has said whose token it is.
    pub(crate) fn authenticated(&mut self, answer: Answer<Authenticate>, context: &mut ShardContext<'_>) {
        let claims = answer.reply.and_then(|identity| match identity {
            Identity::Known(claims) => Ok(claims),
            Identity::Later(refusal) => Err(refusal),
        });
        match answer.waiter.bearer {
            Bearer::Connect { .. } => match claims.and_then(|claims| self.stage.identified(claims)) {
                Ok(()) => self.register(context.effects),
                Err(refusal) => self.refuse_connect(refusal, context),
            },
            Bearer::Call => match claims {
                Ok(claims) => self.called(&claims, context),
                Err(refusal) => self.refuse_connect(refusal, context),
            },
            Bearer::Refresh(id) => {
                let reply = claims.and_then(|claims| self.refreshed(&claims, context.effects));
                self.answer(id, reply, context);
            }
        }
    }

    /// The bearer of a call is known: it asks from here on.
    fn called(&mut self, claims: &Claims, context: &mut ShardContext<'_>) {
        if self.draining {
            // It has asked nothing yet.
            return self.close(CloseCode::GoingAway);
        }
        let (request, user) = self.stage.called(claims);
        self.welcome(request, user, String::new(), context);
        self.stage.calls(user);
    }

    /// Answers `connect`.
    fn welcome(&mut self, request: u32, user_id: UserId, cursor: String, context: &mut ShardContext<'_>) {
        let connected = Connected {
            user_id,
            session_id: self.id,
            server_time_ms: context.effects.now.wall,
            ping_ms: context.ping_ms,
            limits: ClientLimits::default(),
            cursor,
            retry: Retry::default(),
        };
        self.answer(request, Ok(Reply::Connect(connected)), context);
    }

    /// A new token is known. If it is of another login the home is told, which ends sessions by their logins.
    fn refreshed(&mut self, claims: &Claims, effects: &mut Effects) -> Result<Reply, Refusal> {
        if self.stage.refreshed(claims)? {
            self.register(effects);
        }
        Ok(Reply::Refresh { expires_ms: claims.expires_ms })
    }

    /// Tells the home who this is, and from where it goes on.
    pub(super) fn register(&mut self, effects: &mut Effects) {
        self.attempt = self.attempt.wrapping_add(1).max(1);
        if let Some((user, register)) = self.stage.registration(self.id, self.attempt.into()) {
            effects.mesh(effects.placement.home_of_user(user), register);
        }
    }

    /// Its turn to be registered again has come: a `connect` says who it is again, a live session comes back as it is.
    pub(crate) fn rejoin(&mut self, context: &mut ShardContext<'_>) -> Option<Returning> {
        let now = context.effects.now;
        if let Some(user) = self.stage.connecting_user() {
            context.rejoins.asked(now.mono, self.conn, user);
            self.register(context.effects);
            return None;
        }
        let credit_bytes = self.outbound.credit_bytes(context.outbound);
        self.attempt = self.attempt.wrapping_add(1).max(1);
        let returning = self.stage.returning(now, (self.id, self.attempt.into()), credit_bytes)?;
        context.rejoins.asked(now.mono, self.conn, returning.user);
        Some(returning)
    }

    /// The connection stays open for another try, unless the same would come of it.
    fn refuse_connect(&mut self, refusal: Refusal, context: &mut ShardContext<'_>) {
        let request = self.stage.refused(&refusal);
        let close = ends_login(refusal.code);
        self.answer(request, Err(refusal), context);
        if let Some(code) = close {
            self.close(code);
        }
    }

    /// The account's home has taken the session on, or not. What answers an earlier word counts no longer, nor does an
    /// earlier home's own.
    pub(crate) fn registered(
        &mut self,
        (from, attempt): (Owner, u32),
        start: Result<SessionStart, Refusal>,
        context: &mut ShardContext<'_>,
    ) {
        let now = context.effects.now.mono;
        let home = self.stage.registered_user().map(|user| context.effects.placement.home_of_user(user));
        let counts =
            if attempt == 0 { home == Some(from) && start.is_err() } else { attempt == u32::from(self.attempt) };
        if !counts {
            return;
        }
        match self.stage.registered(context.effects.now.mono, start) {
            Registered::Stale => {}
            Registered::Live { request, user: user_id, cursor } => {
                self.welcome(request, user_id, cursor.to_string(), context);
                self.ask(context);
            }
            Registered::Refused(refusal) => self.refuse_connect(refusal, context),
            Registered::Moving(user) => context.rejoins.refused(now, self.conn, user),
            Registered::Again => {
                if !context.rejoins.forget(self.conn)
                    && let Some((_, inbox)) = self.stage.inbox_mut()
                {
                    // It was noted anew, and its question is forgotten.
                    inbox.forget_question();
                }
                self.ask(context);
            }
            Registered::Forgotten(user, refusal) => match refusal.code {
                ErrorCode::Moving => {
                    self.stage.forgotten();
                    context.rejoins.refused(now, self.conn, user);
                }
                // If its home knows it, it says so again when it is asked again.
                ErrorCode::StorageUnavailable | ErrorCode::Overloaded if self.stage.is_known() => {}
                ErrorCode::StorageUnavailable | ErrorCode::Overloaded => {
                    self.stage.forgotten();
                    context.rejoins.refused(now, self.conn, user);
                }
                ErrorCode::LimitExceeded => self.close(CloseCode::TooManyConnections),
                ErrorCode::Unauthenticated => self.close(CloseCode::Kicked),
                _ => self.close(CloseCode::Internal),
            },
        }
    }
}
