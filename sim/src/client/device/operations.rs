//! Operations of a user on stored messages: edits, deletions, reactions, and word that it is writing.

use schema::command::{Delete, Edit, React, Typing};
use schema::{ChannelId, Command, Seq};

use super::{Asked, Device, Session, UNSENT_MAX};

/// What users react with, few enough that several put the same one to a message.
const EMOJIS: [&str; 3] = ["👍", "🎉", "😀"];

impl Device {
    /// Another text for an own message, mostly on the revision that the device last saw.
    pub(super) fn edit(&mut self) {
        let Some((channel_id, seq)) = self.own_message() else { return };
        let seen = self.revisions.get(&(channel_id, seq)).copied().unwrap_or(0);
        // Now and then on one that is gone, or is not yet: an error, and nothing changes.
        let base_revision = match self.rng.below(20) {
            0 => seen.saturating_sub(1),
            1 => seen + 1,
            _ => seen,
        };
        let chars = if self.rng.chance(self.world.plan.large_permille) {
            self.rng.within(2_000..=40_000)
        } else {
            self.rng.within(1..=60)
        };
        let body = format!("{} edits {seen}:{}", self.name, "é".repeat(usize::try_from(chars).expect("short")));
        self.operate(channel_id, |op_id| {
            Command::Edit(Edit { channel_id, seq, op_id, base_revision, body: body.into() })
        });
    }

    /// An own message goes, or, where the server lets it, another's.
    pub(super) fn delete(&mut self) {
        let own = if self.rng.chance(800) { self.own_message() } else { self.any_message() };
        let Some((channel_id, seq)) = own else { return };
        self.operate(channel_id, |op_id| Command::Delete(Delete { channel_id, seq, op_id }));
    }

    pub(super) fn react(&mut self) {
        let Some((channel_id, seq)) = self.any_message() else { return };
        let (emoji, on) = ((*self.rng.pick(&EMOJIS)).to_owned(), self.rng.chance(700));
        self.operate(channel_id, |op_id| Command::React(React { channel_id, seq, op_id, emoji, on }));
    }

    pub(super) fn typing(&mut self, session: &mut Session) {
        let Some(channel_id) = self.world.any_room_of(self.user, &mut self.rng) else { return };
        let on = self.rng.chance(700);
        self.ask(session, Asked::Typing, Command::Typing(Typing { channel_id, on }));
    }

    /// A retry long after the answer, as after a restart of the client.
    pub(super) fn operate_again(&mut self, session: &mut Session) {
        if self.operated.is_empty() {
            return;
        }
        let (key, command) = self.rng.pick(&self.operated).clone();
        self.ask(session, Asked::Operate(key), command);
    }

    fn operate(&mut self, channel: ChannelId, command: impl FnOnce(schema::ClientMsgId) -> Command) {
        if self.outbox.len() < UNSENT_MAX {
            let key = self.new_key(channel);
            self.outbox.push(key, command(key.id));
        }
    }

    fn own_message(&mut self) -> Option<(ChannelId, Seq)> {
        let (key, _, seq) = (!self.remembered.is_empty()).then(|| self.rng.pick(&self.remembered))?;
        Some((key.channel, *seq))
    }

    /// One that the device may have seen, of a channel that its user may be in.
    fn any_message(&mut self) -> Option<(ChannelId, Seq)> {
        let channel = self.world.any_room_of(self.user, &mut self.rng)?;
        let head = self.heads.get(&channel)?.0;
        // The newest ones, so that several meet at one.
        Some((channel, Seq(self.rng.within(head.saturating_sub(8).max(1)..=head.max(1)))))
    }
}
