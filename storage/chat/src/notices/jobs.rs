//! Jobs that are due become a worker's for a while, and end with what came of them.
//!
//! Owns the lease and the end of a job, a transaction each for many. A lease moves the job to where it is anybody's
//! again, so a worker that dies loses nothing; an end counts only while the job lies where its lease put it, so one that
//! comes late, after another worker has the job, changes nothing.

use bytes::Bytes;
use schema::limits::{JOB_LEASE_MS, NOTICE_WORDS_BYTES_MAX};
use schema::record::{DeadRecord, DeliveryRecord, DeliveryState, JobRecord};
use schema::{Medium, NoticeId, UnixMs, UserId};

use super::cache::STALE_MS;
use super::contacts::{self, Contact};
use super::events::Events;
use super::links::Target;
use super::{Scan, Worker, instance, track};
use crate::{LayerError, commit, keys, unreadable};
use kv::transaction::{Begin, Engine, Row, Transaction};

/// Something for one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// By what.
    pub medium: Medium,
    /// When it is due.
    pub due: UnixMs,
    /// The notice that it is of.
    pub notice: NoticeId,
    /// Whom it tells.
    pub user: UserId,
    /// On which device; empty where the contact is the user's own.
    pub device: String,
    /// What its row says.
    pub record: JobRecord,
}

impl Job {
    fn of_row(row: &Row) -> Result<Self, schema::record::RecordError> {
        let (medium, _partition, due, notice, user, device) = keys::job_fields(&row.key)?;
        Ok(Self { medium, due, notice, user, device, record: JobRecord::decode(&row.value)? })
    }

    /// The same once a worker has it, from `now` on.
    fn leased(self, now: UnixMs) -> Self {
        let attempts = self.record.attempts.saturating_add(1);
        let record = JobRecord { attempts, leased: true, ..self.record };
        Self { due: now.plus_ms(JOB_LEASE_MS), record, ..self }
    }

    fn key(&self) -> Vec<u8> {
        keys::job(self.medium, self.due, self.notice, self.user, &self.device)
    }

    fn delivery_key(&self) -> Vec<u8> {
        keys::delivery(self.notice, self.user, self.medium, &self.device)
    }

    /// Whom it tells, and of what.
    #[must_use]
    pub fn target(&self) -> Target {
        let Self { medium, notice, user, device, .. } = self;
        Target { notice: *notice, user: *user, medium: *medium, device: device.clone() }
    }
}

/// Jobs that are this worker's until their lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// Each as its row says now: due when the lease ends.
    pub jobs: Vec<Job>,
    /// Whether more may be due.
    pub more: bool,
}

/// Sets a job that is due now, and that it is known of, as which it is returned.
pub(super) fn put<T: Transaction>(
    tx: &mut T,
    Contact { medium, device, .. }: &Contact,
    user: UserId,
    notice: NoticeId,
    record: &JobRecord,
) -> DeliveryRecord {
    let planned_ms = record.planned_ms;
    tx.set(&keys::job(*medium, planned_ms, notice, user, device), &record.encode());
    let delivery = DeliveryRecord {
        state: DeliveryState::Planned,
        planned_ms,
        at_ms: planned_ms,
        attempts: 0,
        provider: String::new(),
        provider_id: String::new(),
        why: String::new(),
        origin: record.origin,
    };
    tx.set(&keys::delivery(notice, user, *medium, device), &delivery.encode());
    delivery
}

/// Takes jobs of a medium that are due at `now`, at most `limit`, and counts an attempt of each.
///
/// # Errors
/// The store's; 113 once the worker's view has ended. Then some may be leased by nobody: they are due again when their
/// lease ends.
pub async fn lease<E: Engine>(
    engine: &E,
    worker: &Worker,
    scan: &mut Scan,
    now: UnixMs,
    limit: usize,
) -> Result<Leased, LayerError> {
    let rows = scan.due(engine, worker, now, limit).await?;
    if rows.is_empty() {
        return Ok(Leased { jobs: Vec::new(), more: false });
    }
    let (rows, more) = (&rows, rows.len() >= limit);
    let found = &unreadable::readable(rows, |row| Ok((row.clone(), Job::of_row(row)?.leased(now))));
    let jobs = commit!(engine, Begin::Fresh, |tx, attempt| {
        worker.prove(&tx).await?;
        let keys: Vec<_> = found.iter().flat_map(|(row, job)| [row.key.to_vec(), job.key()]).collect();
        let mut jobs = Vec::with_capacity(found.len());
        for ((row, job), there) in found.iter().zip(tx.get_all(&keys).await?.chunks(2)) {
            let leased = job.record.encode();
            if there[0].as_ref() == Some(&row.value) {
                tx.set(&job.key(), &leased);
                tx.clear(&row.key);
                jobs.push(job.clone());
            } else if attempt.maybe_committed && there[1].as_deref() == Some(&*leased) {
                // An earlier attempt of this call has leased it.
                jobs.push(job.clone());
            }
            // Else whoever had it has ended it since it was found, late.
        }
        for row in rows.iter().filter(|row| Job::of_row(row).is_err()) {
            unreadable::keep(&mut tx, &row.key, &row.value);
            tx.clear(&row.key);
        }
        Ok(jobs)
    })?;
    Ok(Leased { jobs, more })
}

/// What became of a leased job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// A provider has it.
    Sent {
        /// Who, as the operator calls it.
        provider: String,
        /// What the provider calls it.
        provider_id: String,
    },
    /// It is tried again.
    Again {
        /// When.
        at: UnixMs,
        /// Whether the attempt counts: not where nothing was tried.
        counts: bool,
    },
    /// There was nothing to say any more.
    Withdrawn {
        /// Why.
        why: String,
    },
    /// The target is no more; its contact is forgotten, if it still has this address.
    Gone {
        /// The address that was tried.
        address: String,
        /// The provider's words.
        why: String,
    },
    /// It is given up.
    Dead {
        /// Why.
        why: String,
    },
    /// It is given up, since it is of no use any more.
    Expired {
        /// What had kept it.
        why: String,
    },
}

impl End {
    /// Whether the job is over.
    fn is_last(&self) -> bool {
        match self {
            Self::Again { .. } => false,
            Self::Sent { .. } | Self::Withdrawn { .. } | Self::Gone { .. } => true,
            Self::Dead { .. } | Self::Expired { .. } => true,
        }
    }
}

/// Ends jobs, or puts them off, as of `now`. Returns how many of them were still this worker's.
///
/// # Errors
/// The store's, and damage. Then all may be due again when their leases end; ending again is safe.
pub async fn settle<E: Engine>(engine: &E, ends: &[(Job, End)], now: UnixMs) -> Result<u64, LayerError> {
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let leased: Vec<_> = ends.iter().map(|(job, _)| job.key()).collect();
        let rows = tx.get_all(&leased).await?;
        let is_ours = |((job, _), row): (&(Job, End), &Option<Bytes>)| {
            row.as_ref().is_some_and(|row| **row == *job.record.encode())
        };
        let ours: Vec<bool> = ends.iter().zip(&rows).map(is_ours).collect();
        let last = || ends.iter().zip(&ours).filter(|((_, end), ours)| **ours && end.is_last()).map(|(end, _)| end);
        let keys: Vec<_> = last().map(|(job, _)| job.delivery_key()).collect();
        // What is heard of a message may have been noted before its own end is.
        let mut deliveries = keys.iter().zip(tx.get_all(&keys).await?);
        let origins = last().map(|(job, _)| job.record.origin).filter(|&origin| origin != NoticeId::default());
        let notices = instance::notices(&tx, origins).await?;
        let (mut settled, mut events) = (0, Events::default());
        for (((job, end), key), ours) in ends.iter().zip(&leased).zip(ours) {
            if !ours {
                settled += u64::from(attempt.maybe_committed);
                continue;
            }
            settled += 1;
            tx.clear(key);
            let delivery = end.is_last().then(|| deliveries.next().expect("one for each that is over"));
            let (Some(ended), Some((key, row))) = (end_one(&mut tx, job, end, now).await?, delivery) else { continue };
            let before = row.and_then(|row| unreadable::skip(key, DeliveryRecord::decode(&row)));
            let heard = before.filter(|before| before.state != DeliveryState::Planned);
            if let Some(notice) = notices.get(&job.record.origin)
                && (heard.is_none() || ended.state == DeliveryState::Sent)
            {
                events.put(&mut tx, notice.app, &track::event(&job.target(), &ended));
            }
            let delivery = match heard {
                Some(DeliveryRecord { state, at_ms, why, .. }) => DeliveryRecord { state, at_ms, why, ..ended },
                None => ended,
            };
            tx.set(key, &delivery.encode());
        }
        Ok(settled)
    })
}

/// Ends one job, or puts it off. What became of it, if it is over.
async fn end_one<T: Transaction>(
    tx: &mut T,
    job: &Job,
    end: &End,
    now: UnixMs,
) -> Result<Option<DeliveryRecord>, LayerError> {
    let Job { medium, notice, user, device, record, .. } = job;
    let dead = |tx: &mut T, why: &str| {
        let JobRecord { channel, seq, origin, planned_ms, attempts, .. } = *record;
        let dead = DeadRecord { channel, seq, origin, planned_ms, attempts, why: cut(why) };
        tx.set(&keys::dead(*medium, now, *notice, *user, device), &dead.encode());
    };
    let (state, provider, provider_id, why) = match end {
        &End::Again { at, counts } => {
            let attempts = record.attempts - u32::from(!counts && record.attempts > 0);
            let record = JobRecord { attempts, leased: false, ..*record };
            tx.set(&keys::job(*medium, at, *notice, *user, device), &record.encode());
            return Ok(None);
        }
        End::Sent { provider, provider_id } => (DeliveryState::Sent, provider.as_str(), provider_id.as_str(), ""),
        End::Withdrawn { why } => (DeliveryState::Withdrawn, "", "", why.as_str()),
        End::Gone { address, why } => {
            let key = keys::contact(*user, *medium, device);
            let row = tx.get(&key).await?;
            let contact = row.and_then(|row| unreadable::skip(&key, schema::record::ContactRecord::decode(&row)));
            match contact {
                // It was registered anew meanwhile: who is gone is the one before, by which nobody goes any more then.
                Some(contact) if contact.address != *address => {
                    let (record, at) = (JobRecord { leased: false, ..*record }, now.plus_ms(STALE_MS + 1));
                    tx.set(&keys::job(*medium, at, *notice, *user, device), &record.encode());
                    return Ok(None);
                }
                Some(record) => {
                    contacts::forget(tx, *user, &Contact { medium: *medium, device: device.clone(), record });
                }
                None => {}
            }
            (DeliveryState::Gone, "", "", why.as_str())
        }
        End::Dead { why } => {
            dead(tx, why);
            (DeliveryState::Dead, "", "", why.as_str())
        }
        End::Expired { why } => {
            dead(tx, why);
            (DeliveryState::Expired, "", "", why.as_str())
        }
    };
    Ok(Some(DeliveryRecord {
        state,
        planned_ms: record.planned_ms,
        at_ms: now,
        attempts: record.attempts,
        provider: cut(provider),
        provider_id: cut(provider_id),
        why: cut(why),
        origin: record.origin,
    }))
}

/// The first bytes of words, up to a character.
pub(super) fn cut(words: &str) -> String {
    words[..words.floor_char_boundary(NOTICE_WORDS_BYTES_MAX as usize)].to_owned()
}
