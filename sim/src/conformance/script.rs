//! Language of the scenarios: plays their steps. What clients saw is put into words by [`Names`].
//!
//! ```text
//! a opens json                          a connection, and its encoding
//! a connects ann [from b] [over json]   with ann's token; from the last cursor that b heard; over a new connection
//! a presents TOKEN                      connects with that token
//! a resumes ann nonsense                connects with what is no cursor; `elsewhere`: with one of another store
//! a refreshes ann                       shows a new token of ann's
//! a sends d m1 some text                to channel d under the id m1; `x*9` is nine times x; old:m1 and ahead:m1 are ids made
//!                                       31 days ago and 2 days ahead; channel 0 is one that does not exist
//! a marks d 3    a echoes text          a looks d newest 10     newest, before N, after N, around N, and the limit
//! a says text    a says-bytes 00ff      any text message, any binary one        a repeats 9 x   nine text messages
//! a waits 0                             for the reply to that id
//! a hears [2]                           the next push, or so many               a ends       the connection does
//! a drops                               without a word                          node restarts
//! a edits d 1 o1 0 text                 message 1, under the id o1, on revision 0                a deletes d 1 o1
//! a reacts d 1 o1 👍                    puts it there; `unreacts` takes it away
//! a types d on                          or off         a searches words     finds, loses: again until there are hits, or none
//! a enters d, a enters l after 3        opens a channel          a exits d                     closes it
//! a watches bob eve                     from now on              a asks bob eve                at this moment
//! time passes 1000                      milliseconds
//! ann groups bob                        makes the group g of ann and bob        ann adds eve, ann removes bob
//! ann makes-large all                   the large channel l, with all of its past, or joined     ann adds eve to l
//! ann blocks bob, ann unblocks bob      ann revokes a            the device that a is
//! ```

use std::collections::{BTreeMap, VecDeque};

use schema::command::{
    Connect, Delete, Edit, ErrorReply, History, HistoryWindow, Open, PresenceGet, React, Search, Send, Typing,
};
use schema::op::PastAccess;
use schema::{
    ChannelId, ClientMsgId, Command, Cursor, DeviceId, Encoding, MessageKind, Position, Push, Reply, Request, Seq,
    ServerFrame,
};

use super::names::Names;
use super::{ApiCall, Heard, Scenario, Transport};

/// How long anything that should come may take.
const PATIENCE_MS: u64 = 20_000;
/// How long a client listens before it says that it heard nothing.
const SILENCE_MS: u64 = 500;
/// How long a client waits for words to be found, or to be found no more, before it searches again.
const SEARCH_AGAIN_MS: u64 = 200;
/// A search without hits.
const NOTHING_FOUND: &str = "found []";
const DAY_MS: u64 = 24 * 3600 * 1000;

/// Plays a scenario; its lines as they turned out, to be compared with [`Scenario::lines`].
///
/// # Panics
/// If a step is not one, or names what is not there: the scenario's fault.
pub fn play(scenario: &Scenario, node: &mut impl Transport) -> String {
    let mut stage = Stage { names: Names::new(node), node, clients: BTreeMap::new(), channels: BTreeMap::new() };
    let mut lines = Vec::new();
    for (step, _) in scenario.steps() {
        let saw = stage.step(step);
        lines.push(format!("{step} => {saw}"));
    }
    lines.join("\n")
}

struct Client {
    connection: usize,
    encoding: Encoding,
    next_id: u32,
    replies: BTreeMap<u32, VecDeque<Result<Reply, ErrorReply>>>,
    pushes: VecDeque<Push>,
    closed: Option<Option<u16>>,
    cursor: Option<String>,
}

struct Stage<'a, T> {
    node: &'a mut T,
    clients: BTreeMap<String, Client>,
    names: Names,
    /// Those that were made, by name.
    channels: BTreeMap<&'static str, ChannelId>,
}

impl<T: Transport> Stage<'_, T> {
    fn step(&mut self, step: &str) -> String {
        let words: Vec<&str> = step.split_whitespace().collect();
        match words[..] {
            ["node", "restarts"] => {
                self.node.restart();
                "restarted".to_owned()
            }
            [by, "groups", ref others @ ..] => self.make("g", by, ApiCall::MakeGroup(others), "grouped"),
            [by, "makes-large", "all"] => self.make("l", by, ApiCall::MakeLarge(PastAccess::All), "made"),
            [by, "makes-large", "joined"] => self.make("l", by, ApiCall::MakeLarge(PastAccess::Joined), "made"),
            [by, "adds", person] => self.call(by, ApiCall::Add(self.channel("g"), person)),
            [by, "adds", person, "to", channel] => self.call(by, ApiCall::Add(self.channel(channel), person)),
            [by, "removes", person] => self.call(by, ApiCall::Remove(self.channel("g"), person)),
            [by, "removes", person, "from", channel] => self.call(by, ApiCall::Remove(self.channel(channel), person)),
            [by, "blocks", person] => self.call(by, ApiCall::Block(person)),
            [by, "unblocks", person] => self.call(by, ApiCall::Unblock(person)),
            [by, "revokes", who] => self.call(by, ApiCall::Revoke(device(who))),
            ["time", "passes", ms] => {
                self.node.wait(ms.parse().expect("a number of milliseconds"));
                "passed".to_owned()
            }
            [who, "opens", encoding] => self.open(who, encoding),
            [ref connects @ .., "over", encoding] if connects.get(1) == Some(&"connects") => {
                self.open(connects[0], encoding);
                self.step(&connects.join(" "))
            }
            [who, "connects", person] => self.connect(who, person, None),
            [who, "connects", person, "from", other] => {
                let cursor = self.clients[other].cursor.clone();
                self.connect(who, person, cursor)
            }
            [who, "resumes", person, "nonsense"] => self.connect(who, person, Some("nonsense".to_owned())),
            [who, "resumes", person, "elsewhere"] => {
                let elsewhere = Cursor { generation: 1, position: Position::START };
                self.connect(who, person, Some(elsewhere.to_string()))
            }
            [who, "presents", token] => self.present(who, token.to_owned(), None),
            [who, "sends", channel, id, ref text @ ..] => {
                let command = self.message(channel, id, &text.join(" "));
                self.ask(who, command)
            }
            [who, "edits", channel, seq, id, base, ref text @ ..] => {
                let (channel_id, seq, op_id) = (self.channel(channel), number(seq), self.id(id));
                let base_revision = base.parse().expect("a revision is a number");
                let body = repeated(&text.join(" ")).into();
                self.ask(who, Command::Edit(Edit { channel_id, seq, op_id, base_revision, body }))
            }
            [who, "deletes", channel, seq, id] => {
                let (channel_id, seq, op_id) = (self.channel(channel), number(seq), self.id(id));
                self.ask(who, Command::Delete(Delete { channel_id, seq, op_id }))
            }
            [who, verb @ ("reacts" | "unreacts"), channel, seq, id, emoji] => {
                let (channel_id, seq, op_id) = (self.channel(channel), number(seq), self.id(id));
                let (emoji, on) = (emoji.to_owned(), verb == "reacts");
                self.ask(who, Command::React(React { channel_id, seq, op_id, emoji, on }))
            }
            [who, "types", channel, on] => {
                let channel_id = self.channel(channel);
                self.ask(who, Command::Typing(Typing { channel_id, on: on == "on" }))
            }
            [who, "enters", channel] => {
                let channel_id = self.channel(channel);
                self.ask(who, Command::Open(Open { channel_id, after_seq: None }))
            }
            [who, "enters", channel, "after", seq] => {
                let (channel_id, after_seq) = (self.channel(channel), Some(number(seq)));
                self.ask(who, Command::Open(Open { channel_id, after_seq }))
            }
            [who, "exits", channel] => {
                let channel_id = self.channel(channel);
                self.ask(who, Command::Close { channel_id })
            }
            [who, "watches", ref people @ ..] => {
                let user_ids = people.iter().map(|person| self.node.user(person)).collect();
                self.ask(who, Command::PresenceWatch { user_ids })
            }
            [who, "asks", ref people @ ..] => {
                let user_ids = people.iter().map(|person| self.node.user(person)).collect();
                self.ask(who, Command::PresenceGet(PresenceGet { user_ids, channel_id: None, page: 0 }))
            }
            [who, "searches", ref query @ ..] => self.search(who, query),
            [who, verb @ ("finds" | "loses"), ref query @ ..] => {
                let mut found = self.search(who, query);
                let mut waited_ms = 0;
                while (found == NOTHING_FOUND) == (verb == "finds") && waited_ms < PATIENCE_MS {
                    self.node.wait(SEARCH_AGAIN_MS);
                    waited_ms += SEARCH_AGAIN_MS;
                    found = self.search(who, query);
                }
                found
            }
            [who, "marks", channel, seq] => {
                let command = Command::Mark { channel_id: self.channel(channel), read_seq: number(seq) };
                self.ask(who, command)
            }
            [who, "looks", channel, ref window @ .., limit] => {
                let window = match *window {
                    ["newest"] => HistoryWindow::Newest,
                    ["before", seq] => HistoryWindow::Before(number(seq)),
                    ["after", seq] => HistoryWindow::After(number(seq)),
                    ["around", seq] => HistoryWindow::Around(number(seq)),
                    _ => panic!("no window in {step:?}"),
                };
                let limit = limit.parse().expect("a limit is a number");
                let channel_id = self.channel(channel);
                self.ask(who, Command::History(History { channel_id, window, limit }))
            }
            [who, "echoes", text] => self.ask(who, Command::Echo { data: repeated(text) }),
            [who, "says", ..] => {
                let text = step.split_once("says ").expect("matched").1;
                self.say(who, true, repeated(text).as_bytes())
            }
            [who, "says-bytes", digits] => {
                let bytes: Vec<u8> = (0..digits.len() / 2)
                    .map(|at| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).expect("hexadecimal digits"))
                    .collect();
                self.say(who, false, &bytes)
            }
            [who, "repeats", times, text] => {
                for _ in 0..times.parse().expect("a number of times") {
                    self.say(who, true, text.as_bytes());
                }
                "said".to_owned()
            }
            [who, "waits", id] => self.reply(who, id.parse().expect("an id is a number")),
            [who, "refreshes", person] => {
                let token = self.node.token(person);
                self.ask(who, Command::Refresh { token })
            }
            [who, "hears"] => self.push(who),
            [who, "hears", pushes] => {
                let pushes = 0..pushes.parse().expect("a number of pushes");
                pushes.map(|_| self.push(who)).collect::<Vec<_>>().join("; ")
            }
            [who, "ends"] => self.end(who),
            [who, "drops"] => {
                let connection = self.clients[who].connection;
                self.node.drop_connection(connection);
                "dropped".to_owned()
            }
            _ => panic!("{step:?} is no step"),
        }
    }

    /// Has the API make a channel, and names it.
    fn make(&mut self, name: &'static str, by: &str, call: ApiCall<'_>, made: &str) -> String {
        match self.node.call(by, call) {
            Ok(channel) => {
                self.channels.insert(name, channel.expect("a channel was made"));
                made.to_owned()
            }
            Err(code) => format!("error {code}"),
        }
    }

    /// What another call to the API came to.
    fn call(&mut self, by: &str, call: ApiCall<'_>) -> String {
        self.node.call(by, call).map_or_else(|code| format!("error {code}"), |_| "done".to_owned())
    }

    fn say(&mut self, who: &str, text: bool, payload: &[u8]) -> String {
        self.node.say(self.clients[who].connection, text, payload);
        "said".to_owned()
    }

    fn open(&mut self, who: &str, encoding: &str) -> String {
        let encoding = if encoding == "fb" { Encoding::Fb } else { Encoding::Json };
        let client = Client {
            connection: self.node.open(encoding),
            encoding,
            next_id: 1,
            replies: BTreeMap::new(),
            pushes: VecDeque::new(),
            closed: None,
            cursor: None,
        };
        self.clients.insert(who.to_owned(), client);
        "open".to_owned()
    }

    fn connect(&mut self, who: &str, person: &str, cursor: Option<String>) -> String {
        let token = self.node.token(person);
        self.present(who, token, cursor)
    }

    /// A device is called as its client is, up to a digit at the end: `a` and `a2` are the same device.
    fn present(&mut self, who: &str, token: String, cursor: Option<String>) -> String {
        self.ask(who, Command::Connect(Connect { token, device_id: device(who), cursor, client: None }))
    }

    /// The id of that name, made when it is first named.
    fn id(&mut self, name: &str) -> ClientMsgId {
        let wall = self.node.wall();
        let wall = match name.split_once(':') {
            Some(("old", _)) => schema::UnixMs(wall.0 - 31 * DAY_MS),
            Some(("ahead", _)) => wall.plus_ms(2 * DAY_MS),
            _ => wall,
        };
        self.names.id(name, wall)
    }

    /// Whoever is named with an `@` in the text is mentioned.
    fn message(&mut self, channel: &str, name: &str, text: &str) -> Command {
        let mentions = text.split_whitespace().filter_map(|word| word.strip_prefix('@'));
        Command::Send(Send {
            channel_id: self.channel(channel),
            client_msg_id: self.id(name),
            body: repeated(text).into(),
            reply_to: None,
            mentions: mentions.map(|person| self.node.user(person)).collect(),
            kind: MessageKind::Text,
            media: Vec::new(),
        })
    }

    fn search(&mut self, who: &str, query: &[&str]) -> String {
        let query = repeated(&query.join(" "));
        self.ask(
            who,
            Command::Search(Search { query, channel_id: None, from: None, before_ms: None, limit: 20, cursor: None }),
        )
    }

    fn channel(&self, name: &str) -> ChannelId {
        match name {
            "d" => self.node.direct(),
            "0" => ChannelId(0),
            _ => *self.channels.get(name).unwrap_or_else(|| panic!("no channel is called {name}")),
        }
    }

    fn ask(&mut self, who: &str, command: Command) -> String {
        let client = self.clients.get_mut(who).unwrap_or_else(|| panic!("{who} has no connection"));
        let id = client.next_id;
        client.next_id += 1;
        let mut payload = Vec::new();
        client.encoding.put_request(&Request { id, command }, &mut payload);
        let (connection, text) = (client.connection, client.encoding.is_text());
        self.node.say(connection, text, &payload);
        self.reply(who, id)
    }

    /// Takes in what comes, until `found` or the end of patience.
    fn listen<R>(&mut self, who: &str, patience_ms: u64, mut found: impl FnMut(&mut Client) -> Option<R>) -> Option<R> {
        loop {
            let client = self.clients.get_mut(who).unwrap_or_else(|| panic!("{who} has no connection"));
            if let Some(found) = found(client) {
                return Some(found);
            }
            if client.closed.is_some() {
                return None;
            }
            match self.node.hear(client.connection, patience_ms)? {
                Heard::Frame(ServerFrame::Reply { id, reply }) => {
                    client.replies.entry(id).or_default().push_back(reply);
                }
                Heard::Frame(ServerFrame::Push(push)) => client.pushes.push_back(push),
                Heard::Closed(code) => client.closed = Some(code),
            }
        }
    }

    fn reply(&mut self, who: &str, id: u32) -> String {
        let reply = self.listen(who, PATIENCE_MS, |client| client.replies.get_mut(&id)?.pop_front());
        match reply {
            None => "no reply".to_owned(),
            Some(Err(error)) => format!("error {}{}", error.code, if error.temporary { " temporary" } else { "" }),
            Some(Ok(reply)) => {
                if let Reply::Connect(connected) = &reply {
                    self.clients.get_mut(who).expect("it asked").cursor = Some(connected.cursor.clone());
                }
                self.names.reply(&reply)
            }
        }
    }

    fn push(&mut self, who: &str) -> String {
        let Some(push) = self.listen(who, SILENCE_MS, |client| client.pushes.pop_front()) else {
            return "nothing".to_owned();
        };
        let client = self.clients.get_mut(who).expect("it heard");
        client.cursor = push.cursor().map(str::to_owned).or(client.cursor.take());
        self.names.push(&push)
    }

    fn end(&mut self, who: &str) -> String {
        // Whatever comes before the end is not asked for here.
        let code = self.listen(who, PATIENCE_MS, |client| client.closed);
        match code {
            Some(Some(code)) => format!("closed {code}"),
            Some(None) => "ended".to_owned(),
            None => "still open".to_owned(),
        }
    }
}

/// A device is called as its client is, up to a digit at the end.
fn device(who: &str) -> DeviceId {
    who.trim_end_matches(|c: char| c.is_ascii_digit()).parse().expect("a legal name")
}

fn number(word: &str) -> Seq {
    Seq(word.parse().unwrap_or_else(|_| panic!("{word:?} is no seq")))
}

/// `x*9` is nine times x.
fn repeated(text: &str) -> String {
    match text.split_once('*').and_then(|(what, times)| Some((what, times.parse().ok()?))) {
        Some((what, times)) => what.repeat(times),
        None => text.to_owned(),
    }
}
