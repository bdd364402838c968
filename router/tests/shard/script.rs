//! The language of rows: steps, then what each client was told.
//!
//! ```text
//! a1 b1 a1'   clients: a user's letter, a device's digit; a1' is a1 again, on the next shard if there are two
//! ab Lab      a channel, named by its members; a large one
//! a1 opens | opens fb | joins [TOKEN] [from CURSOR] | connects … | leaves | stalls | reads | drains BYTES | falls silent
//! a1 sends ab m1 [20KB] | floods ab N | marks ab 3 | reads-back ab [N times] | echoes x [4KB [N times]] | dances [N times]
//! a1 edits ab 1 m2 [20KB] | deletes ab 1 | reacts ab 1 👍 | unreacts ab 1 👍 | types ab | stops ab
//! a1 searches m1 | searches for 201 (letters)
//! a1 opens ab [after 3] | closes ab | looks-around ab PAGE
//! a1 watches abc (users, or a count of nobodies, or - for none) | looks-for abc
//! a1 refreshes TOKEN | says {…} | sends-binary | speaks
//! store holds KIND | releases [KIND] | answers KIND last | delays KIND (it is done and told later) | tells KIND last | refuses KIND 115 | accepts KIND | forgets a | takes no writes | has a online
//! api sends ab m1 TICKET, by the channel's first member | kicks a1 device | kicks a family 1 | blocks ab on | removes b from Lab | adds b to La
//! wait 3s | wait 5ms | cold | earlier ab m1 | watch KIND | hints are lost | hints come | feeds are lost | feeds come (the later ones) | drain in 5s
//! home forgets a1 | home denies a1 | stray frame for a1
//! => a1: connected, #1, ab#1=m1 | b1: … | seen: KIND ×3
//! ```
//! `joins` opens and connects, `dances` asks what no server knows. A token is USER/DEVICE/SECONDS/FAMILY. What is told
//! several times in a row is counted. A row that begins `cold` meets shards whose home knows nothing yet. Behind every
//! row everybody leaves, and nothing must be left (I11, I12).

use std::collections::BTreeMap;

use router::Input;
use schema::command::{Connect, Delete, Edit, History, HistoryWindow, Open, PresenceGet, React, Search, Send, Typing};
use schema::event::Role;
use schema::mesh::Kicked;
use schema::message::no_mentions;
use schema::op::SendOp;
use schema::record::PresenceRecord;
use schema::{
    ChannelId, ChannelOp, Command, Cursor, DeviceId, Encoding, ErrorCode, MessageKind, Position, PresenceState, Seq,
    UserId,
};

use crate::client::id_of;
use crate::store::GENERATION;
use crate::world::World;

/// Runs the steps before `=>` over one shard and over two, and compares what was told with what stands behind it.
pub(crate) fn check(row: &str) {
    for shards in [1, 2] {
        check_on(shards, row);
    }
}

/// The same over so many shards only.
pub(crate) fn check_on(shards: u16, row: &str) {
    let row = row.split_whitespace().collect::<Vec<_>>().join(" ");
    let (steps, expected) = row.split_once(" => ").expect("a row says what comes of it");
    let mut world = World::new(shards);
    if !steps.starts_with("cold") {
        world.wait(0);
    }
    for step in steps.split(", ") {
        world.step(step);
        world.settle();
    }
    let told = world.told();
    assert_eq!(told, expected, "\n{steps}\non {shards} shards, told: {told}");
    world.everybody_leaves();
}

/// The user's letters, the device's name and the shard of a client.
fn parts(name: &str, shards: usize) -> (&str, &str, usize) {
    let again = name.ends_with('\'');
    let (user, device) = name.trim_end_matches('\'').split_at(name.trim_end_matches('\'').len() - 1);
    let shard = usize::from(device.as_bytes()[0]) + usize::from(again);
    (user, device, shard % shards)
}

impl World {
    /// One step.
    pub(crate) fn step(&mut self, step: &str) {
        let words: Vec<&str> = step.split(' ').collect();
        match *words {
            ["wait", span] => {
                let ms = match span.strip_suffix("ms") {
                    Some(ms) => ms.parse().expect("milliseconds"),
                    None => span.trim_end_matches('s').parse::<u64>().expect("seconds") * 1_000,
                };
                self.wait(ms);
            }
            ["watch", kind] => {
                self.watched.insert(kind.to_owned());
            }
            ["cold"] => {}
            ["earlier", channel, body] => {
                // Of an earlier epoch: it is in inboxes alone, and no home will find it among its arrivals.
                let send = self.send_op(channel, body);
                self.store.commit(self.now, [send]);
                self.store.forget_arrivals();
            }
            ["hints", "are", "lost"] => self.lose_hints = true,
            ["hints", "come"] => self.late_hints_come(),
            ["feeds", are_lost @ ("are" | "come"), ..] => self.lose_feeds = are_lost == "are",
            ["home", "forgets", name] => {
                let user = self.user(parts(name, 1).0);
                self.home_forgets(name, user);
            }
            ["home", "denies", name] => {
                let user = self.user(parts(name, 1).0);
                self.home_denies(name, user);
            }
            ["stray", "frame", "for", name] => self.stray_frame(name),
            ["drain", "in", span] => {
                let ms = span.trim_end_matches('s').parse::<u64>().expect("seconds") * 1_000;
                let deadline_ms = self.now.wall.plus_ms(ms);
                for shard in 0..self.shards.len() {
                    self.input(shard, Input::Drain { deadline_ms });
                }
            }
            ["store", ref words @ ..] => self.store_step(words),
            ["api", "sends", channel, body, ticket] => {
                let (channel, op) = self.send_op(channel, body);
                let ticket = ticket.parse().expect("a number");
                self.input(0, Input::Command { ticket, channel, op });
            }
            ["api", "blocks", channel, on] => {
                let (channel_id, mut two) = (self.channel(channel), channel.chars().map(|user| user.to_string()));
                let mut next = || self.user(&two.next().expect("a direct channel has two"));
                let (by, user) = (next(), next());
                let op = ChannelOp::Block { by, user, on: on == "on" };
                self.input(0, Input::Command { ticket: 0, channel: channel_id, op });
            }
            ["api", "removes", user, "from", channel] => self.change_members(channel, user, false),
            ["api", "adds", user, "to", channel] => self.change_members(channel, user, true),
            ["api", "kicks", name, "device"] => {
                let (user, device, _) = parts(name, 1);
                let device = format!("d{device}").parse().expect("legal");
                self.kick(user, Kicked::Device(device));
            }
            ["api", "kicks", user, "family", family] => {
                let family = family.parse().expect("a number");
                self.store.families.remove(&family);
                self.kick(user, Kicked::Family(family));
            }
            [name, ref words @ ..] => self.client_step(name, words),
            [] => panic!("an empty step"),
        }
    }

    fn change_members(&mut self, channel: &str, user: &str, is_added: bool) {
        let (channel, user) = (self.channel(channel), self.user(user));
        let op = match is_added {
            true => ChannelOp::AddMember { by: user, user, role: Role::Member },
            false => ChannelOp::RemoveMember { by: user, user },
        };
        self.input(0, Input::Command { ticket: 0, channel, op });
    }

    fn kick(&mut self, user: &str, whose: Kicked) {
        let user = self.user(user);
        self.input(0, Input::Kick { user, whose });
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
                let code = ErrorCode::try_from(code.parse::<u16>().expect("a code")).expect("a known code");
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
            ["takes", no, "writes"] => {
                for shard in 0..self.shards.len() {
                    self.input(shard, Input::Writes { on: no != "no" });
                }
            }
            _ => panic!("store {words:?} is no step"),
        }
    }

    fn client_step(&mut self, name: &str, words: &[&str]) {
        let (user, _, shard) = parts(name, self.shards.len());
        self.user(user);
        match *words {
            ["opens"] => self.open(name, shard, Encoding::Json),
            ["opens", "fb"] => self.open(name, shard, Encoding::Fb),
            ["joins", ref how @ ..] => {
                self.open(name, shard, Encoding::Json);
                self.connect(name, how);
            }
            ["connects", ref how @ ..] => self.connect(name, how),
            ["leaves"] => self.leave(name),
            ["stalls"] => self.client(name).reading = false,
            ["reads"] => self.client(name).reading = true,
            ["drains", bytes] => self.drain(name, bytes.parse().expect("bytes")),
            ["falls", "silent"] => self.client(name).silent = true,
            ["speaks"] => {
                let client = self.client(name);
                let (shard, conn) = (client.shard, client.conn);
                self.input(shard, Input::Heard { conn });
            }
            ["sends", channel, body] => self.send(name, channel, body),
            ["sends", channel, body, kb] => self.send(name, channel, &filled(body, kb)),
            ["floods", channel, times] => {
                for number in 0..times.parse::<u32>().expect("a count") {
                    self.send(name, channel, &format!("f{number}"));
                }
            }
            ["marks", channel, seq] => {
                let channel_id = self.channel(channel);
                let read_seq = Seq(seq.parse().expect("a seq"));
                self.ask(name, Command::Mark { channel_id, read_seq });
            }
            ["edits", channel, seq, body] => self.edit(name, channel, seq, body),
            ["edits", channel, seq, body, kb] => self.edit(name, channel, seq, &filled(body, kb)),
            ["deletes", channel, seq] => {
                let (channel_id, seq) = (self.channel(channel), Seq(seq.parse().expect("a seq")));
                let op_id = id_of(&format!("delete {channel_id} {seq}"));
                self.ask(name, Command::Delete(Delete { channel_id, seq, op_id }));
            }
            ["reacts", channel, seq, emoji] => self.react(name, channel, seq, emoji, true),
            ["unreacts", channel, seq, emoji] => self.react(name, channel, seq, emoji, false),
            ["types", channel] => {
                let channel_id = self.channel(channel);
                self.ask(name, Command::Typing(Typing { channel_id, on: true }));
            }
            ["stops", channel] => {
                let channel_id = self.channel(channel);
                self.ask(name, Command::Typing(Typing { channel_id, on: false }));
            }
            ["opens", channel] => self.open_channel(name, channel, None),
            ["opens", channel, "after", seq] => {
                self.open_channel(name, channel, Some(Seq(seq.parse().expect("a seq"))))
            }
            ["closes", channel] => {
                let channel_id = self.channel(channel);
                self.ask(name, Command::Close { channel_id });
            }
            ["looks-around", channel, page] => {
                let channel_id = Some(self.channel(channel));
                let page = page.parse().expect("a page");
                self.ask(name, Command::PresenceGet(PresenceGet { user_ids: Vec::new(), channel_id, page }));
            }
            ["searches", query] => self.search(name, query),
            ["searches", "for", letters] => self.search(name, &"x".repeat(letters.parse().expect("a count"))),
            ["watches", users] => {
                let user_ids = self.listed(users);
                self.ask(name, Command::PresenceWatch { user_ids });
            }
            ["looks-for", users] => {
                let user_ids = self.listed(users);
                self.ask(name, Command::PresenceGet(PresenceGet { user_ids, channel_id: None, page: 0 }));
            }
            ["reads-back", channel] => self.read_back(name, channel),
            ["reads-back", channel, times, "times"] => {
                for _ in 0..times.parse().expect("a count") {
                    self.read_back(name, channel);
                }
            }
            ["echoes", data] => self.ask(name, Command::Echo { data: data.to_owned() }),
            ["echoes", data, kb] => self.ask(name, Command::Echo { data: filled(data, kb) }),
            ["echoes", data, kb, times, "times"] => {
                for _ in 0..times.parse::<u32>().expect("a count") {
                    self.ask(name, Command::Echo { data: filled(data, kb) });
                }
            }
            ["dances"] => self.dance(name),
            ["dances", times, "times"] => {
                for _ in 0..times.parse::<u32>().expect("a count") {
                    self.dance(name);
                    self.settle();
                }
            }
            ["refreshes", token] => self.ask(name, Command::Refresh { token: token.to_owned() }),
            ["says", ref text @ ..] => self.message(name, text.join(" ").as_bytes()),
            ["says-twice", first, second] => {
                let text = format!("{first}\n{second}");
                self.message(name, text.as_bytes());
            }
            ["sends-binary"] => {
                let client = self.client(name);
                let (shard, conn, text) = (client.shard, client.conn, !client.encoding.is_text());
                self.input(shard, Input::Message { conn, text, payload: b"{}" });
            }
            _ => panic!("{name} {words:?} is no step"),
        }
    }

    fn connect(&mut self, name: &str, how: &[&str]) {
        let (user, device, _) = parts(name, 1);
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
        let device_id: DeviceId = format!("d{device}").parse().expect("legal");
        self.ask(name, Command::Connect(Connect { token: token.to_owned(), device_id, cursor, client: None }));
    }

    fn send(&mut self, name: &str, channel: &str, body: &str) {
        let channel_id = self.channel(channel);
        let send = Send {
            channel_id,
            client_msg_id: id_of(body),
            body: body.into(),
            reply_to: None,
            mentions: no_mentions(),
            kind: MessageKind::Text,
        };
        self.ask(name, Command::Send(send));
    }

    /// A client opens a channel that is there already.
    pub(crate) fn open_by_name(&mut self, name: &str, channel: &str) {
        let channel_id = self.names.id(channel);
        self.ask(name, Command::Open(Open { channel_id, after_seq: None }));
    }

    fn open_channel(&mut self, name: &str, channel: &str, after_seq: Option<Seq>) {
        let channel_id = self.channel(channel);
        self.ask(name, Command::Open(Open { channel_id, after_seq }));
    }

    fn search(&mut self, name: &str, query: &str) {
        let query = query.to_owned();
        self.ask(
            name,
            Command::Search(Search { query, channel_id: None, from: None, before_ms: None, limit: 20, cursor: None }),
        );
    }

    fn edit(&mut self, name: &str, channel: &str, seq: &str, body: &str) {
        let (channel_id, seq) = (self.channel(channel), Seq(seq.parse().expect("a seq")));
        let op_id = id_of(&format!("edit {channel_id} {seq} {body}"));
        self.ask(name, Command::Edit(Edit { channel_id, seq, op_id, base_revision: 0, body: body.into() }));
    }

    fn react(&mut self, name: &str, channel: &str, seq: &str, emoji: &str, on: bool) {
        let (channel_id, seq) = (self.channel(channel), Seq(seq.parse().expect("a seq")));
        let op_id = id_of(&format!("react {channel_id} {seq} {emoji} {on}"));
        self.ask(name, Command::React(React { channel_id, seq, op_id, emoji: emoji.to_owned(), on }));
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

    fn dance(&mut self, name: &str) {
        let id = self.client(name).number("dance");
        self.message(name, format!(r#"{{"id":{id},"dance":{{}}}}"#).as_bytes());
    }

    fn read_back(&mut self, name: &str, channel: &str) {
        let channel_id = self.channel(channel);
        self.ask(name, Command::History(History { channel_id, window: HistoryWindow::Newest, limit: 200 }));
    }

    /// A command of a client.
    pub(crate) fn ask(&mut self, name: &str, command: Command) {
        let client = self.clients.get_mut(name).unwrap_or_else(|| panic!("{name} was never opened"));
        let bytes = client.ask(command, &self.names);
        self.message(name, &bytes);
    }

    /// What each client was told, in the order of their names.
    fn told(&self) -> String {
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

fn filled(text: &str, kb: &str) -> String {
    let bytes = kb.trim_end_matches("KB").parse::<usize>().expect("KB") * 1_024;
    format!("{text}_{}", "x".repeat(bytes - text.len() - 1))
}

fn counted(told: &[String]) -> Vec<String> {
    told.chunk_by(|a, b| a == b)
        .map(|run| if run.len() == 1 { run[0].clone() } else { format!("{} ×{}", run[0], run.len()) })
        .collect()
}
