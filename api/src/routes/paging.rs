//! Lists in pages: `?cursor=&limit=`, and how one tells that there is more.
//!
//! Owns the bounds of a page, its end, and pages of users. What a cursor is, each list knows: its text is for handing
//! back alone.

use std::str::FromStr;

use chat::accounts;
use kv::Engine;
use schema::UserId;
use schema::record::UserRecord;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;
use crate::shards::Shards;
use crate::state::Api;

/// Rows of a page at most.
const PAGE_MAX: u32 = 200;
/// Rows of a page when the client names no limit.
const PAGE_DEFAULT: u32 = 50;

/// The page that is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// That of the page before; absent for the first.
    cursor: Option<String>,
    /// Rows at most: 1 to 200, 50 unless given.
    #[param(minimum = 1, maximum = 4294967295u32)]
    limit: Option<u32>,
}

impl PageQuery {
    /// The place after which the page begins.
    pub(super) fn after<T: FromStr>(&self) -> Result<Option<T>, Problem> {
        let parse = |text: &String| text.parse().map_err(|_| Problem::bad_request("query: not a cursor of this list"));
        self.cursor.as_ref().map(parse).transpose()
    }

    /// Rows of the page.
    pub(super) fn rows(&self) -> Result<u32, Problem> {
        rows(self.limit, PAGE_DEFAULT, PAGE_MAX)
    }
}

/// Rows of a page that has `limit` at most, `default` where the client names none, and never more than `max`.
pub(super) fn rows(limit: Option<u32>, default: u32, max: u32) -> Result<u32, Problem> {
    match limit.unwrap_or(default) {
        0 => Err(Problem::bad_request(format!("query: limit is 0, ask for 1 to {max}"))),
        limit => Ok(limit.min(max)),
    }
}

/// The end of a page.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Next {
    /// Whether there are further pages.
    more: bool,
    /// The `cursor` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

impl Next {
    /// The next page begins after this place, if there is one.
    pub(super) fn after(place: Option<impl ToString>) -> Self {
        let cursor = place.map(|place| place.to_string());
        Self { more: cursor.is_some(), cursor }
    }
}

/// One user as lists show it. Both names are empty of an account that is gone.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Person {
    user_id: UserId,
    username: String,
    display_name: String,
}

impl Person {
    pub(super) fn new(user_id: UserId, record: Option<UserRecord>) -> Self {
        let (username, display_name) = record.map(|user| (user.username, user.display_name)).unwrap_or_default();
        Self { user_id, username, display_name }
    }
}

/// A page of users, ascending by id, of what was read: up to one row more than the page has, which tells that there is
/// another.
pub(super) async fn of_users<E: Engine, S: Shards, R, T>(
    api: &Api<E, S>,
    mut found: Vec<(UserId, R)>,
    rows: u32,
    show: impl Fn(Person, R) -> T,
) -> Result<(Vec<T>, Next), Problem> {
    let more = found.len() > rows as usize;
    found.truncate(rows as usize);
    let next = Next::after(found.last().filter(|_| more).map(|(user, _)| user));
    let users: Vec<_> = found.iter().map(|&(user, _)| user).collect();
    let records = accounts::by_ids(&api.engine, &users).await?;
    let shown = found.into_iter().zip(records).map(|((user, row), record)| show(Person::new(user, record), row));
    Ok((shown.collect(), next))
}
