//! Requests as the protocol's own lines: who connects from where, and what is followed; and what the router's lines say.
//!
//! Owns the paths, the parameters and their bounds.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schema::command::{Connect, Open};
use schema::limits::{MESSAGE_BYTES_MAX, WATCHED_MAX};
use schema::{ChannelId, Command, DeviceId, Encoding, ErrorCode, Refusal, Request, Seq, ServerFrame, UserId};
use serde::Deserialize;
use serde::de::IgnoredAny;
use wire::PlainRequest;

use super::answer::Answers;

const EVENTS_PATH: &str = "/connection/sse";
const POLL_PATH: &str = "/connection/poll";
const CALL_PATH: &str = "/connection/command";

/// Seconds that a poll waits for something to happen: unless it says otherwise, and at most. Proxies end what says nothing for
/// 60 s.
const WAIT_S: u64 = 25;
const WAIT_S_MAX: u64 = 55;

/// Channels that one stream has open.
const OPEN_MAX: usize = 100;

/// What a request asks for.
#[derive(Debug)]
pub(in super::super) enum Begun {
    /// An event stream: its `connect`, and the lines behind that.
    Events { connect: Vec<u8>, follows: Vec<u8> },
    /// A poll: the same, and how long it waits.
    Poll { connect: Vec<u8>, follows: Vec<u8>, wait_ms: u64 },
    /// A call: its `connect`, the bytes of its body, and whether its client waits to be told that it may send that.
    Call { connect: Vec<u8>, body_bytes: usize, continues: bool },
}

/// What a request is there for, or the whole answer to it.
pub(super) fn begin(request: &PlainRequest, answers: &Answers) -> Result<Begun, Vec<u8>> {
    let methods = match request.path() {
        EVENTS_PATH | POLL_PATH => "GET",
        CALL_PATH => "POST",
        path => return Err(elsewhere(path)),
    };
    if request.method() == "OPTIONS" {
        return Err(answers.preflight(methods));
    }
    if request.method() != methods {
        return Err(answers.no_method(methods));
    }
    parse(request).map_err(|refusal| answers.refusal(&refusal))
}

fn elsewhere(path: &str) -> Vec<u8> {
    if path == super::super::upgrade::CONNECTION_PATH {
        return wire::Refusal::no_websocket().to_bytes();
    }
    super::super::upgrade::no_such_path().to_bytes()
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::BadRequest, message)
}

fn parse(request: &PlainRequest) -> Result<Begun, Refusal> {
    let fields = Fields::new(request.query().unwrap_or_default());
    let connect = connect(request, &fields)?;
    if request.path() == CALL_PATH {
        let body_bytes =
            usize::try_from(request.body_bytes()).ok().filter(|&bytes| bytes <= MESSAGE_BYTES_MAX as usize);
        let message = || format!("a body has at most {MESSAGE_BYTES_MAX} bytes");
        let body_bytes = body_bytes.ok_or_else(|| Refusal::new(ErrorCode::BodyTooLong, message()))?;
        if body_bytes == 0 {
            return Err(bad("the body is empty: it has the requests, a line each"));
        }
        let continues = request.header("expect").is_some_and(|expects| expects.eq_ignore_ascii_case("100-continue"));
        return Ok(Begun::Call { connect, body_bytes, continues });
    }
    let follows = follows(&fields)?;
    if request.path() == EVENTS_PATH {
        return Ok(Begun::Events { connect, follows });
    }
    let wait_s =
        fields.one("wait")?.map_or(Ok(WAIT_S), str::parse).ok().filter(|wait_s| (1..=WAIT_S_MAX).contains(wait_s));
    let wait_s = wait_s.ok_or_else(|| bad(format!("wait is a number of seconds, 1 to {WAIT_S_MAX}")))?;
    Ok(Begun::Poll { connect, follows, wait_ms: wait_s * 1_000 })
}

/// The line by which a session begins, under number 1.
fn connect(request: &PlainRequest, fields: &Fields<'_>) -> Result<Vec<u8>, Refusal> {
    let bearer = request.header("authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let token = match bearer {
        Some(token) => token,
        // An `EventSource` of a browser sends no header of its page's.
        None => fields.one("token")?.ok_or_else(|| {
            let remedy = "send the token as `Authorization: Bearer TOKEN`, or as `token` in the query";
            Refusal::new(ErrorCode::Unauthenticated, remedy)
        })?,
    };
    let device = fields.one("device_id")?.map(str::parse::<DeviceId>).transpose();
    let device_id = match device.map_err(|error| bad(format!("device_id: {error}")))? {
        Some(device) => device,
        // A call is no device's.
        None if request.path() == CALL_PATH => "call".parse().expect("legal"),
        None => return Err(bad("device_id is missing: the name of this installation, the same each time")),
    };
    // What an `EventSource` has seen since comes before what its page began with.
    let cursor = request.header("last-event-id").filter(|id| !id.is_empty());
    let cursor = match cursor {
        Some(cursor) => Some(cursor),
        None => fields.one("cursor")?,
    };
    let client = fields.one("client")?.map(ToOwned::to_owned);
    let connect = Connect { token: token.to_owned(), device_id, cursor: cursor.map(ToOwned::to_owned), client };
    let mut line = Vec::new();
    put(&mut line, 1, Command::Connect(connect));
    Ok(line)
}

/// The lines by which a stream opens channels and watches users, from number 2 on.
fn follows(fields: &Fields<'_>) -> Result<Vec<u8>, Refusal> {
    let mut lines = Vec::new();
    let opened: Vec<&str> = fields.all("open").collect();
    if opened.len() > OPEN_MAX {
        return Err(Refusal::new(ErrorCode::LimitExceeded, format!("a stream has at most {OPEN_MAX} channels open")));
    }
    let mut id = 1;
    for open in opened {
        id += 1;
        let (channel, after) = open.split_once(':').map_or((open, None), |(channel, after)| (channel, Some(after)));
        let channel_id: Option<ChannelId> = channel.parse().ok();
        let after_seq = after.map(|after| after.parse().map(Seq)).transpose();
        let (Some(channel_id), Ok(after_seq)) = (channel_id, after_seq) else {
            return Err(bad("open is CHANNEL_ID, or CHANNEL_ID:SEQ to go on behind that message"));
        };
        put(&mut lines, id, Command::Open(Open { channel_id, after_seq }));
    }
    let watched = fields.all("watch").flat_map(|users| users.split(',')).map(str::parse::<UserId>);
    let user_ids: Vec<UserId> =
        watched.collect::<Result<_, _>>().map_err(|_| bad("watch is a list of user ids with commas between them"))?;
    if user_ids.len() > WATCHED_MAX as usize {
        return Err(Refusal::new(ErrorCode::LimitExceeded, format!("a stream watches at most {WATCHED_MAX} users")));
    }
    if !user_ids.is_empty() {
        put(&mut lines, id + 1, Command::PresenceWatch { user_ids });
    }
    Ok(lines)
}

fn put(lines: &mut Vec<u8>, id: u32, command: Command) {
    Encoding::Json.put_request(&Request { id, command }, lines);
    if !lines.ends_with(b"\n") {
        lines.push(b'\n');
    }
}

/// The fields of a query.
struct Fields<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Fields<'a> {
    fn new(query: &'a str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).collect())
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_ref())
    }

    /// A field that may be said once; one without a value says nothing.
    fn one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(bad(format!("{name} is there twice"))),
            (value, None) => Ok(value.filter(|value| !value.is_empty())),
        }
    }
}

/// The lines of a frame.
pub(super) fn lines(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    payload.split(|&byte| byte == b'\n').filter(|line| !line.is_empty())
}

/// Of a line that a server says: what matters to how it is handed on.
#[derive(Debug, Deserialize)]
pub(super) struct Line<'a> {
    #[serde(borrow)]
    push: Option<BTreeMap<Cow<'a, str>, Place<'a>>>,
    #[serde(borrow)]
    connect: Option<Place<'a>>,
    error: Option<IgnoredAny>,
}

/// The place in the inbox behind what a line says.
#[derive(Debug, Deserialize)]
struct Place<'a> {
    #[serde(borrow)]
    cursor: Option<Cow<'a, str>>,
}

impl<'a> Line<'a> {
    /// # Panics
    /// If it is not a line of our own.
    pub(super) fn read(line: &'a [u8]) -> Self {
        serde_json::from_slice(line).expect("what the router says is its protocol's")
    }

    pub(super) fn cursor(&self) -> Option<&str> {
        let pushed = self.push.iter().flatten().map(|(_, place)| place);
        pushed.chain(&self.connect).find_map(|place| place.cursor.as_deref())
    }

    /// Whether it says more than that something was done that had been asked.
    pub(super) fn is_news(&self) -> bool {
        self.push.is_some() || self.error.is_some()
    }
}

/// Why a `connect` was refused, if the first line of this says so.
pub(super) fn refused(payload: &[u8]) -> Option<Refusal> {
    let line = lines(payload).next()?;
    Line::read(line).error?;
    match Encoding::Json.server_frames(line).ok()?.pop()? {
        ServerFrame::Reply { reply: Err(error), .. } => {
            let code = ErrorCode::try_from(error.code).unwrap_or(ErrorCode::Internal);
            Some(Refusal::new(code, error.message).after_ms(error.retry_after_ms))
        }
        ServerFrame::Reply { reply: Ok(_), .. } | ServerFrame::Push(_) => None,
    }
}
