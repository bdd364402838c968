//! Counters of a driver: what happened in it since it started.
//!
//! Owns their names and descriptions, as `/metrics` shows them.

macro_rules! counters {
    ($($name:ident = $metric:literal, $help:literal;)*) => {
        /// Plain numbers: they belong to one thread.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $(#[doc = $help] pub $name: u64,)*
        }

        impl Counters {
            /// Each one's metric without its `_total`, its description, and how it is read.
            pub(crate) const ALL: &[(&'static str, &'static str, fn(&Self) -> u64)] =
                &[$(($metric, $help, |counters| counters.$name),)*];
        }
    };
}

counters! {
    accepted = "rookery_accepted", "Connections taken from the listener";
    turned_away = "rookery_turned_away", "Connections closed unheard because the shard was full";
    accepts_paused = "rookery_accepts_paused", "Times that so many connections came that further ones waited";
    out_of_descriptors = "rookery_out_of_files", "Times that no file was left for a connection";
    received_bytes = "rookery_received_bytes", "Bytes received from clients";
    sent_bytes = "rookery_sent_bytes", "Bytes sent to clients";
    sends = "rookery_sends", "Sends that completed, each with all that was queued for its socket";
    out_of_buffers = "rookery_out_of_buffers", "Receives that found no buffer and were asked for again";
    overloaded = "rookery_overloaded", "Connections closed because partial messages had no more room";
    pongs_dropped = "rookery_pongs_dropped", "Answers to pings left out for clients that do not read";
    promoted = "rookery_promoted", "Connections that were quiet and then were heard several times at once";
    stale = "rookery_stale_completions", "Completions of connections that were gone";
    turns = "rookery_turns", "Turns of the shards' loops";
    long_turns = "rookery_long_turns", "Turns of 1 ms and more, which store operations and mailboxes waited for";
    stalls = "rookery_stalls", "Turns of 100 ms and more, in which a shard served nobody";
    waits = "rookery_waits", "Turns before which a shard was ready to sleep; it slept if nothing had completed by then";
}
