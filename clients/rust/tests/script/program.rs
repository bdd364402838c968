//! The program of a row: a client in a runtime of its own, so that it can end at once, over a store that outlives it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rookery_client::{
    ChannelId, Client, Config, Connection, Draft, Endpoint, Error, Event, MemoryStore, Operation, OperationId, Outcome,
    Outgoing, Progress, Search, Seq, Store, TokenError, UserId, Window,
};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::PATIENCE;
use super::compare::{Names, fits};

/// Events that are told in order and each once; of the others a row takes what fits.
const STRICT: [&str; 11] = [
    "message",
    "edited",
    "deleted",
    "reaction",
    "membership",
    "read",
    "snapshot",
    "head",
    "presence",
    "typing",
    "published",
];
/// Time that what was acknowledged has to reach the store before the program ends: a thread has to be woken.
const STORED: Duration = Duration::from_millis(100);

type Shown = Arc<Mutex<VecDeque<(String, Value)>>>;

pub(super) struct Program {
    tokens: Vec<Value>,
    given: Arc<AtomicUsize>,
    store: Arc<MemoryStore>,
    running: Option<(Runtime, Client)>,
    shown: Shown,
    operations: BTreeMap<String, OperationId>,
    results: BTreeMap<String, JoinHandle<Result<Value, u32>>>,
}

impl Program {
    pub(super) fn new(tokens: Vec<Value>, cursor: Option<&str>) -> Self {
        let store = MemoryStore::default();
        if let Some(cursor) = cursor {
            store.set_cursor(Some(cursor)).expect("memory takes it");
        }
        Self {
            tokens,
            given: Arc::default(),
            store: Arc::new(store),
            running: None,
            shown: Shown::default(),
            operations: BTreeMap::new(),
            results: BTreeMap::new(),
        }
    }

    pub(super) fn start(&mut self, url: &str) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let (tokens, given) = (self.tokens.clone(), Arc::clone(&self.given));
        let give = move |_| {
            let token = tokens[given.fetch_add(1, Ordering::Relaxed).min(tokens.len() - 1)].clone();
            async move {
                match token {
                    Value::String(token) => Ok(token),
                    token if token["signed_out"] == true => Err(TokenError::SignedOut),
                    _ => Err(TokenError::Unavailable("the row says so".to_owned())),
                }
            }
        };
        let config = Config::new("", "dev-1", give)
            .endpoint(Endpoint::Fixed(format!("{url}/connection/websocket")))
            .shared_store(Arc::clone(&self.store) as Arc<dyn Store>);
        let shown = Arc::clone(&self.shown);
        let client = runtime.block_on_elsewhere(move || {
            let (client, mut events) = Client::start(config)?;
            tokio::spawn(async move {
                while let Some(event) = events.next().await {
                    let mut told = as_shown(event);
                    if let (Some(cursor), Some((_, Value::Object(fields)))) = (events.cursor(), told.first_mut()) {
                        fields.insert("cursor".to_owned(), json!(cursor));
                    }
                    shown.lock().expect("no row panics there").extend(told);
                }
            });
            Ok::<_, Error>(client)
        });
        self.running = Some((runtime, client.map_err(|error| error.to_string())?));
        Ok(())
    }

    /// The program ends at once.
    pub(super) async fn stop(&mut self) {
        let Some((runtime, client)) = self.running.take() else { return };
        tokio::time::sleep(STORED).await;
        drop(client);
        // What it was about is over; its store's thread ends by itself.
        let ended = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(2)));
        ended.await.expect("a runtime ends");
    }

    fn client(&self) -> Result<(&Runtime, Client), String> {
        let (runtime, client) = self.running.as_ref().ok_or("the client is not started")?;
        Ok((runtime, client.clone()))
    }

    pub(super) async fn call(&mut self, name: &str, fields: &Value, of: Option<&str>) -> Result<(), String> {
        let (runtime, client) = self.client()?;
        let channel = || id(&fields["channel_id"]).map(ChannelId);
        let seq = |field: &str| fields[field].as_u64().map(Seq);
        let text = |field: &str| fields[field].as_str().unwrap_or_default().to_owned();
        let on = fields["on"].as_bool().unwrap_or_default();
        let users = || -> Result<Vec<UserId>, String> {
            fields["user_ids"].as_array().into_iter().flatten().map(|user| id(user).map(UserId)).collect()
        };
        let operation = match name {
            "send" => {
                let mut draft = Draft::from(text("body"));
                if let Some(seq) = seq("reply_to") {
                    draft = draft.in_reply_to(seq);
                }
                let mentions = fields["mentions"].as_array().into_iter().flatten();
                let mentions: Vec<UserId> = mentions.map(|user| id(user).map(UserId)).collect::<Result<_, _>>()?;
                Some(Operation::Send(draft.mentioning(mentions)))
            }
            "edit" => Some(Operation::Edit {
                seq: seq("seq").ok_or("a seq")?,
                base_revision: fields["revision"].as_u64().and_then(|it| it.try_into().ok()).ok_or("a revision")?,
                body: text("body"),
            }),
            "delete" => Some(Operation::Delete { seq: seq("seq").ok_or("a seq")? }),
            "react" => Some(Operation::React { seq: seq("seq").ok_or("a seq")?, emoji: text("emoji"), on }),
            _ => None,
        };
        if let Some(operation) = operation {
            let channel = channel()?;
            let submitted = client.submit(channel, operation).await;
            match submitted {
                Ok(id) => {
                    self.operations.extend(of.map(|of| (of.to_owned(), id)));
                }
                // What is refused before it is taken is refused: the row shows it as it shows the server's word.
                Err(Error::Refused(refusal)) => {
                    let shown = json!({"state": "failed", "command": name, "code": u32::from(refusal.code), "of": of});
                    self.shown.lock().expect("no row panics there").push_back(("outgoing".to_owned(), shown));
                }
                Err(error) => return Err(error.to_string()),
            }
            return Ok(());
        }
        let operation = || {
            let of = of.and_then(|of| self.operations.get(of)).copied();
            of.ok_or("no operation of that name was taken")
        };
        let result: JoinHandle<Result<Value, u32>> = match name {
            "retry" => return client.retry(operation()?).await.map_err(|error| error.to_string()),
            "cancel" => return client.discard(operation()?).await.map_err(|error| error.to_string()),
            "typing" => {
                client.typing(channel()?, on);
                return Ok(());
            }
            "history" => {
                let window = match (seq("before"), seq("after"), seq("around")) {
                    (Some(seq), ..) => Window::Before(seq),
                    (_, Some(seq), _) => Window::After(seq),
                    (.., Some(seq)) => Window::Around(seq),
                    _ => Window::Newest,
                };
                let limit = fields["limit"].as_u64().and_then(|it| it.try_into().ok()).unwrap_or(50);
                let channel = channel()?;
                runtime.spawn(async move { as_result(client.history(channel, window, limit).await) })
            }
            "search" => {
                let search = Search::new(text("query"));
                runtime.spawn(async move { as_result(client.search(&search).await) })
            }
            "mark" => {
                let (channel, seq) = (channel()?, seq("read_seq").ok_or("a seq")?);
                runtime.spawn(async move { as_result(client.mark(channel, seq).await) })
            }
            "open" => {
                let (channel, after) = (channel()?, seq("after_seq"));
                runtime.spawn(async move { as_result(client.open(channel, after).await) })
            }
            "close" => {
                let channel = channel()?;
                runtime.spawn(async move { as_result(client.close_channel(channel).await.map(|()| json!({}))) })
            }
            "presence" => {
                let users = users()?;
                runtime.spawn(async move { as_result(client.presence(&users).await.map(entries)) })
            }
            "watch" => {
                let users = users()?;
                runtime.spawn(async move { as_result(client.watch(&users).await.map(entries)) })
            }
            other => return Err(format!("this runner knows no call {other}")),
        };
        if let Some(of) = of {
            self.results.insert(of.to_owned(), result);
        }
        // What the application calls next comes after it.
        tokio::time::sleep(Duration::from_millis(2)).await;
        Ok(())
    }

    pub(super) async fn result(&mut self, name: &str) -> Result<Result<Value, u32>, String> {
        let result = self.results.remove(name).ok_or("no call of that name was made")?;
        super::patiently("result", result).await?.map_err(|error| error.to_string())
    }

    /// Waits for an event.
    pub(super) async fn show(
        &self,
        kind: &str,
        fields: &Value,
        of: Option<&str>,
        names: &mut Names,
    ) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        let id = of.and_then(|of| self.operations.get(of)).map(ToString::to_string);
        let is_of = |event: &Value| of.is_none() || event["of"] == json!(of) || event["id"] == json!(id);
        let mut passed = Vec::new();
        loop {
            while let Some(event) = self.next(kind, is_of) {
                // A name is bound by what fits alone.
                let mut tried = names.clone();
                match fits(fields, &event, &mut tried) {
                    Ok(()) => {
                        *names = tried;
                        return Ok(());
                    }
                    Err(why) if STRICT.contains(&kind) => return Err(format!("{why}: {event}")),
                    Err(_) => passed.push(event.to_string()),
                }
            }
            if Instant::now() > until {
                let shown = self.shown.lock().expect("no row panics there");
                return Err(format!("it was not shown; of its kind: {passed:?}; else {shown:?}"));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn next(&self, kind: &str, is_of: impl Fn(&Value) -> bool) -> Option<Value> {
        let mut shown = self.shown.lock().expect("no row panics there");
        let at = shown.iter().position(|(other, event)| other == kind && is_of(event))?;
        shown.remove(at).map(|(_, event)| event)
    }

    /// That no event is left of those that are told each once.
    pub(super) fn nothing_left(&self) -> Result<(), String> {
        let shown = self.shown.lock().expect("no row panics there");
        let left: Vec<_> = shown.iter().filter(|(kind, _)| STRICT.contains(&kind.as_str())).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("events are left: {left:?}")) }
    }
}

/// Starting something within a runtime from within another.
trait Elsewhere {
    fn block_on_elsewhere<T>(&self, start: impl FnOnce() -> T) -> T;
}

impl Elsewhere for Runtime {
    fn block_on_elsewhere<T>(&self, start: impl FnOnce() -> T) -> T {
        let _entered = self.enter();
        start()
    }
}

fn id(value: &Value) -> Result<u64, String> {
    value.as_str().and_then(|id| id.parse().ok()).ok_or_else(|| format!("{value} is no id"))
}

fn entries(entries: impl Serialize) -> Value {
    json!({"entries": entries})
}

/// Result of a call: the reply's fields, or the code, 0 without a connection.
fn as_result(result: Result<impl Serialize, Error>) -> Result<Value, u32> {
    match result {
        Ok(reply) => Ok(serde_json::to_value(reply).expect("a reply is JSON")),
        Err(Error::Refused(refusal)) => Err(refusal.code.into()),
        Err(Error::Offline) => Err(0),
        Err(error) => panic!("a call fails otherwise: {error}"),
    }
}

/// The events of the list that an event of this client is.
fn as_shown(event: Event) -> Vec<(String, Value)> {
    let one = |kind: &str, fields: Value| vec![(kind.to_owned(), fields)];
    match event {
        Event::Message(message) => one("message", json!({"message": message})),
        Event::Edited(message) => one("edited", json!({"message": message})),
        Event::Deleted { channel_id, seq, revision } => {
            one("deleted", json!({"channel_id": channel_id, "seq": seq, "revision": revision}))
        }
        Event::Reaction { channel_id, seq, emoji, count, user_id, on } => one(
            "reaction",
            json!({"channel_id": channel_id, "seq": seq, "emoji": emoji, "count": count, "user_id": user_id, "on": on}),
        ),
        Event::Membership { channel_id, user_id, change, role } => {
            one("membership", json!({"channel_id": channel_id, "user_id": user_id, "change": change, "role": role}))
        }
        Event::Read { channel_id, user_id, read_seq } => {
            one("read", json!({"channel_id": channel_id, "user_id": user_id, "read_seq": read_seq}))
        }
        Event::Snapshot { channels, first, more } => {
            one("snapshot", json!({"channels": channels, "first": first, "more": more}))
        }
        Event::Head { channel_id, head_seq } => one("head", json!({"channel_id": channel_id, "head_seq": head_seq})),
        Event::Presence(entries) => one("presence", json!({"entries": entries})),
        Event::Typing { channel_id, user_id, on } => {
            one("typing", json!({"channel_id": channel_id, "user_id": user_id, "on": on}))
        }
        Event::Published { channel_id, event, data } => {
            one("published", json!({"channel_id": channel_id, "event": event, "data": data}))
        }
        Event::FeedHead { count } => one("feed_head", json!({"count": count})),
        Event::Connection(Connection::Connecting) => one("state", json!({"state": "connecting"})),
        Event::Connection(Connection::Live { resumed, .. }) => {
            let mut shown = if resumed { Vec::new() } else { one("lost", json!({})) };
            shown.extend(one("state", json!({"state": "live"})));
            shown
        }
        Event::Connection(Connection::Waiting { code, .. }) => one("state", json!({"state": "waiting", "code": code})),
        Event::Ended(why) => {
            one("state", json!({"state": "ended", "code": why.code(), "signed_out": why.is_signed_out()}))
        }
        Event::Reset => one("lost", json!({})),
        Event::Outgoing(outgoing) => one("outgoing", of_operation(&outgoing)),
        Event::Malformed(why) => one("error", json!({"why": why})),
        other => one("other", json!(format!("{other:?}"))),
    }
}

fn of_operation(outgoing: &Outgoing) -> Value {
    let command = match outgoing.operation {
        Operation::Send(_) => "send",
        Operation::Edit { .. } => "edit",
        Operation::Delete { .. } => "delete",
        Operation::React { .. } => "react",
        Operation::Mark { .. } => "mark",
        _ => "other",
    };
    let mut shown = json!({"id": outgoing.id.to_string(), "command": command});
    if let Operation::Send(Draft { body, .. }) | Operation::Edit { body, .. } = &outgoing.operation {
        shown["body"] = json!(body);
    }
    match &outgoing.progress {
        Progress::Pending => shown["state"] = json!("pending"),
        Progress::Done(outcome) => {
            shown["state"] = json!("sent");
            if let Outcome::Sent(sent) = outcome {
                shown["seq"] = json!(sent.seq);
            }
        }
        Progress::Failed(refusal) => {
            shown["state"] = json!("failed");
            shown["code"] = json!(u32::from(refusal.code));
        }
        Progress::Discarded => shown["state"] = json!("dropped"),
        _ => {}
    }
    shown
}
