//! Templates of applications: stored in versions, read by name, deleted.
//!
//! Owns the rows `template`, `template version` and `template variant`. A version is written once and never changes, so
//! who has accepted a notice with it tells the same words whatever is stored meanwhile; the newest
//! `TEMPLATE_VERSIONS_MAX` are kept. No version of a name is there twice: what is deleted leaves its number, under no
//! name, and the next template of the application goes on from there. What a template may say is `notify::template`'s.

use schema::limits::{TEMPLATE_VARIANTS_MAX, TEMPLATE_VERSIONS_MAX, TEMPLATES_OF_APP_MAX};
use schema::record::{TemplateRecord, VariantRecord};
use schema::template::{Parameter, Template, Variant};
use schema::{ErrorCode, Refusal, UnixMs};

use crate::{LayerError, commit, keys, packed, read, unreadable};
use kv::transaction::{Begin, Engine, Row, Transaction};

/// The name under which an application's highest number lies of those that were deleted.
const DELETED: &str = "";

/// A version of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The application.
    pub app: u64,
    /// The template's name.
    pub name: String,
    /// From 1 on, ascending, with gaps where others were deleted.
    pub version: u32,
    /// When it was stored.
    pub created_ms: UnixMs,
    /// What it says.
    pub template: Template,
}

impl Stored {
    /// The bytes that it takes, about.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let Template { parameters, variants, .. } = &self.template;
        let variant = |of: &Variant| {
            size_of::<Variant>() + of.title.len() + of.body.len() + of.html.as_ref().map_or(0, String::len)
        };
        let parameter = |of: &Parameter| size_of::<Parameter>() + of.name.len();
        let bytes = variants.iter().map(variant).sum::<usize>() + parameters.iter().map(parameter).sum::<usize>();
        (size_of::<Self>() + self.name.len() + bytes) as u64
    }
}

/// Names of templates, each with its newest version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplatesPage {
    /// Ascending by name.
    pub templates: Vec<(String, u32)>,
    /// Whether there are more, after the last of these.
    pub more: bool,
}

/// Stores a template as the newest version of its name, and forgets the oldest of more than `TEMPLATE_VERSIONS_MAX`.
/// Which version it is: the one that is the newest already, if that says the same.
///
/// # Errors
/// 106 for a new name beside `TEMPLATES_OF_APP_MAX` others; the store's, and damage. Storing again is safe.
pub async fn put<E: Engine>(
    engine: &E,
    app: u64,
    name: &str,
    template: &Template,
    now: UnixMs,
) -> Result<u32, LayerError> {
    let (record, variants) = &template.to_records(now);
    commit!(engine, Begin::Fresh, |tx, _| {
        let key = keys::template(app, name);
        let row = tx.get(&key).await?;
        let version = match unreadable::refuse_some(&key, row.as_ref(), packed::version)? {
            Some(newest) => {
                if is_same(&tx, app, name, newest, (record, variants)).await? {
                    return Ok(newest);
                }
                newest + 1
            }
            None => next(&tx, app).await?,
        };
        tx.set(&key, &packed::row(version));
        tx.set(&keys::template_version(app, version, name), &record.encode());
        for (at, variant) in (0..).zip(variants) {
            tx.set(&keys::template_variant(app, version, at, name), &variant.encode());
        }
        if let Some(oldest) = version.checked_sub(TEMPLATE_VERSIONS_MAX) {
            forget(&mut tx, app, name, oldest);
        }
        Ok(version)
    })
}

/// Whether a version says this. One that cannot be read does not, and is replaced.
async fn is_same<T: Transaction>(
    tx: &T,
    app: u64,
    name: &str,
    version: u32,
    (record, variants): (&TemplateRecord, &[VariantRecord]),
) -> Result<bool, LayerError> {
    match records(tx, app, name, version).await {
        Ok(Some((stored, stored_variants))) => {
            let stored = TemplateRecord { created_ms: record.created_ms, ..stored };
            Ok(stored == *record && stored_variants == variants)
        }
        Ok(None) | Err(LayerError::Record(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The first version of a further template of an application. Counted without conflicts: of two at one moment both may be
/// the last.
async fn next<T: Transaction>(tx: &T, app: u64) -> Result<u32, LayerError> {
    let page = tx.snapshot_get_range(&keys::templates_after(app, Some(DELETED)).rows(TEMPLATES_OF_APP_MAX)).await?;
    if page.rows.len() >= TEMPLATES_OF_APP_MAX as usize {
        let text = format!("the application has {TEMPLATES_OF_APP_MAX} templates, which is the limit");
        return Err(Refusal::new(ErrorCode::LimitExceeded, text).into());
    }
    let key = keys::template(app, DELETED);
    let row = tx.get(&key).await?;
    Ok(unreadable::refuse_some(&key, row.as_ref(), packed::version)?.unwrap_or_default() + 1)
}

/// Clears a version, whether or not it is there.
fn forget<T: Transaction>(tx: &mut T, app: u64, name: &str, version: u32) {
    tx.clear(&keys::template_version(app, version, name));
    for at in 0..TEMPLATE_VARIANTS_MAX {
        let at = u16::try_from(at).expect("64 at most");
        tx.clear(&keys::template_variant(app, version, at, name));
    }
}

/// A page of an application's templates, after a name.
///
/// # Errors
/// The store's.
pub async fn list<E: Engine>(
    engine: &E,
    app: u64,
    after: Option<&str>,
    limit: u32,
) -> Result<TemplatesPage, LayerError> {
    let range = keys::templates_after(app, Some(after.unwrap_or(DELETED))).rows(limit.saturating_add(1));
    let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
    let template = |row: &Row| Ok((keys::template_of(&row.key)?.1, packed::version(&row.value)?));
    let shown = page.rows.len().min(limit as usize);
    let templates = unreadable::readable(&page.rows[..shown], template);
    Ok(TemplatesPage { templates, more: page.rows.len() > shown })
}

/// A version of a template, the newest unless one is named. `None` if there is no such one, or no longer.
///
/// # Errors
/// The store's, and damage.
pub async fn get<E: Engine>(
    engine: &E,
    app: u64,
    name: &str,
    version: Option<u32>,
) -> Result<Option<Stored>, LayerError> {
    read!(engine, Begin::Fresh, |tx| {
        let newest = newest(&tx, app, name).await?;
        match version.or(newest) {
            // What is deleted is gone with its versions.
            Some(version) if newest.is_some() => stored(&tx, app, name, version).await,
            _ => Ok(None),
        }
    })
}

/// The newest version of a template, and what it takes. `None` if there is no such one.
///
/// # Errors
/// The store's, and damage.
pub async fn takes<E: Engine>(engine: &E, app: u64, name: &str) -> Result<Option<(u32, Vec<Parameter>)>, LayerError> {
    read!(engine, Begin::Fresh, |tx| {
        let Some(version) = newest(&tx, app, name).await? else { return Ok(None) };
        let key = keys::template_version(app, version, name);
        let row = tx.snapshot_get(&key).await?.ok_or_else(|| unreadable::missing(&key, "template version"))?;
        let record = unreadable::refuse(&key, TemplateRecord::decode(&row))?;
        let template = unreadable::refuse(&key, Template::of_records(&record, Vec::new()))?;
        Ok(Some((version, template.parameters)))
    })
}

/// Deletes a template, with all of its versions. Whether it was there. Notices that were accepted with it cannot be told any
/// more.
///
/// # Errors
/// The store's, and damage.
pub async fn delete<E: Engine>(engine: &E, app: u64, name: &str) -> Result<bool, LayerError> {
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let (key, deleted_key) = (keys::template(app, name), keys::template(app, DELETED));
        let row = tx.get(&key).await?;
        let Some(newest) = unreadable::refuse_some(&key, row.as_ref(), packed::version)? else {
            return Ok(attempt.maybe_committed);
        };
        let deleted = tx.get(&deleted_key).await?;
        let deleted = unreadable::refuse_some(&deleted_key, deleted.as_ref(), packed::version)?.unwrap_or_default();
        tx.set(&deleted_key, &packed::row(newest.max(deleted)));
        tx.clear(&key);
        for version in newest.saturating_sub(TEMPLATE_VERSIONS_MAX - 1)..=newest {
            forget(&mut tx, app, name, version);
        }
        Ok(true)
    })
}

/// The version of a template that a notice was accepted with, or the newest if that is gone.
pub(super) async fn of_notice<T: Transaction>(
    tx: &T,
    app: u64,
    name: &str,
    version: u32,
) -> Result<Option<Stored>, LayerError> {
    if let Some(stored) = stored(tx, app, name, version).await? {
        return Ok(Some(stored));
    }
    match newest(tx, app, name).await? {
        Some(newest) => stored(tx, app, name, newest).await,
        None => Ok(None),
    }
}

async fn newest<T: Transaction>(tx: &T, app: u64, name: &str) -> Result<Option<u32>, LayerError> {
    if name == DELETED {
        return Ok(None);
    }
    let key = keys::template(app, name);
    let row = tx.snapshot_get(&key).await?;
    Ok(unreadable::refuse_some(&key, row.as_ref(), packed::version)?)
}

async fn stored<T: Transaction>(tx: &T, app: u64, name: &str, version: u32) -> Result<Option<Stored>, LayerError> {
    let Some((record, variants)) = records(tx, app, name, version).await? else { return Ok(None) };
    let key = keys::template_version(app, version, name);
    let template = unreadable::refuse(&key, Template::of_records(&record, variants))?;
    Ok(Some(Stored { app, name: name.to_owned(), version, created_ms: record.created_ms, template }))
}

async fn records<T: Transaction>(
    tx: &T,
    app: u64,
    name: &str,
    version: u32,
) -> Result<Option<(TemplateRecord, Vec<VariantRecord>)>, LayerError> {
    let key = keys::template_version(app, version, name);
    let row = tx.snapshot_get(&key).await?;
    let Some(record) = unreadable::refuse_some(&key, row.as_ref(), TemplateRecord::decode)? else { return Ok(None) };
    let keys: Vec<_> = (0..record.variants).map(|at| keys::template_variant(app, version, at, name)).collect();
    let rows = tx.snapshot_get_all(&keys).await?;
    let variant = |(key, row): (&Vec<u8>, Option<bytes::Bytes>)| {
        let row = row.ok_or_else(|| unreadable::missing(key, "template variant"))?;
        unreadable::refuse(key, VariantRecord::decode(&row))
    };
    let variants = keys.iter().zip(rows).map(variant).collect::<Result<_, _>>()?;
    Ok(Some((record, variants)))
}
