//! I4: ack(a) before send(b) in one channel implies seq(a) < seq(b); and of two messages that one connection sent once
//! each, the earlier one comes first.

use std::collections::BTreeMap;

use schema::{ChannelId, DeviceId, Seq};

use crate::facts::{Facts, Key};
use crate::outcome::violated;

use super::Check;

pub(super) fn check(facts: &Facts) -> Check {
    // The first ack of each message, since a later one is a duplicate's.
    let mut seqs: BTreeMap<Key, (Seq, u64)> = BTreeMap::new();
    for ack in &facts.acks {
        seqs.entry(ack.key).or_insert((ack.seq, ack.at));
    }
    real_time(facts, &seqs)?;
    in_connections(facts, &seqs)
}

fn real_time(facts: &Facts, seqs: &BTreeMap<Key, (Seq, u64)>) -> Check {
    enum What {
        Sent(Key),
        Acknowledged(Seq),
    }
    let mut happened: BTreeMap<u64, (ChannelId, What)> = BTreeMap::new();
    for (key, (seq, at)) in seqs {
        happened.insert(facts.written[key].first, (key.channel, What::Sent(*key)));
        happened.insert(*at, (key.channel, What::Acknowledged(*seq)));
    }
    let mut newest: BTreeMap<ChannelId, Seq> = BTreeMap::new();
    for (channel, what) in happened.into_values() {
        let newest = newest.entry(channel).or_default();
        match what {
            What::Acknowledged(seq) => *newest = seq.max(*newest),
            What::Sent(key) if seqs[&key].0 < *newest => {
                violated!("I4", "{key:?} was sent after the ack of {newest} and is {}", seqs[&key].0);
            }
            What::Sent(_) => {}
        }
    }
    Ok(())
}

fn in_connections(facts: &Facts, seqs: &BTreeMap<Key, (Seq, u64)>) -> Check {
    let mut sent: BTreeMap<u64, Key> = BTreeMap::new();
    for (key, written) in &facts.written {
        if written.attempts == 1 {
            sent.insert(written.first, *key);
        }
    }
    let mut newest: BTreeMap<(&(DeviceId, u32), ChannelId), Seq> = BTreeMap::new();
    for key in sent.values() {
        let Some((seq, _)) = seqs.get(key) else { continue };
        let before = newest.entry((&facts.written[key].conn, key.channel)).or_default();
        if seq < before {
            violated!("I4", "{key:?} is {seq}, and an earlier one of its connection is {before}");
        }
        *before = *seq;
    }
    Ok(())
}
