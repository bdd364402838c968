//! Names of what clients saw, for what differs between nodes: replies and pushes in the words of the scenarios.

use std::collections::BTreeMap;

use schema::command::{HistoryPage, Opened};
use schema::message::Tally;
use schema::{ClientMsgId, Message, PresenceEntry, Push, Reply, UnixMs, UserId};

use super::{PEOPLE, Transport};

/// The names that a scenario gave to ids, and those of its people.
pub(super) struct Names {
    ids: BTreeMap<ClientMsgId, String>,
    people: [UserId; PEOPLE.len()],
}

impl Names {
    pub(super) fn new(node: &impl Transport) -> Self {
        Self { ids: BTreeMap::new(), people: PEOPLE.map(|person| node.user(person)) }
    }

    /// The id of that name, made at `wall` when it is first named.
    pub(super) fn id(&mut self, name: &str, wall: UnixMs) -> ClientMsgId {
        let known = self.ids.iter().find(|(_, known)| *known == name).map(|(id, _)| *id);
        let id = known.unwrap_or_else(|| {
            let entropy = xxhash_rust::xxh3::xxh3_64(name.as_bytes());
            ClientMsgId::new(wall, u128::from(entropy))
        });
        self.ids.insert(id, name.to_owned());
        id
    }

    pub(super) fn reply(&self, reply: &Reply) -> String {
        match reply {
            Reply::Connect(connected) => format!("connected {}", self.person(connected.user_id)),
            Reply::Refresh { .. } => "refreshed".to_owned(),
            Reply::Send { seq, duplicate, .. } => format!("sent {seq}{}", if *duplicate { " duplicate" } else { "" }),
            Reply::History(page) => self.page(page),
            Reply::Mark { read_seq, unread } => format!("marked {read_seq}, {unread} unread"),
            Reply::Echo { data } => format!("echoed {}", short(data)),
            Reply::Edit { revision } => format!("edited, revision {revision}"),
            Reply::Delete { revision } => format!("deleted, revision {revision}"),
            Reply::React { count } => format!("reacted, {count}"),
            Reply::Typing {} => "told".to_owned(),
            Reply::Open(opened) => {
                let reads = opened.reads.iter().map(|read| (self.person(read.user_id), read.read_seq));
                let mut reads: Vec<String> = reads.map(|(person, seq)| format!(", {person} {seq}")).collect();
                reads.sort();
                let Opened { head_seq, read_seq, online, .. } = opened;
                format!("opened, head {head_seq}, read {read_seq}, {online} online{}", reads.concat())
            }
            Reply::Close {} => "closed".to_owned(),
            Reply::PresenceGet { entries } | Reply::PresenceWatch { entries } => self.presence(entries),
            Reply::Search(page) => {
                let hits = page.hits.iter().map(|hit| format!("{} {}", hit.seq, short(&hit.snippet)));
                format!("found [{}]{}", hits.collect::<Vec<_>>().join(", "), if page.more { ", more" } else { "" })
            }
        }
    }

    pub(super) fn push(&self, push: &Push) -> String {
        match push {
            Push::Message { message, .. } => self.message(message),
            Push::Edited { message, .. } => format!("edited {}", self.message(message)),
            Push::Deleted { seq, revision, .. } => format!("deleted {seq}, revision {revision}"),
            Push::Reaction { seq, emoji, count, user_id, on, .. } => {
                let what = if *on { "put" } else { "took" };
                format!("{} {what} {emoji} at {seq}, {count}", self.person(*user_id))
            }
            Push::Membership { user_id, change, .. } => format!("{change:?} {}", self.person(*user_id)),
            Push::Read { user_id, read_seq, .. } => format!("read {} {read_seq}", self.person(*user_id)),
            Push::Snapshot { channels, .. } => format!("snapshot of {}", channels.len()),
            Push::TokenExpiring { .. } => "token expiring".to_owned(),
            Push::Drain { .. } => "drain".to_owned(),
            Push::Head { head_seq, .. } => format!("head {head_seq}"),
            Push::Presence { entries } => format!("presence {}", self.presence(entries)),
            Push::FeedHead { count } => format!("feed +{count}"),
            Push::Published { event, data, .. } => format!("published {event} {data}"),
            Push::Typing { user_id, on, .. } => {
                format!("{} {}", self.person(*user_id), if *on { "types" } else { "types no more" })
            }
        }
    }

    fn presence(&self, entries: &[PresenceEntry]) -> String {
        let entry = |entry: &PresenceEntry| format!("{} {:?}", self.person(entry.user_id), entry.state).to_lowercase();
        entries.iter().map(entry).collect::<Vec<_>>().join(", ")
    }

    fn page(&self, page: &HistoryPage) -> String {
        let messages: Vec<String> = page.messages.iter().map(|message| self.message(message)).collect();
        let more = if page.more { ", more" } else { "" };
        format!("[{}] head {}, first {}{more}", messages.join(", "), page.head_seq, page.first_seq)
    }

    fn message(&self, message: &Message) -> String {
        let id = self.ids.get(&message.client_msg_id).map_or("?", String::as_str);
        let text = if message.deleted { ", deleted".to_owned() } else { format!(" {}", short(&message.body)) };
        let mut said = format!("{} {} {id}{text}", message.seq, self.person(message.from));
        if message.revision > 0 {
            said += &format!(", revision {}", message.revision);
        }
        for Tally { emoji, count, mine } in message.reactions.iter() {
            said += &format!(", {emoji} {count}{}", if *mine { " mine" } else { "" });
        }
        said
    }

    fn person(&self, user: UserId) -> &'static str {
        self.people.iter().position(|known| *known == user).map_or("?", |at| PEOPLE[at])
    }
}

/// A text, or its length if it is long.
fn short(text: &str) -> String {
    let chars = text.chars().count();
    if chars <= 40 { text.to_owned() } else { format!("{chars} characters") }
}
