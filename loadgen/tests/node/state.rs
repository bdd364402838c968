//! What nodes know: accounts, channels, messages, and what was done to them.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use schema::command::{History, HistoryPage, HistoryWindow};
use schema::{ChannelId, ClientMsgId, Message, Seq, UserId};

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) users: HashMap<String, (UserId, String)>,
    pub(crate) channels: Vec<Vec<UserId>>,
    pub(super) messages: HashMap<ChannelId, Vec<Arc<Message>>>,
    pub(super) seqs: HashMap<(UserId, ClientMsgId), Seq>,
    /// All events in the order of their commits. A cursor is an index into them.
    pub(super) events: Vec<(ChannelId, Arc<Message>)>,
    pub(super) refused_once: HashSet<ClientMsgId>,
    pub(super) attempts: u64,
    pub(super) faults: u64,
    pub(crate) connects: u64,
    /// Where the nodes are that share this, and how many sessions each has had.
    pub(crate) places: Vec<(SocketAddr, u64)>,
    /// Sessions that a restless node ended, and `connect`s that it refused for now.
    pub(crate) ended: u64,
    pub(crate) refused: u64,
}

impl State {
    pub(super) fn head(&self, channel: ChannelId) -> u64 {
        self.messages.get(&channel).map_or(0, |all| all.len() as u64)
    }

    pub(crate) fn faults(&self) -> u64 {
        self.faults
    }

    pub(super) fn append(&mut self, message: Arc<Message>) {
        self.messages.entry(message.channel_id).or_default().push(Arc::clone(&message));
        self.events.push((message.channel_id, message));
    }

    pub(super) fn history(&self, history: &History) -> HistoryPage {
        let all = self.messages.get(&history.channel_id).map_or(&[][..], Vec::as_slice);
        let limit = history.limit as usize;
        let (from, to) = match history.window {
            HistoryWindow::Newest => (all.len().saturating_sub(limit), all.len()),
            HistoryWindow::After(seq) => (seq.0 as usize, all.len().min(seq.0 as usize + limit)),
            HistoryWindow::Before(_) | HistoryWindow::Around(_) => panic!("loadgen asks for no {history:?}"),
        };
        HistoryPage {
            messages: all[from..to].to_vec(),
            head_seq: Seq(all.len() as u64),
            first_seq: Seq(1),
            more: to < all.len(),
        }
    }

    pub(super) fn is_in(&self, user: UserId, channel: ChannelId) -> bool {
        self.channels[channel.0 as usize].contains(&user)
    }
}
