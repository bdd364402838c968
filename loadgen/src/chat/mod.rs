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
use crate::report::{ChatReport, Counts, Report, counts_per_second};
use crate::run::Run;
use crate::session::Sessions;

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
    let (mut run, mut sessions) = Run::connect("chat", common, common.seconds + load.warmup, |book, interrupt| {
        accounts::prepare_channels(&common.sessions, book, group, connections, interrupt)?;
        Ok(Chat::new(Schedule::new(load.pipeline), book, connections, group, args.size))
    })?;
    run.wait_until("the head of every channel", &mut sessions, |_, sessions| sessions.talk.ready())?;
    let memory = run.memory()?;
    if args.resumes > 0 {
        let start_ns = run.engine.now_ns() + load.warmup.as_nanos() as u64;
        sessions.talk.device = Some(Device::new(args.resumes, start_ns, common.seconds.as_nanos() as u64));
    }
    let measured = drive(&mut run, &mut sessions, load, common.seconds)?;
    let report = Report { load: load.paced(), size_bytes: Some(args.size), memory, ..Report::default() };
    let resumed = sessions.talk.device.as_ref().map_or(0, |device| device.resumed);
    let report = run.finish(&measured, counted(sessions.talk, args.resumes, &measured, report))?;
    ensure!(
        report.interrupted || report.closed > 0 || resumed == args.resumes,
        "the device was resumed {resumed} times of {} only; the run was too short for more",
        args.resumes
    );
    Ok(report)
}

/// The report's counts.
fn counted(chat: Chat, resumes: u32, measured: &Measured, report: Report) -> Report {
    let (lost, due) = (chat.missing + chat.unanswered(), chat.schedule.due_in_all());
    let Chat { counts, device, ack_latencies, delivery_latencies, .. } = chat;
    Report {
        counts: Counts { lost, unsent: due.saturating_sub(counts.sent), ..counts },
        per_second: counts_per_second(chat.acked_in_window, measured.length),
        latencies_us: [("ack", ack_latencies.summary()), ("delivery", delivery_latencies.summary())].into(),
        chat: Some(ChatReport {
            delivered_per_second: counts_per_second(chat.delivered_in_window, measured.length),
            resumes,
            resumed: device.as_ref().map_or(0, |device| device.resumed),
            compared: device.as_ref().map_or(0, |device| device.compared),
            ..chat.report
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
        if self.talk.unanswered() > 0 || self.talk.missing > 0 || counts.sent < due {
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
        self.talk.counts.acked + self.talk.received + device
    }

    fn describe(&self) -> String {
        let Counts { sent, acked, delivered, .. } = self.talk.counts;
        format!("sent {sent}, acked {acked}, delivered {delivered}, retried {}", self.talk.report.retried)
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
