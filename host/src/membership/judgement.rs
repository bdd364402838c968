//! Judgement of what one heartbeat saw: which step is due, and who of the members takes it.
//!
//! Owns the rules. Pure: what was seen comes in, a step goes out.

use std::collections::{BTreeMap, BTreeSet};

use chat::view::{Lease, Node, Proposal, Roll, Seen, Verdict};
use router::ring;
use schema::limits::{BEAT_MS, MOVES_OF_VIEW_MAX, RANK_MS, RANKS_MAX, STEP_AGAIN_MS};
use schema::record::NodeRecord;
use schema::{Epoch, Incarnation, Member, Standing, View};

/// Heartbeats in a row, each in time, after which an observer declares more than one dead in one view: that several are
/// silent is as likely its own fault.
const TIMELY_BEATS: u32 = 5;

/// Looks at a node of the same name before it counts as an earlier life: in two seconds one that lives says a word.
const NAMESAKE_LOOKS: u32 = 3;

/// What a node wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wish {
    /// To be a member, with its share.
    #[default]
    Serve,
    /// To hand its partitions over, and stay a member that owns none until it leaves.
    Drain,
}

/// A change of the view that is due, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The view.
    pub proposal: Proposal,
    /// Partitions that it gives to another shard.
    pub moves: usize,
    /// Who comes.
    pub joins: Vec<Incarnation>,
    /// Who goes without a word: earlier lives of the node that proposes it, and others that said nothing for a lease.
    pub dead: Vec<Incarnation>,
    /// Who begins to hand over.
    pub drains: bool,
}

/// The step that follows from a heartbeat.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing until the next one.
    Wait,
    /// Nothing while the members that stand are there: this node cannot work with them, and stands by.
    StandBy,
    /// This node was started in a way in which it must not join these members.
    Refuse(Refused),
    /// Others took this life for dead before it was a member: register again.
    Register,
    /// A change is due.
    Propose {
        /// After how long: the others of a lower rank are first.
        after_ms: u64,
        /// The change.
        change: Change,
    },
    /// Lives that are in no view are dead: remove what is left of them.
    Forget(Verdict),
    /// This life is in no view any more.
    Over,
}

/// Why a node must not join the members that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The name of the node that it does not fit.
    pub node: String,
    /// Why not.
    pub misfit: Misfit,
}

/// Why two nodes cannot be of one cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// They have the same name: an operator could not tell them apart.
    SameName,
    /// They have different secrets: neither would believe the other.
    OtherSecret,
    /// They sign tokens with different keys: who logged in at one would be a stranger at the other.
    OtherTokenKey,
    /// They have no version of the links' protocol in common.
    OtherVersions,
}

/// Whether a node can be a member.
enum Fit {
    Fits,
    /// That is not known yet.
    Waits,
    StandsBy,
    Refused(Refused),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Judgement {
    me: Incarnation,
    record: NodeRecord,
    /// Lives of this node that are known to be over, whatever the store still says of them.
    earlier: BTreeSet<Incarnation>,
    pub(super) wish: Wish,
    /// Whether this life was a member.
    pub(super) joined: bool,
    lease: Lease,
    /// Nodes of this one's name: the heartbeat that was seen first, and looks since.
    namesakes: BTreeMap<Incarnation, (Option<u64>, u32)>,
    timely: u32,
    last_ms: Option<u64>,
    /// The epoch that was seen last, and since when.
    since: (Epoch, u64),
}

impl Judgement {
    pub(super) fn new(me: Incarnation, record: NodeRecord, earlier: BTreeSet<Incarnation>) -> Self {
        Self {
            me,
            record,
            earlier,
            wish: Wish::Serve,
            joined: false,
            lease: Lease::new(me),
            namesakes: BTreeMap::new(),
            timely: 0,
            last_ms: None,
            since: (Epoch(0), 0),
        }
    }

    /// A heartbeat has committed and saw this, at `now_ms` of this node's monotonic time.
    pub(super) fn step(&mut self, now_ms: u64, seen: &Seen) -> Step {
        let Seen { roll, registered, fence } = seen;
        let timely = self.last_ms.replace(now_ms).is_none_or(|last_ms| now_ms.saturating_sub(last_ms) < 2 * BEAT_MS);
        self.timely = if timely { self.timely + 1 } else { 0 };
        if self.since.0 != roll.epoch {
            self.since = (roll.epoch, now_ms);
        }
        let mut verdict = self.lease.observe(now_ms, roll);
        let over = roll.nodes.iter().filter(|(node, _)| self.earlier.contains(node));
        verdict.dead.extend(over.map(|(&node, of)| (node, of.beat)));
        let is_member = roll.view.as_ref().is_some_and(|view| view.member(self.me).is_some());
        self.joined |= is_member;
        if self.joined && (!registered || !is_member || *fence != Some(roll.epoch)) {
            return Step::Over;
        }
        if !registered {
            return Step::Register;
        }
        if !is_member && self.wish == Wish::Serve {
            match self.fits(roll, &verdict) {
                Fit::Fits => {}
                Fit::Waits => return Step::Wait,
                Fit::StandsBy => return Step::StandBy,
                Fit::Refused(refused) => return Step::Refuse(refused),
            }
        }
        if let Some(change) = self.due(now_ms, roll, &verdict) {
            // Of its earlier lives it alone knows that they are over.
            let is_mine = change.dead.iter().any(|node| self.earlier.contains(node));
            let after_ms = if is_mine { 0 } else { self.rank(roll, &verdict).min(RANKS_MAX) * RANK_MS };
            return Step::Propose { after_ms, change };
        }
        let strangers: Verdict = Verdict {
            epoch: verdict.epoch,
            dead: verdict.dead.into_iter().filter(|(node, _)| !roll.active().any(|active| active == *node)).collect(),
        };
        if is_member && !strangers.dead.is_empty() { Step::Forget(strangers) } else { Step::Wait }
    }

    /// Whether this node can be a member beside those that live.
    fn fits(&mut self, roll: &Roll, verdict: &Verdict) -> Fit {
        match self.has_its_name(roll, verdict) {
            Fit::Fits => {}
            misfit @ (Fit::Waits | Fit::StandsBy | Fit::Refused(_)) => return misfit,
        }
        for node in roll.active().filter(|node| !verdict.dead.contains_key(node)) {
            // One whose registration this program cannot read is of another version, which may yet be updated.
            let Some(other) = roll.nodes.get(&node).and_then(|node| node.record.as_ref()) else { return Fit::StandsBy };
            if self.record.links.is_empty() || other.links.is_empty() {
                return Fit::StandsBy;
            }
            let misfits = [
                (Misfit::OtherSecret, self.record.secret != other.secret),
                (Misfit::OtherTokenKey, self.record.token_key != other.token_key),
                (
                    Misfit::OtherVersions,
                    self.record.links_newest < other.links_oldest || other.links_newest < self.record.links_oldest,
                ),
            ];
            if let Some(&(misfit, _)) = misfits.iter().find(|(_, is_so)| *is_so) {
                return Fit::Refused(Refused { node: other.name.clone(), misfit });
            }
        }
        Fit::Fits
    }

    /// Whether nobody else has this node's name. Who has may be an earlier life of it, which says nothing any more, or
    /// another node, which does. Of two that come at once the one of the smaller number stays.
    fn has_its_name(&mut self, roll: &Roll, verdict: &Verdict) -> Fit {
        let mut waits = false;
        for (&node, of) in roll.nodes.iter().filter(|&(node, _)| *node != self.me && !verdict.dead.contains_key(node)) {
            let is_first = node < self.me || roll.active().any(|active| active == node);
            if !is_first || of.record.as_ref().is_none_or(|other| other.name != self.record.name) {
                continue;
            }
            let (beat, looks) = self.namesakes.entry(node).or_insert((of.beat, 0));
            *looks += 1;
            if *beat != of.beat {
                return Fit::Refused(Refused { node: self.record.name.clone(), misfit: Misfit::SameName });
            }
            waits |= *looks < NAMESAKE_LOOKS;
        }
        if waits { Fit::Waits } else { Fit::Fits }
    }

    /// How many members that live come before this node.
    fn rank(&self, roll: &Roll, verdict: &Verdict) -> u64 {
        let before = roll.active().filter(|node| *node < self.me && !verdict.dead.contains_key(node));
        before.count() as u64
    }

    /// The change that is due, if one is.
    fn due(&self, now_ms: u64, roll: &Roll, verdict: &Verdict) -> Option<Change> {
        let old: Vec<Member> = roll.view.iter().flat_map(View::members).copied().collect();
        let gone = old.iter().map(|member| member.incarnation).filter(|node| verdict.dead.contains_key(node));
        let (mut dead, mut silent): (Vec<_>, Vec<_>) = gone.partition(|node| self.earlier.contains(node));
        if self.timely < TIMELY_BEATS {
            silent.truncate(1);
        }
        dead.append(&mut silent);
        let mut members: Vec<Member> =
            old.iter().copied().filter(|member| !dead.contains(&member.incarnation)).collect();
        let mine = members.iter_mut().find(|member| member.incarnation == self.me);
        let (mut joins, mut drains) = (Vec::new(), false);
        match (mine, self.wish) {
            (Some(mine), Wish::Drain) if mine.standing == Standing::Home => {
                mine.standing = Standing::Draining;
                drains = true;
            }
            (Some(_), Wish::Drain | Wish::Serve) | (None, Wish::Drain) => {}
            (None, Wish::Serve) => {
                // It is known to the others first and has its share later, in steps, when links to it may stand.
                members.push(self.member());
                joins.push(self.me);
            }
        }
        // Who goes without a word takes along what it owned, and somebody has to own it: all of that moves at once.
        let is_step = dead.is_empty() && joins.is_empty() && !drains;
        if is_step && !self.may_step(now_ms, roll) {
            return None;
        }
        let before = roll.view.as_ref().map(View::owners);
        let moves_max = if joins.is_empty() || before.is_none() { MOVES_OF_VIEW_MAX as usize } else { 0 };
        // Those who are linked already take over, if there are any.
        let linked: Vec<Member> =
            members.iter().copied().filter(|member| !joins.contains(&member.incarnation)).collect();
        let has_homes = linked.iter().any(|member| member.standing == Standing::Home);
        let takers = if has_homes { &linked } else { &members };
        let owners = ring::propose(roll.view.as_ref(), takers, moves_max)?;
        let moves = before
            .map_or(owners.len(), |before| before.iter().zip(&owners).filter(|(one, other)| one != other).count());
        if is_step && moves == 0 {
            return None;
        }
        let beats = dead.iter().map(|node| (*node, verdict.dead[node])).collect();
        let proposal = Proposal { after: roll.epoch, members, owners, dead: beats };
        Some(Change { proposal, moves, joins, dead, drains })
    }

    /// Whether the next part of a share may move: every member goes by the view that stands, or has had its time.
    fn may_step(&self, now_ms: u64, roll: &Roll) -> bool {
        let goes_by = |node: Incarnation| {
            let said = roll.nodes.get(&node).and_then(|Node { said, .. }| said.as_ref());
            said.is_some_and(|said| said.epoch == roll.epoch)
        };
        self.joined && (roll.active().all(goes_by) || now_ms.saturating_sub(self.since.1) >= STEP_AGAIN_MS)
    }

    fn member(&self) -> Member {
        let NodeRecord { shards, weight, .. } = self.record;
        let standing = if weight == 0 { Standing::Guest } else { Standing::Home };
        Member { incarnation: self.me, shards, weight, standing }
    }
}
