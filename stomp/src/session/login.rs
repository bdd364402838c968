//! CONNECT: the token it bears, the version and heart-beats it agrees to, and the place from which it goes on.

use schema::command::{Connect, Connected, ErrorReply};
use schema::limits::LOGIN_MS;
use schema::{Command, DeviceId, ErrorCode, Instant, Now, Refusal};

use crate::frame::{Frame, FrameWriter, Verb, Version};
use crate::heartbeat::OFFERED_MS;

use super::{Outputs, Pending, Session, Stage};

/// The device of a client that names none.
const DEVICE_DEFAULT: &str = "stomp";
/// Name of the server, as `CONNECTED` has it.
const SERVER: &str = concat!("rookery/", env!("CARGO_PKG_VERSION"));

/// A CONNECT that waits for its reply.
#[derive(Debug)]
pub(super) struct Login {
    connect: Connect,
    heart_beat: Option<String>,
    /// Time at which it is asked again, if the store has too many logins at once.
    pub(super) again_at: Option<Instant>,
}

impl Session {
    pub(super) fn connect(&mut self, now: Now, frame: &Frame, out: &mut Outputs) -> Result<(), Refusal> {
        let Some(version) = Version::agreed(frame.header("accept-version")) else {
            let numbers = "1.0,1.1,1.2";
            let writer = FrameWriter::new(self.version, Verb::Error)
                .header("message", "none of these versions is spoken here")
                .header("version", numbers)
                .header("x-code", u16::from(ErrorCode::BadRequest));
            self.say(now, writer.end(), out);
            self.close(schema::CloseCode::Normal, out);
            return Ok(());
        };
        self.version = version;
        let connect = Connect {
            token: token(frame)?.to_owned(),
            device_id: device(frame)?,
            cursor: frame.header("x-cursor").map(str::to_owned),
            client: frame.header("client").or(Some(version.subprotocol())).map(str::to_owned),
        };
        // Judged before the login, so that a client learns of a bad header by the header's name.
        let heart_beat = frame.header("heart-beat").filter(|_| version > Version::V10).map(str::to_owned);
        let agreed = self.heartbeats.agree(now.mono, heart_beat.as_deref());
        agreed.map_err(|error| Refusal::new(ErrorCode::BadRequest, error.to_string()))?;
        self.message_ids.name(&connect.device_id);
        self.stage = Stage::Connecting(Box::new(Login { connect: connect.clone(), heart_beat, again_at: None }));
        self.ask(Command::Connect(connect), Pending::Connect, out);
        Ok(())
    }

    pub(super) fn connect_again(&mut self, out: &mut Outputs) {
        if let Stage::Connecting(login) = &mut self.stage {
            login.again_at = None;
            let connect = login.connect.clone();
            self.ask(Command::Connect(connect), Pending::Connect, out);
        }
    }

    /// The login is refused; for now only, it waits for the moment that it was given, on this connection.
    pub(super) fn connect_refused(&mut self, now: Now, error: &ErrorReply, out: &mut Outputs) {
        match &mut self.stage {
            Stage::Connecting(login) if error.temporary && error.retry_after_ms > 0 => {
                login.again_at = Some(now.mono.plus_ms(error.retry_after_ms.into()));
            }
            Stage::Connecting(_) | Stage::Fresh | Stage::Live { .. } | Stage::Over => self.fail(now, error, None, out),
        }
    }

    pub(super) fn connected(&mut self, now: Now, connected: &Connected, out: &mut Outputs) {
        let Stage::Connecting(login) = &self.stage else { unreachable!("a login is answered once") };
        let resumes = login.connect.cursor.is_some();
        let beats = login.heart_beat.is_some();
        self.message_ids.number(connected.session_id);
        let writer = FrameWriter::new(self.version, Verb::Connected)
            .header("version", self.version.number())
            .header("session", connected.session_id)
            .header("server", SERVER);
        let writer = if beats {
            writer.header("heart-beat", format_args!("{OFFERED_MS},{OFFERED_MS}"))
        } else {
            writer.header("heart-beat", "0,0")
        };
        let writer = writer.header("user-name", connected.user_id).header("x-cursor", &connected.cursor);
        self.say(now, writer.end(), out);
        let held = resumes.then(|| Box::new((Vec::new(), now.mono.plus_ms(LOGIN_MS))));
        self.stage = Stage::Live { held };
    }
}

/// The token, where clients have room for one.
fn token(frame: &Frame) -> Result<&str, Refusal> {
    let bearer = frame.header("Authorization").or(frame.header("authorization"));
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
    // What a signed token looks like: a password in its place is not sent on to be refused as one.
    let passcode = frame.header("passcode").filter(|passcode| passcode.split('.').count() == 3);
    let token = frame.header("token").or(bearer).or(passcode).map(str::trim).ok_or_else(|| {
        let message = "no access token: log in by POST /v1/auth/login, and give the token as passcode, as token or as \
                       Authorization: Bearer";
        Refusal::new(ErrorCode::Unauthenticated, message)
    })?;
    Ok(token)
}

fn device(frame: &Frame) -> Result<DeviceId, Refusal> {
    if let Some(name) = frame.header("device-id") {
        return name.parse().map_err(|error| Refusal::new(ErrorCode::BadRequest, format!("device-id: {error}")));
    }
    let login = frame.header("login").and_then(|login| login.parse().ok());
    Ok(login.unwrap_or_else(|| DEVICE_DEFAULT.parse().expect("a legal name")))
}
