//! What is imported, written: once, however often that is begun.
//!
//! Owns where each channel goes on. Its first messages are there already if an import was interrupted, or is done again with
//! newer ones behind; they are counted and left alone. A channel in which anything else was said since is left out: what was
//! said elsewhere cannot come before it any more.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};

use anyhow::{Context as _, bail};
use chat::accounts::{self, External};
use chat::imports::{self, BYTES_AT_ONCE, MESSAGES_AT_ONCE, NewChannel, NewMessage, Place};
use schema::{Seq, UnixMs, UserId};

use crate::ops::cli::store::Progress;
use crate::store::NodeStore;

use super::history::{Channel, Message, User};

pub(super) struct Writer<'a, S> {
    store: &'a S,
    namespace: &'a str,
    users: BTreeMap<String, UserId>,
    channels: BTreeMap<String, Filling>,
    /// Names of messages, by a hash of this process, in the place of their texts.
    names: RandomState,
    /// Channels that are left out, and why.
    left_out: Vec<String>,
    /// Channels that a source has and nobody misses.
    notes: Vec<String>,
    counts: Counts,
    progress: Progress,
}

#[derive(Debug, Default)]
struct Counts {
    users: u64,
    channels: u64,
    written: u64,
    known: u64,
    left_out: u64,
    without_parent: u64,
    skipped: u64,
}

/// A channel that is being filled.
struct Filling {
    place: Place,
    members: BTreeSet<UserId>,
    /// Messages that it had when this began.
    had: Seq,
    /// The seq of the last message that came.
    last: Seq,
    /// Seqs by the hash of a name.
    seqs: HashMap<u64, Seq>,
    waiting: Vec<NewMessage>,
    waiting_bytes: usize,
    is_left_out: bool,
}

impl<'a, S: NodeStore> Writer<'a, S> {
    pub(super) fn new(store: &'a S, namespace: &'a str) -> Self {
        Self {
            store,
            namespace,
            users: BTreeMap::new(),
            channels: BTreeMap::new(),
            names: RandomState::new(),
            left_out: Vec::new(),
            notes: Vec::new(),
            counts: Counts::default(),
            progress: Progress::new(),
        }
    }

    /// Somebody, once. Who was named before stays who that is.
    pub(super) async fn user(&mut self, user: User) -> anyhow::Result<()> {
        if self.users.contains_key(&user.id) {
            return Ok(());
        }
        let name = user.display_name.map(|name| name.trim().to_owned()).filter(|name| schema::text::is_name(name));
        let external = External {
            namespace: self.namespace.to_owned(),
            subject: user.id.clone(),
            session: String::new(),
            issued_s: 0,
            expires_ms: UnixMs(0),
            display_name: name,
            picture: user.picture,
            draw: getrandom::u64().map_err(|error| anyhow::anyhow!("no randomness: {error}"))?,
        };
        let known = accounts::ensure_external(self.store, &external, crate::runtime::wall()).await;
        self.users.insert(user.id.clone(), known.with_context(|| format!("user {:?}", user.id))?);
        self.counts.users += 1;
        Ok(())
    }

    /// Everybody who was named, a line each: the id there, a tab, the id here.
    pub(super) fn users(&self) -> String {
        self.users.iter().map(|(there, here)| format!("{there}\t{here}\n")).collect()
    }

    fn known(&self, user: &str) -> anyhow::Result<UserId> {
        self.users.get(user).copied().with_context(|| format!("user {user:?} was not named before"))
    }

    pub(super) async fn channel(&mut self, channel: Channel) -> anyhow::Result<()> {
        if self.channels.contains_key(&channel.id) {
            bail!("channel {:?} was named before", channel.id);
        }
        let first = channel.members.first().with_context(|| format!("nobody is in channel {:?}", channel.id))?;
        let creator =
            self.known(channel.creator.as_ref().filter(|name| channel.members.contains(name)).unwrap_or(first))?;
        let members: BTreeSet<UserId> =
            channel.members.iter().map(|user| self.known(user)).collect::<anyhow::Result<_>>()?;
        let new = NewChannel {
            id: channel.id.clone(),
            kind: channel.kind,
            title: channel.title,
            creator,
            members: members.clone(),
            created_ms: channel.created_ms.unwrap_or_else(crate::runtime::wall),
        };
        let made = imports::channel(self.store, self.namespace, &new).await;
        let place = made.with_context(|| format!("channel {:?}", channel.id))?;
        self.counts.channels += 1;
        let filling = Filling {
            place,
            members,
            had: place.head,
            last: Seq::ZERO,
            seqs: HashMap::new(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            is_left_out: false,
        };
        self.channels.insert(channel.id, filling);
        Ok(())
    }

    pub(super) async fn message(&mut self, message: Message) -> anyhow::Result<()> {
        let from = self.known(&message.from)?;
        let name = self.names.hash_one(&message.id);
        let parent = message.reply_to.as_ref().map(|parent| self.names.hash_one(parent));
        let filling = self.channels.get_mut(&message.channel);
        let filling = filling.with_context(|| format!("channel {:?} was not named before", message.channel))?;
        if filling.is_left_out {
            self.counts.left_out += 1;
            return Ok(());
        }
        filling.last = filling.last.next();
        if filling.seqs.insert(name, filling.last).is_some() {
            bail!("message {:?} of channel {:?} came before", message.id, message.channel);
        }
        let reply_to = parent.and_then(|parent| filling.seqs.get(&parent).copied());
        self.counts.without_parent += u64::from(parent.is_some() && reply_to.is_none());
        let new = NewMessage { id: message.id, from, sent_ms: message.sent_ms, body: message.body.into(), reply_to };
        if filling.last <= filling.had {
            self.counts.known += 1;
            if filling.last == filling.had {
                self.compare(&message.channel, &new).await?;
            }
            return Ok(());
        }
        filling.waiting_bytes += new.body.len();
        filling.waiting.push(new);
        if filling.waiting.len() >= MESSAGES_AT_ONCE || filling.waiting_bytes >= BYTES_AT_ONCE {
            self.write(&message.channel).await?;
        }
        Ok(())
    }

    /// A message that says nothing, or only what its channel shows anyway.
    pub(super) fn skipped(&mut self) {
        self.counts.skipped += 1;
    }

    /// A channel is left out by whoever reads the source.
    pub(super) fn note(&mut self, why: String) {
        self.notes.push(why);
    }

    /// Leaves a channel out whose newest message is not the one that an import would have left there.
    async fn compare(&mut self, name: &str, message: &NewMessage) -> anyhow::Result<()> {
        let filling = self.channels.get_mut(name).expect("it was found before");
        let found = imports::written(self.store, filling.place.channel, filling.had).await?;
        if found != Some(imports::message_id(self.namespace, name, message)) {
            filling.is_left_out = true;
            self.left_out.push(format!("{name:?}: something was said in it that is not of this import"));
        }
        Ok(())
    }

    async fn write(&mut self, name: &str) -> anyhow::Result<()> {
        let filling = self.channels.get_mut(name).expect("it was found before");
        let messages = std::mem::take(&mut filling.waiting);
        filling.waiting_bytes = 0;
        let written = imports::append(self.store, (self.namespace, name), filling.place, &messages).await;
        filling.place = written.with_context(|| format!("channel {name:?}"))?;
        self.counts.written += messages.len() as u64;
        let counts = &self.counts;
        self.progress.show(|| format!("{} messages in {} channels", counts.written, counts.channels));
        Ok(())
    }

    /// Writes what waits, and says what became of all; whether no channel was left out.
    pub(super) async fn finish(mut self) -> anyhow::Result<(String, bool)> {
        let names: Vec<String> = self.channels.keys().cloned().collect();
        for name in names {
            let filling = &self.channels[&name];
            if !filling.is_left_out && filling.last < filling.had {
                let (had, came) = (filling.had, filling.last);
                self.left_out.push(format!("{name:?}: it has {had} messages, and only {came} came this time"));
                continue;
            }
            if filling.is_left_out {
                continue;
            }
            if !filling.waiting.is_empty() {
                self.write(&name).await?;
            }
            let filling = &self.channels[&name];
            imports::settle(self.store, filling.place, &filling.members).await?;
        }
        self.progress.clear();
        let Counts { users, channels, written, known, left_out, without_parent, skipped } = self.counts;
        let mut report =
            format!("{users} users, {channels} channels; {written} messages imported, {known} were there already\n");
        if without_parent > 0 {
            writeln!(
                report,
                "{without_parent} messages answer one that did not come before them: they answer none here"
            )?;
        }
        if skipped > 0 {
            writeln!(
                report,
                "{skipped} messages say only that somebody came or went, or nothing: they are not taken over"
            )?;
        }
        for why in &self.notes {
            writeln!(report, "not taken over: {why}")?;
        }
        for why in &self.left_out {
            writeln!(report, "left out: {why}")?;
        }
        if left_out > 0 {
            writeln!(report, "{left_out} messages of channels that were left out")?;
        }
        Ok((report, self.left_out.is_empty()))
    }
}
