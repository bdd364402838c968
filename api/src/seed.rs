//! Accounts that a node makes for itself: the users of `rookery dev`.
//!
//! Owns how such an account is made: it has no password, so nobody signs in to it but by `POST /v1/dev/login`.

use chat::LayerError;
use chat::accounts::{self, SignUp};
use kv::Engine;
use schema::record::UserRecord;
use schema::{ErrorCode, Refusal, UnixMs, UserId};

use crate::problem::Problem;
use crate::state::entropy;

/// Where a password's hash would be: no password has this one.
const NO_PASSWORD: &str = "!";
/// Draws of an id that no other account has, which the second will not be by chance.
const ATTEMPTS_MAX: u32 = 4;

/// The account with this username, made if it is not there. `username` is in lower case.
///
/// # Errors
/// What the store reports; 100 if the system has no randomness.
pub async fn user<E: Engine>(
    engine: &E,
    username: &str,
    display_name: &str,
    wall: UnixMs,
) -> Result<UserId, LayerError> {
    let record = UserRecord {
        username: username.to_owned(),
        display_name: display_name.to_owned(),
        password_hash: NO_PASSWORD.to_owned(),
        created_ms: wall,
    };
    for _ in 0..ATTEMPTS_MAX {
        if let Some((user, _)) = accounts::by_username(engine, username).await? {
            return Ok(user);
        }
        let user = UserId::new(wall, entropy().map_err(Problem::into_refusal)?);
        match accounts::create_user(engine, user, &record, None).await? {
            SignUp::Created => return Ok(user),
            SignUp::NameTaken | SignUp::IdTaken => {}
        }
    }
    Err(Refusal::new(ErrorCode::Internal, format!("no free id was drawn for {username}")).into())
}
