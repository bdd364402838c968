//! `loadgen calibrate`: the constants that a plan takes of a node, measured against one, on this machine.
//!
//! Owns which runs that takes (this program again, as idle and as chat) and what is read of them: processor time and memory
//! of the node's process, what its metrics counted meanwhile, the kernel's memory. Each constant is a difference of two
//! runs, so that what the node does anyway is in none. Rates and latencies are in none either: a busy machine takes
//! longer, but hardly more processor time.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::accounts;
use crate::cli::CalibrateArgs;
use crate::interrupt::Interrupt;
use crate::machine::Machine;
use crate::plan::figures::Known;
use crate::plan::known::CONSTANTS;
use crate::process::Process;

/// Sessions whose idling is what the node does anyway.
const FEW_SESSIONS: u32 = 10;
/// A chat of groups sends so much less often than a direct one, as each message goes to more.
const GROUP_RATE_PART: u64 = 10;
/// How long accounts' tokens are good for.
const ACCOUNTS_SPAN: Duration = Duration::from_secs(1_800);
/// How long sessions may take to be connected, accounts made before included, and their memory to settle then.
const CONNECTED_MAX: Duration = Duration::from_secs(600);
const SETTLE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(200);
/// Characters of a message, which the counts of bytes hold.
const TEXT_BYTES: f64 = 64.0;
const MEMBERS_DIRECT: f64 = 2.0;
/// Microseconds of a core that are a percent of it in a second.
const PERCENT_MICROS: f64 = 10_000.0;

/// What a chat took, a message.
#[derive(Debug, Clone, Copy)]
struct Message {
    micros: f64,
    sent_bytes: f64,
    written_bytes: f64,
}

/// Measures, and gives a file of constants that a plan reads.
///
/// # Errors
/// Node or process cannot be reached, a run lost something, or this program was the bottleneck.
pub(crate) fn run(args: &CalibrateArgs) -> anyhow::Result<String> {
    let node = Node { args, process: Process::new(args.pid)?, agent: ureq::Agent::new_with_defaults() };
    node.counter("rookery_sent_bytes_total")?;
    let sessions = args.connections.get();

    let before = node.counter("rookery_logins_total")?;
    if before > 0 {
        eprintln!(
            "loadgen calibrate: the node has had {before} sessions, whose memory it may use again: start it anew"
        );
    }
    // Before anything is measured, so that what follows only connects.
    accounts::prepare(&args.sessions(), sessions, ACCOUNTS_SPAN, &Interrupt::install()?)?;
    eprintln!("loadgen calibrate: what the node does anyway");
    let idle_seconds = args.idle_seconds.as_secs_f64().to_string();
    let few =
        mean_cpu(&node.report(&["idle", "--seconds", &idle_seconds, "--connections", &FEW_SESSIONS.to_string()])?)?;

    eprintln!("loadgen calibrate: {sessions} idle sessions");
    let idle = node.idle(sessions)?;
    let session_micros = (idle.percent - few).max(0.0) * PERCENT_MICROS / f64::from(sessions - FEW_SESSIONS);

    let rate = args.rate.get();
    eprintln!("loadgen calibrate: {rate} direct messages a second");
    let direct = node.chat(2, rate, idle.percent, idle.sent_bytes)?;
    let members = args.group;
    let group_rate = (rate / GROUP_RATE_PART).max(1);
    eprintln!("loadgen calibrate: {group_rate} messages a second to groups of {members}");
    let group = node.chat(members, group_rate, idle.percent, idle.sent_bytes)?;

    let beyond = f64::from(members) - MEMBERS_DIRECT;
    let each = |of: fn(&Message) -> f64| ((of(&group) - of(&direct)) / beyond).max(0.0);
    let measured = [
        ("processor.direct_message_micros", direct.micros),
        ("processor.member_micros", each(|message| message.micros)),
        ("processor.connect_micros", (idle.connect_micros - session_micros).max(0.0)),
        ("processor.session_micros_a_second", session_micros),
        ("memory.session_bytes", idle.session_bytes),
        ("memory.kernel_bytes", idle.kernel_bytes),
        ("network.delivery_bytes", (direct.sent_bytes / MEMBERS_DIRECT - TEXT_BYTES).max(0.0)),
        ("store.member_bytes", each(|message| message.written_bytes)),
    ];
    Ok(file(&measured))
}

/// The file, in the order of a plan's constants.
fn file(measured: &[(&str, f64)]) -> String {
    let Machine { cores, processor, kernel, .. } = Machine::here();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments = arguments.join(" ").replace(char::is_control, " ");
    let mut text = format!("# Measured by `loadgen {arguments}` on {cores} cores, {processor}, {kernel}.\n");
    for Known { name, says, .. } in &CONSTANTS {
        if let Some((_, figure)) = measured.iter().find(|(measured, _)| measured == name) {
            writeln!(text, "{name} = {figure:.1} # {says}").expect("a String takes everything");
        }
    }
    text
}

/// What idle sessions took.
struct Idle {
    /// Of a core, all of them together.
    percent: f64,
    connect_micros: f64,
    session_bytes: f64,
    kernel_bytes: f64,
    /// Bytes that the node sent to connect one.
    sent_bytes: f64,
}

/// The node, and how it is reached.
struct Node<'a> {
    args: &'a CalibrateArgs,
    process: Process,
    agent: ureq::Agent,
}

impl Node<'_> {
    fn start(&self, words: &[&str]) -> anyhow::Result<Child> {
        let CalibrateArgs { url, api, accounts, pid, .. } = self.args;
        let mut command = Command::new(std::env::current_exe().context("this program's own file")?);
        command.args(words).args(["--json", "--url", url, "--api", api, "--pid", &pid.to_string(), "--accounts"]);
        command.arg(accounts).stdin(Stdio::null()).stdout(Stdio::piped());
        command.spawn().context("cannot run this program again")
    }

    /// The report of a run that was clean, and whose figures are the server's.
    fn report(&self, words: &[&str]) -> anyhow::Result<Value> {
        Self::finished(self.start(words)?)
    }

    fn finished(child: Child) -> anyhow::Result<Value> {
        let output = child.wait_with_output().context("a run")?;
        let report = serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default();
        ensure!(output.status.success(), "a run failed, so nothing is told of the node; its report: {report}");
        ensure!(report["interrupted"] == false, "interrupted");
        ensure!(
            report["figures_of"] == "server",
            "this program was the bottleneck at {} % of a core, so nothing is told of the node: lower --rate",
            report["cpu_percent"]
        );
        Ok(report)
    }

    fn idle(&self, sessions: u32) -> anyhow::Result<Idle> {
        let (before, kernel_before, sent_before) = (self.cpu_ns()?, slab_bytes()?, self.counter(SENT)?);
        let (seconds, count) = (self.args.idle_seconds.as_secs_f64().to_string(), sessions.to_string());
        let mut child = self.start(&["idle", "--seconds", &seconds, "--connections", &count])?;
        let give_up = Instant::now() + CONNECTED_MAX;
        let connected = loop {
            let now = self.counter("rookery_sessions")?;
            if now >= u64::from(sessions) || Instant::now() > give_up || child.try_wait()?.is_some() {
                break now;
            }
            std::thread::sleep(LOOK);
        };
        std::thread::sleep(SETTLE);
        // Both ends of each connection are this kernel's.
        let kernel_bytes = slab_bytes()?.saturating_sub(kernel_before) as f64 / 2.0 / connected.max(1) as f64;
        let report = Self::finished(child)?;
        let (cpu_ns, percent) = (self.cpu_ns()? - before, mean_cpu(&report)?);
        let held = report["seconds"].as_f64().unwrap_or_default();
        let connecting = cpu_ns as f64 / 1e3 - held * percent * PERCENT_MICROS;
        let session_bytes = report["memory"]["bytes_per_connection"].as_f64().context("no memory in a report")?;
        Ok(Idle {
            percent,
            connect_micros: connecting.max(0.0) / f64::from(sessions),
            session_bytes: session_bytes.max(0.0),
            kernel_bytes,
            sent_bytes: (self.counter(SENT)? - sent_before) as f64 / f64::from(sessions),
        })
    }

    /// A chat in channels of so many members, less what its sessions took while they were idle.
    fn chat(&self, members: u32, rate: u64, idle_percent: f64, connect_bytes: f64) -> anyhow::Result<Message> {
        let sessions = self.args.connections.get() / members * members;
        let words = [
            "chat".to_owned(),
            format!("--connections={sessions}"),
            format!("--group={members}"),
            format!("--rate={rate}"),
            format!("--seconds={}", self.args.seconds.as_secs_f64()),
        ];
        let before = [self.counter(SENT)?, self.counter(WRITTEN)?];
        let report = self.report(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
        let [sent_bytes, written_bytes] =
            [self.counter(SENT)? - before[0], self.counter(WRITTEN)? - before[1]].map(|bytes| bytes as f64);
        let messages = report["sent"].as_f64().filter(|&sent| sent > 0.0).context("nothing was sent")?;
        let micros = whole_seconds(&report).map(|second| {
            let percent = second["server_cpu_percent"].as_f64().unwrap_or_default() - idle_percent;
            percent * PERCENT_MICROS * second["seconds"].as_f64().unwrap_or_default()
        });
        let micros: f64 = micros.sum();
        let acked: f64 = whole_seconds(&report).filter_map(|second| second["acked"].as_f64()).sum();
        ensure!(acked > 0.0, "no second of the run was whole: raise --seconds");
        Ok(Message {
            micros: micros.max(0.0) / acked,
            sent_bytes: (sent_bytes - connect_bytes * f64::from(sessions)).max(0.0) / messages,
            written_bytes: written_bytes / messages,
        })
    }

    /// The sum of a metric over its labels.
    fn counter(&self, name: &str) -> anyhow::Result<u64> {
        let url = format!("http://{}/metrics", self.args.internal);
        let asked = self.agent.get(&url).call().and_then(|mut answer| answer.body_mut().read_to_string());
        let text = asked.with_context(|| {
            format!("--internal {}: no metrics at {url}; is it the node's internal listener?", self.args.internal)
        })?;
        sum(&text, name).with_context(|| format!("{url} has no {name}; is it a node of this version?"))
    }

    fn cpu_ns(&self) -> anyhow::Result<u64> {
        Ok(self.process.usage().with_context(|| format!("--pid {} is gone", self.args.pid))?.cpu_ns)
    }
}

const SENT: &str = "rookery_sent_bytes_total";
const WRITTEN: &str = "rookery_store_written_bytes_total";

fn sum(metrics: &str, name: &str) -> Option<u64> {
    let values = metrics.lines().filter_map(|line| {
        let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
        (labels.is_empty() || labels.starts_with('{')).then(|| value.parse::<u64>().ok())?
    });
    values.fold(None, |sum: Option<u64>, value| Some(sum.unwrap_or_default() + value))
}

/// The whole seconds of a report's window.
fn whole_seconds(report: &Value) -> impl Iterator<Item = &Value> {
    let window = report["seconds"].as_f64().unwrap_or_default();
    let seconds = report["by_second"].as_array().into_iter().flatten();
    seconds.filter(move |second| second["at"].as_f64().is_some_and(|at| at + 1.0 <= window))
}

/// What the node took of a core, in percent, over all whole seconds.
fn mean_cpu(report: &Value) -> anyhow::Result<f64> {
    let (mut sum, mut seconds) = (0.0, 0.0);
    for second in whole_seconds(report) {
        let length = second["seconds"].as_f64().unwrap_or_default();
        sum += second["server_cpu_percent"].as_f64().context("a second without the node's processor time")? * length;
        seconds += length;
    }
    ensure!(seconds > 0.0, "no second of a run was whole");
    Ok(sum / seconds)
}

/// Memory of the kernel's own objects, sockets among them.
fn slab_bytes() -> anyhow::Result<u64> {
    const PATH: &str = "/proc/meminfo";
    let text = std::fs::read_to_string(Path::new(PATH)).with_context(|| format!("cannot read {PATH}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Slab:")).context("it has no Slab")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>().context("its Slab is no number")? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels_alone() {
        check("a 5\n", "a", Some(5));
        check("a{shard=\"0\"} 5\na{shard=\"1\"} 7\nab 9\n", "a", Some(12));
        check("# HELP a what\nab 9\n", "a", None);
    }

    fn check(metrics: &str, name: &str, expected: Option<u64>) {
        assert_eq!(sum(metrics, name), expected, "{metrics:?}");
    }

    #[test]
    fn what_is_written_is_what_a_plan_reads() {
        use crate::plan::figures::Figures;
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("constants.toml");
        std::fs::write(&path, file(&[("memory.kernel_bytes", 4_321.0), ("processor.member_micros", 5.25)])).unwrap();
        let figures = Figures::read("--constants", &path, &CONSTANTS).expect("constants");
        assert_eq!((figures["memory.kernel_bytes"], figures["processor.member_micros"]), (4_321.0, 5.2));
        let default = Figures::defaults(&CONSTANTS);
        assert_eq!(figures["store.index_percent"], default["store.index_percent"]);
    }
}
