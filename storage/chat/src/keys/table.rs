//! Tables: for each its number, the fields of its keys, its values, and what becomes of it in another store.
//!
//! Owns the whole of what a table is, in one declaration each: functions that make its keys and read them back, its
//! line in docs/foundationdb.md (`cargo xtask keys` writes it), and how `store check` tells whether a row can be read.

use std::cmp::Reverse;

use schema::record::{
    AppRecord, ArrivalRecord, BlockRecord, ChannelRecord, CodeRecord, ContactRecord, DeadRecord, DedupRecord,
    DeliveryRecord, DeviceRecord, EventRecord, FenceRecord, FirstNoticeRecord, FriendRecord, HeadRecord,
    HookCallRecord, HookRecord, HookedRecord, IdempotencyRecord, JobRecord, MediaRecord, MemberRecord, MessageRecord,
    NodeRecord, NoticeEventRecord, NoticeRecord, PresenceRecord, PushRecord, ReadMarkRecord, RecordError,
    RefreshRecord, SettingsRecord, TalliesRecord, TemplateRecord, ToldRecord, UploadRecord, UserRecord, VariantRecord,
};
use schema::{
    ChannelId, ClientMsgId, DeviceId, Emoji, Incarnation, MediaId, Medium, NoticeId, Position, Seq, ShardIndex, Stamp,
    UnixMs, UserId,
};

use crate::fields::{Field, Reader, Writer};
use crate::packed;

/// What becomes of a row in another store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// It is the same there.
    AsItIs,
    /// It goes along without the stamp in its value, which is of its own store.
    Unstamped,
    /// It goes along, and its user's inbox begins anew there.
    WithFloor,
    /// It stays behind: it names versions of its own store, or who owns what in it.
    Left,
}

/// One table, for whoever documents it.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The first byte of its keys.
    pub number: u8,
    /// Its name.
    pub name: &'static str,
    /// What follows the number: the names of fields and their widths in bytes, 0 where it varies.
    pub fields: Vec<(&'static str, usize)>,
    /// What a row says.
    pub says: &'static str,
}

/// Every table, by number.
pub fn layouts() -> impl Iterator<Item = Layout> {
    Table::ALL.iter().copied().map(Table::layout)
}

/// No type, one, or a tuple of several.
macro_rules! fields {
    () => { () };
    ($one:ty) => { $one };
    ($($several:ty),+) => { ($($several),+) };
}

/// Declares tables: `number Name "name" (fields of the key) key_function, function_that_reads_it back: what becomes of
/// a row in another store, how its value is read, "what a row says".`
macro_rules! tables {
    ($(
        $number:literal $table:ident $name:literal ($($field:ident: $type:ty = $said:literal),*)
            $make:ident, $read:ident: $transfer:ident, $value:expr, $says:literal;
    )*) => {
        /// The first byte of a key. Numbers are never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Table {
            $($table = $number,)*
        }

        impl Table {
            /// Every table, in the order of numbers.
            pub(super) const ALL: &'static [Self] = &[$(Self::$table,)*];

            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$table => $name,)*
                }
            }

            pub(super) fn transfer(self) -> Transfer {
                match self {
                    $(Self::$table => Transfer::$transfer,)*
                }
            }

            fn layout(self) -> Layout {
                let (fields, says) = match self {
                    $(Self::$table => (vec![$(($said, width::<$type>())),*], $says),)*
                };
                Layout { number: self as u8, name: self.name(), fields, says }
            }

            /// Whether a row of this table can be read, key and value.
            pub(crate) fn check(self, key: &[u8], value: &[u8]) -> Result<(), RecordError> {
                match self {
                    $(Self::$table => {
                        $read(key)?;
                        read_value($value, value)
                    })*
                }
            }

            /// The fields of a key, as they are printed, and the key that is made of them.
            #[cfg(test)]
            pub(super) fn again(self, key: &[u8]) -> Result<(String, Vec<u8>), RecordError> {
                match self {
                    $(Self::$table => {
                        let fields = $read(key)?;
                        Ok((format!("{fields:?}"), Writer::behind($number).and(fields).0))
                    })*
                }
            }

            /// How the fields of two keys compare.
            #[cfg(test)]
            pub(super) fn compare(self, one: &[u8], other: &[u8]) -> Result<std::cmp::Ordering, RecordError> {
                match self {
                    $(Self::$table => Ok($read(one)?.cmp(&$read(other)?)),)*
                }
            }
        }

        $(
            #[doc = concat!("The key of `", $name, "`: ", $says, ".")]
            #[must_use]
            pub fn $make($($field: $type),*) -> Vec<u8> {
                Writer::behind($number).and(($($field),*)).0
            }

            #[doc = concat!("The fields of a key of `", $name, "`.")]
            ///
            /// # Errors
            /// If it is no such key.
            pub fn $read(key: &[u8]) -> Result<<fields!($($type),*) as Field>::Owned, RecordError> {
                Reader::of_key($name, $number, key)?.last::<fields!($($type),*)>()
            }
        )*
    };
}

fn width<F: Field>() -> usize {
    if F::VARIES { 0 } else { F::BYTES }
}

fn read_value<T>(read: impl FnOnce(&[u8]) -> Result<T, RecordError>, value: &[u8]) -> Result<(), RecordError> {
    read(value).map(drop)
}

/// A value that nobody reads, since its key says it all, or that only its own reader understands.
fn unread(_value: &[u8]) -> Result<(), RecordError> {
    Ok(())
}

tables! {
    1 Arrival "arrival" (hash: u8 = "hash byte", incarnation: Incarnation = "home incarnation",
            shard: ShardIndex = "home shard", stamp: Stamp = "stamp")
        arrival, arrival_of: Left, ArrivalRecord::decode, "what a transaction brought to the users of one home shard";
    2 Batch "batch" (incarnation: Incarnation = "incarnation", shard: ShardIndex = "shard", lane: u8 = "lane")
        batch_of, batch_fields: Left, packed::batch, "the last batch that a shard committed in a lane";
    3 Body "body" (channel: ChannelId = "channel", seq: Seq = "seq", revision: u32 = "revision", part: u32 = "part")
        body_part, body_place: AsItIs, unread, "a part of a body that is longer than 8 KB";
    4 Channel "channel" (channel: ChannelId = "channel")
        channel, channel_id: AsItIs, ChannelRecord::decode, "kind, title, epoch of members";
    5 Dedup "dedup" (hash: u8 = "hash byte", day: u32 = "day", channel: ChannelId = "channel", user: UserId = "user",
            id: ClientMsgId = "client_msg_id or op_id")
        dedup, dedup_fields: AsItIs, DedupRecord::decode, "the first reply to an operation, for 33 days";
    6 DedupFloor "dedup floor" ()
        dedup_floor, dedup_floor_of: AsItIs, packed::day, "the day before which first replies were cleared";
    7 Direct "direct" (low: UserId = "low user", high: UserId = "high user")
        direct_of, direct_users: AsItIs, packed::direct, "the channel of two users";
    8 Family "family" (user: UserId = "user", family: u64 = "family")
        family, family_of: AsItIs, unread, "a token family that lives";
    9 Fence "fence" (hash: u8 = "hash byte", incarnation: Incarnation = "incarnation")
        fence_of, fence_fields: Left, FenceRecord::decode, "that this life of a node may append";
    10 Former "former" (channel: ChannelId = "channel", user: UserId = "user")
        former, former_of: AsItIs, MemberRecord::decode, "what one who has left may still read";
    11 Head "head" (channel: ChannelId = "channel")
        head, head_of: AsItIs, HeadRecord::decode, "the newest seq and its time";
    12 Idempotency "idempotency" (day: u32 = "day", user: UserId = "user", key: &str = "key")
        idempotency, idempotency_of: AsItIs, IdempotencyRecord::decode,
        "the channel that a creation's key made, for a day";
    13 Inbox "inbox" (user: UserId = "user", position: Position = "stamp · ordinal")
        inbox, inbox_place: Left, EventRecord::decode, "one event of an account, 30 days or 100,000 of them";
    14 InboxFloor "inbox floor" (user: UserId = "user")
        inbox_floor, inbox_floor_of: Left, packed::floor, "up to where an inbox was trimmed";
    15 Joined "joined" (user: UserId = "user")
        joined, joined_of: AsItIs, packed::counter, "how many channels a user is a member of";
    16 Member "member" (channel: ChannelId = "channel", user: UserId = "user")
        member, member_of: AsItIs, MemberRecord::decode, "role, mute and ranges of a member";
    17 Membership "membership" (user: UserId = "user", channel: ChannelId = "channel")
        membership, membership_of: WithFloor, MemberRecord::decode, "the same, by user";
    18 Message "message" (channel: ChannelId = "channel", seq: Seq = "seq")
        message, message_place: AsItIs, MessageRecord::decode, "a message, its body up to 8 KB";
    20 Read "read" (user: UserId = "user", channel: ChannelId = "channel")
        read, read_of: AsItIs, ReadMarkRecord::decode, "how far a user has read";
    21 Refresh "refresh" (hash: [u8; 32] = "hash")
        refresh, refresh_of: AsItIs, RefreshRecord::decode, "a refresh token";
    22 User "user" (user: UserId = "user")
        user, user_of: AsItIs, UserRecord::decode, "an account";
    23 Username "username" (name: &str = "name")
        username, username_of: AsItIs, packed::user, "whose name it is";
    24 View "view" ()
        view, view_of: Left, packed::view, "the epoch, the nodes and the partition table";
    25 RefreshDue "refresh due" (expires: UnixMs = "time", hash: [u8; 32] = "hash")
        refresh_due, refresh_due_of: AsItIs, unread, "the same token, by its end";
    26 Reaction "reaction" (channel: ChannelId = "channel", seq: Seq = "seq", emoji: &Emoji = "length · emoji",
            user: UserId = "user")
        reaction, reaction_of: AsItIs, unread, "one user's reaction to a message";
    27 Tallies "tallies" (channel: ChannelId = "channel", seq: Seq = "seq")
        tallies, tallies_place: AsItIs, TalliesRecord::decode, "how often each emoji was put to a message";
    28 Mention "mention" (user: UserId = "user", sent_ms: UnixMs = "time", channel: ChannelId = "channel", seq: Seq = "seq")
        mention, mention_fields: AsItIs, unread, "where a user was named";
    29 Edited "edited" (channel: ChannelId = "channel", seq: Seq = "seq")
        edited, edited_place: AsItIs, unread, "what the index of words has to read again";
    30 Large "large" (user: UserId = "user", channel: ChannelId = "channel")
        large, large_of: AsItIs, unread, "a membership of a large channel";
    31 Officer "officer" (channel: ChannelId = "channel", user: UserId = "user")
        officer, officer_of: AsItIs, MemberRecord::decode, "who has a role in a large channel";
    36 Block "block" (by: UserId = "by", user: UserId = "user")
        block, block_of: AsItIs, BlockRecord::decode, "whom a user blocks";
    37 Friend "friend" (user: UserId = "user", other: UserId = "other")
        friend, friend_of: AsItIs, FriendRecord::decode, "what another is to a user";
    38 Device "device" (user: UserId = "user", device: &DeviceId = "device")
        device, device_of: Unstamped, DeviceRecord::decode, "a device and where it was last";
    39 Presence "presence" (user: UserId = "user")
        presence, presence_of: AsItIs, PresenceRecord::decode, "how present a user is";
    40 Push "push" (partition: u16 = "partition of user", due: UnixMs = "due", user: UserId = "user",
            channel: ChannelId = "channel", seq: Seq = "seq")
        push_of, push_fields: AsItIs, PushRecord::decode, "what an absent user's phone is to be told of";
    41 Node "node" (incarnation: Incarnation = "incarnation")
        node, node_of: Left, NodeRecord::decode, "a life of a node on this store, active or standing by";
    42 Heartbeat "heartbeat" (incarnation: Incarnation = "incarnation")
        heartbeat, heartbeat_of: Left, packed::beat, "what it counts up while it lives, its view and its clock";
    43 Ended "ended" (incarnation: Incarnation = "incarnation")
        ended, ended_of: Left, unread, "that a life of a node is over whose arrivals are to become push items";
    44 Contact "contact" (user: UserId = "user", medium: Medium = "medium", device: &str = "device")
        contact, contact_of: AsItIs, ContactRecord::decode, "where a user is told by one medium, on one device";
    45 Address "address" (hash: [u8; 32] = "hash")
        address, address_of: AsItIs, packed::holder, "whose device's contact an address is, by its hash";
    46 Told "told" (user: UserId = "user", channel: ChannelId = "channel")
        told, told_of: AsItIs, ToldRecord::decode, "up to which message of a channel a user is told";
    47 Job "job" (medium: Medium = "medium", partition: u16 = "partition of user", due: UnixMs = "due",
            notice: NoticeId = "notice", user: UserId = "user", device: &str = "device")
        job_of, job_fields: AsItIs, JobRecord::decode, "what is to be sent to one target, and when";
    48 Delivery "delivery" (day: u32 = "day", notice: NoticeId = "notice", user: UserId = "user",
            medium: Medium = "medium", device: &str = "device")
        delivery_of, delivery_fields: AsItIs, DeliveryRecord::decode, "what became of a job, for 30 days";
    49 Dead "dead" (medium: Medium = "medium", given_up: UnixMs = "time", notice: NoticeId = "notice",
            user: UserId = "user", device: &str = "device")
        dead, dead_fields: AsItIs, DeadRecord::decode, "a job that was given up";
    50 Indexed "indexed" (channel: ChannelId = "channel")
        indexed, indexed_of: AsItIs, unread, "up to where the index of words has come";
    51 Posting "posting" (channel: ChannelId = "channel", segment: u32 = "segment", row: u16 = "row")
        posting, posting_of: AsItIs, unread, "one row of a segment of that index";
    52 Segments "segments" (channel: ChannelId = "channel", page: u32 = "page")
        segments, segments_of: AsItIs, unread, "a page of the list of older segments";
    53 Left "left" (user: UserId = "user", channel: ChannelId = "channel")
        left, left_of: AsItIs, unread, "that a user has a row in `former`";
    54 App "app" (app: u64 = "app")
        app, app_of: AsItIs, AppRecord::decode, "a backend that may send notifications";
    55 Notice "notice" (notice: NoticeId = "notice")
        notice, notice_of: AsItIs, NoticeRecord::decode, "what an application asked to be told";
    56 NoticeDue "notice due" (partition: u16 = "partition of user", due: UnixMs = "due", user: UserId = "user",
            notice: NoticeId = "notice")
        notice_due_of, notice_due_fields: AsItIs, unread, "that a user is to be told a notice, and when";
    57 FirstNotice "first notice" (app: u64 = "app", key: &str = "key")
        first_notice, first_notice_of: AsItIs, FirstNoticeRecord::decode, "the notice that a request's key made";
    58 AppSpent "app spent" (day: u32 = "day", app: u64 = "app")
        app_spent, app_spent_of: AsItIs, packed::counter, "how many users an application has notified in a day";
    60 Import "import" ()
        import, import_of: Left, packed::import, "that rows of another store are being written here, and how far";
    61 SetAside "set aside" (key: &[u8] = "key")
        set_aside, set_aside_of: AsItIs, unread, "a row that cannot be read, where its range was cleared";
    62 Clock "clock" ()
        clock, clock_of: AsItIs, packed::clock, "the newest time that upkeep believes";
    63 Settings "settings" (user: UserId = "user")
        settings, settings_of: AsItIs, SettingsRecord::decode, "what a user wants to be told, by what, and when not";
    64 Code "code" (user: UserId = "user", medium: Medium = "medium")
        code, code_of: AsItIs, CodeRecord::decode, "what proves that a user reads what is sent to an address";
    65 Template "template" (app: u64 = "app", name: &str = "name")
        template, template_of: AsItIs, packed::version, "the newest version of an application's template";
    66 TemplateVersion "template version" (app: u64 = "app", version: u32 = "version", name: &str = "name")
        template_version, template_version_of: AsItIs, TemplateRecord::decode, "what all variants of a version share";
    67 TemplateVariant "template variant" (app: u64 = "app", version: u32 = "version", at: u16 = "place",
            name: &str = "name")
        template_variant, template_variant_of: AsItIs, VariantRecord::decode,
        "what a template says in one language, by one medium or by any";
    68 NoticeEvent "notice event" (app: u64 = "app", position: Position = "stamp · ordinal")
        notice_event, notice_event_of: Left, NoticeEventRecord::decode,
        "one change of what became of an application's notice, for 30 days";
    69 EventCursor "event cursor" (app: u64 = "app")
        event_cursor, event_cursor_of: Left, packed::event_cursor, "up to where an application was told of such changes";
    70 External "external" (hash: [u8; 32] = "hash")
        external, external_of: AsItIs, packed::user, "whose account a name is that others give users, by its hash";
    71 Hook "hook" (hook: u64 = "hook")
        hook, hook_of: AsItIs, HookRecord::decode, "where an application is called with what happens in chat";
    72 Hooked "hooked" (hook: u64 = "hook", partition: u16 = "partition of channel or user",
            position: Position = "stamp · ordinal")
        hooked, hooked_of: Left, HookedRecord::decode, "what a hook is to be told, and was within 3 days";
    73 HookDue "hook due" (hook: u64 = "hook", partition: u16 = "partition")
        hook_due, hook_due_of: Left, unread, "that a hook may have something to be told of a partition";
    74 HookCursor "hook cursor" (hook: u64 = "hook", partition: u16 = "partition")
        hook_cursor, hook_cursor_of: Left, packed::hook_cursor, "up to where a hook was told of a partition";
    75 HookCall "hook call" (hook: u64 = "hook", slot: u16 = "slot")
        hook_call, hook_call_of: Left, HookCallRecord::decode, "what came of one of a hook's last 1,000 calls";
    76 Media "media" (media: MediaId = "media")
        media, media_of: AsItIs, MediaRecord::decode, "a picture or another file that is whole";
    77 MediaHash "media hash" (user: UserId = "user", hash: [u8; 32] = "hash")
        media_hash, media_hash_of: AsItIs, packed::media, "the media that a user's upload of these bytes made";
    78 MediaUse "media use" (media: MediaId = "media", channel: ChannelId = "channel", seq: Seq = "seq")
        media_use, media_use_of: AsItIs, unread, "a message that holds a media; of channel 0: the media that it is the poster of";
    79 MediaDue "media due" (due: UnixMs = "time", media: MediaId = "media")
        media_due, media_due_of: AsItIs, unread, "when to remove a media unless something holds it";
    80 Upload "upload" (media: MediaId = "media")
        upload, upload_of: AsItIs, UploadRecord::decode, "an upload that is not whole, by the media that it will be";
    81 MediaOf "media of" (user: UserId = "user", media: MediaId = "media")
        media_of_user, media_of_user_fields: AsItIs, unread, "the media and uploads of a user";
    82 FeedOf "feed of" (user: UserId = "user")
        feed_of, feed_of_user: AsItIs, packed::feed, "the channel of a user's posts, and whether its readers are marked";
    83 Post "post" (channel: ChannelId = "channel", sent_ms: Reverse<UnixMs> = "time, turned",
            seq: Reverse<Seq> = "seq, turned")
        post, post_place: AsItIs, packed::post, "a post, and for whom it is";
    84 Reply "reply" (channel: ChannelId = "channel", post: Seq = "seq of the post", seq: Seq = "seq")
        reply, reply_place: AsItIs, unread, "a reply to a post";
    85 Counter "counter" (kind: u8 = "kind", of: u64 = "user or channel", seq: Seq = "seq", slot: u8 = "slot")
        counter, counter_fields: AsItIs, packed::counter, "how many of something there are, or a part of it";
    86 Follow "follow" (user: UserId = "user", author: UserId = "author")
        follow, follow_of: AsItIs, packed::since, "whom a user follows, and since when";
    87 Follower "follower" (author: UserId = "author", user: UserId = "user")
        follower, follower_of: AsItIs, unread, "the same, by author";
    88 Fanned "fanned" (channel: ChannelId = "channel")
        fanned, fanned_of: AsItIs, packed::fanned, "how far a feed's posts have come into timelines";
    89 FanDue "fan due" (partition: u16 = "partition of channel", channel: ChannelId = "channel")
        fan_due_of, fan_due_fields: AsItIs, unread, "that a feed may have posts that are in no timeline yet";
    90 Timeline "timeline" (user: UserId = "user", sent_ms: Reverse<UnixMs> = "time, turned",
            author: UserId = "author", seq: Reverse<Seq> = "seq, turned")
        timeline, timeline_fields: AsItIs, packed::timeline, "a post for a user to read, and where it is";
    91 TimelineState "timeline state" (user: UserId = "user")
        timeline_state, timeline_state_of: AsItIs, packed::timeline_state,
        "when a user read its feed, and down to where its timeline is whole";
    92 TimelineOwed "timeline owed" (user: UserId = "user", author: UserId = "author")
        timeline_owed, timeline_owed_of: AsItIs, unread, "that an author's posts are missing in a user's timeline";
    93 Heavy "heavy" (reader: UserId = "reader", author: UserId = "author")
        heavy, heavy_of: AsItIs, packed::direct, "an author into whose posts a reader's pages look, and their channel";
    94 HeavyRest "heavy rest" (author: UserId = "author", reader: UserId = "reader")
        heavy_rest, heavy_rest_of: AsItIs, unread, "a reader of such an author whose pages look into enough others";
}

impl Table {
    /// The table that a key is of. `None` if this program has no such table.
    pub(crate) fn of_key(key: &[u8]) -> Option<Self> {
        let first = *key.first()?;
        Self::ALL.iter().copied().find(|&table| table as u8 == first)
    }
}
