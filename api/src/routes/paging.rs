//! Lists in pages: `?cursor=&limit=`, and how one tells that there is more.
//!
//! Owns the bounds of a page. What a cursor is, each list knows: its text is for handing back alone.

use std::str::FromStr;

use serde::Deserialize;
use utoipa::IntoParams;

use crate::problem::Problem;

/// Rows of a page at most.
const PAGE_MAX: u32 = 200;
/// Rows of a page when the client names no limit.
const PAGE_DEFAULT: u32 = 50;

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// That of the page before; absent for the first.
    cursor: Option<String>,
    /// Rows at most: 1 to 200, 50 unless given.
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
        match self.limit.unwrap_or(PAGE_DEFAULT) {
            0 => Err(Problem::bad_request(format!("query: limit is 0, ask for 1 to {PAGE_MAX} rows"))),
            limit => Ok(limit.min(PAGE_MAX)),
        }
    }
}

/// Rows to be read for a page of so many: one more tells whether there is another page.
pub(super) fn with_next(rows: u32) -> u32 {
    rows + 1
}

/// Cuts what was read to the page, and says whether there is another.
pub(super) fn cut<T>(found: &mut Vec<T>, rows: u32) -> bool {
    let more = found.len() > rows as usize;
    found.truncate(rows as usize);
    more
}
