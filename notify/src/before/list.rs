//! Hooks that are asked before an operation, as the store had them last.
//!
//! Owns which of them an operation concerns, and in which order they are asked: the oldest first.

use std::sync::Arc;

use chat::hooks::{Hook, wants_before};
use schema::ChannelId;
use schema::hook::{BeforeKind, Concerns};
use schema::op::ChannelKind;

use super::HookState;

/// See the module. Two are the same if their hooks are.
#[derive(Debug, Default)]
pub(super) struct List {
    hooks: Vec<(Arc<Hook>, Arc<HookState>)>,
    concerns: Arc<Concerns>,
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.hooks.iter().map(|(hook, _)| hook).eq(other.hooks.iter().map(|(hook, _)| hook))
    }
}

impl List {
    /// Those of all hooks that are asked. What was known of them stays known. One that is paused is asked too: it is its events
    /// that it does not take.
    pub(super) fn new(hooks: Vec<Hook>, before: &Self) -> Self {
        let mut hooks: Vec<_> = hooks.into_iter().filter(|hook| hook.record.before != 0).collect();
        hooks.sort_by_key(|hook| (hook.record.created_ms, hook.id));
        let mut concerns = Concerns::default();
        for hook in &hooks {
            concerns.add(hook.record.before, &hook.record.channels);
        }
        let standing =
            |id| before.hooks.iter().find(|(hook, _)| hook.id == id).map(|(_, standing)| Arc::clone(standing));
        let hooks = hooks.into_iter().map(|hook| (standing(hook.id).unwrap_or_default(), hook));
        Self { hooks: hooks.map(|(standing, hook)| (Arc::new(hook), standing)).collect(), concerns: Arc::new(concerns) }
    }

    /// What they are asked about, as far as that shows without a look at the channel.
    pub(super) fn concerns(&self) -> &Arc<Concerns> {
        &self.concerns
    }

    /// Those that an operation in a channel of this kind concerns, in the order in which they are asked.
    pub(super) fn asked(
        &self,
        channel: ChannelId,
        kind: ChannelKind,
        op: BeforeKind,
    ) -> impl Iterator<Item = (&Arc<Hook>, &Arc<HookState>)> {
        let is_asked =
            move |hook: &Hook| hook.record.before & op.bit() != 0 && wants_before(&hook.record, channel, kind);
        self.hooks.iter().filter(move |(hook, _)| is_asked(hook)).map(|(hook, standing)| (hook, standing))
    }
}

#[cfg(test)]
mod tests {
    use schema::UnixMs;
    use schema::record::HookRecord;

    use super::*;

    #[test]
    fn the_oldest_is_asked_first_of_those_that_an_operation_concerns() {
        let group = schema::hook::channel_kind_bit(ChannelKind::Group);
        let hook =
            |id, created_ms, record| Hook { id, record: HookRecord { created_ms: UnixMs(created_ms), ..record } };
        let both = HookRecord { before: 3, ..HookRecord::default() };
        let list = List::new(
            vec![
                hook(1, 30, both.clone()),
                hook(2, 20, HookRecord { kinds: group, ..both.clone() }),
                hook(3, 10, HookRecord { channels: vec![ChannelId(7)], ..both.clone() }),
                hook(4, 40, HookRecord { before: BeforeKind::Send.bit(), ..both.clone() }),
                hook(5, 50, HookRecord { events: 1, ..HookRecord::default() }),
                hook(6, 60, HookRecord { paused_ms: Some(UnixMs(61)), ..both.clone() }),
            ],
            &List::default(),
        );
        let check = |channel, kind, expected: &[u64]| {
            let asked: Vec<_> =
                list.asked(ChannelId(channel), kind, BeforeKind::Edit).map(|(hook, _)| hook.id).collect();
            assert_eq!(asked, expected, "{channel} {kind:?}");
        };
        check(7, ChannelKind::Group, &[3, 2, 1, 6]);
        check(8, ChannelKind::Group, &[2, 1, 6]);
        check(8, ChannelKind::Direct, &[1, 6]);
        let again = List::new(vec![hook(1, 30, both)], &list);
        assert!(again != list && Arc::ptr_eq(&again.hooks[0].1, &list.hooks[2].1), "what is known of one stays");
    }
}
