//! Server API: what an application's backend does with the users, channels and messages of the whole server.
//!
//! Owns who may ask, an application with the scope `server`, how a request names users, and how each part of a bulk
//! request is told. A user is named by the id that it has here, or by `external:` and what backends call it.
//!
//! ```text
//! users     accounts: made, changed, deactivated, erased; their tokens and sessions
//! channels  channels and their members, in bulk
//! messages  messages in the name of a user or of the application, to one channel or to many; history, presence
//! ```

pub(super) mod channels;
pub(super) mod messages;
pub(super) mod users;

use std::collections::BTreeMap;
use std::fmt;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use chat::accounts;
use chat::notices::apps::{App, Scope};
use futures_util::stream::{self, StreamExt as _};
use kv::Engine;
use schema::{ErrorCode, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::extract::AppCaller;
use crate::issuers::is_subject;
use crate::problem::Problem;
use crate::shards::Shards;
use crate::state::{Api, entropy};

/// Operations of one bulk request that are under way at once.
const AT_ONCE: usize = 32;
/// What a name begins with that is not an id of ours.
const EXTERNAL: &str = "external:";

/// The backend that asks, and the node's API, which is asked.
pub(crate) struct Backend<E, S> {
    api: Api<E, S>,
    app: App,
}

impl<E: Engine, S: Shards> FromRequestParts<Api<E, S>> for Backend<E, S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Api<E, S>) -> Result<Self, Problem> {
        let AppCaller { api, app } = AppCaller::from_request_parts(parts, state).await?;
        AppCaller::<E, S>::may(&app, Scope::Server)?;
        Ok(Self { api, app })
    }
}

impl<E: Engine, S: Shards> Backend<E, S> {
    /// Takes from what the application may ask, beyond the request itself.
    fn charge(&self, parts: usize) -> Result<(), Problem> {
        let parts = u32::try_from(parts.saturating_sub(1)).expect("a list is bounded");
        if parts == 0 { Ok(()) } else { self.api.charge(UserId(self.app.id), parts) }
    }

    /// The account in whose name the application acts where it names no user.
    async fn own_account(&self) -> Result<UserId, Problem> {
        let name = &self.app.record.name;
        Ok(accounts::system_account(&self.api.engine, self.app.id, name, entropy()?, self.api.wall()).await?)
    }

    /// The user of a name.
    async fn user(&self, name: &Named) -> Result<UserId, Problem> {
        self.users(std::slice::from_ref(name)).await?.remove(name).ok_or_else(|| no_such_user(name))
    }

    /// The users of names, as far as there are any. Whether there is one of an id whoever uses it says.
    async fn users(&self, names: &[Named]) -> Result<BTreeMap<Named, UserId>, Problem> {
        let subjects: Vec<&str> = names.iter().filter_map(Named::external).collect();
        let found = accounts::all_named(&self.api.engine, &subjects).await?;
        let mut found = found.into_iter();
        let mut user = |name: &Named| match name {
            Named::Id(user) => Some(*user),
            Named::External(_) => found.next().expect("one for each"),
        };
        Ok(names.iter().map(|name| (name.clone(), user(name))).filter_map(|(name, user)| Some((name, user?))).collect())
    }
}

fn no_such_user(name: &Named) -> Problem {
    Problem::new(ErrorCode::UnknownChannel, format!("there is no user {name}"))
}

/// Refuses a list that is empty or too long.
fn check_length(what: &str, count: usize, limit: usize) -> Result<(), Problem> {
    if (1..=limit).contains(&count) {
        return Ok(());
    }
    Err(Problem::new(ErrorCode::LimitExceeded, format!("`{what}` has 1 to {limit} entries, not {count}")))
}

/// A user as a backend names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Named {
    /// By the id that it has here.
    Id(UserId),
    /// By what backends call it.
    External(String),
}

impl Named {
    fn external(&self) -> Option<&str> {
        match self {
            Self::Id(_) => None,
            Self::External(subject) => Some(subject),
        }
    }
}

impl TryFrom<String> for Named {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const EXPECTED: &str = "expected a user: an id in decimal, or external: and 1 to 255 bytes";
        match text.strip_prefix(EXTERNAL) {
            Some(subject) if is_subject(subject) => Ok(Self::External(subject.to_owned())),
            Some(_) => Err(EXPECTED),
            None => text.parse().map(Self::Id).map_err(|_| EXPECTED),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(user) => user.fmt(f),
            Self::External(subject) => write!(f, "{EXTERNAL}{subject}"),
        }
    }
}

impl Serialize for Named {
    fn serialize<T: serde::Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        serializer.collect_str(self)
    }
}

/// Why one part of a bulk request came to nothing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Refused {
    /// What to branch on: PROTOCOL section 6.
    #[schema(example = 102)]
    code: u16,
    /// In words.
    #[schema(example = "no user 7")]
    detail: String,
    /// Whether the same part may be asked again.
    temporary: bool,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        let refusal = problem.into_refusal();
        let temporary = refusal.code.is_temporary();
        Self { code: refusal.code.into(), detail: refusal.message, temporary }
    }
}

/// Carries parts of a bulk request out, some at once, and tells what each came to, in their order.
async fn each<I, T, F: Future<Output = T>>(parts: impl IntoIterator<Item = I>, work: impl FnMut(I) -> F) -> Vec<T> {
    stream::iter(parts).map(work).buffered(AT_ONCE).collect().await
}
