//! Connecting: a token, a node, a socket, `connect`; and what follows from losing them.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Asked, BROKEN, JOIN_MS, Limits, Node, Now, Output, PAUSE_MS, Pulse, Retry, Session, Stage};
use crate::config::{Endpoint, TokenError, TokenNeed};
use crate::error::{Code, Ended, Error, Refusal};
use crate::events::{Connection, Event, Place};
use crate::message::{ChannelId, UserId};

/// For how long a token is new: it may be used much later, after an outage, and has expired by then.
const RENEWED_MS: u64 = 60_000;
/// Addresses of the HTTP API that are remembered.
const APIS_MAX: usize = 16;

/// The reply to `connect`, as far as it is used.
#[derive(Debug, Deserialize)]
struct Connected {
    user_id: UserId,
    server_time_ms: u64,
    ping_ms: u64,
    #[serde(default)]
    limits: Limits,
    cursor: String,
    #[serde(default)]
    retry: Retry,
}

impl Session {
    pub(super) fn begin(&mut self, now: Now) {
        if !matches!(self.stage, Stage::Fetching) {
            self.tell(Event::Connection(Connection::Connecting));
        }
        if self.token.is_none() {
            self.stage = Stage::Fetching;
            return self.fetch_token(self.need);
        }
        let drained = self.drain.take().and_then(|drain| drain.url);
        match (drained, &self.settings.endpoint) {
            (Some(url), _) => self.connect(now, url),
            (None, Endpoint::Fixed(url)) => self.connect(now, url.clone()),
            (None, Endpoint::Discover(_)) => {
                self.stage = Stage::Finding;
                self.outputs.push_back(Output::FindNodes(self.apis.clone()));
            }
        }
    }

    pub(super) fn fetch_token(&mut self, need: TokenNeed) {
        if !std::mem::replace(&mut self.fetching, true) {
            self.need = need;
            self.outputs.push_back(Output::FetchToken(need));
        }
    }

    pub(super) fn token(&mut self, now: Now, result: Result<String, TokenError>) {
        self.fetching = false;
        let waits = matches!(self.stage, Stage::Fetching);
        match result {
            Ok(token) => {
                let refused = self.need == TokenNeed::Refused && !matches!(self.stage, Stage::Live);
                self.renewed_ms = refused.then_some(now.ms);
                self.need = TokenNeed::Connect;
                self.token = Some(token.clone());
                match self.stage {
                    Stage::Fetching => self.begin(now),
                    Stage::Live => {
                        self.ask(now, "refresh", json!({"token": token}), Asked::Refresh);
                    }
                    // It will be used.
                    Stage::Paused { .. }
                    | Stage::Finding
                    | Stage::Opening { .. }
                    | Stage::Joining { .. }
                    | Stage::Over => {}
                }
            }
            Err(TokenError::SignedOut) => self.end(Ended::SignedOut { code: None }),
            Err(error @ TokenError::Unavailable(_)) if waits => self.pause(now, None, error.to_string()),
            // The server closes when the token's time is over, and then one is asked for again.
            Err(TokenError::Unavailable(_)) => {}
        }
    }

    pub(super) fn nodes(&mut self, now: Now, result: Result<(String, Vec<Node>), String>) {
        if !matches!(self.stage, Stage::Finding) {
            return;
        }
        let (api, nodes) = match result {
            Ok(found) => found,
            Err(why) => return self.pause(now, None, why),
        };
        // Who answered is asked first from now on, then those that it names, then the others.
        let mut apis = vec![api];
        let named = nodes.iter().filter_map(|node| node.api_url.clone());
        for other in named.chain(std::mem::take(&mut self.apis)) {
            if apis.len() < APIS_MAX && !apis.contains(&other) {
                apis.push(other);
            }
        }
        self.apis = apis;
        let untried = nodes.iter().find(|node| !self.failed.contains(&node.url));
        if untried.is_none() {
            self.failed.clear();
        }
        match untried.or_else(|| nodes.first()) {
            Some(node) => self.connect(now, node.url.clone()),
            None => self.pause(now, None, "there are no nodes".to_owned()),
        }
    }

    pub(super) fn connect(&mut self, now: Now, url: String) {
        self.socket += 1;
        self.url.clone_from(&url);
        self.stage = Stage::Opening { since_ms: now.ms };
        self.outputs.push_back(Output::Connect { socket: self.socket, url });
    }

    pub(super) fn opened(&mut self, now: Now, socket: u64) {
        if socket == self.socket && matches!(self.stage, Stage::Opening { .. }) {
            self.join(now.ms);
        }
    }

    pub(super) fn join(&mut self, since_ms: u64) {
        self.stage = Stage::Joining { since_ms, again_ms: None };
        let mut fields = json!({
            "token": self.token, "device_id": self.settings.device_id, "client": self.settings.client,
        });
        if let Some(cursor) = &self.cursor {
            fields["cursor"] = json!(cursor);
        }
        let asked = Asked::Connect { resumed: self.cursor.is_some() };
        self.say("connect", fields, asked);
    }

    pub(super) fn joined(&mut self, now: Now, reply: Value, resumed: bool) {
        let connected: Connected = match serde_json::from_value(reply) {
            Ok(connected) => connected,
            Err(error) => return self.give_up(now, &format!("the node's welcome is none: {error}")),
        };
        self.stage = Stage::Live;
        (self.failures, self.renewed_ms) = (0, None);
        self.failed.clear();
        self.retry = connected.retry;
        self.limits = connected.limits;
        self.ping_ms = connected.ping_ms;
        self.clock_off_ms = connected.server_time_ms.cast_signed().wrapping_sub(now.wall_ms.cast_signed());
        let begins_at = (!resumed).then(|| Place::After(connected.cursor.clone()));
        self.cursor = Some(connected.cursor);
        self.user_id = Some(connected.user_id);
        let online = Connection::Live { user_id: connected.user_id, resumed, url: self.url.clone() };
        self.tell_at(Some(Event::Connection(online)), begins_at, 0);
        let open: Vec<ChannelId> = self.open.iter().map(|(channel_id, _)| *channel_id).collect();
        for channel_id in open {
            self.reopen(now, channel_id);
        }
        self.rewatch(now);
    }

    pub(super) fn not_joined(&mut self, now: Now, refusal: Refusal, resumed: bool) {
        let Stage::Joining { since_ms, .. } = self.stage else { return };
        match refusal.code {
            Code::BadCursor if resumed => {
                self.cursor = None;
                for (_, after_seq) in &mut self.open {
                    // Another store has other seqs.
                    *after_seq = None;
                }
                self.known.takes(&Event::Reset);
                self.tell_at(Some(Event::Reset), Some(Place::Nowhere), 0);
                self.join(since_ms);
            }
            Code::Unauthenticated | Code::TokenExpired if self.is_renewed(now) => {
                self.end(Ended::SignedOut { code: None })
            }
            Code::Unauthenticated | Code::TokenExpired => {
                self.token_refused();
                self.pause(now, None, refusal.to_string());
            }
            _ if !refusal.temporary => self.end(Ended::Refused(refusal)),
            _ => {
                let again_ms = now.ms + refusal.retry_after_ms.max(PAUSE_MS);
                if again_ms < since_ms + JOIN_MS {
                    self.stage = Stage::Joining { since_ms, again_ms: Some(again_ms) };
                } else {
                    self.pause_ms = refusal.retry_after_ms;
                    self.pause(now, None, refusal.to_string());
                }
            }
        }
    }

    /// `true` if the token is new and was refused all the same: then the next one will be, too.
    fn is_renewed(&self, now: Now) -> bool {
        self.renewed_ms.is_some_and(|renewed_ms| now.ms - renewed_ms < RENEWED_MS)
    }

    pub(super) fn token_refused(&mut self) {
        self.token = None;
        self.need = TokenNeed::Refused;
    }

    pub(super) fn closed(&mut self, now: Now, socket: u64, code: u16, reason: &str) {
        if socket != self.socket || matches!(self.stage, Stage::Over) {
            return;
        }
        match code {
            3005 => self.token_refused(),
            3500 if !self.is_renewed(now) => self.token_refused(),
            BROKEN => {
                self.failed.insert(self.url.clone());
            }
            _ => {
                if let Some(ended) = Ended::of_close(code, reason) {
                    return self.end(ended);
                }
            }
        }
        let why = if reason.is_empty() { format!("closed with {code}") } else { format!("{reason} ({code})") };
        self.pause(now, Some(code), why);
    }

    /// The node keeps its socket open and says nothing.
    pub(super) fn give_up(&mut self, now: Now, why: &str) {
        self.failed.insert(self.url.clone());
        self.pause(now, None, why.to_owned());
    }

    /// There is no connection from here on. What the old one still says is not heard.
    pub(super) fn lost(&mut self) {
        self.socket += 1;
        self.outputs.push_back(Output::Disconnect);
        self.pulse = Pulse::default();
        (self.gap, self.room, self.in_snapshot) = (false, true, false);
        self.later.clear();
        self.typing.clear();
        self.outbox.lost();
        for (_, asked) in std::mem::take(&mut self.asked) {
            if let Asked::Question { ticket, .. } = asked {
                self.answer(ticket, Err(Error::Offline));
            }
        }
    }

    pub(super) fn pause(&mut self, now: Now, code: Option<u16>, why: String) {
        self.lost();
        let Retry { base_ms, cap_ms } = self.retry;
        let most = cap_ms.min(base_ms.saturating_mul(1 << self.failures.min(16)));
        // After a drain within its jitter, which was drawn when the node said so.
        let wait = match &self.drain {
            Some(drain) => drain.leave_ms.saturating_sub(now.ms),
            None => std::mem::take(&mut self.pause_ms) + self.random.u64(0..=most),
        };
        self.failures += 1;
        self.stage = Stage::Paused { until_ms: now.ms + wait };
        self.tell(Event::Connection(Connection::Waiting { code, why, retry_ms: wait }));
    }

    pub(super) fn end(&mut self, ended: Ended) {
        if matches!(self.stage, Stage::Over) {
            return;
        }
        self.lost();
        self.stage = Stage::Over;
        let waiting =
            std::mem::take(&mut self.stored).into_values().chain(std::mem::take(&mut self.done).into_values());
        for ticket in waiting.flatten().collect::<Vec<_>>() {
            self.answer(ticket, Err(Error::Ended));
        }
        self.tell(Event::Ended(ended));
        self.outputs.push_back(Output::Over);
    }
}
