//! What `feed` adds to the report: the graph, what was compared, kills, crossings, chat beside, and caches.

use std::collections::BTreeMap;

use serde::Serialize;

/// What only `feed` knows. Counts of faults are of posts as they were shown.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct FeedReport {
    pub(crate) seed: u64,
    pub(crate) users: u32,
    pub(crate) friendships: u64,
    pub(crate) follows: u64,
    /// Authors with many friends, and how many each has.
    pub(crate) stars: u32,
    pub(crate) readers: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) burst: Option<Burst>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kills: Option<KillReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) crossing: Option<CrossReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) chat: Option<ChatBeside>,
    /// Likes, replies, edits, deletions and changes of the graph that were answered.
    pub(crate) likes: u64,
    pub(crate) replies: u64,
    pub(crate) edits: u64,
    pub(crate) deletions: u64,
    pub(crate) graph_changes: u64,
    /// Feeds and lists that were read, and posts in them.
    pub(crate) readings: u64,
    pub(crate) shown: u64,
    /// Feeds and lists that were compared in the end with all that was answered, and how long that took.
    pub(crate) compared: u64,
    pub(crate) settled_seconds: f64,
    pub(crate) forbidden: u64,
    pub(crate) stale: u64,
    pub(crate) mismatched: u64,
    pub(crate) miscounted: u64,
    /// Steps that were refused though they are allowed, and why.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Posts that were never answered. They may be there.
    pub(crate) unacknowledged: u64,
    /// Repetitions of steps without an answer, and waits for limits of the node.
    pub(crate) repeated: u64,
    pub(crate) limited: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) caches: Vec<CacheReport>,
}

/// All authors with many readers at once.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct Burst {
    pub(crate) posts: u64,
    /// Rows of feeds that the node wrote.
    pub(crate) rows: u64,
    /// From the first post to the last row.
    pub(crate) seconds: f64,
    pub(crate) rows_per_second: f64,
}

/// The node was killed and started again.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct KillReport {
    pub(crate) kills: u64,
    /// Those at which the node had written some rows of the posts before, and not all.
    pub(crate) in_the_middle: u64,
    /// Rows since those posts, by kill.
    pub(crate) rows_written: Vec<u64>,
    /// Longest time from a kill until the next life was ready.
    pub(crate) away_max_seconds: f64,
}

/// An author crossed the border between fan-out on write and on read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct CrossReport {
    /// Its readers on both sides.
    pub(crate) below: u64,
    pub(crate) beyond: u64,
    pub(crate) up: u64,
    pub(crate) down: u64,
    pub(crate) posts: u64,
}

/// Chat in windows with fan-outs and without, in alternation: medians of the windows' 99th percentiles.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct ChatBeside {
    /// Messages a second.
    pub(crate) rate: u32,
    pub(crate) rounds: u32,
    /// Rows of feeds that were written in the windows with fan-outs.
    pub(crate) rows: u64,
    pub(crate) quiet_p99_us: f64,
    pub(crate) busy_p99_us: f64,
    pub(crate) ratio: f64,
    pub(crate) quiet_delivery_p99_us: f64,
    pub(crate) busy_delivery_p99_us: f64,
    pub(crate) delivery_ratio: f64,
}

/// What a cache of the node was asked for, since the node's last start.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct CacheReport {
    pub(crate) name: String,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) hit_percent: f64,
}

impl FeedReport {
    pub(super) fn clean(&self) -> bool {
        let faults = [self.forbidden, self.stale, self.mismatched, self.miscounted];
        faults.into_iter().all(|count| count == 0) && self.refused.is_empty()
    }

    /// What is said of it, each under its label.
    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        let Self { seed, users, friendships, follows, stars, readers, .. } = self;
        let mut rows = vec![(
            "graph",
            format!(
                "{users} accounts · {friendships} friendships · {follows} follows · {stars} authors with {readers} friends each · seed {seed}"
            ),
        )];
        if let Some(Burst { posts, rows: written, seconds, rows_per_second }) = &self.burst {
            rows.push((
                "burst",
                format!("{posts} posts at once: {written} rows within {seconds:.2} s, {rows_per_second:.0} a second"),
            ));
        }
        if let Some(KillReport { kills, in_the_middle, rows_written, away_max_seconds }) = &self.kills {
            let written: Vec<_> = rows_written.iter().map(u64::to_string).collect();
            rows.push((
                "kills",
                format!(
                    "{kills}, {in_the_middle} of them in the middle of fan-outs; away {away_max_seconds:.2} s at most"
                ),
            ));
            rows.push(("", format!("rows since the posts before each: {}", written.join(" "))));
        }
        if let Some(CrossReport { below, beyond, up, down, posts }) = &self.crossing {
            rows.push((
                "crossing",
                format!("{up} times from {below} to {beyond} readers, {down} times back, {posts} posts meanwhile"),
            ));
        }
        if let Some(chat) = &self.chat {
            let ChatBeside { rate, rounds, rows: written, ratio, delivery_ratio, .. } = chat;
            let ms = |us: f64| us / 1_000.0;
            rows.push((
                "chat",
                format!(
                    "{rate} messages a second, {rounds} windows of each kind, {written} rows in those with fan-outs"
                ),
            ));
            rows.push((
                "",
                format!(
                    "p99 of ack {:.1} ms quiet, {:.1} ms beside: {ratio:.2} · of delivery {:.1} ms, {:.1} ms: {delivery_ratio:.2}",
                    ms(chat.quiet_p99_us),
                    ms(chat.busy_p99_us),
                    ms(chat.quiet_delivery_p99_us),
                    ms(chat.busy_delivery_p99_us)
                ),
            ));
        }
        let Self { likes, replies, edits, deletions, graph_changes, .. } = self;
        rows.push(("beside posts", format!("{likes} likes · {replies} replies · {edits} edits · {deletions} deletions · {graph_changes} changes of the graph")));
        let Self { readings, shown, compared, settled_seconds, .. } = self;
        rows.push(("compared", format!("{shown} posts in {readings} readings; all {compared} feeds and lists in the end, within {settled_seconds:.1} s")));
        let Self { forbidden, stale, mismatched, miscounted, unacknowledged, repeated, limited, .. } = self;
        rows.push((
            "agreement",
            format!("forbidden {forbidden} · stale {stale} · mismatched {mismatched} · miscounted {miscounted}"),
        ));
        rows.push((
            "answers",
            format!("never acknowledged {unacknowledged} · repeated {repeated} · limited {limited}"),
        ));
        rows.extend(self.refused.iter().map(|(reason, count)| ("refused", format!("{count} × {reason}"))));
        let cache = |CacheReport { name, hits, misses, hit_percent }: &CacheReport| {
            format!("{name} {hit_percent} % of {}", hits + misses)
        };
        if !self.caches.is_empty() {
            rows.push(("cache hits", self.caches.iter().map(cache).collect::<Vec<_>>().join(" · ")));
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;

    #[test]
    fn a_run_is_clean_without_a_single_fault() {
        let check = |feed: FeedReport, expected: bool| {
            let report = Report { command: "feed", feed: Some(feed), ..Report::default() };
            assert_eq!(report.clean(), expected, "{}", report.text());
        };
        let clean = FeedReport { seed: 9, ..FeedReport::default() };
        check(clean.clone(), true);
        check(FeedReport { forbidden: 1, ..clean.clone() }, false);
        check(FeedReport { stale: 1, ..clean.clone() }, false);
        check(FeedReport { mismatched: 1, ..clean.clone() }, false);
        check(FeedReport { miscounted: 1, ..clean.clone() }, false);
        check(FeedReport { refused: [("a like: HTTP 403".to_owned(), 1)].into(), ..clean.clone() }, false);
        // Nobody may know what came of a post, and it is no fault.
        check(FeedReport { unacknowledged: 1, ..clean }, true);
    }

    #[test]
    fn text_and_json_say_the_same() {
        let burst = Some(Burst { posts: 8, rows: 40_000, seconds: 0.5, rows_per_second: 80_000.0 });
        let kills = Some(KillReport { kills: 3, in_the_middle: 2, rows_written: vec![7, 8], away_max_seconds: 1.5 });
        let report = Report { feed: Some(FeedReport { burst, kills, ..FeedReport::default() }), ..Report::default() };
        let text = report.text();
        for said in ["40000 rows within 0.50 s, 80000 a second", "3, 2 of them in the middle", "before each: 7 8"] {
            assert!(text.contains(said), "{said}: {text}");
        }
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["feed"]["burst"]["rows_per_second"].as_f64(), Some(80_000.0), "{json}");
    }
}
