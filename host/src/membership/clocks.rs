//! Clocks of the other nodes, as their heartbeats show them to this one: when each last said a word, and how far its
//! wall clock is from this node's.
//!
//! Owns what was seen of them. Pure. A heartbeat that has changed was written between two looks of this node, so the
//! other clock is known to within the time between these; what is told of it is the least that explains what was seen.

use std::collections::BTreeMap;

use chat::view::Roll;
use schema::limits::{BEATS_OF_LEASE, CLOCK_OFF_MS_MAX, CLOCK_OFF_WARN_MS, LEASE_MS};
use schema::{Incarnation, Instant, Now};

/// What is known of one other node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// The last number of its heartbeat.
    beat: Option<u64>,
    /// When that was new to this node.
    pub heard_at: Instant,
    /// Milliseconds that its wall clock is ahead of this node's at the least, behind where negative. None until it has
    /// said two words.
    pub ahead_ms: Option<i64>,
}

/// This node's wall clock beside those of the other members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OwnClock {
    /// Nothing is wrong with it, or nobody is there to compare with.
    #[default]
    Agrees,
    /// Milliseconds that it is ahead of the median of the others, behind where negative: more than anything that goes by
    /// age should be decided with.
    Off(i64),
    /// The same, so far that what this node writes bears wrong times.
    FarOff(i64),
}

/// See the module.
#[derive(Debug, Default)]
pub struct Clocks {
    /// This node's own times at the first look and at the last.
    looks: Option<(Now, Now)>,
    count: u32,
    seen: BTreeMap<Incarnation, Pulse>,
    /// Who was a member at the first look.
    elders: Vec<Incarnation>,
}

impl Clocks {
    /// Takes in what was seen at this moment.
    pub fn observe(&mut self, now: Now, roll: &Roll) {
        let (first, last) = self.looks.unwrap_or((now, now));
        if self.looks.is_none() {
            self.elders = roll.active().collect();
        }
        // By the monotonic clock, so that a leap of this node's own does not widen the bounds.
        let last_wall_ms = signed(now.wall.0) - ms_between(last.mono, now.mono);
        let before = std::mem::take(&mut self.seen);
        for (&node, of) in &roll.nodes {
            let said_ms = of.said.map(|said| signed(said.wall.0));
            let least_ms = said_ms.map(|said_ms| said_ms - signed(now.wall.0));
            let pulse = match before.get(&node) {
                Some(&known) if known.beat == of.beat => known,
                Some(_) => {
                    let most_ms = said_ms.map(|said_ms| said_ms - last_wall_ms);
                    let ahead_ms = least_ms.zip(most_ms).map(
                        |(least_ms, most_ms)| {
                            if least_ms > 0 { least_ms } else { most_ms.min(0) }
                        },
                    );
                    Pulse { beat: of.beat, heard_at: now.mono, ahead_ms }
                }
                // Written at some time before: it may only be too late for that.
                None => Pulse { beat: of.beat, heard_at: now.mono, ahead_ms: least_ms.filter(|ms| *ms > 0) },
            };
            self.seen.insert(node, pulse);
        }
        self.count = self.count.saturating_add(1);
        self.looks = Some((first, now));
    }

    /// What is known of each node that was there at the last look.
    #[must_use]
    pub fn pulses(&self) -> &BTreeMap<Incarnation, Pulse> {
        &self.seen
    }

    /// Milliseconds that the median of the clocks of the other members that live is ahead of this node's, behind where
    /// negative. None if none is known.
    #[must_use]
    pub fn ahead_ms(&self, me: Incarnation, roll: &Roll) -> Option<i64> {
        median(self.others(me, roll).iter().map(|&(_, ahead_ms)| ahead_ms).collect())
    }

    fn others(&self, me: Incarnation, roll: &Roll) -> Vec<(Incarnation, i64)> {
        let Some((_, now)) = self.looks else { return Vec::new() };
        let lives = |pulse: &&Pulse| now.mono.since(pulse.heard_at).as_millis() < u128::from(LEASE_MS);
        let others = roll.active().filter(|node| *node != me);
        others.filter_map(|node| Some((node, self.seen.get(&node).filter(lives)?.ahead_ms?))).collect()
    }

    /// This node's own clock, beside those of the members that live.
    #[must_use]
    pub fn judge(&self, me: Incarnation, roll: &Roll) -> OwnClock {
        let Some((first, now)) = self.looks else { return OwnClock::Agrees };
        let Some(ahead_ms) = self.ahead_ms(me, roll) else { return OwnClock::Agrees };
        let (others, off_ms) = (self.others(me, roll), -ahead_ms);
        // Of two nodes neither can tell which is wrong: it is the one that has just come, or whose clock has leapt.
        let may_be_mine = match others[..] {
            [(other, _)] => {
                let leapt_ms = signed(now.wall.0) - signed(first.wall.0) - ms_between(first.mono, now.mono);
                let is_new = self.count <= BEATS_OF_LEASE && self.elders.contains(&other) && !self.elders.contains(&me);
                is_new || leapt_ms.unsigned_abs() > CLOCK_OFF_MS_MAX
            }
            _ => true,
        };
        match off_ms.unsigned_abs() {
            0..=CLOCK_OFF_WARN_MS => OwnClock::Agrees,
            far_ms if far_ms > CLOCK_OFF_MS_MAX && may_be_mine => OwnClock::FarOff(off_ms),
            _ => OwnClock::Off(off_ms),
        }
    }
}

/// Of two in the middle the one that is nearer to this node's own clock: in doubt it is not this node that is wrong.
fn median(mut ahead_ms: Vec<i64>) -> Option<i64> {
    ahead_ms.sort_unstable();
    let middle = ahead_ms.get(ahead_ms.len().saturating_sub(1) / 2..=ahead_ms.len() / 2)?;
    middle.iter().copied().min_by_key(|ms| ms.unsigned_abs())
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

fn ms_between(earlier: Instant, later: Instant) -> i64 {
    signed(u64::try_from(later.since(earlier).as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use chat::view::{Node, Said};
    use schema::limits::PARTITIONS;
    use schema::{Epoch, Member, Owner, ShardIndex, Standing, UnixMs, View};

    use super::*;

    const ME: Incarnation = Incarnation(9);

    fn view(nodes: &[u64]) -> View {
        let member =
            |&node: &u64| Member { incarnation: Incarnation(node), shards: 1, weight: 1, standing: Standing::Home };
        let owner = Owner { incarnation: Incarnation(nodes[0]), shard: ShardIndex(0) };
        View::new(Epoch(1), nodes.iter().map(member).collect(), vec![owner; usize::from(PARTITIONS)])
    }

    /// Looks a second apart by this node's monotonic clock, of a view of it and of others whose clocks are ahead by so
    /// many milliseconds; its own leaps by `leap_ms` before the last look. It was there first, or they were.
    fn check(looks: u64, ahead_ms: &[i64], leap_ms: i64, first: bool, expected: OwnClock) {
        let mut clocks = Clocks::default();
        let nodes: Vec<u64> = (0..ahead_ms.len() as u64).chain([ME.0]).collect();
        let mut roll = Roll::default();
        for look in 1..=looks {
            let true_ms = 1_000_000_000 + look * 1_000;
            let leapt_ms = if look == looks { leap_ms } else { 0 };
            let wall = UnixMs(true_ms.checked_add_signed(leapt_ms).expect("a time"));
            let mine = Said { count: look, epoch: Epoch(1), wall, ..Said::default() };
            roll = Roll { view: Some(view(&nodes)), ..Roll::default() };
            if look == 1 && !first {
                roll.view = Some(view(&nodes[..ahead_ms.len()]));
            }
            roll.nodes.insert(ME, Node { beat: Some(look), said: Some(mine), ..Node::default() });
            for (node, ahead_ms) in (0..).zip(ahead_ms) {
                // Half a second before it is seen.
                let wall = UnixMs((true_ms - 500).checked_add_signed(*ahead_ms).expect("a time"));
                let said = Said { count: look, epoch: Epoch(1), wall, ..Said::default() };
                roll.nodes.insert(Incarnation(node), Node { beat: Some(look), said: Some(said), ..Node::default() });
            }
            clocks.observe(Now { mono: Instant(look * 1_000_000_000), wall }, &roll);
        }
        assert_eq!(clocks.judge(ME, &roll), expected, "{looks} looks, {ahead_ms:?}, leap {leap_ms}, first {first}");
    }

    #[test]
    fn who_is_far_from_the_median_of_the_others_is_wrong() {
        check(3, &[], 0, true, OwnClock::Agrees);
        check(3, &[0, 0], 0, true, OwnClock::Agrees);
        check(3, &[4_000, 4_000], 0, true, OwnClock::Agrees);
        check(3, &[9_500, 9_500], 0, true, OwnClock::Off(-9_000));
        check(3, &[-9_500, -9_500], 0, true, OwnClock::Off(9_000));
        check(3, &[70_500, 70_500], 0, true, OwnClock::FarOff(-70_000));
        check(3, &[-70_500, -70_500], 0, true, OwnClock::FarOff(70_000));
        // One of the others is wrong, or two of four.
        check(3, &[0, 90_000], 0, true, OwnClock::Agrees);
        check(3, &[0, 0, 90_000, 90_000], 0, true, OwnClock::Agrees);
        check(3, &[0, 90_500, 90_500], 0, true, OwnClock::FarOff(-90_000));
        // What is behind is known once it has said two words, what is ahead at once.
        check(1, &[-70_500, -70_500], 0, true, OwnClock::Agrees);
        check(1, &[70_500, 70_500], 0, true, OwnClock::FarOff(-70_000));
    }

    #[test]
    fn of_two_nodes_the_one_that_has_just_come_or_leapt_is_wrong() {
        check(3, &[70_500], 0, false, OwnClock::FarOff(-70_000));
        check(9, &[70_500], 0, false, OwnClock::Off(-70_000));
        check(3, &[70_500], 0, true, OwnClock::Off(-70_000));
        check(9, &[0], 70_000, true, OwnClock::FarOff(69_500));
        check(9, &[0], -70_500, true, OwnClock::FarOff(-70_000));
    }

    #[test]
    fn who_has_not_said_a_word_for_a_lease_is_not_compared_with() {
        let mut clocks = Clocks::default();
        let said = Said { count: 1, wall: UnixMs(900_000), ..Said::default() };
        let mut roll = Roll { view: Some(view(&[1, 2, ME.0])), ..Roll::default() };
        for node in [1, 2] {
            roll.nodes.insert(Incarnation(node), Node { beat: Some(1), said: Some(said), ..Node::default() });
        }
        let mut look = |ms: u64| {
            clocks.observe(Now { mono: Instant(ms * 1_000_000), wall: UnixMs(100_000 + ms) }, &roll);
            clocks.judge(ME, &roll)
        };
        assert_eq!(look(1_000), OwnClock::FarOff(-799_000));
        assert_eq!(look(5_999), OwnClock::FarOff(-799_000));
        assert_eq!(look(6_000), OwnClock::Agrees);
    }
}
