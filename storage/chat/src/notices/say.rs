//! What a job has to say, as things stand when it is sent.
//!
//! Owns the last look before something leaves: whether there still is anything to tell, and what. A message that was read
//! while its job waited is not told, and of several the number is that of now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schema::media::Attachment;
use schema::op::ChannelKind;
use schema::record::{
    ChannelRecord, ContactRecord, DeliveryRecord, DeliveryState, HeadRecord, MemberRecord, MessageRecord, NoticeRecord,
    PushItem, ReadMarkRecord, SettingsRecord, ToldRecord, UserRecord,
};
use schema::{ChannelId, Medium, NoticeId, Seq, UnixMs, UserId};

use super::codes;
use super::contacts::Contact;
use super::instance;
use super::jobs::Job;
use super::reach::{Reach, Reached};
use super::templates::Stored;
use crate::push::{self, Decision};
use crate::{LayerError, channels, content, keys, read, unreadable, visible};
use kv::join;
use kv::transaction::{Begin, Engine, Transaction};

/// What to tell a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saying {
    /// Where.
    pub contact: ContactRecord,
    /// Settings of its user.
    pub settings: Arc<SettingsRecord>,
    /// The channel, and what later messages take the place of.
    pub channel: ChannelId,
    /// The newest message.
    pub seq: Seq,
    /// Whether the channel is one of two users.
    pub is_direct: bool,
    /// The channel's title; empty for a direct one.
    pub title: String,
    /// The name of who sent the message.
    pub from: String,
    /// Its text; empty where its media say all.
    pub text: Arc<str>,
    /// What it carries.
    pub media: Vec<Attachment>,
    /// Messages of the channel that are unread.
    pub unread: u64,
    /// Messages that are unread in all of the account's channels; nothing of an account with more than
    /// 500 of them.
    pub unread_total: Option<u64>,
}

/// An application's notice for a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Where.
    pub contact: ContactRecord,
    /// Settings of its user.
    pub settings: Arc<SettingsRecord>,
    /// Whether it is told at any hour and beyond any limit.
    pub is_critical: bool,
    /// What was accepted.
    pub record: Arc<NoticeRecord>,
    /// The template that has its words; none if it has no template, or that is not there any more.
    pub template: Option<Arc<Stored>>,
}

/// A notice with its template, for all jobs of it.
#[derive(Clone)]
struct Told {
    record: Arc<NoticeRecord>,
    template: Option<Arc<Stored>>,
}

/// What a job has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// What is new in a channel.
    Something(Box<Saying>),
    /// An application's notice.
    Notice(Box<Notice>),
    /// Nobody knows: a row that says so cannot be read.
    Unreadable,
    /// Nothing any more.
    Nothing {
        /// Why.
        why: &'static str,
    },
}

/// Why a user is not told what was planned before the settings changed.
const TURNED_OFF: &str = "its user wants no more of these";

/// Messages before a job's own that are looked at where its own is not to be told.
const EARLIER_MAX: u64 = 16;

/// Jobs that are looked at in one transaction, with up to 1,500 reads for each user.
const AT_ONCE: usize = 16;

/// What each of these jobs has to say at `now`, in their order.
///
/// # Errors
/// The store's, and damage.
pub async fn say<E: Engine>(engine: &E, reach: &Reach, jobs: &[Job], now: UnixMs) -> Result<Vec<Said>, LayerError> {
    let mut said = Vec::with_capacity(jobs.len());
    for jobs in jobs.chunks(AT_ONCE) {
        said.extend(read!(engine, Begin::Fresh, |tx| say_some(&tx, reach, jobs, now).await)?);
    }
    Ok(said)
}

async fn say_some<T: Transaction>(tx: &T, reach: &Reach, jobs: &[Job], now: UnixMs) -> Result<Vec<Said>, LayerError> {
    // One user has several devices, and each is told the same.
    let mut users: Vec<UserId> = jobs.iter().map(|job| job.user).collect();
    users.sort_unstable();
    users.dedup();
    let is_message = |job: &&Job| job.record.origin == NoticeId::default();
    let counting: BTreeSet<UserId> = jobs.iter().filter(is_message).map(|job| job.user).collect();
    let targets = |user| -> Vec<(Medium, &str)> {
        let of_user = jobs.iter().filter(|job| job.user == user);
        of_user.map(|job| (job.medium, job.device.as_str())).collect()
    };
    let account = async |user| {
        let targets = targets(user);
        let unread = unread_total(tx, user, counting.contains(&user));
        let (reached, unread_total) = join::both(reach.lately(tx, user, &targets, now), unread).await?;
        Ok::<_, LayerError>(Account { reached, unread_total })
    };
    let accounts = join::try_all(users.iter().map(|&user| account(user))).await?;
    let accounts: BTreeMap<UserId, Account> = users.into_iter().zip(accounts).collect();
    let origins = jobs.iter().map(|job| job.record.origin).filter(|&origin| origin != NoticeId::default());
    let notices = told(tx, reach, instance::notices(tx, origins).await?, now).await?;
    join::try_all(jobs.iter().map(|job| say_one(tx, reach, job, &accounts[&job.user], &notices, now))).await
}

/// Notices with the templates that they name, each looked for once; none of those whose template cannot be read.
async fn told<T: Transaction>(
    tx: &T,
    reach: &Reach,
    notices: BTreeMap<NoticeId, NoticeRecord>,
    now: UnixMs,
) -> Result<BTreeMap<NoticeId, Option<Told>>, LayerError> {
    let named = notices.values().filter(|record| !record.template.is_empty());
    let named: BTreeSet<_> = named.map(|of| (of.app, of.template.clone(), of.template_version)).collect();
    let find = async |named| match reach.template(tx, named, now).await {
        Ok(found) => Ok(Some(found)),
        Err(LayerError::Record(_)) => Ok(None),
        Err(error) => Err(error),
    };
    let found = join::try_all(named.iter().map(find)).await?;
    let templates: BTreeMap<_, _> = named.into_iter().zip(found).collect();
    let told = |(id, record): (NoticeId, NoticeRecord)| {
        let template = match templates.get(&(record.app, record.template.clone(), record.template_version)) {
            Some(found) => found.clone(),
            None => Some(None),
        };
        (id, template.map(|template| Told { record: Arc::new(record), template }))
    };
    Ok(notices.into_iter().map(told).collect())
}

/// What all jobs of a user say.
struct Account {
    reached: Reached,
    unread_total: Option<u64>,
}

/// Channels whose unread messages are added up for a badge, with three reads each: 2,000 took 4.2 ms a user, and a worker
/// has a thread for all of its users.
pub(super) const COUNTED_CHANNELS_MAX: u32 = 500;

/// Messages that are unread in all of a user's channels, if they are wanted.
async fn unread_total<T: Transaction>(tx: &T, user: UserId, counts: bool) -> Result<Option<u64>, LayerError> {
    // An application's notice says nothing of channels, and there may be 2,000 of them.
    if !counts {
        return Ok(None);
    }
    let range = keys::memberships_after(user, None).rows(COUNTED_CHANNELS_MAX + 1);
    let page = tx.snapshot_get_range(&range).await?;
    if page.rows.len() > COUNTED_CHANNELS_MAX as usize {
        return Ok(None);
    }
    let states = channels::states(tx, user, &page.rows).await?;
    Ok(Some(states.into_iter().flatten().map(|state| state.unread()).sum()))
}

async fn say_one<T: Transaction>(
    tx: &T,
    reach: &Reach,
    job: &Job,
    account: &Account,
    notices: &BTreeMap<NoticeId, Option<Told>>,
    now: UnixMs,
) -> Result<Said, LayerError> {
    let nothing = |why| Ok(Said::Nothing { why });
    let Reached { settings, .. } = &account.reached;
    let Some(contact) = account.reached.contact(job.medium, &job.device) else {
        return nothing("the device is told no more");
    };
    if job.record.origin != NoticeId::default() {
        return match notices.get(&job.record.origin) {
            Some(None) => Ok(Said::Unreadable),
            Some(Some(told)) if told.record.cancelled_ms.is_some() => nothing("it was cancelled"),
            Some(Some(told)) if !reach.takes_notice(settings, contact, &told.record) => nothing(TURNED_OFF),
            Some(Some(Told { record, template })) => {
                let (contact, settings) = (contact.record.clone(), Arc::clone(settings));
                let is_critical = codes::is_code(record) || reach.is_critical(&record.category);
                let (record, template) = (Arc::clone(record), template.clone());
                Ok(Said::Notice(Box::new(Notice { contact, settings, is_critical, record, template })))
            }
            None => nothing("the notice is not there any more"),
        };
    }
    if !reach.takes_messages(settings, contact) {
        return nothing(TURNED_OFF);
    }
    match say_readable(tx, job, contact, account, now).await {
        // Of one job: the others go on.
        Err(LayerError::Record(_)) => Ok(Said::Unreadable),
        said => said,
    }
}

async fn say_readable<T: Transaction>(
    tx: &T,
    job: &Job,
    contact: &Contact,
    account: &Account,
    now: UnixMs,
) -> Result<Said, LayerError> {
    let nothing = |why| Ok(Said::Nothing { why });
    let (channel, seq) = (job.record.channel, job.record.seq);
    let keys = [
        keys::message(channel, seq),
        keys::channel(channel),
        keys::head(channel),
        keys::read(job.user, channel),
        keys::member(channel, job.user),
    ];
    let rows = tx.snapshot_get_all(&keys).await?;
    let message = unreadable::refuse_some(&keys[0], rows[0].as_ref(), MessageRecord::decode)?;
    let record = unreadable::refuse_some(&keys[1], rows[1].as_ref(), ChannelRecord::decode)?;
    let head: HeadRecord = unreadable::skip_or_default(&keys[2], rows[2].as_ref(), HeadRecord::decode);
    let mark: ReadMarkRecord = unreadable::skip_or_default(&keys[3], rows[3].as_ref(), ReadMarkRecord::decode);
    let member = unreadable::refuse_some(&keys[4], rows[4].as_ref(), MemberRecord::decode)?;
    let (Some(message), Some(record), Some(member)) = (message, record, member) else {
        return nothing("the message is not there any more");
    };
    let item = PushItem::new(job.user, (channel, seq), message.from, message.sent_ms);
    let decided = push::decide_some(tx, &[item], now).await?[0];
    let instead = match decided {
        // Beside it there may be others that it was to tell of.
        Decision::Gone | Decision::Deleted | Decision::Blocked => {
            earlier(tx, job, mark.seq.max(visible::joined_after(&member)), now).await?
        }
        Decision::Read
        | Decision::Muted
        | Decision::Online
        | Decision::Told
        | Decision::Unreadable
        | Decision::Push => None,
    };
    match decided {
        _ if instead.is_some() => {}
        // Its own job is what it was told with, or a later one: on its target the later takes the place of this.
        Decision::Told if was_told_later(tx, job, now).await? => {
            return nothing("a later message of the channel was told");
        }
        Decision::Push | Decision::Told => {}
        Decision::Gone => return nothing("the message may not be read any more"),
        Decision::Deleted => return nothing("the message was deleted"),
        Decision::Read => return nothing("the message was read"),
        Decision::Blocked => return nothing("its sender is blocked"),
        Decision::Muted => return nothing("the channel is muted"),
        Decision::Online => return nothing("the user is online"),
        Decision::Unreadable => return Ok(Said::Unreadable),
    }
    let (seq, message) = instead.unwrap_or((seq, message));
    let user = keys::user(message.from);
    let from = tx.snapshot_get(&user).await?;
    let from = from.and_then(|row| unreadable::skip(&user, UserRecord::decode(&row)));
    let text = content::text(tx, (channel, seq), &message).await?;
    Ok(Said::Something(Box::new(Saying {
        contact: contact.record.clone(),
        settings: Arc::clone(&account.reached.settings),
        channel,
        seq,
        is_direct: record.kind == ChannelKind::Direct,
        title: record.title,
        from: from.map(|user| user.display_name).unwrap_or_default(),
        text,
        media: message.media,
        unread: visible::unread(head.seq, mark.seq, visible::joined_after(&member)),
        unread_total: account.unread_total,
    })))
}

/// Whether a provider has a later message of the job's channel for the job's target, in whose place this one would put an
/// older text, or is to have one where neither takes the place of the other.
async fn was_told_later<T: Transaction>(tx: &T, job: &Job, now: UnixMs) -> Result<bool, LayerError> {
    let (channel, key) = (job.record.channel, keys::told(job.user, job.record.channel));
    let row = tx.snapshot_get(&key).await?;
    let told: ToldRecord = unreadable::skip_or_default(&key, row.as_ref(), ToldRecord::decode);
    if told.seq <= job.record.seq {
        return Ok(false);
    }
    let key = keys::message(channel, told.seq);
    let row = tx.snapshot_get(&key).await?;
    let Some(later) = row.and_then(|row| unreadable::skip(&key, MessageRecord::decode(&row))) else { return Ok(false) };
    let notice = NoticeId::of_message(job.user, channel, told.seq, later.sent_ms);
    let key = keys::delivery(notice, job.user, job.medium, &job.device);
    let row = tx.snapshot_get(&key).await?;
    let delivery = row.and_then(|row| unreadable::skip(&key, DeliveryRecord::decode(&row)));
    let Some(state) = delivery.map(|delivery| delivery.state) else { return Ok(false) };
    // A mail or a text message takes no other's place: the one that is to come has it all, unless it was deleted.
    if job.medium.is_of_device() || state != DeliveryState::Planned {
        return Ok(state.arrived());
    }
    let item = PushItem::new(job.user, (channel, told.seq), later.from, later.sent_ms);
    let decided = push::decide_some(tx, &[item], now).await?;
    Ok(matches!(decided[0], Decision::Push | Decision::Told))
}

/// The newest message before a job's own that its user is still to be told of: of several that came together the last has
/// the one job, and tells of the others too. None that had a job itself, or came before such a one.
async fn earlier<T: Transaction>(
    tx: &T,
    job: &Job,
    after: Seq,
    now: UnixMs,
) -> Result<Option<(Seq, MessageRecord)>, LayerError> {
    let (channel, last) = (job.record.channel, job.record.seq.0);
    let first = (after.0 + 1).max(last.saturating_sub(EARLIER_MAX));
    let keys: Vec<_> = (first..last).rev().map(|seq| keys::message(channel, Seq(seq))).collect();
    let rows = tx.snapshot_get_all(&keys).await?;
    let mut messages = Vec::with_capacity(rows.len());
    for ((seq, key), row) in (first..last).rev().zip(&keys).zip(&rows) {
        let message = row.as_ref().and_then(|row| unreadable::skip(key, MessageRecord::decode(row)));
        messages.extend(message.map(|message| (Seq(seq), message)));
    }
    // By whatever medium and on whichever device: one that was registered anew by another was told then as well.
    let had_job = |&(seq, ref message): &(Seq, MessageRecord)| {
        let notice = NoticeId::of_message(job.user, channel, seq, message.sent_ms);
        let range = keys::deliveries_of(notice).rows(1);
        async move { Ok::<_, LayerError>(!tx.snapshot_get_range(&range).await?.rows.is_empty()) }
    };
    let had_jobs = join::try_all(messages.iter().map(had_job)).await?;
    let before = had_jobs.into_iter().take_while(|had_job| !had_job).count();
    messages.truncate(before);
    let item =
        |(seq, message): &(Seq, MessageRecord)| PushItem::new(job.user, (channel, *seq), message.from, message.sent_ms);
    let items: Vec<_> = messages.iter().map(item).collect();
    let decided = push::decide_some(tx, &items, now).await?;
    let told = decided.iter().position(|decision| matches!(decision, Decision::Push | Decision::Told));
    Ok(told.map(|at| messages.swap_remove(at)))
}
