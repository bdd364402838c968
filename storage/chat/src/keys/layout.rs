//! What each table's keys are made of, for whoever documents them.
//!
//! Owns the names of fields, their widths and what the rows say. A test compares it with the keys that are made, so that a key
//! and its description change together. `cargo xtask keys` writes the table of docs/foundationdb.md from it.

use super::Table;

/// A field of a key: its name and its width in bytes, 0 where it varies.
pub type Field = (&'static str, u8);

/// One table.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The first byte of its keys.
    pub number: u8,
    /// Its name.
    pub name: &'static str,
    /// What follows the number.
    pub fields: &'static [Field],
    /// What a row says.
    pub says: &'static str,
}

/// Every table, by number.
pub fn layouts() -> impl Iterator<Item = Layout> {
    Table::ALL.iter().copied().map(|table| {
        let (name, fields, says) = table.layout();
        Layout { number: table as u8, name, fields, says }
    })
}

impl Table {
    pub(super) fn name(self) -> &'static str {
        self.layout().0
    }

    fn layout(self) -> (&'static str, &'static [Field], &'static str) {
        match self {
            Self::Arrival => (
                "arrival",
                &[("epoch", 8), ("home incarnation", 8), ("home shard", 2), ("stamp", 10)],
                "what a transaction brought to the users of one home shard",
            ),
            Self::Batch => ("batch", &[("incarnation", 8), ("shard", 2)], "the last batch that a shard committed"),
            Self::Body => (
                "body",
                &[("channel", 8), ("seq", 8), ("revision", 4), ("part", 4)],
                "a part of a body that is longer than 8 KB",
            ),
            Self::Channel => ("channel", &[("channel", 8)], "kind, title, epoch of members"),
            Self::Dedup => (
                "dedup",
                &[("hash byte", 1), ("day", 4), ("channel", 8), ("user", 8), ("client_msg_id or op_id", 16)],
                "the first reply to an operation, for 33 days",
            ),
            Self::DedupFloor => ("dedup floor", &[], "the day before which first replies were cleared"),
            Self::Direct => ("direct", &[("low user", 8), ("high user", 8)], "the channel of two users"),
            Self::Family => ("family", &[("user", 8), ("family", 8)], "a token family that lives"),
            Self::Fence => ("fence", &[("hash byte", 1), ("incarnation", 8)], "that this life of a node may append"),
            Self::Former => ("former", &[("channel", 8), ("user", 8)], "what one who has left may still read"),
            Self::Head => ("head", &[("channel", 8)], "the newest seq and its time"),
            Self::Idempotency => (
                "idempotency",
                &[("day", 4), ("user", 8), ("key", 0)],
                "the channel that a creation's key made, for a day",
            ),
            Self::Inbox => (
                "inbox",
                &[("user", 8), ("stamp", 10), ("ordinal", 2)],
                "one event of an account, 30 days or 100,000 of them",
            ),
            Self::InboxFloor => ("inbox floor", &[("user", 8)], "up to where an inbox was trimmed"),
            Self::Joined => ("joined", &[("user", 8)], "how many channels a user is a member of"),
            Self::Member => ("member", &[("channel", 8), ("user", 8)], "role, mute and ranges of a member"),
            Self::Membership => ("membership", &[("user", 8), ("channel", 8)], "the same, by user"),
            Self::Message => ("message", &[("channel", 8), ("seq", 8)], "a message, its body up to 8 KB"),
            Self::Partition => ("partition", &[("number", 2)], "the shard that owns a partition"),
            Self::Read => ("read", &[("user", 8), ("channel", 8)], "how far a user has read"),
            Self::Refresh => ("refresh", &[("hash", 32)], "a refresh token"),
            Self::User => ("user", &[("user", 8)], "an account"),
            Self::Username => ("username", &[("name", 0)], "whose name it is"),
            Self::View => ("view", &[], "the epoch and the nodes of the partition table"),
            Self::RefreshDue => ("refresh due", &[("time", 8), ("hash", 32)], "the same token, by its end"),
            Self::Reaction => (
                "reaction",
                &[("channel", 8), ("seq", 8), ("length", 1), ("emoji", 0), ("user", 8)],
                "one user's reaction to a message",
            ),
            Self::Tallies => ("tallies", &[("channel", 8), ("seq", 8)], "how often each emoji was put to a message"),
            Self::Mention => {
                ("mention", &[("user", 8), ("time", 8), ("channel", 8), ("seq", 8)], "where a user was named")
            }
            Self::Edited => ("edited", &[("channel", 8), ("seq", 8)], "what the index of words has to read again"),
            Self::Large => ("large", &[("user", 8), ("channel", 8)], "a membership of a large channel"),
            Self::Officer => ("officer", &[("channel", 8), ("user", 8)], "who has a role in a large channel"),
            Self::Block => ("block", &[("by", 8), ("user", 8)], "whom a user blocks"),
            Self::Friend => ("friend", &[("user", 8), ("other", 8)], "what another is to a user"),
            Self::Device => ("device", &[("user", 8), ("device", 0)], "a device and where it was last"),
            Self::Presence => ("presence", &[("user", 8)], "how present a user is"),
            Self::Push => (
                "push",
                &[("partition of user", 2), ("due", 8), ("user", 8), ("channel", 8), ("seq", 8)],
                "what an absent user's phone is to be told of",
            ),
            Self::Node => ("node", &[("incarnation", 8)], "a life of a node on this store, active or standing by"),
            Self::Heartbeat => ("heartbeat", &[("incarnation", 8)], "what it counts up while it lives"),
            Self::Indexed => ("indexed", &[("channel", 8)], "up to where the index of words has come"),
            Self::Posting => {
                ("posting", &[("channel", 8), ("segment", 4), ("row", 2)], "one row of a segment of that index")
            }
            Self::Segments => ("segments", &[("channel", 8), ("page", 4)], "a page of the list of older segments"),
            Self::Left => ("left", &[("user", 8), ("channel", 8)], "that a user has a row in `former`"),
            Self::Import => ("import", &[], "that rows of another store are being written here, and how far"),
            Self::SetAside => ("set aside", &[("key", 0)], "a row that cannot be read, where its range was cleared"),
        }
    }
}

#[cfg(test)]
mod tests {
    use schema::record::PushItem;
    use schema::{
        ChannelId, ClientMsgId, DeviceId, Emoji, Epoch, Incarnation, Owner, Position, Seq, ShardIndex, Stamp, UnixMs,
        UserId,
    };

    use super::super::*;
    use super::*;

    const CHANNEL: ChannelId = ChannelId(7);
    const USER: UserId = UserId(8);
    const SEQ: Seq = Seq(9);
    const NODE: Incarnation = Incarnation(10);

    /// A key of each table, as the program makes it, with a text of 3 bytes where a width varies.
    fn keys() -> Vec<Vec<u8>> {
        let shard = Owner { incarnation: NODE, shard: ShardIndex(1) };
        let id = ClientMsgId::new(UnixMs(1), 1);
        let arrival = [arrival_prefix(Epoch(1), shard), Stamp::default().to_bytes().to_vec()].concat();
        let phone: DeviceId = "abc".parse().expect("a device");
        let emoji: Emoji = "⌚".parse().expect("an emoji of 3 bytes");
        vec![
            arrival,
            batch(shard),
            body_part(CHANNEL, SEQ, 1, 1),
            channel(CHANNEL),
            DedupKey { channel: CHANNEL, user: USER, id }.to_key(),
            dedup_floor(),
            direct(USER, USER),
            family(USER, 1),
            fence(NODE),
            former(CHANNEL, USER),
            head(CHANNEL),
            idempotency(1, USER, "abc"),
            inbox(USER, Position::default()),
            inbox_floor(USER),
            joined(USER),
            member(CHANNEL, USER),
            membership(USER, CHANNEL),
            message(CHANNEL, SEQ),
            partition(0),
            read(USER, CHANNEL),
            refresh(&[1; 32]),
            user(USER),
            username("abc"),
            view(),
            refresh_due(UnixMs(1), &[1; 32]),
            reaction(CHANNEL, SEQ, &emoji, USER),
            tallies(CHANNEL, SEQ),
            MentionKey { user: USER, sent_ms: UnixMs(1), channel: CHANNEL, seq: SEQ }.to_key(),
            edited(CHANNEL, SEQ),
            large(USER, CHANNEL),
            officer(CHANNEL, USER),
            block(USER, USER),
            friend(USER, USER),
            device(USER, &phone),
            presence(USER),
            push(&PushItem::new(USER, (CHANNEL, SEQ), USER, UnixMs(1))),
            node(NODE),
            heartbeat(NODE),
            indexed(CHANNEL),
            posting(CHANNEL, 1, 1),
            segments(CHANNEL, 1),
            left(USER, CHANNEL),
            import(),
            set_aside(&[1, 2, 3]),
        ]
    }

    #[test]
    fn every_key_is_as_wide_as_it_is_described() {
        let described: Vec<_> = layouts()
            .map(|layout| {
                let widths = layout.fields.iter().map(|&(_, bytes)| if bytes == 0 { 3 } else { usize::from(bytes) });
                (layout.number, 1 + widths.sum::<usize>())
            })
            .collect();
        let made: Vec<_> = keys().iter().map(|key| (key[0], key.len())).collect();
        assert_eq!(described, made);
    }

    /// Part of the stored format: no key changes a byte.
    #[test]
    fn every_key_has_the_bytes_that_it_always_had() {
        let made: Vec<String> = keys().iter().map(|key| crate::unreadable::hex(key)).collect();
        assert_eq!(made.join("\n"), include_str!("golden.txt").trim_end());
    }

    #[test]
    fn what_varies_is_told_from_what_follows() {
        for Layout { name, fields, .. } in layouts() {
            let varies = fields.iter().position(|&(_, bytes)| bytes == 0);
            let behind_length = varies.is_some_and(|at| at > 0 && fields[at - 1].0 == "length");
            assert!(varies.is_none_or(|at| at + 1 == fields.len() || behind_length), "{name}");
        }
    }
}
