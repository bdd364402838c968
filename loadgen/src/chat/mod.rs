//! `loadgen chat`: accounts that talk in channels, each over one connection.
//!
//! Owns the run: accounts and channels made first, every member's place in its channel asked for, then load, drain, and
//! for a resumed device the comparison of what it was pushed with the history.

mod channel;
mod device;
mod outbox;
mod talk;

use anyhow::ensure;

use self::device::{CONNECTION, Comparison, Device};
use self::talk::Chat;
use crate::accounts;
use crate::cli::ChatArgs;
use crate::drive::{Driven, Measured, Schedule, drive};
use crate::engine::Engine;
use crate::pace::Pace;
use crate::report::{ChatReport, Load, Report, counts_per_second};
use crate::run::Run;
use crate::session::Sessions;
use crate::target::SESSION_PATH;

/// Makes what is missing, connects, chats, and reports.
pub(crate) fn run(args: &ChatArgs) -> anyhow::Result<Report> {
    let common = &args.common;
    let (connections, group) = (common.connections.get(), args.group);
    ensure!(!common.raw, "chat needs sessions: leave out --raw");
    ensure!(
        connections.is_multiple_of(group),
        "--connections {connections} does not divide into channels of {group} members; {} or {} would",
        connections / group * group,
        (connections / group + 1) * group
    );
    let encoding = common.sessions.encoding();
    let mut run = Run::prepare("chat", common, SESSION_PATH, Some(encoding))?;
    let span = run.span(args.warmup);
    let mut book = accounts::prepare(&common.sessions, connections, span, &run.interrupt)?;
    accounts::prepare_channels(&common.sessions, &mut book, group, connections, &run.interrupt)?;

    let schedule = Schedule::new(Pace::Closed { pipeline: args.pipeline });
    let chat = Chat::new(schedule, &book, connections, group, args.size);
    let mut sessions = Sessions::new(&run, encoding, &book, chat);
    run.open_sessions(&mut sessions)?;
    run.wait_until("the head of every channel", &mut sessions, |_, sessions| sessions.talk.ready())?;
    let memory = run.memory()?;
    if args.resumes > 0 {
        let start_ns = run.engine.now_ns() + args.warmup.as_nanos() as u64;
        sessions.talk.device = Some(Device::new(args.resumes, start_ns, common.seconds.as_nanos() as u64));
    }
    let measured = drive(&mut run, &mut sessions, args.rate, args.warmup, common.seconds)?;
    let load = match args.rate {
        Some(rate) => Load::Open { rate: rate.get() },
        None => Load::Closed { pipeline: args.pipeline.get() },
    };
    let report = Report { load, size_bytes: Some(args.size), memory, ..Report::default() };
    let report = counted(&sessions.talk, group, args.resumes, &measured, report);
    let resumed = report.chat.as_ref().map_or(0, |chat| chat.resumed);
    let report = run.finish(&measured, report)?;
    ensure!(
        report.interrupted || report.closed > 0 || resumed == args.resumes,
        "the device was resumed {resumed} times of {} only; the run was too short for more",
        args.resumes
    );
    Ok(report)
}

/// The report's counts.
fn counted(chat: &Chat, group: u32, resumes: u32, measured: &Measured, report: Report) -> Report {
    let counts = &chat.counts;
    Report {
        sent: counts.sent,
        acked: counts.acked,
        delivered: counts.delivered,
        lost: counts.missing + chat.unanswered(),
        duplicated: counts.duplicated,
        out_of_order: counts.out_of_order,
        unsent: chat.schedule.due_in_all().saturating_sub(counts.sent),
        per_second: counts_per_second(counts.acked_in_window, measured.length),
        latencies_us: [("ack", chat.ack_latencies.summary()), ("delivery", chat.delivery_latencies.summary())].into(),
        chat: Some(ChatReport {
            group,
            delivered_per_second: counts_per_second(counts.delivered_in_window, measured.length),
            repeated: counts.repeated,
            retried: counts.retried,
            refused: counts.refused.clone(),
            mismatched: counts.mismatched,
            resumes,
            resumed: chat.device.as_ref().map_or(0, |device| device.resumed),
            compared: chat.device.as_ref().map_or(0, |device| device.compared),
        }),
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
        if self.talk.unanswered() > 0 || counts.missing > 0 || counts.sent < due {
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
        self.talk.counts.acked + self.talk.counts.received + device
    }

    fn describe(&self) -> String {
        let counts = &self.talk.counts;
        format!(
            "sent {}, acked {}, delivered {}, retried {}",
            counts.sent, counts.acked, counts.delivered, counts.retried
        )
    }

    fn between_turns(&mut self, engine: &mut Engine, now_ns: u64) -> anyhow::Result<()> {
        while let Some(connection) = self.talk.woken(now_ns) {
            engine.pump(connection, self);
        }
        let connected = self.is_connected(CONNECTION);
        if connected && self.talk.device.as_mut().is_some_and(|device| device.drop_now(now_ns)) {
            engine.cut(CONNECTION);
            self.disconnected(CONNECTION);
            self.talk.cut(CONNECTION);
            engine.redial(CONNECTION)?;
        }
        if let Some(Device { comparison: Comparison::Ask { .. }, .. }) = self.talk.device {
            engine.pump(CONNECTION, self);
        }
        Ok(())
    }
}
