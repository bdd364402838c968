//! Accounts and logins: sign up, log in, refresh, log out.
//!
//! Owns what tokens a login gets and for how long. An access token counts for an hour and says whose it is; a refresh
//! token is used once, within 30 days, and only its hash is stored; within a minute the same use gets the same next
//! token. Whoever guesses learns nothing from the time that a refusal takes, and is slowed down.

use std::net::{IpAddr, SocketAddr};

use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chat::accounts::{self, FAMILY_OPERATOR, NewFamily, NewToken, Rotation, SignUp};
use chat::devices;
use kv::Engine;
use schema::mesh::Kicked;
use schema::record::UserRecord;
use schema::{DeviceId, ErrorCode, Refusal, UnixMs, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::counts::Bound;
use crate::extract::{Caller, JsonBody, OptionalBody};
use crate::issuers::AuthMode;
use crate::names;
use crate::password::Secret;
use crate::problem::{Answer, Problem};
use crate::proxy;
use crate::rate::{Taken, network};
use crate::shards::Shards;
use crate::state::{Api, entropy};
use crate::token::Claims;

/// How long an access token counts.
const ACCESS_MS: u64 = 3600 * 1000;
/// How long a refresh token can be used.
const REFRESH_MS: u64 = 30 * 24 * 3600 * 1000;
/// Random bytes of a refresh token.
const REFRESH_BYTES: usize = 32;
/// Draws of an id that no other account has. Two drawn in one millisecond are equal once in four million.
const ID_DRAWS_MAX: u32 = 4;

/// A new account.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct SignupRequest {
    /// 3 to 32 of `a-z 0-9 _ .`, dots singly and between others; capitals count as small letters. Unique.
    #[schema(example = "bora")]
    username: String,
    /// 8 to 128 characters of its normalised form (RFC 8265, OpaqueString).
    #[schema(value_type = String, format = Password)]
    password: Secret,
    /// What others see; the username unless given.
    display_name: Option<String>,
    /// Binds the tokens to one device: 1 to 64 of `A-Z a-z 0-9 _ -`.
    device_id: Option<DeviceId>,
}

/// An account's name and password.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct LoginRequest {
    /// In any case.
    username: String,
    #[schema(value_type = String, format = Password)]
    password: Secret,
    /// Binds the tokens to one device.
    device_id: Option<DeviceId>,
}

/// A refresh token.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct RefreshRequest {
    /// The newest one of its login.
    #[schema(value_type = String)]
    refresh_token: Secret,
}

/// The tokens of a login.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tokens {
    /// The account.
    user_id: UserId,
    /// The access token.
    token: String,
    /// Until when it counts, in Unix milliseconds.
    expires_ms: UnixMs,
    /// Used once, within 30 days, for the next tokens; none where a backend asked for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

/// Nothing more to say.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LoggedOut {}

/// Ways in which accounts sign in at this server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SignIn {
    /// `own`: they sign up and log in here. `external`: they come with tokens of another issuer, and nobody signs up or logs in
    /// here. `both`: either way.
    mode: SignInMode,
}

/// Issuers whose tokens count.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SignInMode {
    Own,
    External,
    Both,
}

impl From<AuthMode> for SignInMode {
    fn from(mode: AuthMode) -> Self {
        match mode {
            AuthMode::Own => Self::Own,
            AuthMode::External => Self::External,
            AuthMode::Both => Self::Both,
        }
    }
}

#[utoipa::path(
    get, path = "/v1/auth", tag = "auth",
    responses((status = 200, description = "How accounts sign in at this server", body = SignIn)),
)]
pub(crate) async fn sign_in<E: Engine, S: Shards>(State(api): State<Api<E, S>>) -> Json<SignIn> {
    Json(SignIn { mode: api.tokens.mode().into() })
}

#[utoipa::path(
    post, path = "/v1/auth/signup", tag = "auth", request_body = SignupRequest,
    responses((status = 201, description = "The account exists and is signed in", body = Tokens)),
)]
pub(crate) async fn signup<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    JsonBody(request): JsonBody<SignupRequest>,
) -> Result<(StatusCode, Json<Tokens>), Problem> {
    has_passwords(&api)?;
    let username = names::username(&request.username)?;
    names::password(&request.password)?;
    let display_name = match &request.display_name {
        Some(name) => names::title("display_name", name)?.to_owned(),
        None => username.clone(),
    };
    let device = request.device_id;
    let taken = || Problem::bad_request("this username is taken, choose another").with_status(StatusCode::CONFLICT);
    api.takes_writes()?;
    // Before the hash, which costs; the transaction decides.
    if accounts::by_username(&api.engine, &username).await?.is_some() {
        return Err(taken());
    }
    let password_hash = api.passwords.hash(request.password).await.map_err(busy)?;
    let record = UserRecord { username, display_name, password_hash, created_ms: api.wall(), ..UserRecord::default() };
    let (login, refresh_token) = new_family(device.as_ref(), api.wall())?;
    for _ in 0..ID_DRAWS_MAX {
        let user = UserId::new(api.wall(), entropy()?);
        match accounts::create_user(&api.engine, user, &record, Some(&login)).await? {
            SignUp::Created => {
                tracing::debug!(%user, "signed up");
                return Ok((StatusCode::CREATED, Json(tokens(&api, user, login.family, device, refresh_token))));
            }
            SignUp::NameTaken => return Err(taken()),
            SignUp::IdTaken => {}
        }
    }
    Err(Problem::new(ErrorCode::Internal, "no free id was drawn, try again"))
}

#[utoipa::path(
    post, path = "/v1/auth/login", tag = "auth", request_body = LoginRequest,
    responses((status = 200, description = "Signed in", body = Tokens)),
)]
pub(crate) async fn login<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<LoginRequest>,
) -> Answer<Tokens> {
    has_passwords(&api)?;
    let device = request.device_id;
    let refused = || Problem::unauthenticated("no account has this username and password");
    // A text that is no username is nobody's, and a password over the limit is nobody's either: both are cheap to know.
    let username = names::username(&request.username).map_err(|_| refused())?;
    if names::password(&request.password).is_err() {
        return Err(refused());
    }
    let found = accounts::by_username(&api.engine, &username).await?;
    let (user, stored) = found.map(|(user, record)| (user, record.password_hash)).unzip();
    let address = proxy::client(&api.config.trusted_proxies, peer.ip(), &headers);
    let attempt = attempt(&api, &username, address, user.zip(device.as_ref())).await?;
    let verified = api.passwords.verify(request.password, stored).await;
    let user = match (verified, user) {
        (Ok(true), Some(user)) => {
            api.logins.give_back(attempt);
            user
        }
        (Ok(_), _) => {
            api.names.take(&username).map_err(|wait_ms| {
                too_many("too many failed logins of this username", wait_ms).because(Bound::LoginName)
            })?;
            return Err(refused());
        }
        (Err(refusal), _) => {
            // Nothing was learnt, so nothing counts.
            api.logins.give_back(attempt);
            return Err(busy(refusal));
        }
    };
    Ok(Json(open(&api, user, device).await?))
}

/// Refuses passwords where the operator has left accounts to others.
fn has_passwords<E: Engine, S: Shards>(api: &Api<E, S>) -> Result<(), Problem> {
    if api.tokens.mode().has_passwords() {
        return Ok(());
    }
    let detail = "this server takes tokens of another issuer alone: nobody signs up or logs in here by a password";
    Err(Problem::new(ErrorCode::PermissionDenied, detail))
}

/// Counts a login before its password is looked at: of this name from this address, or, where those are used up, from a
/// device that the account has connected before. So nobody who shares an address with the owner locks the owner's
/// devices out.
async fn attempt<E: Engine, S: Shards>(
    api: &Api<E, S>,
    username: &str,
    address: IpAddr,
    device: Option<(UserId, &DeviceId)>,
) -> Result<Taken, Problem> {
    let refused = match api.logins.take((username, network(address))) {
        Ok(taken) => return Ok(taken),
        Err(wait_ms) => too_many("too many failed logins of this username from this address", wait_ms),
    };
    if let Some((user, device)) = device
        && devices::list(&api.engine, user).await?.iter().any(|(known, _)| known == device)
        && let Ok(taken) = api.logins.take((username, device.as_str()))
    {
        return Ok(taken);
    }
    Err(refused.because(Bound::LoginAddress))
}

fn too_many(detail: &str, wait_ms: u32) -> Problem {
    Problem::new(ErrorCode::RateLimited, detail).after_ms(wait_ms)
}

/// A password that was not hashed, because too many wait for it.
fn busy(refusal: Refusal) -> Problem {
    let full = refusal.code == ErrorCode::Overloaded;
    let problem = Problem::from(refusal);
    if full { problem.because(Bound::Passwords) } else { problem }
}

#[utoipa::path(
    post, path = "/v1/auth/refresh", tag = "auth", request_body = RefreshRequest,
    responses((status = 200, description = "The next tokens; the refresh token given is used up", body = Tokens)),
)]
pub(crate) async fn refresh<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    JsonBody(request): JsonBody<RefreshRequest>,
) -> Answer<Tokens> {
    let wall = api.wall();
    // The same for the same token: who asks again, because the first answer was lost, gets it again.
    let refresh_token = api.key.successor(request.refresh_token.reveal());
    let next = NewToken { hash: hash(&refresh_token), expires_ms: wall.plus_ms(REFRESH_MS) };
    let (all, used) = (api.clone(), hash(request.refresh_token.reveal()));
    let rotate = async move {
        let rotation = accounts::rotate(&all.engine, &used, &next, wall).await?;
        if let Rotation::Reused { user, family } = rotation {
            tracing::warn!(%user, "a refresh token was used twice, its login is revoked");
            if let Err(refusal) = all.shards.kick(user, Kicked::Family(family)).await {
                // Asking again would not come here: its sessions end when their tokens do.
                tracing::warn!(%user, %refusal, "the sessions of a revoked login stay open");
            }
        }
        Ok(rotation)
    };
    match api.endings.run(rotate).await? {
        Rotation::Rotated { user, family, device } => {
            let device = device.map(|device| device.parse()).transpose().map_err(|_| {
                tracing::error!(%user, "a stored refresh token has an illegal device");
                Problem::new(ErrorCode::Internal, "this login is damaged, log in again")
            })?;
            Ok(Json(tokens(&api, user, family, device, refresh_token)))
        }
        Rotation::Unknown => Err(Problem::unauthenticated("the refresh token is not valid here, log in")),
        Rotation::Expired => Err(Problem::new(ErrorCode::TokenExpired, "the refresh token expired, log in")),
        Rotation::Reused { .. } => {
            Err(Problem::unauthenticated("the refresh token was used before, so its login is revoked: log in"))
        }
    }
}

#[utoipa::path(
    post, path = "/v1/auth/logout", tag = "auth", request_body = Option<RefreshRequest>,
    security((), ("bearer" = [])),
    responses(
        (status = 200, description = "The login's tokens no longer count, and its sessions end (3503): that of the \
         access token, or of the refresh token in the body", body = LoggedOut),
    ),
)]
pub(crate) async fn logout<E: Engine, S: Shards>(
    State(api): State<Api<E, S>>,
    caller: Result<Caller<E, S>, Problem>,
    OptionalBody(request): OptionalBody<RefreshRequest>,
) -> Answer<LoggedOut> {
    match (request, caller) {
        (Some(request), _) => {
            let (all, token) = (api.clone(), hash(request.refresh_token.reveal()));
            let end = async move {
                let ended = accounts::revoke_by_token(&all.engine, &token).await?;
                let (user, family) =
                    ended.ok_or_else(|| Problem::unauthenticated("the refresh token is not valid here"))?;
                Ok(all.shards.kick(user, Kicked::Family(family)).await?)
            };
            api.endings.run(end).await?;
        }
        (None, Ok(Caller { family: FAMILY_OPERATOR, .. })) => {
            return Err(Problem::bad_request("a token made with `gentoken` has no login to end"));
        }
        (None, Ok(caller)) => {
            let all = api.clone();
            let end = async move {
                accounts::revoke_family(&all.engine, caller.user, caller.family).await?;
                Ok(all.shards.kick(caller.user, Kicked::Family(caller.family)).await?)
            };
            api.endings.run(end).await?;
        }
        (None, Err(problem)) => return Err(problem),
    }
    Ok(Json(LoggedOut {}))
}

/// Stores a new login of a user for a backend, whose token counts for so long, with a refresh token or without.
pub(super) async fn open_for<E: Engine, S: Shards>(
    api: &Api<E, S>,
    user: UserId,
    device: Option<DeviceId>,
    ttl_ms: u64,
    has_refresh: bool,
) -> Result<Tokens, Problem> {
    let wall = api.wall();
    let (mut login, refresh_token) = new_family(device.as_ref(), wall)?;
    let expires_ms = UnixMs((wall.0 + ttl_ms) / 1000 * 1000);
    if !has_refresh {
        // The login is forgotten with its token.
        login.token.expires_ms = expires_ms;
    }
    accounts::open_family(&api.engine, user, &login, wall).await?;
    let token = api.key.issue(&Claims { user, family: login.family, device, expires_ms });
    Ok(Tokens { user_id: user, token, expires_ms, refresh_token: has_refresh.then_some(refresh_token) })
}

/// Stores a new login of a user and answers its tokens.
pub(super) async fn open<E: Engine, S: Shards>(
    api: &Api<E, S>,
    user: UserId,
    device: Option<DeviceId>,
) -> Result<Tokens, Problem> {
    let wall = api.wall();
    let (login, refresh_token) = new_family(device.as_ref(), wall)?;
    accounts::open_family(&api.engine, user, &login, wall).await?;
    Ok(tokens(api, user, login.family, device, refresh_token))
}

fn tokens<E: Engine, S: Shards>(
    api: &Api<E, S>,
    user: UserId,
    family: u64,
    device: Option<DeviceId>,
    refresh_token: String,
) -> Tokens {
    let expires_ms = UnixMs((api.wall().0 + ACCESS_MS) / 1000 * 1000);
    let token = api.key.issue(&Claims { user, family, device, expires_ms });
    Tokens { user_id: user, token, expires_ms, refresh_token: Some(refresh_token) }
}

fn new_family(device: Option<&DeviceId>, wall: UnixMs) -> Result<(NewFamily, String), Problem> {
    let mut bytes = [0; REFRESH_BYTES];
    for chunk in bytes.chunks_exact_mut(8) {
        chunk.copy_from_slice(&entropy()?.to_ne_bytes());
    }
    let text = URL_SAFE_NO_PAD.encode(bytes);
    let token = NewToken { hash: hash(&text), expires_ms: wall.plus_ms(REFRESH_MS) };
    // 0 is the operator's.
    let family = entropy()?.max(1);
    Ok((NewFamily { family, device: device.map(ToString::to_string), token }, text))
}

/// Without salt or cost: the token has 256 random bits.
fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
