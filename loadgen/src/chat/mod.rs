//! `loadgen chat`: accounts that talk in channels, each over one connection.
//!
//! Owns the run: accounts and channels made first, every member's place in its channel asked for, then load, drain, and
//! for a resumed device the comparison of what it was pushed with the history, for sessions that reconnect that of every
//! channel.

mod absence;
mod channel;
mod device;
mod history;
mod member;
mod outbox;
mod stretches;
mod talk;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;

use self::device::{CONNECTION, Comparison, Device};
use self::talk::Chat;
use crate::accounts;
use crate::api::Api;
use crate::cli::{ChatArgs, Devices};
use crate::drive::{Driven, Measured, Patience, Schedule, drive};
use crate::engine::Engine;
use crate::parallel::in_parallel;
use crate::reconnect::Reconnect;
use crate::report::{ChatReport, Counts, Findings, HistoryReport, Packed, ReconnectReport, Report, counts_per_second};
use crate::run::Run;
use crate::session::Sessions;

/// How long the drain waits where nodes may go: until others have taken over what one had,
const TAKEOVER: Patience = Patience { quiet: Duration::from_secs(12), most: Duration::from_secs(90) };
/// and while sessions are on their way back: for a pause of theirs, which may be 20 s long.
const RETURN: Patience = Patience { quiet: Duration::from_secs(25), most: TAKEOVER.most };

/// How long histories are left alone after that: a page may miss what other nodes committed in the last 250 ms.
const FRESH: Duration = Duration::from_millis(500);

/// Makes what is missing, connects, chats, and reports.
pub(crate) fn run(args: &ChatArgs) -> anyhow::Result<Report> {
    let (common, load, group) = (&args.common, &args.load, args.group);
    let connections = common.connections.get();
    ensure!(
        connections.is_multiple_of(group),
        "--connections {connections} does not divide into channels of {group} members; {} or {} would",
        connections / group * group,
        (connections / group + 1) * group
    );
    ensure!(args.resumes == 0 || !args.reconnects(), "--resumes is of one node: it does not go with several --url");
    let span = common.seconds + load.warmup + TAKEOVER.most;
    let returns = args.reconnects();
    let (mut run, mut sessions) = Run::connect("chat", common, span, Devices::ONE, returns, |book, interrupt| {
        accounts::prepare_channels(&common.sessions, book, group, connections, interrupt)?;
        let mut chat = Chat::new(Schedule::new(load.pipeline), book, connections, group, args.size);
        chat.nodes_change = args.reconnects();
        Ok(chat)
    })?;
    run.wait_until("the head of every channel", &mut sessions, |_, sessions| sessions.talk.ready())?;
    let memory = run.memory()?;
    if args.resumes > 0 {
        let start_ns = run.engine.now_ns() + load.warmup.as_nanos() as u64;
        sessions.talk.device = Some(Device::new(args.resumes, start_ns, common.seconds.as_nanos() as u64));
    }
    // For whoever waits until the accounts are made.
    eprintln!("loadgen chat: sending");
    let measured = drive(&mut run, &mut sessions, load, common.seconds)?;
    let report = Report { load: load.paced(), size_bytes: Some(args.size), memory, ..Report::default() };
    let resumed = sessions.talk.device.as_ref().map_or(0, |device| device.resumed);
    let reconnection = reconnected(&run, &mut sessions, &Api::new(&common.sessions.api));
    let report = counted(sessions.talk, args, &measured, Report { reconnection, ..report });
    let report = run.finish(measured, report)?;
    ensure!(
        report.interrupted || report.closed > 0 || resumed == args.resumes,
        "the device was resumed {resumed} times of {} only; the run was too short for more",
        args.resumes
    );
    Ok(report)
}

/// How sessions came back, if they do, and what the histories say now that nobody writes any more.
fn reconnected(run: &Run, sessions: &mut Sessions<Chat>, api: &Api) -> Option<ReconnectReport> {
    let (reconnect, chat) = (sessions.reconnect.as_ref()?, &sessions.talk);
    let mut refusals = reconnect.refusals.clone();
    for (&code, &count) in &chat.refusals {
        *refusals.entry(code).or_default() += count;
    }
    let mut report = ReconnectReport {
        reconnects: reconnect.lost.clone(),
        failed_tries: reconnect.failed.clone(),
        refusals,
        unannounced: reconnect.unannounced,
        away: reconnect.away(),
        unacknowledged: chat.unanswered(),
        ..ReconnectReport::default()
    };
    if !run.interrupt.requested() {
        match compared(run, sessions, api) {
            Ok((history, findings)) => {
                report.history = Some(history);
                sessions.talk.findings.add(findings);
            }
            // What was measured so far is worth its report.
            Err(error) => report.history_error = Some(format!("{error:#}")),
        }
    }
    Some(report)
}

/// The comparison of every channel with its history.
fn compared(run: &Run, sessions: &Sessions<Chat>, api: &Api) -> anyhow::Result<(HistoryReport, Findings)> {
    std::thread::sleep(FRESH);
    let channels: Vec<_> = sessions.talk.channels().collect();
    let done = in_parallel("histories", channels.len(), &run.interrupt, |at| {
        let (channel, member) = channels[at];
        let mut reading = sessions.talk.reading(channel, member);
        while reading.page(&api.history(&sessions.token(member), channel.id, reading.after())?) {}
        Ok(reading.end())
    });
    let (mut report, mut findings) = (HistoryReport::default(), Findings::default());
    for (_, (channel, found)) in done.finished {
        report.add(&channel);
        findings.add(found);
    }
    done.failed.map_or(Ok((report, findings)), Err)
}

/// The report's counts.
fn counted(mut chat: Chat, args: &ChatArgs, measured: &Measured, report: Report) -> Report {
    let &ChatArgs { resumes, announced_only, .. } = args;
    let (lost, due) = (chat.missing + chat.unanswered(), chat.schedule.due_in_all());
    chat.end();
    let Chat { counts, device, ack_latencies, delivery_latencies, stretches, absences, findings, .. } = chat;
    let mut latencies_us: BTreeMap<_, _> =
        [("ack", ack_latencies.all()), ("delivery", delivery_latencies.all())].into();
    let reconnection = report.reconnection.map(|reconnection| {
        latencies_us.insert("back", absences);
        ReconnectReport { stretches: stretches.summaries(), announced_only, ..reconnection }
    });
    Report {
        counts: Counts { lost, unsent: due.saturating_sub(counts.sent), ..counts },
        per_second: counts_per_second(chat.acked_in_window, measured.length),
        latencies_us,
        findings,
        chat: Some(ChatReport {
            delivered_per_second: counts_per_second(chat.delivered_in_window, measured.length),
            resumes,
            resumed: device.as_ref().map_or(0, |device| device.resumed),
            compared: device.as_ref().map_or(0, |device| device.compared),
            ..chat.report
        }),
        reconnection,
        ..report
    }
}

impl Driven for Sessions<Chat> {
    fn schedule(&mut self) -> &mut Schedule {
        &mut self.talk.schedule
    }

    fn outstanding(&mut self) -> bool {
        let due = self.talk.schedule.due_in_all();
        let counts = &self.talk.counts;
        let away = self.reconnect.as_ref().map_or(0, Reconnect::away);
        if self.talk.unanswered() > 0 || self.talk.missing > 0 || counts.sent < due || away > 0 {
            return true;
        }
        match &self.talk.device {
            None => false,
            Some(device) if device.resumed < device.resumes => true,
            Some(device) => {
                let comparison = device.comparison;
                if comparison == Comparison::NotYet {
                    self.talk.begin_comparison();
                }
                comparison != Comparison::Done
            }
        }
    }

    fn answers(&self) -> u64 {
        let device = self.talk.device.as_ref().map_or(0, |device| u64::from(device.resumed) + device.compared);
        let arrivals = self.reconnect.as_ref().map_or(0, |reconnect| reconnect.arrivals);
        self.talk.counts.acked + self.talk.received + device + arrivals
    }

    fn patience(&self) -> Patience {
        match self.reconnect.as_ref().map(Reconnect::away) {
            None => Patience::default(),
            Some(0) => TAKEOVER,
            Some(_) => RETURN,
        }
    }

    fn is_over(&self, engine: &Engine) -> bool {
        self.reconnect.as_ref().map_or(engine.open_now() == 0, Reconnect::all_gone)
    }

    fn second(&mut self) -> (Counts, BTreeMap<&'static str, Packed>) {
        let Chat { ack_latencies, delivery_latencies, counts, .. } = &mut self.talk;
        (*counts, [("ack", ack_latencies.turn()), ("delivery", delivery_latencies.turn())].into())
    }

    fn describe(&self) -> String {
        let Counts { sent, acked, delivered, .. } = self.talk.counts;
        let away = self.reconnect.as_ref().map_or(String::new(), |reconnect| {
            let lost: u64 = reconnect.lost.values().sum();
            format!(", sessions lost {lost}, away {}", reconnect.away())
        });
        format!("sent {sent}, acked {acked}, delivered {delivered}, retried {}{away}", self.talk.report.retried)
    }

    fn between_turns(&mut self, engine: &mut Engine, now_ns: u64) -> anyhow::Result<()> {
        let connected = self.is_connected(CONNECTION);
        if connected && self.talk.device.as_mut().is_some_and(|device| device.drop_now(now_ns)) {
            engine.cut(CONNECTION);
            self.disconnected(CONNECTION, now_ns);
            engine.redial(CONNECTION)?;
        }
        if let Some(Device { comparison: Comparison::Ask { .. }, .. }) = self.talk.device {
            engine.pump(CONNECTION, self);
        }
        Ok(())
    }
}
