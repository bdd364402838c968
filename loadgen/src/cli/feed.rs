//! Flags of `feed`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, value_parser};
use schema::limits::FRIENDS_MAX;

use super::shared::{ReportArgs, per_second, seconds};

/// The least `--users` from which a run is as the issue of feeds has it, by its numbers.
const WHOLE_USERS: u32 = 10_000;
/// Friends of authors with many in a run of fewer accounts than that.
const READERS_OF_FEW: u32 = 1_000;
/// The border that an author crosses, in runs of both kinds.
const BORDER: u32 = 5_000;
const BORDER_OF_FEW: u32 = 500;

pub(super) const EXAMPLES: &str = "\
Examples:
  A quick run: 2,000 accounts, posts, pages, likes, replies, edits, deletions, friendships that end and begin again:
      cargo build --release -p gateway -p loadgen
      loadgen feed

  20,000 accounts, ten authors of whom have 5,000 friends each, with chat beside; what fails the run:
      loadgen feed --users 20000 --stars 10 --chat 500 --save feed.json --html feed.html \\
          --fail-if 'publish.p99>20ms' --fail-if 'warm-many.p99>10ms' --fail-if 'cold-many.p99>50ms' \\
          --fail-if 'last-feed.p99>2s' --fail-if 'feed.chat.ratio>1.5'

  How many rows of feeds a second the node writes where it is not told to leave time for others:
      loadgen feed --users 20000 --stars 10 --rows-per-second 1000000 --fail-if 'feed.burst.rows_per_second<50000'

  The node is killed twenty times while posts are on their way into feeds:
      loadgen feed --users 20000 --stars 10 --kills 20 --seconds 120

  An author crosses the border between fan-out on write and on read, up and down, while all go on:
      loadgen feed --cross --seconds 60
      loadgen feed --users 20000 --cross --kills 5 --seconds 120

  What a run found, once more; the same graph, and the same steps as far as threads take them in the same order:
      loadgen feed --seed 1311768467463790320

What is compared. The generator keeps all that it asked and when it was answered; by that it knows what each feed may show and what
it must. A post without an answer may be there, once: it is asked for again under its id until there is one. Meanwhile pages are held
against what was answered before they were asked for: nothing doubled, nothing out of order, nothing that was deleted, nor of somebody
who is no friend any more, no older text, the reader's own likes, and whatever that feed showed before. In the end every feed is read
to its end, and has all posts that are for its reader, once and in order, with the likes and replies that were answered; what is late
is read again for --settle seconds, and is missing then. The node's store is walked as well (`rookery store check`).

What is timed. `publish` and `like`: from when it was due to its answer. `page`: the first 20 of somebody's feed, while all go on.
`last-feed`: from when a post of an author with many friends was due until five readers' feeds show it, the last by id among them.
`warm` and `cold`: one page at a time and nothing beside, from caches, and by a node that has just been started; `warm-many` and
`cold-many` are those of accounts with many friends. `burst`: rows of feeds a second, by /metrics. Where the node is killed, what it was away is in
the figures. Chat is measured by `loadgen chat` in windows with fan-outs and without, in turn; its ratio is of the medians of their p99.

Accounts and friendships are made by `rookery store accounts` and `rookery store friends` before the node is started, follows by
requests; everybody reads once before the load, since nothing comes into the feed of who was never there. The node has a directory of its
own, which is removed in the end; it is killed with this program, whatever ends that.

Exit code: 0 when nothing was missing, doubled, out of order, shown that may not be, older than answered or counted wrongly; 1 when
something was, each with the first findings in words; 2 when the run could not be carried out.";

#[derive(Debug, Args)]
pub(crate) struct FeedArgs {
    /// Accounts of the graph
    #[arg(long, default_value_t = 2_000, value_name = "N", value_parser = value_parser!(u32).range(10..=1_000_000))]
    pub(crate) users: u32,

    /// Friends of each, on average
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = value_parser!(u32).range(1..=1_000))]
    pub(crate) friends: u32,

    /// Authors with many friends
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = value_parser!(u32).range(0..=200))]
    pub(crate) stars: u32,

    /// Friends of each of those; without it 5,000, or half of all accounts where there are fewer than 10,000, at most 1,000
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=i64::from(FRIENDS_MAX)))]
    pub(crate) friends_of_stars: Option<u32>,

    /// How long people write and read
    #[arg(long, default_value = "20", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) seconds: Duration,

    /// Posts a second of ordinary accounts; likes and what else people do are in proportion, and authors with many friends
    /// post each 8 s beside
    #[arg(long, default_value = "20", value_name = "PER_SECOND", value_parser = per_second)]
    pub(crate) publish: f64,

    /// Pages a second, one in five of which are several one after the other
    #[arg(long, default_value = "200", value_name = "PER_SECOND", value_parser = per_second)]
    pub(crate) read: f64,

    /// Kill the node so often (SIGKILL) in the middle of fan-outs, and start it again
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) kills: u32,

    /// Have one more author cross the border between fan-out on write and on read, up and down
    #[arg(long)]
    pub(crate) cross: bool,

    /// Readers from which the node fans out on read (feed.read_fanout_from); without it the node's own default, and with
    /// --cross 5,000, or 500 where there are fewer than 10,000 accounts
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(20..))]
    pub(crate) read_fanout_from: Option<u32>,

    /// Rows of feeds that the node writes in a second at most (feed.rows_per_second); without it the node's own default
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(100..=10_000_000))]
    pub(crate) rows_per_second: Option<u32>,

    /// Measure so many chat messages a second beside fan-outs and without
    #[arg(long, value_name = "PER_SECOND", value_parser = value_parser!(u32).range(1..=100_000))]
    pub(crate) chat: Option<u32>,

    /// Starts of the node after each of which pages are timed, cold and then warm; 0 for none
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub(crate) lives: u32,

    /// How long what is late may take in the end
    #[arg(long, default_value = "30", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) settle: Duration,

    /// Threads that write and read, each with a connection
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) workers: u16,

    /// What the graph and the steps are drawn from; without it another one each time, which is said
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,

    /// Shards of the node
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) shards: u16,

    /// The node's first port on 127.0.0.1; WebSocket has the next, and its metrics the ninth from there
    #[arg(long, default_value = "22000", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1_024..=65_000))]
    pub(crate) port: u16,

    /// The node's program; without it the one beside this
    #[arg(long, value_name = "FILE")]
    pub(crate) rookery: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

impl FeedArgs {
    /// Friends of each author with many.
    pub(crate) fn readers(&self) -> u32 {
        let fitting = if self.users < WHOLE_USERS { READERS_OF_FEW.min(self.users / 2) } else { FRIENDS_MAX };
        self.friends_of_stars.unwrap_or(fitting)
    }

    /// What the node is told of the border, if anything.
    pub(crate) fn border(&self) -> Option<u32> {
        let fitting = if self.users < WHOLE_USERS { BORDER_OF_FEW.min(self.users / 2) } else { BORDER };
        self.read_fanout_from.or(self.cross.then_some(fitting))
    }
}
