//! Login of a session: from `connect` to following its inbox, and on with a new token.
//!
//! Owns the order of a login: whose token it is, then the account's home, which says where the inbox goes on.

use schema::command::{ClientLimits, Connect, Connected, Retry};
use schema::limits::PING_MS;
use schema::mesh::MeshBody;
use schema::{CloseCode, Cursor, ErrorCode, Refusal, Reply};

use crate::io::ConnId;
use crate::store::{Answer, Authenticate, Claims};

use super::cursor::InboxCursor;
use super::{Connecting, Live, Session, ShardContext, Stage};

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

    pub(super) fn connect(&mut self, id: u32, connect: Connect, context: &mut ShardContext<'_>) {
        let Stage::Anonymous { opened_at, .. } = self.stage else {
            let refusal = Refusal::new(ErrorCode::BadRequest, "a connect was sent before");
            return self.answer(id, Err(refusal), context);
        };
        let cursor = match connect.cursor.as_deref().map(str::parse::<Cursor>).transpose() {
            Ok(cursor) => cursor,
            Err(error) => {
                self.stage = Stage::Anonymous { opened_at, refused_for_now: false };
                let message = format!("{error}: forget it and what is cached, and connect without one");
                return self.answer(id, Err(Refusal::new(ErrorCode::BadCursor, message)), context);
            }
        };
        // A user is shown it among the devices. An empty one says nothing.
        if connect.client.as_deref().is_some_and(|client| !client.is_empty() && !schema::text::is_name(client)) {
            self.stage = Stage::Anonymous { opened_at, refused_for_now: false };
            let message = "client is one line with a visible character, without controls or overrides of direction";
            return self.answer(id, Err(Refusal::new(ErrorCode::BadRequest, message)), context);
        }
        let Connect { device_id: device, client, token, .. } = connect;
        let connecting = Connecting { opened_at, request: id, device, client, cursor, claims: None };
        self.stage = Stage::Connecting(Box::new(connecting));
        context.effects.ask(Authenticate { token }, TokenWaiter { conn: self.conn, bearer: Bearer::Connect });
    }

    pub(super) fn refresh(&self, id: u32, token: String, context: &mut ShardContext<'_>) {
        context.effects.ask(Authenticate { token }, TokenWaiter { conn: self.conn, bearer: Bearer::Refresh(id) });
    }

    /// The store has said whose token it is.
    pub(crate) fn authenticated(&mut self, answer: Answer<Authenticate>, context: &mut ShardContext<'_>) {
        match answer.waiter.bearer {
            Bearer::Connect => self.identified(answer.reply, context),
            Bearer::Refresh(id) => self.refreshed(id, answer.reply, context),
        }
    }

    /// `connect`'s token is known: the account's home takes the session on.
    fn identified(&mut self, claims: Result<Claims, Refusal>, context: &mut ShardContext<'_>) {
        let Stage::Connecting(connecting) = &mut self.stage else {
            panic!("I12: {} was identified in {:?}", self.id, self.stage)
        };
        match claims {
            Ok(claims) if claims.device.as_ref().is_some_and(|device| *device != connecting.device) => {
                let refusal = Refusal::new(ErrorCode::Unauthenticated, "the token is bound to another device_id");
                self.refuse_connect(refusal, context);
            }
            Ok(claims) => {
                let Connecting { device, client, cursor, .. } = &mut **connecting;
                let (user, family) = (claims.user, claims.family);
                let (device, client, cursor) = (device.clone(), client.take(), *cursor);
                connecting.claims = Some(claims);
                let session = self.id;
                let register = MeshBody::Register { session, user, device, family, client, cursor };
                context.effects.mesh(context.effects.placement.home_of_user(user), register);
            }
            Err(refusal) => self.refuse_connect(refusal, context),
        }
    }

    /// The connection stays open for another try, unless the same would come of it.
    fn refuse_connect(&mut self, refusal: Refusal, context: &mut ShardContext<'_>) {
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
        self.answer(request, Err(refusal), context);
        if let Some(code) = close {
            self.close(code);
        }
    }

    /// The account's home has taken the session on, or not.
    pub(crate) fn registered(&mut self, start: Result<Cursor, Refusal>, context: &mut ShardContext<'_>) {
        match (&mut self.stage, start) {
            // An answer to an attempt that has ended, or one that came before it was asked for: nobody waits for it.
            (Stage::Anonymous { .. }, _) => {}
            (Stage::Connecting(connecting), _) if connecting.claims.is_none() => {}
            (Stage::Connecting(connecting), Ok(cursor)) => {
                let claims = connecting.claims.take().expect("checked above");
                let (request, device) = (connecting.request, connecting.device.clone());
                self.live(request, device, claims, cursor, context);
            }
            (Stage::Connecting(_), Err(refusal)) => self.refuse_connect(refusal, context),
            (Stage::Live(live), Ok(_)) => {
                live.inbox.forget_question();
                self.ask(context);
            }
            (Stage::Live(_), Err(refusal)) => self.forgotten(&refusal, context),
        }
    }

    fn live(
        &mut self,
        request: u32,
        device: schema::DeviceId,
        claims: Claims,
        cursor: Cursor,
        context: &mut ShardContext<'_>,
    ) {
        let user = claims.user;
        self.stage = Stage::Live(Box::new(Live {
            user,
            device,
            family: claims.family,
            expires_ms: claims.expires_ms,
            told_expiring: false,
            inbox: InboxCursor::new(cursor),
            // To connect is to use it, and the home knows.
            said_active_s: u32::try_from(context.now.mono.0 / 1_000_000_000).expect("below a century"),
        }));
        let reply = Reply::Connect(Connected {
            user_id: user,
            session_id: self.id,
            server_time_ms: context.now.wall,
            ping_ms: PING_MS,
            limits: ClientLimits::default(),
            cursor: cursor.to_string(),
            retry: Retry::default(),
        });
        self.answer(request, Ok(reply), context);
        self.ask(context);
    }

    /// The home does not know this session, or cannot serve it. Asked again after a while it says so again.
    fn forgotten(&mut self, refusal: &Refusal, context: &mut ShardContext<'_>) {
        match refusal.code {
            ErrorCode::Moving => self.register_again(context),
            ErrorCode::StorageUnavailable | ErrorCode::Overloaded => {}
            ErrorCode::LimitExceeded => self.close(CloseCode::TooManyConnections),
            ErrorCode::Unauthenticated => self.close(CloseCode::Kicked),
            _ => self.close(CloseCode::Internal),
        }
    }

    /// Tells the home who this is, and from where it goes on.
    fn register_again(&self, context: &mut ShardContext<'_>) {
        let Stage::Live(live) = &self.stage else { return };
        let &Live { user, ref device, family, ref inbox, .. } = &**live;
        let cursor = Some(inbox.at());
        let (session, device) = (self.id, device.clone());
        let register = MeshBody::Register { session, user, device, family, client: None, cursor };
        context.effects.mesh(context.effects.placement.home_of_user(user), register);
    }

    /// The same device has connected elsewhere.
    pub(crate) fn replaced(&mut self) {
        self.close(CloseCode::Replaced);
    }

    /// The device or the login was revoked.
    pub(crate) fn kicked(&mut self) {
        self.close(CloseCode::Kicked);
    }

    /// `refresh`'s token is known: it must be of the same account, and of this device if of any. If it is of another
    /// login, the home is told, which ends sessions by their logins.
    fn refreshed(&mut self, id: u32, claims: Result<Claims, Refusal>, context: &mut ShardContext<'_>) {
        let Stage::Live(live) = &mut self.stage else { panic!("I12: {} refreshed in {:?}", self.id, self.stage) };
        let is_ours = |claims: &Claims| {
            claims.user == live.user && claims.device.as_ref().is_none_or(|device| *device == live.device)
        };
        let message = "the token is not of this session's user and device";
        let claims = match claims {
            Ok(claims) if is_ours(&claims) => claims,
            Ok(_) => return self.answer(id, Err(Refusal::new(ErrorCode::Unauthenticated, message)), context),
            Err(refusal) => return self.answer(id, Err(refusal), context),
        };
        live.expires_ms = claims.expires_ms;
        live.told_expiring = false;
        let is_another = std::mem::replace(&mut live.family, claims.family) != claims.family;
        if is_another {
            self.register_again(context);
        }
        self.answer(id, Ok(Reply::Refresh { expires_ms: claims.expires_ms }), context);
    }
}
