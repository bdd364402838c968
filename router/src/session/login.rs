//! From `connect` to a session that follows its inbox, and on with a new token.
//!
//! Owns the order of a login: whose token it is, then the account's home, which says where the inbox goes on.

use schema::command::{ClientLimits, Connect, Connected, Retry};
use schema::limits::PING_MS;
use schema::mesh::MeshBody;
use schema::{CloseCode, Cursor, ErrorCode, Refusal, Reply};

use crate::io::ConnId;
use crate::store::{Answer, Authenticate, Claims};

use super::{Awaited, Connecting, Live, Session, Stage, Surroundings};

/// A session that waits for what its token says.
#[derive(Debug)]
pub struct TokenWaiter {
    pub(crate) conn: ConnId,
    bearer: Bearer,
}

/// The command that bore the token.
#[derive(Debug)]
enum Bearer {
    Connect,
    /// Under the client's number.
    Refresh(u32),
}

impl Session {
    /// Whether the login is done.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Live(_))
    }

    pub(super) fn connect(&mut self, id: u32, connect: Connect, around: &mut Surroundings<'_>) {
        let Stage::Anonymous { opened_at, .. } = self.stage else {
            let refusal = Refusal::new(ErrorCode::BadRequest, "a connect was sent before");
            return self.answer(id, Err(refusal), around);
        };
        let cursor = match connect.cursor.as_deref().map(str::parse::<Cursor>).transpose() {
            Ok(cursor) => cursor,
            Err(error) => {
                self.stage = Stage::Anonymous { opened_at, refused_for_now: false };
                let message = format!("{error}: forget it and what is cached, and connect without one");
                return self.answer(id, Err(Refusal::new(ErrorCode::BadCursor, message)), around);
            }
        };
        let Connect { device_id: device, client, token, .. } = connect;
        let connecting = Connecting { opened_at, request: id, device, client, cursor, claims: None };
        self.stage = Stage::Connecting(Box::new(connecting));
        around.effects.ask(Authenticate { token }, TokenWaiter { conn: self.conn, bearer: Bearer::Connect });
    }

    pub(super) fn refresh(&self, id: u32, token: String, around: &mut Surroundings<'_>) {
        around.effects.ask(Authenticate { token }, TokenWaiter { conn: self.conn, bearer: Bearer::Refresh(id) });
    }

    /// The store has said whose token it is.
    pub(crate) fn authenticated(&mut self, answer: Answer<Authenticate>, around: &mut Surroundings<'_>) {
        match answer.waiter.bearer {
            Bearer::Connect => self.identified(answer.reply, around),
            Bearer::Refresh(id) => self.refreshed(id, answer.reply, around),
        }
    }

    /// `connect`'s token is known: the account's home takes the session on.
    fn identified(&mut self, claims: Result<Claims, Refusal>, around: &mut Surroundings<'_>) {
        let Stage::Connecting(connecting) = &mut self.stage else {
            panic!("I12: {} was identified in {:?}", self.id, self.stage)
        };
        match claims {
            Ok(claims) if claims.device.as_ref().is_some_and(|device| *device != connecting.device) => {
                let refusal = Refusal::new(ErrorCode::Unauthenticated, "the token is bound to another device_id");
                self.refuse_connect(refusal, around);
            }
            Ok(claims) => {
                let Connecting { device, client, cursor, .. } = &mut **connecting;
                let (user, family) = (claims.user, claims.family);
                let (device, client, cursor) = (device.clone(), client.take(), *cursor);
                connecting.claims = Some(claims);
                let session = self.id;
                let register = MeshBody::Register { session, user, device, family, client, cursor };
                around.effects.mesh(around.effects.placement.home_of_user(user), register);
            }
            Err(refusal) => self.refuse_connect(refusal, around),
        }
    }

    /// The connection stays open for another try, unless the same would come of it.
    fn refuse_connect(&mut self, refusal: Refusal, around: &mut Surroundings<'_>) {
        let Stage::Connecting(connecting) = &self.stage else {
            panic!("I12: {} refuses a connect in {:?}", self.id, self.stage)
        };
        let request = connecting.request;
        let close = match refusal.code {
            ErrorCode::TokenExpired => Some(CloseCode::TokenExpired),
            ErrorCode::Unauthenticated => Some(CloseCode::BadToken),
            ErrorCode::LimitExceeded => Some(CloseCode::TooManyConnections),
            _ => None,
        };
        let refused_for_now = refusal.code.is_temporary();
        self.stage = Stage::Anonymous { opened_at: connecting.opened_at, refused_for_now };
        self.answer(request, Err(refusal), around);
        if let Some(code) = close {
            self.close(code);
        }
    }

    /// The account's home has taken the session on, or not.
    pub(crate) fn registered(&mut self, start: Result<Cursor, Refusal>, around: &mut Surroundings<'_>) {
        match (&mut self.stage, start) {
            // An answer to an attempt that has ended, or one that came before it was asked for: nobody waits for it.
            (Stage::Anonymous { .. }, _) => {}
            (Stage::Connecting(connecting), _) if connecting.claims.is_none() => {}
            (Stage::Connecting(connecting), Ok(cursor)) => {
                let claims = connecting.claims.take().expect("checked above");
                let (request, device) = (connecting.request, connecting.device.clone());
                self.live(request, device, claims, cursor, around);
            }
            (Stage::Connecting(_), Err(refusal)) => self.refuse_connect(refusal, around),
            (Stage::Live(live), Ok(_)) => {
                live.asked = Awaited::NOTHING;
                self.ask(around);
            }
            (Stage::Live(_), Err(refusal)) => self.forgotten(&refusal, around),
        }
    }

    fn live(
        &mut self,
        request: u32,
        device: schema::DeviceId,
        claims: Claims,
        cursor: Cursor,
        around: &mut Surroundings<'_>,
    ) {
        let user = claims.user;
        self.stage = Stage::Live(Box::new(Live {
            user,
            device,
            family: claims.family,
            expires_ms: claims.expires_ms,
            told_expiring: false,
            generation: cursor.generation,
            cursor: cursor.position,
            snapshot: None,
            asked: Awaited::NOTHING,
            // To connect is to use it, and the home knows.
            said_active_s: u32::try_from(around.now.mono.0 / 1_000_000_000).expect("below a century"),
        }));
        let reply = Reply::Connect(Connected {
            user_id: user,
            session_id: self.id,
            server_time_ms: around.now.wall,
            ping_ms: PING_MS,
            limits: ClientLimits::default(),
            cursor: cursor.to_string(),
            retry: Retry::default(),
        });
        self.answer(request, Ok(reply), around);
        self.ask(around);
    }

    /// The home does not know this session, or cannot serve it. Asked again after a while it says so again.
    fn forgotten(&mut self, refusal: &Refusal, around: &mut Surroundings<'_>) {
        match refusal.code {
            ErrorCode::Moving => self.register_again(around),
            ErrorCode::StorageUnavailable | ErrorCode::Overloaded => {}
            ErrorCode::LimitExceeded => self.close(CloseCode::TooManyConnections),
            ErrorCode::Unauthenticated => self.close(CloseCode::Kicked),
            _ => self.close(CloseCode::Internal),
        }
    }

    /// Tells the home who this is, and from where it goes on.
    fn register_again(&self, around: &mut Surroundings<'_>) {
        let Stage::Live(live) = &self.stage else { return };
        let &Live { user, ref device, family, generation, cursor: position, .. } = &**live;
        let cursor = Some(Cursor { generation, position });
        let (session, device) = (self.id, device.clone());
        let register = MeshBody::Register { session, user, device, family, client: None, cursor };
        around.effects.mesh(around.effects.placement.home_of_user(user), register);
    }

    /// The same device has connected elsewhere.
    pub(crate) fn replaced(&mut self) {
        self.close(CloseCode::Replaced);
    }

    /// The device or the login was revoked.
    pub(crate) fn kicked(&mut self) {
        self.close(CloseCode::Kicked);
    }

    /// `refresh`'s token is known: it must be of the same account, and of this device if of any. If it is of another login, the home
    /// is told, which ends sessions by their logins.
    fn refreshed(&mut self, id: u32, claims: Result<Claims, Refusal>, around: &mut Surroundings<'_>) {
        let Stage::Live(live) = &mut self.stage else { panic!("I12: {} refreshed in {:?}", self.id, self.stage) };
        let is_ours = |claims: &Claims| {
            claims.user == live.user && claims.device.as_ref().is_none_or(|device| *device == live.device)
        };
        let message = "the token is not of this session's user and device";
        let claims = match claims {
            Ok(claims) if is_ours(&claims) => claims,
            Ok(_) => return self.answer(id, Err(Refusal::new(ErrorCode::Unauthenticated, message)), around),
            Err(refusal) => return self.answer(id, Err(refusal), around),
        };
        live.expires_ms = claims.expires_ms;
        live.told_expiring = false;
        let is_another = std::mem::replace(&mut live.family, claims.family) != claims.family;
        if is_another {
            self.register_again(around);
        }
        self.answer(id, Ok(Reply::Refresh { expires_ms: claims.expires_ms }), around);
    }
}
