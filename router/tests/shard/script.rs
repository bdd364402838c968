//! The language of rows: steps, then what each client was told.
//!
//! ```text
//! a1 b1 a1'   clients: a user's letter, a device's digit; a1' is a1 again, on the next shard if there are two
//! ab Lab      a channel, named by its members; a large one
//! a1 opens | opens fb | joins [TOKEN] [from CURSOR] | connects … | leaves | stalls | reads | drains BYTES | falls silent
//! a1 sends ab m1 [20KB] | floods ab N | marks ab 3 | reads-back ab | echoes x [4KB] | dances
//! a1 edits ab 1 m2 [20KB] | deletes ab 1 | reacts ab 1 👍 | unreacts ab 1 👍 | types ab | stops ab
//! a1 searches m1 | searches for 201 (letters)
//! a1 opens ab [after 3] | closes ab | looks-around ab PAGE
//! a1 watches abc (users, or a count of nobodies, or - for none) | looks-for abc
//! a1 refreshes TOKEN | says {…} | sends-binary | speaks
//! store holds KIND | releases [KIND] | answers KIND last | delays KIND (it is done and told later) | tells KIND last | refuses KIND 115 | accepts KIND | forgets a | takes no writes | has a online
//! api sends ab m1 TICKET, by the channel's first member | kicks a1 device | kicks a family 1 | kicks a account | erases a | publishes ab event data | blocks ab on | removes b from Lab | adds b to La
//! feeds of abc grow 2 (so many posts came into each of their news feeds)
//! apps are asked [of ab] (before a send or an edit) | apps are gone | apps allow | change (a `~` at its end) | refuse | wait (nothing now: 114)
//! wait 3s | wait 5ms | cold | earlier ab m1 | watch KIND | hints are lost | hints come | feeds are lost | feeds come (the later ones) | drain in 5s
//! home forgets a1 | home denies a1 | stray frame for a1 | stray frame to a1 (to an earlier life of its node) | turned away (a connection)
//! view moves a+ab to 3 (a user's home and a channel's) | view stands (the next, with the same owners) | 1 is unaware | 1 learns | 2 dies
//! 0 and 2 lose each other | 0 and 2 miss something | far frames are lost | far frames come | frames 0 to 2 wait | frames 0 to 2 go
//! => a1: connected, #1, ab#1=m1 | b1: … | seen: KIND ×3
//! ```
//! `joins` opens and connects, `dances` asks what no server knows. A token is USER/DEVICE/SECONDS/FAMILY. Any step of a
//! client may be repeated `N times`, and `<2..4: m$>` is `m2, m3, m4`. What is told several times in a row is
//! counted. A row that begins `cold` meets shards whose home knows nothing yet, one that begins `2 shards` runs over
//! two alone, and one that begins `2 nodes` over 0 and 1 of one node and 2 and 3 of the other: there a user whose letter
//! is `a` has its home on 1, `b` on 2, and a client whose digit is 1 is on 1. Before all of that may stand `pings after 5s`:
//! clients are pinged after so much silence. Behind every row everybody leaves, and nothing must be left (I11, I12).

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::str::FromStr;
use std::sync::Arc;

use router::{Drain, Input, Purpose};
use schema::command::{Connect, Delete, Edit, History, HistoryWindow, Open, PresenceGet, React, Search, Send, Typing};
use schema::event::Role;
use schema::hook::Concerns;
use schema::limits::PING_MS;
use schema::mesh::Kicked;
use schema::message::no_mentions;
use schema::op::SendOp;
use schema::record::PresenceRecord;
use schema::{
    ChannelId, ChannelOp, Command, Cursor, DeviceId, Encoding, ErrorCode, MessageKind, Position, PresenceState, Seq,
    UserId,
};

use crate::client::id_of;
use crate::store::{GENERATION, Opinion};
use crate::world::World;

/// Tests that are rows alone: each rule by its name, and the rows that show it.
macro_rules! rules {
    ($($rule:ident { $($row:expr,)* })*) => {$(
        #[test]
        fn $rule() {
            $(check(&$row);)*
        }
    )*};
}
pub(crate) use rules;

/// Runs the steps before `=>`, over one shard and over two if the row does not say, and compares what was told with
/// what stands behind it.
#[track_caller]
pub(crate) fn check(row: &str) {
    run(row, World::told);
}

/// The same, comparing what `found` finds in the end.
#[track_caller]
pub(crate) fn run(row: &str, found: impl Fn(&World) -> String) {
    let row = spread(&row.split_whitespace().collect::<Vec<_>>().join(" "));
    let (steps, expected) = row.split_once(" =>").expect("a row says what comes of it");
    let (ping_ms, steps) = match steps.strip_prefix("pings after ").and_then(|steps| steps.split_once("s, ")) {
        Some((seconds, steps)) => (1_000 * seconds.parse::<u64>().expect("seconds"), steps),
        None => (PING_MS, steps),
    };
    let nodes = steps.starts_with("2 nodes");
    let (shards, steps) = match steps.split_once(", ") {
        Some(("2 nodes", steps)) => (vec![2], steps),
        Some(("1 shard", steps)) => (vec![1], steps),
        Some(("2 shards", steps)) => (vec![2], steps),
        Some(_) | None => (vec![1, 2], steps),
    };
    for shards in shards {
        let mut world = if nodes { World::pinging(2, 2, ping_ms) } else { World::pinging(1, shards, ping_ms) };
        if !steps.starts_with("cold") {
            world.steps("wait 0s");
        }
        world.steps(steps);
        let found = found(&world);
        assert_eq!(found, expected.trim_start(), "\n{steps}\non {shards} shards, found: {found}");
        world.everybody_leaves();
    }
}

/// Writes out what stands for several: `<2..4: m$>` is `m2, m3, m4`, and `<A..C| m$>` is `mA | mB | mC`.
fn spread(row: &str) -> String {
    let Some((before, rest)) = row.split_once('<') else { return row.to_owned() };
    let (several, after) = rest.split_once('>').expect("<FIRST..LAST: what each is>");
    let (range, each) = several.split_once([':', '|']).expect("<FIRST..LAST: what each is>");
    let (first, last) = range.split_once("..").expect("<FIRST..LAST: what each is>");
    let all: Vec<String> = match first.parse::<u32>() {
        Ok(first) => (first..=number(last)).map(|at| each.trim_start().replace('$', &at.to_string())).collect(),
        Err(_) => {
            (number(first)..=number::<char>(last)).map(|at| each.trim_start().replace('$', &at.to_string())).collect()
        }
    };
    let between = if several[range.len()..].starts_with('|') { " | " } else { ", " };
    format!("{before}{}{}", all.join(between), spread(after))
}

/// A number, or a seq, in a row.
pub(crate) fn number<T: FromStr<Err: Debug>>(word: &str) -> T {
    word.parse().expect("a number")
}

fn span_ms(span: &str) -> u64 {
    span.strip_suffix("ms").map_or_else(|| number::<u64>(span.trim_end_matches('s')) * 1_000, number)
}

/// The user's letters, the device's name and the shard of a client.
pub(crate) fn parts(name: &str, shards: usize) -> (&str, &str, usize) {
    let again = name.ends_with('\'');
    let (user, device) = name.trim_end_matches('\'').split_at(name.trim_end_matches('\'').len() - 1);
    let shard = usize::from(device.as_bytes()[0]) + usize::from(again);
    (user, device, shard % shards)
}

impl World {
    /// Shards on which this has happened.
    pub(crate) fn after(shards: u16, steps: &str) -> Self {
        let mut world = Self::new(shards);
        world.steps(steps);
        world
    }

    /// Steps, and after each all that comes of it.
    pub(crate) fn steps(&mut self, steps: &str) {
        for step in spread(steps).split(", ") {
            self.step(step);
            self.settle();
        }
    }

    /// So many users, `u0` and on, and a channel of all of them.
    pub(crate) fn everybody(&mut self, large: bool, count: usize) -> Vec<String> {
        let users: Vec<String> = (0..count).map(|at| format!("u{at}")).collect();
        let members = users.iter().map(|user| self.user(user)).collect();
        self.channel_of("everybody", large, members);
        users
    }

    /// One step.
    pub(crate) fn step(&mut self, step: &str) {
        let words: Vec<&str> = step.split(' ').collect();
        match *words {
            ["cold"] => {}
            ["wait", span] => self.wait(span_ms(span)),
            ["watch", kind] => {
                self.watched.insert(kind.to_owned());
            }
            ["earlier", channel, body] => {
                // Of an earlier epoch: it is in inboxes alone, and no home will find it among its arrivals.
                let send = self.send_op(channel, body);
                self.store.commit(self.now, [send]);
                self.store.forget_arrivals();
            }
            ["view", "moves", names, "to", shard] => self.moves(names, number(shard)),
            ["view", "stands"] => self.change([]),
            [shard, "is", "unaware"] => {
                self.unaware.insert(number(shard));
            }
            [shard, "learns"] => {
                self.unaware.remove(&number(shard));
                self.learn(number(shard));
            }
            [shard, "dies"] => self.die(number(shard)),
            [one, "and", other, "lose", "each", "other"] => self.lose_peers(number(one), number(other)),
            [one, "and", other, "miss", "something"] => self.tell_gap(number(one), number(other)),
            ["far", "frames", are_lost @ ("are" | "come"), ..] => self.lose_frames = are_lost == "are",
            ["frames", one, "to", other, "wait"] => {
                self.held_pairs.insert((number(one), number(other)));
            }
            ["frames", one, "to", other, "go"] => {
                self.held_pairs.remove(&(number(one), number(other)));
            }
            ["hints", "are", "lost"] => self.lose_hints = true,
            ["hints", "come"] => self.late_hints_come(),
            ["feeds", are_lost @ ("are" | "come"), ..] => self.lose_feeds = are_lost == "are",
            ["turned", "away"] => self.input(0, Input::TurnedAway),
            ["home", "forgets", name] => self.home_forgets(name),
            ["home", "denies", name] => self.home_denies(name),
            ["stray", "frame", "for", name] => self.stray_frame(name),
            ["stray", "frame", "to", name] => self.strayed_frame(name),
            ["drain", "in", span] => {
                let deadline_ms = self.now.wall.plus_ms(span_ms(span));
                self.input_all(|| Input::Drain(Drain::alone(deadline_ms)));
            }
            ["drain", "to", url, "over", jitter, "in", span] => {
                let deadline_ms = self.now.wall.plus_ms(span_ms(span));
                let jitter_ms = u32::try_from(span_ms(jitter)).expect("some seconds");
                let urls: Arc<[String]> = [url.to_owned()].into();
                self.input_all(|| Input::Drain(Drain { deadline_ms, jitter_ms, urls: Arc::clone(&urls) }));
            }
            ["store", ref words @ ..] => self.store_step(words),
            ["apps", "are", "asked", ref of @ ..] => {
                let mut concerns = Concerns::default();
                let channels: Vec<_> = of.iter().skip(1).map(|name| self.channel(name)).collect();
                concerns.add(3, &channels);
                let concerns = Arc::new(concerns);
                self.input_all(|| Input::Before { concerns: Arc::clone(&concerns) });
            }
            ["apps", "are", "gone"] => self.input_all(|| Input::Before { concerns: Arc::default() }),
            ["apps", say] => {
                self.store.opinion = match say {
                    "allow" => Opinion::Allow,
                    "change" => Opinion::Change,
                    "refuse" => Opinion::Refuse,
                    "wait" => Opinion::Busy,
                    other => panic!("apps {other} is no step"),
                }
            }
            ["api", "sends", channel, body, ticket] => {
                let (channel, op) = self.send_op(channel, body);
                self.input(0, Input::Command { ticket: number(ticket), channel, op });
            }
            ["api", "blocks", channel, on] => {
                let (by, user) = (self.user(&channel[..1]), self.user(&channel[1..]));
                self.api(channel, ChannelOp::Block { by, user, on: on == "on" });
            }
            ["api", "removes", user, "from", channel] => {
                let user = self.user(user);
                self.api(channel, ChannelOp::RemoveMember { by: user, user });
            }
            ["api", "adds", user, "to", channel] => {
                let user = self.user(user);
                self.api(channel, ChannelOp::AddMember { by: user, user, role: Role::Member });
            }
            ["api", "publishes", channel, event, data] => {
                let op = ChannelOp::Publish { by: UserId::system(1), event: event.into(), data: data.into() };
                self.api(channel, op);
            }
            ["feeds", "of", users, "grow", count] => self.feeds_grow(users, number(count)),
            ["api", "kicks", name, "device"] => {
                let (user, device, _) = parts(name, 1);
                self.kick(user, Kicked::Device(device_id(device)));
            }
            ["api", "kicks", user, "family", family] => {
                self.store.families.remove(&number(family));
                self.kick(user, Kicked::Family(number(family)));
            }
            ["api", "kicks", user, "account"] => self.kick(user, Kicked::Account { erased: false }),
            ["api", "erases", user] => self.kick(user, Kicked::Account { erased: true }),
            [name, ref words @ ..] => self.client_step(name, words),
            [] => panic!("an empty step"),
        }
    }

    fn api(&mut self, channel: &str, op: ChannelOp) {
        let channel = self.channel(channel);
        self.input(0, Input::Command { ticket: 0, channel, op });
    }

    fn kick(&mut self, user: &str, whose: Kicked) {
        let user = self.user(user);
        self.kicks += 1;
        let ticket = 1_000_000 + self.kicks;
        self.input(0, Input::Kick { ticket, user, whose });
    }

    fn store_step(&mut self, words: &[&str]) {
        match *words {
            ["holds", kind] => {
                self.held.insert(kind.to_owned());
            }
            ["releases"] => {
                self.held.clear();
                self.delayed.clear();
                for (shard, answered) in std::mem::take(&mut self.late) {
                    self.input(shard, Input::Answered(answered));
                }
            }
            ["releases", kind] => {
                self.held.remove(kind);
            }
            ["delays", kind] => {
                self.delayed.insert(kind.to_owned());
            }
            ["tells", kind, "last"] => {
                let at = self.late.iter().rposition(|(_, late)| late.kind() == kind).expect("one is late");
                let (shard, answered) = self.late.remove(at);
                self.input(shard, Input::Answered(answered));
            }
            ["answers", kind, "last"] => {
                let at = self.asked.iter().rposition(|asked| asked.kind() == kind).expect("one is asked");
                self.answer(at, self.store.version, None, 1);
            }
            ["refuses", kind, code] => {
                let code = ErrorCode::try_from(number::<u16>(code)).expect("a known code");
                self.refused.insert(kind.to_owned(), code);
            }
            ["accepts", kind] => {
                self.refused.remove(kind);
            }
            ["has", user, "online"] => {
                let user = self.user(user);
                let record = PresenceRecord { state: PresenceState::Online, ..PresenceRecord::default() };
                self.store.presence.insert(user, record);
            }
            ["forgets", user] => {
                let user = self.user(user);
                self.store.floors.insert(user, Position::end_of(self.store.version));
            }
            ["takes", no, "writes"] => self.input_all(|| Input::Writes { on: no != "no" }),
            _ => panic!("store {words:?} is no step"),
        }
    }

    fn client_step(&mut self, name: &str, words: &[&str]) {
        let (user, device, shard) = parts(name, self.shards.len());
        self.user(user);
        match *words {
            [ref what @ .., times, "times"] => {
                for _ in 0..number(times) {
                    self.client_step(name, what);
                    self.settle();
                }
            }
            ["opens"] => self.open(name, shard, Encoding::Json),
            ["calls", ref how @ ..] => {
                self.open_for(Purpose::Call, name, shard);
                self.connect(name, user, device, how);
            }
            ["opens", "fb"] => self.open(name, shard, Encoding::Fb),
            ["joins", ref how @ ..] => {
                self.open(name, shard, Encoding::Json);
                self.connect(name, user, device, how);
            }
            ["connects", ref how @ ..] => self.connect(name, user, device, how),
            ["leaves"] => self.leave(name),
            ["stalls"] => self.client(name).reading = false,
            ["reads"] => self.client(name).reading = true,
            ["drains", bytes] => self.drain(name, number(bytes)),
            ["falls", "silent"] => self.client(name).silent = true,
            ["speaks"] => {
                let (shard, conn) = self.client(name).socket();
                self.input(shard, Input::Heard { conn });
            }
            ["floods", channel, times] => {
                for at in 0..number::<u32>(times) {
                    self.client_step(name, &["sends", channel, &format!("f{at}")]);
                }
            }
            ["dances"] => {
                let id = self.client(name).number();
                self.message(name, format!(r#"{{"id":{id},"dance":{{}}}}"#).as_bytes());
            }
            ["says", ref text @ ..] => self.message(name, text.join(" ").as_bytes()),
            ["says-twice", first, second] => self.message(name, format!("{first}\n{second}").as_bytes()),
            ["sends-binary"] => {
                let client = self.client(name);
                let ((shard, conn), text) = (client.socket(), !client.encoding.is_text());
                self.input(shard, Input::Message { conn, text, payload: b"{}" });
            }
            _ => {
                let command = self.command(words);
                self.ask(name, command);
            }
        }
    }

    /// The command that these words are.
    fn command(&mut self, words: &[&str]) -> Command {
        // What is said again in the same words is the same operation.
        let op_id = id_of(&words.join(" "));
        let mut at = |channel: &str, seq: &str| (self.channel(channel), Seq(number(seq)));
        match *words {
            ["sends", channel, body, ref size @ ..] => Command::Send(Send {
                channel_id: self.channel(channel),
                client_msg_id: id_of(&filled(body, size)),
                body: filled(body, size).into(),
                reply_to: None,
                mentions: no_mentions(),
                kind: MessageKind::Text,
                media: Vec::new(),
            }),
            ["marks", channel, seq] => {
                let (channel_id, read_seq) = at(channel, seq);
                Command::Mark { channel_id, read_seq }
            }
            ["edits", channel, seq, body, ref size @ ..] => {
                let (channel_id, seq) = at(channel, seq);
                Command::Edit(Edit { channel_id, seq, op_id, base_revision: 0, body: filled(body, size).into() })
            }
            ["deletes", channel, seq] => {
                let (channel_id, seq) = at(channel, seq);
                Command::Delete(Delete { channel_id, seq, op_id })
            }
            [reacts @ ("reacts" | "unreacts"), channel, seq, emoji] => {
                let (channel_id, seq) = at(channel, seq);
                let (emoji, on) = (emoji.to_owned(), reacts == "reacts");
                Command::React(React { channel_id, seq, op_id, emoji, on })
            }
            [types @ ("types" | "stops"), channel] => {
                Command::Typing(Typing { channel_id: self.channel(channel), on: types == "types" })
            }
            ["opens", channel] => Command::Open(Open { channel_id: self.channel(channel), after_seq: None }),
            ["opens", channel, "after", seq] => {
                let (channel_id, seq) = at(channel, seq);
                Command::Open(Open { channel_id, after_seq: Some(seq) })
            }
            ["closes", channel] => Command::Close { channel_id: self.channel(channel) },
            ["looks-around", channel, page] => {
                let (user_ids, channel_id) = (Vec::new(), Some(self.channel(channel)));
                Command::PresenceGet(PresenceGet { user_ids, channel_id, page: number(page) })
            }
            ["looks-for", users] => {
                Command::PresenceGet(PresenceGet { user_ids: self.listed(users), channel_id: None, page: 0 })
            }
            ["watches", users] => Command::PresenceWatch { user_ids: self.listed(users) },
            ["searches", "for", letters] => search("x".repeat(number(letters))),
            ["searches", query] => search(query.to_owned()),
            ["reads-back", channel] => {
                let channel_id = self.channel(channel);
                Command::History(History { channel_id, window: HistoryWindow::Newest, limit: 200 })
            }
            ["echoes", data, ref size @ ..] => Command::Echo { data: filled(data, size) },
            ["refreshes", token] => Command::Refresh { token: token.to_owned() },
            _ => panic!("{words:?} is no step"),
        }
    }

    fn connect(&mut self, name: &str, user: &str, device: &str, how: &[&str]) {
        let (token, from) = match *how {
            [] => (user, None),
            [token] => (token, None),
            ["from", cursor] => (user, Some(cursor)),
            [token, "from", cursor] => (token, Some(cursor)),
            _ => panic!("{name} connects {how:?}"),
        };
        let at = |generation, position| Some(Cursor { generation, position }.to_string());
        let cursor = match from {
            None => None,
            Some("last") => self.client(name).cursor.clone(),
            Some("start") => at(GENERATION, Position::START),
            Some("elsewhere") => at(GENERATION + 1, Position::START),
            Some("ahead") => at(GENERATION, Position::end_of(u64::MAX)),
            Some(text) => Some(text.to_owned()),
        };
        let (token, device_id) = (token.to_owned(), device_id(device));
        self.ask(name, Command::Connect(Connect { token, device_id, cursor, client: None }));
    }

    /// A command about a channel that is there already, and all that comes of it.
    pub(crate) fn ask_of(&mut self, name: &str, channel: &str, command: impl FnOnce(ChannelId) -> Command) {
        let command = command(self.names.id(channel));
        self.ask(name, command);
        self.settle();
    }

    /// A client opens a channel that is there already.
    pub(crate) fn open_by_name(&mut self, name: &str, channel: &str) {
        self.ask_of(name, channel, |channel_id| Command::Open(Open { channel_id, after_seq: None }));
    }

    /// The operation of the channel's first member who sends this.
    fn send_op(&mut self, channel: &str, body: &str) -> (ChannelId, ChannelOp) {
        let op = SendOp {
            from: self.user(&channel.trim_start_matches('L')[..1]),
            client_msg_id: id_of(body),
            kind: MessageKind::Text,
            body: body.into(),
            reply_to: None,
            mentions: no_mentions(),
            ruling: None,
            audience: None,
            media: Vec::new(),
        };
        (self.channel(channel), ChannelOp::Send(op))
    }

    /// Users by their letters, or so many of nobody; `-` is none.
    fn listed(&mut self, users: &str) -> Vec<UserId> {
        match users.parse::<u64>() {
            Ok(count) => (1..=count).map(UserId).collect(),
            Err(_) => users.chars().filter(|&letter| letter != '-').map(|user| self.user(&user.to_string())).collect(),
        }
    }

    /// A command of a client.
    pub(crate) fn ask(&mut self, name: &str, command: Command) {
        let bytes = self.client(name).ask(command);
        self.message(name, &bytes);
    }

    /// What each client was told, in the order of their names.
    pub(crate) fn told(&self) -> String {
        let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, client) in &self.clients {
            all.insert(name, counted(&client.told));
        }
        if !self.replies.is_empty() {
            all.insert("api", counted(&self.replies));
        }
        if !self.watched.is_empty() {
            let mut seen = self.seen.clone();
            seen.sort();
            all.insert("seen", counted(&seen));
        }
        let lists: Vec<String> =
            all.into_iter().map(|(name, told)| format!("{name}: {}", told.join(", ")).trim_end().to_owned()).collect();
        lists.join(" | ")
    }
}

fn device_id(digit: &str) -> DeviceId {
    format!("d{digit}").parse().expect("legal")
}

fn search(query: String) -> Command {
    Command::Search(Search { query, channel_id: None, from: None, before_ms: None, limit: 20, cursor: None })
}

/// A text, filled up to a size if there is one.
fn filled(text: &str, size: &[&str]) -> String {
    let Some(kb) = size.first() else { return text.to_owned() };
    let bytes = number::<usize>(kb.trim_end_matches("KB")) * 1_024;
    format!("{text}_{}", "x".repeat(bytes - text.len() - 1))
}

fn counted(told: &[String]) -> Vec<String> {
    told.chunk_by(|a, b| a == b)
        .map(|run| if run.len() == 1 { run[0].clone() } else { format!("{} ×{}", run[0], run.len()) })
        .collect()
}
