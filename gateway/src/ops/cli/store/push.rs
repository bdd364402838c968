//! `rookery store push --list`: what absent users' phones are to be told of, and what a worker would decide.
//!
//! Owns the table and the lines of JSON. What is listed and decided is `chat::push`'s.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chat::push::{self, Decision, LIST_MAX};
use chat::{LayerError, accounts};
use clap::{Args, value_parser};
use schema::record::PushItem;
use schema::{UnixMs, UserId};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::config::Config;
use crate::ops::cli::settings::Settings;
use crate::ops::terminal;
use crate::store::NodeStore;

use super::StoreTask;

/// Accounts whose names are read in one transaction.
const NAMES_AT_ONCE: usize = 500;

#[derive(Debug, Args)]
pub(in crate::ops::cli) struct List {
    /// Print the items, the one that is due first at the top
    // All that there is yet.
    #[arg(long, required = true)]
    list: bool,

    /// A JSON object a line instead of a table
    #[arg(long)]
    json: bool,

    /// So many items at most
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = value_parser!(u32).range(1..=i64::from(LIST_MAX)))]
    limit: u32,

    #[command(flatten)]
    settings: Settings,
}

impl StoreTask for List {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn beside_nodes(&self) -> bool {
        true
    }

    async fn run<S: NodeStore>(&self, _: &Config, store: &S) -> anyhow::Result<()> {
        let listing = Listing::read(store, self.limit, crate::runtime::wall()).await?;
        terminal::print(&if self.json { listing.lines() } else { listing.table() })?;
        if listing.more {
            terminal::fail(&format!("these are the first {}; there are more (--limit)", listing.rows.len()), 0);
        }
        Ok(())
    }
}

struct Listing {
    rows: Vec<(PushItem, Decision)>,
    names: BTreeMap<UserId, String>,
    more: bool,
}

impl Listing {
    async fn read<S: NodeStore>(engine: &S, limit: u32, wall: UnixMs) -> Result<Self, LayerError> {
        let push::Listed { items, more } = push::list(engine, limit).await?;
        let decisions = push::decide(engine, &items, wall).await?;
        let mut names = BTreeMap::new();
        for item in &items {
            names.extend([(item.user, String::new()), (item.from, String::new())]);
        }
        let users: Vec<UserId> = names.keys().copied().collect();
        for users in users.chunks(NAMES_AT_ONCE) {
            for (&user, record) in users.iter().zip(accounts::by_ids(engine, users).await?) {
                if let Some(record) = record {
                    names.insert(user, record.username);
                }
            }
        }
        Ok(Self { rows: items.into_iter().zip(decisions).collect(), names, more })
    }

    fn name(&self, user: UserId) -> &str {
        self.names.get(&user).map_or("", String::as_str)
    }

    /// A line of headings, a line an item, a line that counts.
    fn table(&self) -> String {
        let mut table = vec![["DUE", "DECISION", "USER", "", "FROM", "", "CHANNEL", "SEQ"].map(str::to_owned)];
        for (item, decision) in &self.rows {
            table.push([
                utc(item.due_ms),
                decision.to_string(),
                self.name(item.user).to_owned(),
                item.user.to_string(),
                self.name(item.from).to_owned(),
                item.from.to_string(),
                item.channel.to_string(),
                item.seq.to_string(),
            ]);
        }
        terminal::table(&table) + &self.summary() + "\n"
    }

    /// `3 items: 1 read, 2 push`.
    fn summary(&self) -> String {
        let mut counts: BTreeMap<Decision, u32> = BTreeMap::new();
        for &(_, decision) in &self.rows {
            *counts.entry(decision).or_default() += 1;
        }
        let counts: Vec<String> = counts.iter().map(|(decision, count)| format!("{count} {decision}")).collect();
        match self.rows.len() {
            0 => "no push items".to_owned(),
            1 => format!("1 item: {}", counts.join(", ")),
            items => format!("{items} items: {}", counts.join(", ")),
        }
    }

    /// A JSON object a line. Ids are strings, as in the protocol.
    fn lines(&self) -> String {
        let mut lines = String::new();
        for (item, decision) in &self.rows {
            let line = serde_json::json!({
                "due_ms": item.due_ms,
                "decision": decision.to_string(),
                "user_id": item.user,
                "username": self.name(item.user),
                "from": item.from,
                "from_username": self.name(item.from),
                "channel_id": item.channel,
                "seq": item.seq,
                "sent_ms": item.sent_ms,
            });
            writeln!(lines, "{line}").expect("writing to memory cannot fail");
        }
        lines
    }
}

/// A time as people write it, to the second; the number where no calendar has it.
fn utc(at: UnixMs) -> String {
    let seconds = i64::try_from(at.0 / 1_000).ok();
    let date = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    date.and_then(|date| date.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{} ms", at.0))
}

#[cfg(test)]
mod tests {
    use schema::{ChannelId, Seq};

    use super::*;

    fn listing(decisions: &[Decision]) -> Listing {
        let item = |seq| PushItem::new(UserId(2), (ChannelId(30), Seq(seq)), UserId(1), UnixMs(1_767_268_800_123));
        let names = BTreeMap::from([(UserId(1), "ann".to_owned()), (UserId(2), "bora".to_owned())]);
        Listing { rows: (1..).map(item).zip(decisions.iter().copied()).collect(), names, more: false }
    }

    #[test]
    fn the_table_says_when_what_and_to_whom() {
        let check = |decisions: &[Decision], expected: &str| assert_eq!(listing(decisions).table(), expected);
        check(&[], "DUE  DECISION  USER    FROM    CHANNEL  SEQ\nno push items\n");
        check(
            &[Decision::Push, Decision::Muted],
            "\
DUE                   DECISION  USER     FROM     CHANNEL  SEQ
2026-01-01T12:00:30Z  push      bora  2  ann   1  30       #1
2026-01-01T12:00:30Z  muted     bora  2  ann   1  30       #2
2 items: 1 muted, 1 push
",
        );
    }

    #[test]
    fn a_line_of_json_is_an_item() {
        let lines = listing(&[Decision::Read, Decision::Online]).lines();
        let first: serde_json::Value = serde_json::from_str(lines.lines().next().expect("two lines")).expect("JSON");
        let expected = serde_json::json!({
            "due_ms": 1_767_268_830_123_u64, "decision": "read", "user_id": "2", "username": "bora", "from": "1",
            "from_username": "ann", "channel_id": "30", "seq": 1, "sent_ms": 1_767_268_800_123_u64,
        });
        assert_eq!((first, lines.lines().count()), (expected, 2));
    }

    #[test]
    fn a_time_beyond_the_calendar_is_a_number() {
        let check = |ms, expected: &str| assert_eq!(utc(UnixMs(ms)), expected);
        check(0, "1970-01-01T00:00:00Z");
        check(1_767_268_800_999, "2026-01-01T12:00:00Z");
        check(u64::MAX, "18446744073709551615 ms");
    }
}
