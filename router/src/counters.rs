//! Counters of what a shard refuses, leaves out and finds broken.
//!
//! Owns one number for each bound that drops or refuses, and for each fault that is survived. Each is logged at debug
//! where it is counted, by its name alone: no token and no text is in the log.

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident = $metric:literal, $help:literal;)*) => {
        /// One kind of refusal, omission or fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Counter {
            $(#[doc = $help] $name,)*
        }

        impl Counter {
            /// All kinds, in the order of their places.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The metric's name, without its `_total`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $metric,)*
                }
            }

            /// The metric's description.
            #[must_use]
            pub fn help(self) -> &'static str {
                match self {
                    $(Self::$name => $help,)*
                }
            }
        }

        const KINDS: usize = [$(Counter::$name,)*].len();
    };
}

counters! {
    Rate = "rookery_refused_rate", "Commands refused as too many for their session or user";
    Tickets = "rookery_refused_tickets", "Operations refused because too many wait for their channels' homes";
    Appends = "rookery_refused_appends", "Operations refused because too many wait for the store, or too long";
    WritesOff = "rookery_refused_writes_off", "Operations refused while the store takes no writes";
    Moving = "rookery_refused_moving", "Requests refused because their channel or user has another home";
    Gathers = "rookery_refused_gathers", "Questions for presence refused because too many wait for homes";
    PresenceQuestions = "rookery_refused_presence_questions", "Questions for presence refused because too many wait here";
    Watched = "rookery_refused_watched", "Watch lists left unanswered because too many users are watched here";
    Followers = "rookery_refused_followers", "Subscriptions and interest refused because too many follow channels here";
    Sessions = "rookery_refused_sessions", "Sessions refused because their account has too many";
    OpenChannels = "rookery_refused_open_channels", "Large channels not opened because their session has too many open";
    MemberPages = "rookery_refused_member_pages", "Questions for members refused because their page lies too far on";
    Kicks = "rookery_refused_kicks", "Endings of sessions refused because too many wait for their homes";
    CommandBytes = "rookery_refused_command_bytes", "Operations refused because too much text waits for channels' homes";
    Before = "rookery_refused_before", "Operations refused because too many wait for applications' word";
    Behind = "rookery_refused_behind", "Sends refused because the one before them did not come";
    Connections = "rookery_refused_connections", "Connections closed with 3015 because the shard has as many as it may";
    Logins = "rookery_refused_logins", "Connects refused with 114 because more come than the shard begins in a second";
    LateLogins = "rookery_closed_logins", "Connections closed with 3015 because their turn to log in would come too late";
    Memberships = "rookery_left_out_memberships", "Large channels left out of a user's list, whose heads it is not told";
    IndexMarks = "rookery_left_out_index_marks", "Channels not marked for the index, until the next write or search";
    Hints = "rookery_left_out_hints", "Contents of hints not kept, and read from the store instead";
    Typing = "rookery_left_out_typing", "Signs of typing not told because their session writes in too many channels";
    SmallOpen = "rookery_left_out_open_channels", "Open channels forgotten because their session has opened too many since";
    Recent = "rookery_left_out_recent", "Events not kept for sessions, which read their inbox instead";
    StalePresence = "rookery_left_out_stale_presence", "Stored states of users who are gone, to be corrected another time";
    Overdue = "rookery_overdue_answers", "Operations and questions whose home did not answer in time";
    StoreRefused = "rookery_store_refused", "Questions that the store refused or could not answer";
    Strays = "rookery_frames_stray", "Frames for another life or shard, or of a life that is over, which were ignored";
    NotOurs = "rookery_frames_not_ours", "Frames about channels or users of another home, which were ignored";
    Parked = "rookery_frames_parked", "Frames of newer views, which waited for them";
    OutOfOrder = "rookery_inboxes_out_of_order", "Pages of inboxes that were not in order, whose sessions were ended";
    Closed = "rookery_closed_by_shard", "Connections that the shard closed";
}

/// The count of each kind since the shard started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters([u64; KINDS]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; KINDS])
    }
}

impl Counters {
    /// The count of one kind.
    #[must_use]
    pub fn of(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    pub(crate) fn count(&mut self, counter: Counter) {
        self.0[counter as usize] += 1;
        tracing::debug!(counter = counter.name(), "counted");
    }
}
