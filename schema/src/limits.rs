//! Every bound of the system, each with its arithmetic.
//!
//! Owns the numbers that clients, shards and the store agree on. A bound of one crate's own inside stays there.

/// Characters (Unicode scalar values) of one message's text.
pub const BODY_CHARS_MAX: u32 = 100_000;
/// Bytes of one message's text: four for each character in UTF-8.
pub const BODY_BYTES_MAX: u32 = BODY_CHARS_MAX * 4;
/// Bytes of one inbound WebSocket message, in however many fragments.
///
/// A body whose characters are all escaped as `\uXXXX\uXXXX` takes 12 bytes each, 1.2 MB; the rest is for its envelope.
pub const MESSAGE_BYTES_MAX: u32 = 2 * 1024 * 1024;
const _: () = assert!(MESSAGE_BYTES_MAX >= BODY_CHARS_MAX * 12 + 64 * 1024, "a full body fits in one message");
/// Bytes of partial inbound messages that one shard holds: 32 clients in the middle of the largest message.
pub const PARTIAL_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// Bytes of one message on `/debug/echo`, whose peers are conformance suites.
pub const ECHO_MESSAGE_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// Bytes of `echo`'s data.
pub const ECHO_DATA_BYTES_MAX: u32 = 4 * 1024;
/// Bytes of a WebSocket upgrade request.
pub const HANDSHAKE_BYTES_MAX: u32 = 8 * 1024;
/// How long a client may take for the upgrade request.
pub const HANDSHAKE_MS: u64 = 5_000;
/// How long a client may take from the upgrade to `connect`.
pub const LOGIN_MS: u64 = 10_000;
/// Connections that a shard takes from its listener in a second; the others wait in the system's queue.
///
/// One takes some 20 us of the shard until its upgrade is answered, so these leave nine tenths of its time to sessions.
pub const ACCEPTS_PER_S: u32 = 5_000;
/// Connections that a shard takes at once after a pause: 20 ms of its time.
pub const ACCEPTS_BURST: u32 = 1_000;
/// Logins that a shard begins in a second, and in one moment after a pause, as long as nothing is known of how quick the
/// store is. Each takes some 100 us of the shard, and as much of the kernel: 100,000 sessions are through a node of 16 shards in 7 s.
pub const LOGINS_PER_S_FIRST: u32 = 1_000;
/// The same once the store has shown that it is quick: as many as are accepted.
pub const LOGINS_PER_S_MAX: u32 = ACCEPTS_PER_S;
/// The same while the store is slow or away.
pub const LOGINS_PER_S_MIN: u32 = 50;
/// By how much the rate grows in each second in which the store is quick: from the least to the most in 20 s.
pub const LOGINS_PER_S_STEP: u32 = 250;
/// From when on a login's question to the store is slow, and the rate is halved: sends wait for the same store.
pub const LOGIN_SLOW_MS: u64 = 100;
/// Questions of logins, two each, that a shard has the store work on at once: as many as 1,000 logins a second have under
/// way while each takes 64 ms. At `LOGIN_SLOW_MS` they let 640 logins a second in. With 64 a restart of all nodes in turn had
/// logins come again; with 256 others' sends waited five times as long while 10,000 came at once.
pub const LOGINS_UNDER_WAY_MAX: u32 = 128;

/// Bytes of a device's name.
pub const DEVICE_ID_BYTES_MAX: u32 = 64;
/// Bytes of a cursor's text: 20 bytes take 27 characters of base64; the rest is room to grow.
pub const CURSOR_CHARS_MAX: u32 = 64;
/// Bytes of an access token: a signed token with a user, a family and a device takes some 400.
pub const TOKEN_BYTES_MAX: u32 = 4 * 1024;
/// Characters of a username, from and to.
pub const USERNAME_CHARS: std::ops::RangeInclusive<usize> = 3..=32;
/// Characters of a password, from and to.
pub const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 8..=128;
/// Characters of a display name or a channel's title.
pub const TITLE_CHARS_MAX: u32 = 128;
/// Mentions in one message.
pub const MENTIONS_MAX: u32 = 50;

/// Characters of a post or of a reply to one.
pub const POST_CHARS_MAX: u32 = 5_000;
/// Posts of one user at once; then one each 6 s.
pub const POSTS_PER_MINUTE: u32 = 10;
/// Posts of one user in a day.
pub const POSTS_PER_DAY: u32 = 100;
/// Friends and followers of an author from which on its posts are written to no feed, unless the operator says otherwise:
/// readers merge them when they read. As many as a user has friends at most, so that only who is followed is concerned.
pub const READ_FANOUT_FROM: u32 = 5_000;
/// Days without a read of its feed after which a user gets no rows, unless the operator says otherwise.
pub const DORMANT_DAYS: u32 = 14;
/// Different emojis on one message.
pub const EMOJIS_OF_MESSAGE_MAX: u32 = 32;
/// How often a session may say that its user is writing in one channel.
pub const TYPING_MS: u64 = 3_000;
/// Bytes of what a backend publishes to a channel at once: a position, a state, not a document.
pub const PUBLISHED_BYTES_MAX: u32 = 4 * 1024;
/// Members up to which everyone is told who writes and who has read: in larger channels only those who have them open.
pub const SMALL_GROUP_MEMBERS_MAX: u32 = 20;
/// Large channels that a session has open at once.
pub const OPEN_CHANNELS_MAX: u32 = 64;
/// How often a member who does not have a large channel open is told that it has grown.
pub const HEAD_MS: u64 = 5_000;
/// How often a user is told that posts came into its news feed.
pub const FEED_HEAD_MS: u64 = 5_000;
/// How often a subscription is renewed, and what nobody renews for three times as long ends.
pub const RENEW_MS: u64 = 10_000;
/// Users that a session may watch.
pub const WATCHED_MAX: u32 = 500;
/// Users of one `presence_get`, and of one page of a channel's members.
pub const PRESENCE_USERS_MAX: u32 = 200;
/// How long a user stays present without a connected device.
pub const PRESENCE_GRACE_MS: u64 = 30_000;
/// How long after the last use of a device its user is away.
pub const PRESENCE_AWAY_MS: u64 = 300_000;
/// The least time between two pushes of presence to one session.
pub const PRESENCE_BATCH_MS: u64 = 250;
/// How often a connected device's use is noted: `last_active_ms` is true to within this.
pub const PRESENCE_ACTIVE_MS: u64 = 300_000;
/// How long a node's sessions are believed after its last word, and how long it may say nothing before another takes
/// over.
pub const LEASE_MS: u64 = 5_000;
/// How often a node says that it lives.
pub const BEAT_MS: u64 = 1_000;
/// Own heartbeats over which another node has said nothing before it is dead: those of one lease.
pub const BEATS_OF_LEASE: u32 = 5;
const _: () = assert!(BEAT_MS * BEATS_OF_LEASE as u64 <= LEASE_MS, "a node that beats in time counts a lease in it");
/// Earlier lives that a data directory names: those of a node that is killed again and again within one lease.
pub const LIVES_KNOWN_MAX: u32 = 8;
/// How long each member waits for those before it to propose what it sees to be due: longer than a commit takes.
pub const RANK_MS: u64 = 200;
/// Members that one waits for at most, so that it says its next word in time. With all of those before it, those behind
/// some 25 others said nothing for a lease at each change, and the cluster grew no further.
pub const RANKS_MAX: u64 = 4;
const _: () = assert!(RANKS_MAX * RANK_MS < BEAT_MS, "no heartbeat is late because its node waits for others");
/// Partitions that one view gives to other shards while their owners live: an eighth, so that nobody waits for all at
/// once.
pub const MOVES_OF_VIEW_MAX: u32 = PARTITIONS as u32 / 8;
/// How long the next such view waits for members that have not said that they go by this one.
pub const STEP_AGAIN_MS: u64 = 5_000;
/// How long a node's heartbeats may be apart before its store counts as away, and with it what it knows of other nodes.
pub const STORE_AWAY_MS: u64 = 3_000;
const _: () = assert!(STORE_AWAY_MS < LEASE_MS, "nobody is declared dead while the store is away");
/// How far a node's wall clock may be from the median of the others' before it decides nothing by age.
pub const CLOCK_OFF_WARN_MS: u64 = 5_000;
/// The same before it leaves: messages would bear times that are plainly wrong.
pub const CLOCK_OFF_MS_MAX: u64 = 60_000;
/// Nodes of a store of which one reads: ten carry 50 million daily users, and lives that crashed leave a row each for a
/// lease.
pub const NODES_MAX: u32 = 256;
/// Shards of all nodes of a view: a stored view names each owner by its place among them, in 16 bits.
pub const SHARDS_OF_VIEW_MAX: u32 = 65_536;
/// Bytes of a node's name.
pub const NODE_NAME_BYTES_MAX: u32 = 64;
/// Bytes of the address at which a node's clients connect.
pub const NODE_URL_BYTES_MAX: u32 = 255;
/// Friends of one user, requests included, and users whom one blocks.
pub const FRIENDS_MAX: u32 = 5_000;
/// Characters of a query.
pub const SEARCH_CHARS_MAX: u32 = 200;
/// Hits of one page of a search.
pub const SEARCH_HITS_MAX: u32 = 50;
/// How long a message waits before an absent member's phone is told.
pub const PUSH_GRACE_MS: u64 = 30_000;
/// How long a push is put off for a user who was online when it was due: what is stored of who is online is true only
/// so long after the user went or its home did. 10 s are for clocks that differ and commits that wait.
pub const PUSH_DOUBT_MS: u64 = PRESENCE_GRACE_MS + LEASE_MS + 10_000;
/// How long after it was due a push is kept for a worker.
pub const PUSH_KEPT_MS: u64 = 24 * 3600 * 1000;

/// How long a job is its worker's: above twice the longest attempt, so that no attempt is under way when it is anybody's
/// again.
pub const JOB_LEASE_MS: u64 = 60_000;
/// How long after it was planned a job is tried, unless its notice expires before.
pub const JOB_KEPT_MS: u64 = 24 * 3600 * 1000;
/// Days for which it is known what became of a notification.
pub const DELIVERY_DAYS: u64 = 30;
/// Bytes of the words that say why a notification was not sent, and of what a provider calls it.
pub const NOTICE_WORDS_BYTES_MAX: u32 = 250;
/// Users that one request may notify.
pub const NOTICE_RECIPIENTS_MAX: u32 = 1_000;
/// Bytes of a notice's JSON and of its words, each.
pub const NOTICE_BYTES_MAX: u32 = 16 * 1024;
/// Days for which a request's key gives the same notice.
pub const NOTICE_KEY_DAYS: u64 = 30;
/// How far ahead a notice may be planned: a year.
pub const NOTICE_AHEAD_MS_MAX: u64 = 366 * 24 * 3600 * 1000;
/// The shortest period of one that recurs.
pub const NOTICE_EVERY_MS_MIN: u64 = 60_000;
/// Templates of an application.
pub const TEMPLATES_OF_APP_MAX: u32 = 1_000;
/// Parameters that a template may have.
pub const TEMPLATE_PARAMETERS_MAX: usize = 64;
/// Variants of a template: 30 languages, half of them for mail too, and room.
pub const TEMPLATE_VARIANTS_MAX: usize = 64;
/// Bytes of a variant's title, body and html together, as they are written: they are one row, and FoundationDB takes
/// 100,000.
pub const TEMPLATE_VARIANT_BYTES_MAX: u32 = 64 * 1024;
/// Bytes of all variants of a template: half of what a request's body has, where line breaks and quotes are two bytes, and
/// a tenth of a transaction.
pub const TEMPLATE_BYTES_MAX: u32 = 1024 * 1024;
/// Versions of a template that are kept, so that what was accepted is told in the words that it was accepted with.
pub const TEMPLATE_VERSIONS_MAX: u32 = 50;
/// Secrets of an application that count at once, so that one can be replaced without a gap.
pub const APP_SECRETS_MAX: usize = 2;
/// Applications of a store.
pub const APPS_MAX: u32 = 1_000;
/// Webhooks of a store: each is one row more for everything that it wants, in the transaction that makes that.
pub const HOOKS_MAX: u32 = 64;
/// Webhooks of one application.
pub const HOOKS_OF_APP_MAX: usize = 20;
/// Channels that one webhook names.
pub const HOOK_CHANNELS_MAX: usize = 100;
/// Days for which what a webhook was told is kept, and after which one that takes nothing is paused.
pub const HOOK_DAYS: u64 = 3;
/// Events that may wait for one webhook; one for which more do, and become no fewer, is paused.
pub const HOOK_BACKLOG_MAX: u64 = 1_000_000;
/// Calls of one webhook that its log shows.
pub const HOOK_CALLS_MAX: u16 = 1_000;
/// Webhooks of a store that are asked before a message is stored: a channel's messages wait for each of them in turn.
pub const HOOKS_BEFORE_MAX: usize = 4;
/// How long such a hook may have to answer, in milliseconds, and how long it has unless it says so.
pub const BEFORE_MS_MIN: u32 = 50;
/// See [`BEFORE_MS_MIN`]. All that are asked of one message have so long together, each its share where they want more.
pub const BEFORE_MS_MAX: u32 = 5_000;
/// See [`BEFORE_MS_MIN`].
pub const BEFORE_MS_DEFAULT: u32 = 1_000;
/// Characters of the reason for which an application refuses a message, as its sender is told.
pub const REASON_CHARS_MAX: u32 = 200;
/// Messages and edits of one shard's sessions that wait for applications' word; further ones are refused (114). An eighth of the
/// shard's store tasks, each of which is under way meanwhile.
pub const BEFORE_WAITING_MAX: u32 = STORE_TASKS_MAX / 8;
/// Bytes of those.
pub const BEFORE_BYTES_MAX: u32 = 8 * 1024 * 1024;
/// Questions to one such hook that a node has under way; what would be beyond it is refused (114), so that a hook that is slow takes
/// no room of others.
pub const BEFORE_OF_HOOK_MAX: usize = 256;
/// Bytes of a contact's address: subscriptions of browsers have some 500, tokens of FCM some 200.
pub const CONTACT_BYTES_MAX: u32 = 4_096;
/// How long a code that proves an address counts: ten minutes.
pub const CODE_KEPT_MS: u64 = 600_000;
/// Guesses at a code: with six digits one of 200,000 guessers is right.
pub const CODE_TRIES_MAX: u32 = 5;
/// Categories of which a user may choose by what they are told.
pub const SETTINGS_CATEGORIES_MAX: u32 = 50;
/// Devices of one account that are told.
pub const CONTACTS_OF_USER_MAX: u32 = DEVICES_OF_USER_MAX;

/// Members of a group unless configured otherwise.
pub const GROUP_MEMBERS_DEFAULT: u32 = 100;
/// Members of a group at most: the fan-out limit, one inbox row each.
pub const GROUP_MEMBERS_MAX: u32 = 500;
/// Visibility ranges of one membership: one who leaves and comes back oftener loses the oldest range.
pub const MEMBER_RANGES_MAX: u32 = 8;
/// Channels of one user.
pub const CHANNELS_OF_USER_MAX: u32 = 2_000;
/// Accounts without a password that `rookery store accounts` makes in one transaction: 1,000 rows, and their names read.
pub const PROVIDED_AT_ONCE: u32 = 500;
/// Friendships that `rookery store friends` makes in one transaction: two rows each, and what is kept beside them.
pub const FRIENDSHIPS_AT_ONCE: u32 = 100;
/// Devices of one user.
pub const DEVICES_OF_USER_MAX: u32 = 16;
/// Logins whose tokens one device connected with, and that end with it.
pub const FAMILIES_OF_DEVICE_MAX: u32 = 8;
/// Bytes of what a client calls itself that are kept with its device; the rest is cut off.
pub const CLIENT_BYTES_MAX: u32 = 64;

/// Commands a second of a session, refilled steadily.
pub const COMMANDS_PER_S: u32 = 100;
/// Commands that a session may send at once after silence.
pub const COMMANDS_BURST: u32 = 2_000;
/// Refusals as rate limited, without one accepted between them, after which a session is closed (3013).
pub const RATE_REFUSALS_MAX: u32 = 1_000;
/// Commands without an answer at which a session's socket is not read.
pub const UNANSWERED_MAX: u32 = 256;
/// Messages that do not parse, in a row, at which a session is closed (3509).
pub const UNPARSED_MAX: u32 = 20;

/// Unsent bytes a session may hold before its cursor waits in the store instead of moving on.
///
/// Bytes of encoded frames, headers included. 64 KiB is 1 s of a 0.5 Mbit/s mobile link, and 100,000 sessions at this
/// limit hold 6.4 GB. A frame that meets an empty queue is taken whatever its size.
pub const OUTBOUND_BYTES_TARGET: u32 = 64 * 1024;
/// Unsent bytes of a session at which it is closed as slow (3008): replies count here, and are asked for by the client.
pub const OUTBOUND_BYTES_MAX: u32 = 2 * 1024 * 1024;
const _: () = assert!(OUTBOUND_BYTES_MAX > HISTORY_BYTES_MAX * 4, "several pages of history fit in the queue");
/// How long a connection may drain no byte before it is closed (3008).
pub const SLOW_MS: u64 = 30_000;
/// Silence after which the server pings, unless its operator has chosen otherwise.
pub const PING_MS: u64 = 25_000;
/// How long after that a client may still say nothing before the server closes (3012).
pub const PING_ANSWER_MS: u64 = 35_000;
/// How long before its token expires a session is told.
pub const TOKEN_EXPIRING_MS: u64 = 60_000;

/// Messages of one page of history.
pub const HISTORY_ROWS_MAX: u32 = 200;
/// Bytes of bodies of one page of history; one message always fits.
pub const HISTORY_BYTES_MAX: u32 = 256 * 1024;

/// Days that an id answers with the first reply. An older one is refused (124) rather than risk a duplicate.
pub const DEDUP_DAYS: u64 = 30;
/// Days after which dedup rows are cleared: 30, one for clocks ahead, one for the day's own length, one to spare.
pub const DEDUP_CLEARED_DAYS: u64 = 33;
/// How far in the future an id's time may be.
pub const ID_AHEAD_MS: u64 = 24 * 3600 * 1000;
/// Rows of one account's inbox.
pub const INBOX_ROWS_MAX: u32 = 100_000;
/// Days that a row stays in an inbox.
pub const INBOX_DAYS: u64 = 30;
/// Rows behind at connect beyond which a session gets a snapshot.
pub const CATCH_UP_ROWS_MAX: u32 = 10_000;
/// Channels of one page of a snapshot: some 60 bytes each, so a page is below the outbound target.
pub const SNAPSHOT_CHANNELS_MAX: u32 = 500;

/// Messages of one append transaction.
pub const BATCH_MESSAGES_MAX: u32 = 500;
/// Append transactions that one shard has under way at a time, of different channels each: while one is synced the next
/// is decided.
pub const BATCHES_IN_FLIGHT_MAX: u32 = 3;
/// Operations for which a further append transaction leaves while others are under way. One alone would cost ten times what
/// it does among so many, and waits for the disk as they do.
pub const BATCH_FURTHER_MIN: u32 = 64;
/// Bytes of bodies of one append transaction.
pub const BATCH_BODY_BYTES_MAX: u32 = 512 * 1024;
/// Rows of one append transaction. At some 100 bytes a row and its conflict range, 8,000 stay below 1 MB.
pub const BATCH_ROWS_MAX: u32 = 8_000;
/// Bytes of a body that are stored beside the message; longer ones go to parts.
pub const BODY_INLINE_BYTES_MAX: u32 = 8 * 1024;
/// Bytes of one part of a longer body, below the store's 100 KB a value.
pub const BODY_PART_BYTES: u32 = 64 * 1024;

/// Bytes of bodies that one shard holds for appends that are not durable yet; beyond it sends are refused (114).
pub const PENDING_APPEND_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// Appends that one shard holds; beyond it sends are refused (114). At 500 a transaction and 10 ms each, 2 s of work.
pub const PENDING_APPENDS_MAX: u32 = 100_000;
/// How long an append may wait for the store before sends behind it are refused (114), if more wait than one transaction
/// takes. What is acknowledged at all is so in about that time. A disk that takes 100 ms to sync, of which an append may
/// wait for two, is no overload.
pub const APPEND_WAIT_MS_MAX: u64 = 500;
/// When whoever was refused so comes again, at the earliest: each has a moment of its own, as many in a second as the store
/// answered in the last.
pub const APPEND_RETRY_MS_MIN: u64 = 100;
/// When whoever was refused so comes again, at the latest.
pub const APPEND_RETRY_MS_MAX: u64 = 5_000;
/// Bytes of content that a home keeps from hints until it has read the arrivals they belong to.
pub const HINT_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// Bytes of encoded events that one shard keeps to share between sessions.
pub const DELIVERY_CACHE_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// Recent events that a home keeps of one user with a session, so that it is served without a read.
pub const RECENT_EVENTS_MAX: u32 = 64;
/// Arrival rows of one read.
pub const ARRIVAL_ROWS_MAX: u32 = 256;
/// Inbox rows of one read.
pub const INBOX_PAGE_ROWS_MAX: u32 = 256;
/// How often a home looks at its arrivals without a hint, and at what else is not urgent.
pub const HOME_TICK_MS: u64 = 1_000;
/// When a session asks its home again without an answer.
pub const MORE_AGAIN_MS: u64 = 10_000;
/// How often from then on. Only a frame that found no room in a mailbox is lost without a word; with 10 s a million quiet
/// sessions of a cluster had 100,000 questions a second on its links.
pub const MORE_QUIET_MS: u64 = 25_000;

/// Store tasks that a shard has under way; further ones wait in the shard.
pub const STORE_TASKS_MAX: u32 = 4_096;
/// Bytes of frames that wait for one shard's full mailbox.
pub const LINK_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// Bytes beside those for frames that must arrive. Such a frame has some 300 bytes, and a session leads to a few: room
/// for those of 70,000 sessions that all come and go while a shard stands still.
pub const LINK_MUST_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// Bytes of one encoded frame between nodes.
///
/// The largest is a hint of a transaction whose every row is an event with the most and longest emojis, some 15 MB; a
/// delivery has at most some 4 MB, and what is told to 1,000,000 sessions of one shard 8 MB.
pub const MESH_FRAME_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// Bytes that one link between nodes holds for its connection: encoded, and not taken by the network yet. Beyond it
/// frames are left out and asked for again, from when half of it is free; a frame that comes then is taken whatever its
/// size. So a link holds at most half of this and the largest frame, 20 MiB.
///
/// At 10 MB a second, what a shard's 10,000 messages a second of 1 KB come to, it bridges most of a second.
pub const NODE_LINK_UNSENT_BYTES_MAX: u32 = 8 * 1024 * 1024;
const _: () = assert!(
    NODE_LINK_UNSENT_BYTES_MAX / 2 + MESH_FRAME_BYTES_MAX <= 20 * 1024 * 1024,
    "what a link holds, and a frame of any size among it"
);
/// Bytes of frames that must arrive and that the other node has not acknowledged yet. Beyond it both nodes count each
/// other as lost and begin afresh.
///
/// Such a frame takes some 300 bytes: 14,000 sessions that come or go between two shards before a silent node is
/// given up. The largest is a feed of one transaction.
pub const NODE_LINK_RESEND_BYTES_MAX: u32 = 4 * 1024 * 1024;
const _: () = assert!(
    NODE_LINK_RESEND_BYTES_MAX > BATCH_BODY_BYTES_MAX + BODY_BYTES_MAX + BATCH_MESSAGES_MAX * 4096,
    "a feed of a whole transaction is kept"
);
/// How long a link's connection may bring nothing before it is given up.
pub const NODE_LINK_SILENCE_MS: u64 = 3_000;
const _: () = assert!(
    2 * BEAT_MS < NODE_LINK_SILENCE_MS && NODE_LINK_SILENCE_MS < LEASE_MS,
    "one late beat is forgiven, and a broken connection is replaced within a lease"
);
/// Bytes of operations that one shard keeps to ask them again: twice what one home takes, since a shard's sessions have
/// several homes. Beyond it they are refused (114).
pub const COMMAND_BYTES_MAX: u32 = 2 * PENDING_APPEND_BYTES_MAX;
/// Bytes of frames of one peer that wait for a newer view: a second of it, of a shard's 60 sends of 1 KB and what its
/// sessions ask. Beyond it the peer's sessions register anew.
pub const PARKED_BYTES_MAX: u32 = 1024 * 1024;
/// Sessions that one shard registers again in a second, each of which is a read of a login and of an inbox. Where one of
/// ten nodes of 16 shards and 100,000 sessions dies, each shard of the others has 700: through in 4 s.
pub const REJOINS_PER_S: u32 = 200;
/// Sessions of one frame that registers them again.
pub const REJOINS_OF_FRAME_MAX: u32 = 256;

/// Partitions of the hash space. Over 160 shards, which carry 50 million daily users, 1,024 would leave one shard 17 %
/// above another; 4,096 leave 4 %.
pub const PARTITIONS: u16 = 4_096;

/// First pause of a client before it connects again, and what bounds its doubling.
pub const RETRY_BASE_MS: u32 = 500;
/// Longest pause of a client before it connects again.
pub const RETRY_CAP_MS: u32 = 20_000;
/// Time for each session of a node that stops, so that 200 a second connect elsewhere: a login is two commits and some
/// reads.
pub const DRAIN_MS_A_SESSION: u32 = 5;
/// Longest time over which they do: 120,000 sessions at that pace.
pub const DRAIN_JITTER_MS_MAX: u32 = 600_000;

/// How long a media stays that no message holds: a day to write the message that it is for.
pub const MEDIA_UNUSED_MS: u64 = 24 * 3_600_000;
/// How long one request may write a media at most; what broke off is removed after that. Requests end sooner.
pub const MEDIA_UPLOAD_MS: u64 = 3_600_000;
/// How long an upload of several requests may take.
pub const MEDIA_RESUMABLE_MS: u64 = 24 * 3_600_000;
/// Bytes of a media's name, as file systems have it.
pub const MEDIA_NAME_BYTES_MAX: u32 = 255;
/// Media that one message carries.
pub const MEDIA_OF_MESSAGE_MAX: u32 = 10;
/// Bytes of what a message says of one media: its name, a media type of up to 127, a BlurHash of up to 100, and numbers.
pub const ATTACHMENT_BYTES_MAX: u32 = MEDIA_NAME_BYTES_MAX + 385;
