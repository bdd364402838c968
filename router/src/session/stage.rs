//! Stage of a session: before its login, within it, and live; or a call, whose bearer is all that is known.
//!
//! Owns whose session it is and the order of a login: what a token's bearer may be, and what the answers of the store
//! and of the account's home lead to. A live session whose home is another now asks nothing until that knows it. It knows
//! no connection: what is to be said or asked comes back as a value.

use schema::command::Connect;
use schema::limits::{LOGIN_MS, MORE_AGAIN_MS, TOKEN_EXPIRING_MS};
use schema::mesh::{MeshBody, Returning};
use schema::page::SessionStart;
use schema::{CloseCode, Cursor, DeviceId, ErrorCode, Instant, Now, Refusal, SessionId, Stamp, UnixMs, UserId};

use crate::store::Claims;
use crate::timers::NEVER;

use super::cursor::InboxCursor;

/// Seconds between two reports to the home that somebody uses the device.
const ACTIVE_S: u32 = 60;

/// The stage, in 24 bytes; the rest of it is boxed.
#[derive(Debug)]
pub(super) struct Stage(At);

#[derive(Debug)]
enum At {
    /// No `connect` since the connection was opened, or only such as were refused, the last one perhaps for now.
    Anonymous { opened_at: Instant, refused_for_now: bool },
    /// `connect` is under way.
    Connecting(Box<Connecting>),
    /// The session follows its inbox.
    Live(Box<Live>),
    /// The bearer of a call is known.
    Calling(UserId),
}

#[derive(Debug)]
struct Connecting {
    opened_at: Instant,
    request: u32,
    device: DeviceId,
    client: Option<String>,
    cursor: Option<Cursor>,
    /// Known once the token is.
    claims: Option<Claims>,
}

#[derive(Debug)]
pub(super) struct Live {
    user: UserId,
    device: DeviceId,
    /// The login that its token is of.
    family: u64,
    expires_ms: UnixMs,
    is_expiry_told: bool,
    /// Whether its home knows it, as far as it is known here.
    is_known: bool,
    /// The transaction that noted its device's connect, by which homes tell the newest session of a device.
    stamp: Stamp,
    inbox: InboxCursor,
    /// When its home was last told that somebody uses the device, in seconds of the shard's clock.
    said_active_s: u32,
}

/// The outcome of the home's answer to a registration.
#[derive(Debug)]
pub(super) enum Registered {
    /// Nobody waits for it: its attempt has ended, or it came before it was asked for.
    Stale,
    /// The session is live: the number of its `connect`, its account and where its inbox goes on.
    Live { request: u32, user: UserId, cursor: Cursor },
    /// The `connect` is refused.
    Refused(Refusal),
    /// The account of the `connect` has another home.
    Moving(UserId),
    /// The live session is known again.
    Again,
    /// The home does not know the live session of this account, or cannot serve it.
    Forgotten(UserId, Refusal),
}

impl Stage {
    pub(super) fn new(now: Instant) -> Self {
        Self(At::Anonymous { opened_at: now, refused_for_now: false })
    }

    /// The account, once the login is done.
    pub(super) fn user(&self) -> Option<UserId> {
        match &self.0 {
            At::Live(live) => Some(live.user),
            At::Calling(user) => Some(*user),
            At::Anonymous { .. } | At::Connecting(_) => None,
        }
    }

    /// The account, once it is known to its home.
    pub(super) fn registered_user(&self) -> Option<UserId> {
        match &self.0 {
            At::Connecting(connecting) => connecting.claims.as_ref().map(|claims| claims.user),
            At::Live(live) => Some(live.user),
            At::Anonymous { .. } | At::Calling(_) => None,
        }
    }

    /// The account and its inbox's cursor, once the login is done.
    pub(super) fn inbox_mut(&mut self) -> Option<(UserId, &mut InboxCursor)> {
        let At::Live(live) = &mut self.0 else { return None };
        Some((live.user, &mut live.inbox))
    }

    /// A `connect` begins a login, under this number. Returns the token, whose bearer is to be known.
    pub(super) fn connect(&mut self, request: u32, connect: Connect) -> Result<String, Refusal> {
        let At::Anonymous { opened_at, ref mut refused_for_now } = self.0 else {
            return Err(Refusal::new(ErrorCode::BadRequest, "a connect was sent before"));
        };
        *refused_for_now = false;
        let Connect { token, device_id: device, cursor, client, .. } = connect;
        let cursor = cursor.as_deref().map(str::parse::<Cursor>).transpose().map_err(|error| {
            let message = format!("{error}: forget it and what is cached, and connect without one");
            Refusal::new(ErrorCode::BadCursor, message)
        })?;
        // A user is shown it among the devices. An empty one says nothing.
        if client.as_deref().is_some_and(|client| !client.is_empty() && !schema::text::is_name(client)) {
            let message = "client is one line with a visible character, without controls or overrides of direction";
            return Err(Refusal::new(ErrorCode::BadRequest, message));
        }
        self.0 = At::Connecting(Box::new(Connecting { opened_at, request, device, client, cursor, claims: None }));
        Ok(token)
    }

    /// Until when a login may take, of one that is not live yet.
    ///
    /// # Panics
    /// If it is live.
    pub(super) fn login_until(&self) -> Instant {
        let opened_at = match &self.0 {
            At::Anonymous { opened_at, .. } => *opened_at,
            At::Connecting(connecting) => connecting.opened_at,
            At::Live(_) | At::Calling(_) => panic!("I12: a login of {self:?}"),
        };
        opened_at.plus_ms(LOGIN_MS)
    }

    /// The token of `connect` is known: its home may be told.
    ///
    /// # Panics
    /// If no login is under way.
    pub(super) fn identified(&mut self, claims: Claims) -> Result<(), Refusal> {
        let At::Connecting(connecting) = &mut self.0 else { panic!("I12: identified in {self:?}") };
        if claims.device.as_ref().is_some_and(|bound| *bound != connecting.device) {
            return Err(Refusal::new(ErrorCode::Unauthenticated, "the token is bound to another device_id"));
        }
        connecting.claims = Some(claims);
        Ok(())
    }

    /// The token of a call's `connect` is known. Returns the number of that and the account; [`Self::calls`] is to follow.
    ///
    /// # Panics
    /// If no login is under way.
    pub(super) fn called(&self, claims: &Claims) -> (u32, UserId) {
        let At::Connecting(connecting) = &self.0 else { panic!("I12: called in {self:?}") };
        (connecting.request, claims.user)
    }

    /// What comes is asked by this account.
    pub(super) fn calls(&mut self, user: UserId) {
        self.0 = At::Calling(user);
    }

    /// The login is refused. Returns the number of its `connect`; another may be sent.
    ///
    /// # Panics
    /// If none is under way.
    pub(super) fn refused(&mut self, refusal: &Refusal) -> u32 {
        let At::Connecting(connecting) = &self.0 else { panic!("I12: a connect is refused in {self:?}") };
        let (opened_at, request) = (connecting.opened_at, connecting.request);
        self.0 = At::Anonymous { opened_at, refused_for_now: refusal.code.is_temporary() };
        request
    }

    /// The account's home has taken the session on, or not.
    pub(super) fn registered(&mut self, now: Instant, start: Result<SessionStart, Refusal>) -> Registered {
        match (&mut self.0, start) {
            (At::Anonymous { .. } | At::Calling(_), _) => Registered::Stale,
            (At::Connecting(connecting), _) if connecting.claims.is_none() => Registered::Stale,
            (At::Connecting(connecting), Ok(SessionStart { cursor, stamp })) => {
                let Claims { user, family, expires_ms, .. } = connecting.claims.take().expect("checked above");
                let (request, device) = (connecting.request, connecting.device.clone());
                self.0 = At::Live(Box::new(Live {
                    user,
                    device,
                    family,
                    expires_ms,
                    is_expiry_told: false,
                    is_known: true,
                    stamp,
                    inbox: InboxCursor::new(cursor),
                    // To connect is to use it, and the home knows.
                    said_active_s: seconds(now),
                }));
                Registered::Live { request, user, cursor }
            }
            (At::Connecting(connecting), Err(refusal)) => match &connecting.claims {
                Some(claims) if refusal.code == ErrorCode::Moving => Registered::Moving(claims.user),
                Some(_) | None => Registered::Refused(refusal),
            },
            (At::Live(live), Ok(SessionStart { stamp, .. })) => {
                live.is_known = true;
                live.stamp = live.stamp.max(stamp);
                Registered::Again
            }
            (At::Live(live), Err(refusal)) => Registered::Forgotten(live.user, refusal),
        }
    }

    /// Whether a live session's home knows it.
    pub(super) fn is_known(&self) -> bool {
        matches!(&self.0, At::Live(live) if live.is_known)
    }

    /// The home of a live session does not know it: what it was asked is not answered. Returns the account.
    pub(super) fn forgotten(&mut self) -> Option<UserId> {
        let At::Live(live) = &mut self.0 else { return None };
        live.is_known = false;
        live.inbox.forget_question();
        Some(live.user)
    }

    /// The account of a `connect` whose bearer is known.
    pub(super) fn connecting_user(&self) -> Option<UserId> {
        let At::Connecting(connecting) = &self.0 else { return None };
        connecting.claims.as_ref().map(|claims| claims.user)
    }

    /// The first word of a session to its home: that of a `connect` again, or of a live session's that is to be noted
    /// anew, with another login.
    pub(super) fn registration(&self, session: SessionId, attempt: u32) -> Option<(UserId, MeshBody)> {
        let (user, device, family, client, cursor) = match &self.0 {
            At::Anonymous { .. } | At::Calling(_) => return None,
            At::Connecting(connecting) => {
                let claims = connecting.claims.as_ref()?;
                let (device, client) = (connecting.device.clone(), connecting.client.clone());
                (claims.user, device, claims.family, client, connecting.cursor)
            }
            At::Live(live) => (live.user, live.device.clone(), live.family, None, Some(live.inbox.at())),
        };
        Some((user, MeshBody::Register { session, user, device, family, client, cursor, attempt }))
    }

    /// A live session's word to a home that does not know it, with its question if there is room for an answer.
    pub(super) fn returning(
        &mut self,
        now: Now,
        (session, attempt): (SessionId, u32),
        credit_bytes: u32,
    ) -> Option<Returning> {
        let At::Live(live) = &mut self.0 else { return None };
        let question = live.inbox.question(session, live.user, credit_bytes, now.mono.plus_ms(MORE_AGAIN_MS));
        let idle_ms = u64::from(seconds(now.mono) - live.said_active_s) * 1_000;
        Some(Returning {
            session,
            user: live.user,
            device: live.device.clone(),
            family: live.family,
            stamp: live.stamp,
            cursor: live.inbox.at(),
            used_ms: UnixMs(now.wall.0.saturating_sub(idle_ms)),
            credit_bytes: question.map_or(0, |question| question.credit_bytes),
            snapshot: live.inbox.snapshot(),
            attempt,
        })
    }

    /// A new token of a live session is known: it must be of the same account, and of this device if of any. Returns
    /// whether it is of another login.
    ///
    /// # Panics
    /// If the session is not live.
    pub(super) fn refreshed(&mut self, claims: &Claims) -> Result<bool, Refusal> {
        let At::Live(live) = &mut self.0 else { panic!("I12: refreshed in {self:?}") };
        let is_ours = claims.user == live.user && claims.device.as_ref().is_none_or(|device| *device == live.device);
        if !is_ours {
            let message = "the token is not of this session's user and device";
            return Err(Refusal::new(ErrorCode::Unauthenticated, message));
        }
        live.expires_ms = claims.expires_ms;
        live.is_expiry_told = false;
        Ok(std::mem::replace(&mut live.family, claims.family) != claims.family)
    }

    /// Somebody uses the device. Returns the account, if its home is to be told.
    pub(super) fn used(&mut self, now: Instant) -> Option<UserId> {
        let (At::Live(live), now_s) = (&mut self.0, seconds(now)) else { return None };
        let is_due = now_s >= live.said_active_s + ACTIVE_S;
        if is_due {
            live.said_active_s = now_s;
        }
        is_due.then_some(live.user)
    }

    /// Whether the login has taken too long: the `connect` that is not answered yet, and how the session closes. A
    /// client that did its part comes back by itself: 3502 would keep it away for good over a store that was away for
    /// 10 s.
    pub(super) fn late(&self, now: Instant) -> Option<(Option<u32>, CloseCode)> {
        let (opened_at, request, is_ours) = match &self.0 {
            &At::Anonymous { opened_at, refused_for_now } => (opened_at, None, refused_for_now),
            At::Connecting(connecting) => (connecting.opened_at, Some(connecting.request), true),
            At::Live(_) | At::Calling(_) => return None,
        };
        let code = if is_ours { CloseCode::Internal } else { CloseCode::NotAuthenticated };
        (now >= opened_at.plus_ms(LOGIN_MS)).then_some((request, code))
    }

    /// Looks at the token of a live session. Returns when it expires if its client is to be warned of that, which is
    /// once; an error if it has expired.
    pub(super) fn expiring(&mut self, now: UnixMs) -> Result<Option<UnixMs>, CloseCode> {
        let At::Live(live) = &mut self.0 else { return Ok(None) };
        if now >= live.expires_ms {
            return Err(CloseCode::TokenExpired);
        }
        let warns = now.plus_ms(TOKEN_EXPIRING_MS) >= live.expires_ms && !live.is_expiry_told;
        live.is_expiry_told |= warns;
        Ok(warns.then_some(live.expires_ms))
    }

    /// When its next deadline is, of the login, of the token or of a question to the home.
    pub(super) fn due(&self, now: Now) -> Instant {
        match &self.0 {
            At::Anonymous { opened_at, .. } => opened_at.plus_ms(LOGIN_MS),
            At::Connecting(connecting) => connecting.opened_at.plus_ms(LOGIN_MS),
            At::Calling(_) => NEVER,
            At::Live(live) => {
                let warn_ms = if live.is_expiry_told { 0 } else { TOKEN_EXPIRING_MS };
                let left_ms = live.expires_ms.since_ms(now.wall).saturating_sub(warn_ms);
                let expires_at = now.mono.plus_ms(left_ms);
                live.inbox.due().map_or(expires_at, |due| due.min(expires_at))
            }
        }
    }
}

/// After which refusals of a login the same would come of another try, and so the connection closes.
pub(super) fn ends_login(code: ErrorCode) -> Option<CloseCode> {
    match code {
        ErrorCode::TokenExpired => Some(CloseCode::TokenExpired),
        ErrorCode::Unauthenticated => Some(CloseCode::BadToken),
        ErrorCode::LimitExceeded => Some(CloseCode::TooManyConnections),
        _ => None,
    }
}

fn seconds(now: Instant) -> u32 {
    u32::try_from(now.0 / 1_000_000_000).expect("a shard lives for less than a century")
}
