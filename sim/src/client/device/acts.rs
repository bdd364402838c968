//! Acts of a user with its device, and accidents of the device: one after the other, as the seed draws them.

use schema::command::{History, HistoryWindow};
use schema::{ChannelId, ClientMsgId, Command, Seq};

use crate::facts::Key;
use crate::trace::note;

use super::{Asked, CLOSING_MS, Device, End, Session, UNSENT_MAX, send};

impl Device {
    /// One thing that a user does, or that happens to a device. The connection ends if it says so.
    pub(super) fn act(&mut self, session: &mut Session) -> Option<End> {
        let plan = &self.world.plan;
        if self.rng.chance(plan.disconnect_permille) {
            return self.disconnect(session);
        }
        if self.rng.chance(plan.stall_permille) {
            session.stalled_until_ms = self.world.trace.now_ms() + self.rng.within(200..=4_000);
            note!(self.world.trace, "{}: reads nothing until {}", self.name, session.stalled_until_ms);
        }
        match self.rng.below(100) {
            0..55 => self.write(),
            55..61 => self.edit(),
            61..63 => self.delete(),
            63..70 => self.react(),
            70..77 => self.mark(session),
            77..84 => self.look_back(session),
            84..88 => self.send_again(session),
            88..91 => self.operate_again(session),
            91..94 => self.reuse(session),
            94..97 => self.typing(session),
            _ => self.echo(session),
        }
        None
    }

    fn disconnect(&mut self, session: &mut Session) -> Option<End> {
        if self.rng.chance(400) {
            note!(self.world.trace, "{}: closes", self.name);
            session.socket.close();
            // The end comes from the node, if it is there.
            session.closing_until_ms = Some(self.world.trace.now_ms() + CLOSING_MS);
            return None;
        }
        note!(self.world.trace, "{}: drops the connection", self.name);
        if self.rng.chance(300) {
            self.forget();
        }
        Some(End::Lost)
    }

    /// The device had not stored the last of what it was pushed, nor the cursors with it.
    fn forget(&mut self) {
        let count = self.rng.index(10);
        let position = self.world.facts.borrow_mut().forgot(&self.name, count);
        if let Some(cursor) = &mut self.cursor {
            note!(self.world.trace, "{}: forgets back to {position}", self.name);
            cursor.position = position;
        }
    }

    fn write(&mut self) {
        for _ in 0..self.rng.within(1..=6) {
            if self.outbox.len() >= UNSENT_MAX {
                return;
            }
            let Some(channel) = self.world.any_room_of(self.user, &mut self.rng) else { return };
            let key = self.new_key(channel);
            let chars = if self.rng.chance(self.world.plan.large_permille) {
                self.rng.within(2_000..=40_000)
            } else {
                self.rng.within(1..=60)
            };
            let body = format!("{}:{}", self.name, "ü".repeat(usize::try_from(chars).expect("short")));
            self.outbox.push(key, send(key, &body.into()));
        }
    }

    /// A message or an operation that nobody has heard of yet.
    pub(super) fn new_key(&mut self, channel: ChannelId) -> Key {
        let entropy = u128::from(self.rng.bits()) << 64 | u128::from(self.rng.bits());
        Key { user: self.user, channel, id: ClientMsgId::new(self.world.wall(), entropy) }
    }

    fn mark(&mut self, session: &mut Session) {
        let Some(channel_id) = self.world.any_room_of(self.user, &mut self.rng) else { return };
        let head = self.heads.get(&channel_id).map_or(0, |head| head.0);
        let read_seq = Seq(self.rng.within(0..=head + 2));
        self.ask(session, Asked::Mark, Command::Mark { channel_id, read_seq });
    }

    fn look_back(&mut self, session: &mut Session) {
        let Some(channel_id) = self.world.any_room_of(self.user, &mut self.rng) else { return };
        let head = self.heads.get(&channel_id).map_or(0, |head| head.0);
        let at = Seq(self.rng.within(0..=head));
        let window = match self.rng.below(4) {
            0 => HistoryWindow::Newest,
            1 => HistoryWindow::Before(at),
            2 => HistoryWindow::After(at),
            _ => HistoryWindow::Around(at),
        };
        let limit = u32::try_from(self.rng.within(1..=50)).expect("small");
        let known = (window == HistoryWindow::Newest && head > 0).then_some(Seq(head));
        self.ask(session, Asked::History(known), Command::History(History { channel_id, window, limit }));
    }

    /// A retry long after the answer, as after a restart of the client.
    fn send_again(&mut self, session: &mut Session) {
        if self.remembered.is_empty() {
            return;
        }
        let (key, body, seq) = self.rng.pick(&self.remembered).clone();
        self.ask(session, Asked::Again(key, seq), send(key, &body));
    }

    fn reuse(&mut self, session: &mut Session) {
        if self.remembered.is_empty() {
            return;
        }
        let (key, ..) = *self.rng.pick(&self.remembered);
        self.ask(session, Asked::Reuse(key), send(key, &"other content".into()));
    }

    pub(super) fn echo(&mut self, session: &mut Session) {
        let data = format!("{:x}", self.rng.bits());
        self.ask(session, Asked::Echo(data.clone()), Command::Echo { data });
    }
}
