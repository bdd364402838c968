//! Accounts that nobody signed up for, and what is said in those of `rookery dev`.
//!
//! Owns how such an account is made: it has no password, so nobody speaks for it but by `POST /v1/dev/login`, which
//! production does not have, or who holds the key that signs tokens. And what is said in the first minute of `rookery dev`,
//! so that two tabs have something to look at.

use std::ops::Range;
use std::sync::Arc;

use chat::accounts::{self, Provided, SignUp};
use chat::{LayerError, keys};
use kv::{Begin, Engine, Transaction};
use schema::limits::PROVIDED_AT_ONCE;
use schema::op::{ChannelKind, CreateOp, PastAccess, SendOp};
use schema::record::UserRecord;
use schema::{ChannelId, ChannelOp, ClientMsgId, ErrorCode, MessageKind, Refusal, UnixMs, UserId};

use crate::names;
use crate::problem::Problem;
use crate::shards::Shards;
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
        ..UserRecord::default()
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

/// Accounts without a password named `prefix` and a number of `numbers`, made where they are not there, at most
/// [`PROVIDED_AT_ONCE`](schema::limits::PROVIDED_AT_ONCE).
///
/// # Errors
/// The store's own; 107 if a name is not legal or that of somebody who has a password; 100 if the system has no
/// randomness.
pub async fn accounts<E: Engine>(
    engine: &E,
    prefix: &str,
    numbers: Range<u32>,
    wall: UnixMs,
) -> Result<Vec<UserId>, LayerError> {
    assert!(numbers.len() <= PROVIDED_AT_ONCE as usize, "{numbers:?} are more than one transaction makes");
    let name = |number| names::username(&format!("{prefix}{number}")).map_err(Problem::into_refusal);
    let usernames = numbers.map(name).collect::<Result<Vec<_>, _>>()?;
    for _ in 0..ATTEMPTS_MAX {
        let draw = entropy().map_err(Problem::into_refusal)?;
        let wanted = usernames.iter().zip(0..).map(|(username, more)| {
            let record = UserRecord {
                username: username.clone(),
                display_name: username.clone(),
                password_hash: NO_PASSWORD.to_owned(),
                created_ms: wall,
                ..UserRecord::default()
            };
            // One after the other, so that no two are the same.
            (UserId::new(wall, draw.wrapping_add(more)), record)
        });
        let wanted: Vec<_> = wanted.collect();
        let provided = accounts::provide(engine, &wanted).await?;
        let mut users = Vec::with_capacity(provided.len());
        for (username, provided) in usernames.iter().zip(provided) {
            match provided {
                Provided::Account(user) => users.push(user),
                Provided::NameTaken => {
                    let detail = format!("{username} has a password, so it is somebody's");
                    return Err(Refusal::new(ErrorCode::BadRequest, detail).into());
                }
                // Those that were made are there the next time.
                Provided::IdTaken => {}
            }
        }
        if users.len() == usernames.len() {
            return Ok(users);
        }
    }
    Err(Refusal::new(ErrorCode::Internal, format!("no free id was drawn for {prefix}…")).into())
}

/// A direct channel and a group of two users, with a few messages, unless the two have a direct channel already.
///
/// # Errors
/// What the store or a home reports; 100 if the system has no randomness. Then some of it may be made.
pub async fn conversations<E: Engine>(
    engine: &E,
    shards: &impl Shards,
    users: [UserId; 2],
    wall: UnixMs,
) -> Result<(), LayerError> {
    let [one, other] = users;
    if engine.begin(Begin::Fresh).get(&keys::direct(one, other)).await?.is_some() {
        return Ok(());
    }
    let draw = || entropy().map_err(Problem::into_refusal);
    for Conversation { kind, title, lines } in CONVERSATIONS {
        let channel = ChannelId::new(wall, draw()?);
        let create = CreateOp {
            kind,
            title: title.into(),
            creator: one,
            members: vec![other],
            idempotency_key: None,
            past: PastAccess::Joined,
        };
        shards.apply(channel, ChannelOp::Create(create)).await?;
        for (by, body) in lines {
            let send = SendOp {
                from: users[by],
                client_msg_id: ClientMsgId::new(wall, u128::from(draw()?)),
                kind: MessageKind::Text,
                body: body.into(),
                reply_to: None,
                mentions: Arc::new([]),
                ruling: None,
                audience: None,
                media: Vec::new(),
            };
            shards.apply(channel, ChannelOp::Send(send)).await?;
        }
    }
    Ok(())
}

/// A channel of the two users.
struct Conversation {
    kind: ChannelKind,
    title: &'static str,
    /// Messages: the sender's place among the two, and the text.
    lines: [(usize, &'static str); 3],
}

const CONVERSATIONS: [Conversation; 2] = [
    Conversation {
        kind: ChannelKind::Direct,
        title: "",
        lines: [
            (1, "안녕하세요! Everything you write here is stored before it is acknowledged."),
            (0, "Then I reload, and it is all still there."),
            (1, "Open my link in a second tab, and write back."),
        ],
    },
    Conversation {
        kind: ChannelKind::Group,
        title: "Team",
        lines: [
            (0, "A group: more people can be added under “About this channel”."),
            (1, "점심 먹으러 갈까요?"),
            (0, "In ten minutes."),
        ],
    },
];
