//! Posts and the replies to them: to see, change, delete, like and answer one.
//!
//! Owns what of a post is shown, and the checks of its text. A reply is a message of its post's channel and has an id as
//! a post has, so the same routes serve both. Who may see what is `timeline`'s and the home's to say: to anybody else a
//! post is not there (123).

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use chat::posts;
use kv::Engine;
use schema::limits::{MEDIA_OF_MESSAGE_MAX, MENTIONS_MAX, POST_CHARS_MAX};
use schema::media::Attachment;
use schema::message::{MessageKind, no_mentions};
use schema::op::{EditOp, ReactOp, SendOp};
use schema::{
    Audience, ChannelId, ChannelOp, ClientMsgId, Emoji, ErrorCode, MediaId, OpReply, Refusal, Seq, UnixMs, UserId,
};
use serde::{Deserialize, Serialize};
use timeline::{LIKE, Shown};
use utoipa::ToSchema;

use super::messages::no_text;
use super::paging::{self, Next, PageQuery, Person};
use crate::counts::Bound;
use crate::extract::{Caller, JsonBody, UrlPath, UrlQuery};
use crate::library::Urls;
use crate::post_id::PostId;
use crate::posting::Refused;
use crate::problem::{Answer, Problem};
use crate::shards::Shards;
use crate::state::{Api, entropy, unexpected};

/// Who wrote a post, as a page shows it. Both names are empty of an account that is gone.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Author {
    user_id: UserId,
    #[schema(example = "bora")]
    username: String,
    #[schema(example = "Bora 보라")]
    display_name: String,
    /// The URL of its picture, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<String>,
}

/// A post, or a reply to one, as the caller sees it now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Post {
    post_id: PostId,
    /// The channel of its author's posts.
    channel_id: ChannelId,
    /// Its place there.
    seq: Seq,
    author: Author,
    /// Up to 5,000 characters.
    body: Arc<str>,
    /// For whom it is. A reply is for those who see the post.
    #[serde(skip_serializing_if = "Option::is_none")]
    audience: Option<Audience>,
    /// The post that it answers, if it is a reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<PostId>,
    /// What it carries, in the order of its author.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    media: Vec<PostMedia>,
    /// Users whom it names.
    #[serde(skip_serializing_if = "<[UserId]>::is_empty")]
    #[schema(value_type = Vec<UserId>, required = false)]
    mentions: Arc<[UserId]>,
    /// When it was accepted, in Unix milliseconds.
    sent_ms: UnixMs,
    /// When its text was last changed, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_ms: Option<UnixMs>,
    /// 0 as sent; each edit adds one.
    revision: u32,
    /// Users who like it.
    likes: u64,
    /// Whether the caller does.
    liked: bool,
    /// Replies to it that are not deleted.
    replies: u64,
}

/// A media of a post, and where its bytes are for a day: who sees the post may see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PostMedia {
    #[serde(flatten)]
    attachment: Attachment,
    urls: Urls,
}

impl Post {
    /// A post as its reader sees it, with URLs that are signed now.
    pub(super) fn new<E, S>(api: &Api<E, S>, shown: Shown) -> Self {
        let now = api.node.wall();
        let media = |attachment: &Attachment| PostMedia {
            attachment: attachment.clone(),
            urls: api.signer.urls(attachment, now),
        };
        let Shown { author, message, audience, likes, liked, replies } = shown;
        let channel_id = message.channel_id;
        Self {
            post_id: PostId { channel: channel_id, seq: message.seq },
            channel_id,
            seq: message.seq,
            author: Author {
                user_id: message.from,
                username: author.username.clone(),
                display_name: author.display_name.clone(),
                picture: author.picture.clone(),
            },
            body: Arc::clone(&message.body),
            audience,
            reply_to: message.reply_to.map(|seq| PostId { channel: channel_id, seq }),
            media: message.media.iter().map(media).collect(),
            mentions: Arc::clone(&message.mentions),
            sent_ms: message.sent_ms,
            edited_ms: message.edited_ms,
            revision: message.revision,
            likes,
            liked,
            replies,
        }
    }
}

/// A post's other text.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct PostEdit {
    /// Up to 5,000 characters.
    body: Arc<str>,
    /// The revision that the user saw; 122 if it has another by now.
    base_revision: u32,
}

/// A reply to be written.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ReplyRequest {
    /// A UUID of version 7, made once per reply and repeated on every retry.
    client_post_id: ClientMsgId,
    /// Up to 5,000 characters; with media it may be empty, or left out.
    #[serde(default = "no_text")]
    #[schema(value_type = String)]
    body: Arc<str>,
    /// Own media that are whole, up to 10, each once.
    #[serde(default)]
    media: Vec<MediaId>,
    /// Users whom it names, up to 50.
    #[serde(default = "no_mentions")]
    #[schema(value_type = Vec<UserId>)]
    mentions: Arc<[UserId]>,
}

/// A post or a reply that is durable.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Posted {
    post_id: PostId,
    /// The user who wrote it.
    author: UserId,
    /// Its place in its channel.
    seq: Seq,
    /// When it was accepted, in Unix milliseconds.
    sent_ms: UnixMs,
}

/// Likes of a post, after the caller's.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Likes {
    /// Users who like it.
    likes: u64,
    /// Whether the caller does.
    liked: bool,
}

/// A page of users who like a post, ascending by id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LikePage {
    people: Vec<Person>,
    #[serde(flatten)]
    next: Next,
}

/// A page of replies to a post, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplyPage {
    replies: Vec<Post>,
    #[serde(flatten)]
    next: Next,
}

#[utoipa::path(
    get, path = "/v1/posts/{post_id}", tag = "feed", security(("bearer" = [])),
    params(("post_id" = PostId, Path)),
    responses((status = 200, description = "A post or a reply", body = Post)),
)]
pub(crate) async fn one<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(post): UrlPath<PostId>,
) -> Answer<Post> {
    Ok(Json(Post::new(&api, seen(&api, user, post).await?)))
}

#[utoipa::path(
    patch, path = "/v1/posts/{post_id}", tag = "feed", security(("bearer" = [])),
    params(("post_id" = PostId, Path)), request_body = PostEdit,
    responses((status = 200, description = "The post has this text", body = Post)),
)]
pub(crate) async fn edit<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(post): UrlPath<PostId>,
    JsonBody(PostEdit { body, base_revision }): JsonBody<PostEdit>,
) -> Answer<Post> {
    let shown = seen(&api, user, post).await?;
    text_is_legal(&body, !shown.message.media.is_empty())?;
    let op = EditOp { by: user, seq: post.seq, op_id: op_id(&api)?, base_revision, body, ruling: None };
    let op = api.shards.ask_before(post.channel, ChannelOp::Edit(op)).await?;
    match api.shards.apply(post.channel, op).await? {
        OpReply::Revised { .. } => {}
        reply => return Err(unexpected(&reply)),
    }
    api.feeds.changed(post.channel, post.seq);
    Ok(Json(Post::new(&api, seen(&api, user, post).await?)))
}

#[utoipa::path(
    delete, path = "/v1/posts/{post_id}", tag = "feed", security(("bearer" = [])),
    params(("post_id" = PostId, Path)),
    responses((status = 204, description = "The post is gone, and its replies with it")),
)]
pub(crate) async fn delete<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(post): UrlPath<PostId>,
) -> Result<StatusCode, Problem> {
    // Its author may delete it, and whose post it answers, whether they see it or not. What is no post is deleted elsewhere.
    let found = posts::contents(&api.engine, &[(post.channel, post.seq)]).await?.pop().flatten();
    let reply_to = found.ok_or_else(|| no_such_post(post))?.reply_to();
    let op = ChannelOp::Delete { by: user, seq: post.seq, op_id: op_id(&api)? };
    match api.shards.apply(post.channel, op).await? {
        OpReply::Revised { .. } => {}
        reply => return Err(unexpected(&reply)),
    }
    api.feeds.deleted(post.channel, post.seq, reply_to);
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(
    put, path = "/v1/posts/{post_id}/like", tag = "feed", security(("bearer" = [])),
    params(("post_id" = PostId, Path)),
    responses((status = 200, description = "The caller likes it", body = Likes)),
)]
pub(crate) async fn like<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(post): UrlPath<PostId>,
) -> Answer<Likes> {
    react(&api, user, post, true).await
}

#[utoipa::path(
    delete, path = "/v1/posts/{post_id}/like", tag = "feed", security(("bearer" = [])),
    params(("post_id" = PostId, Path)),
    responses((status = 200, description = "The caller does not like it, or not any more", body = Likes)),
)]
pub(crate) async fn unlike<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(post): UrlPath<PostId>,
) -> Answer<Likes> {
    react(&api, user, post, false).await
}

#[utoipa::path(
    get, path = "/v1/posts/{post_id}/likes", tag = "feed", security(("bearer" = [])),
    params(("post_id" = PostId, Path), PageQuery),
    responses((status = 200, description = "Who likes it", body = LikePage)),
)]
pub(crate) async fn likes<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(post): UrlPath<PostId>,
    UrlQuery(query): UrlQuery<PageQuery>,
) -> Answer<LikePage> {
    let rows = query.rows()?;
    let place = (post.channel, post.seq);
    let found = posts::likes(&api.engine, user, place, &emoji(), query.after()?, rows + 1).await?;
    let (people, next) = paging::of_users(&api, found.users, rows, |person, ()| person).await?;
    Ok(Json(LikePage { people, next }))
}

#[utoipa::path(
    get, path = "/v1/posts/{post_id}/replies", tag = "feed", security(("bearer" = [])),
    params(("post_id" = PostId, Path), PageQuery),
    responses((status = 200, description = "What was answered", body = ReplyPage)),
)]
pub(crate) async fn replies<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(post): UrlPath<PostId>,
    UrlQuery(query): UrlQuery<PageQuery>,
) -> Answer<ReplyPage> {
    let (rows, after) = (query.rows()?, query.after::<u64>()?.map(Seq));
    let page = api.feeds.replies(user, (post.channel, post.seq), after, rows).await?;
    let replies = page.replies.into_iter().map(|reply| Post::new(&api, reply)).collect();
    Ok(Json(ReplyPage { replies, next: Next::after(page.next.map(|seq| seq.0)) }))
}

#[utoipa::path(
    post, path = "/v1/posts/{post_id}/replies", tag = "feed", security(("bearer" = [])),
    params(("post_id" = PostId, Path)), request_body = ReplyRequest,
    responses(
        (status = 200, description = "It had been sent before: the first answer", body = Posted),
        (status = 201, description = "The reply is durable", body = Posted),
    ),
)]
pub(crate) async fn reply<E: Engine, S: Shards>(
    Caller { api, user, .. }: Caller<E, S>,
    UrlPath(post): UrlPath<PostId>,
    JsonBody(request): JsonBody<ReplyRequest>,
) -> Result<(StatusCode, Json<Posted>), Problem> {
    let ReplyRequest { client_post_id, body, media, mentions } = request;
    let shown = seen(&api, user, post).await?;
    if shown.message.reply_to.is_some() {
        return Err(Problem::bad_request("a reply answers a post, and nothing answers a reply"));
    }
    let op = SendOp {
        from: user,
        client_msg_id: client_post_id,
        kind: MessageKind::Text,
        body,
        reply_to: Some(post.seq),
        mentions,
        ruling: None,
        // It says that it is a reply to a post: the post itself says for whom.
        audience: Some(Audience::Friends),
        media,
    };
    is_legal(&op)?;
    let sent = send(&api, post.channel, op).await?;
    api.feeds.replied(post.channel, post.seq);
    Ok(sent)
}

/// What the caller sees of a post.
///
/// # Errors
/// 123 if there is no such post, or it is not for the caller.
pub(super) async fn seen<E: Engine, S: Shards>(api: &Api<E, S>, user: UserId, post: PostId) -> Result<Shown, Problem> {
    let found = api.feeds.one(user, post.channel, post.seq).await?;
    found.ok_or_else(|| no_such_post(post))
}

fn no_such_post(post: PostId) -> Problem {
    Problem::new(ErrorCode::NoSuchMessage, format!("there is no post {post}"))
}

/// Whether a post or a reply may be sent as it is.
pub(super) fn is_legal(op: &SendOp) -> Result<(), Problem> {
    text_is_legal(&op.body, !op.media.is_empty())?;
    if op.media.len() > MEDIA_OF_MESSAGE_MAX as usize {
        let detail = format!("{} media, the limit is {MEDIA_OF_MESSAGE_MAX}", op.media.len());
        return Err(Problem::new(ErrorCode::LimitExceeded, detail));
    }
    if op.mentions.len() > MENTIONS_MAX as usize {
        let detail = format!("{} mentions, the limit is {MENTIONS_MAX}", op.mentions.len());
        return Err(Problem::new(ErrorCode::LimitExceeded, detail));
    }
    Ok(())
}

/// Has the home store a legal post or reply, within its author's limits.
pub(super) async fn send<E: Engine, S: Shards>(
    api: &Api<E, S>,
    channel: ChannelId,
    op: SendOp,
) -> Result<(StatusCode, Json<Posted>), Problem> {
    let author = op.from;
    api.posting.take(author, api.wall()).map_err(too_many)?;
    let sent = async {
        let op = api.shards.ask_before(channel, ChannelOp::Send(op)).await?;
        api.shards.apply(channel, op).await
    };
    match sent.await {
        Ok(OpReply::Sent { seq, sent_ms, duplicate }) => {
            let status = if duplicate { StatusCode::OK } else { StatusCode::CREATED };
            if duplicate {
                api.posting.give_back(author);
            }
            Ok((status, Json(Posted { post_id: PostId { channel, seq }, author, seq, sent_ms })))
        }
        Ok(reply) => Err(unexpected(&reply)),
        Err(refusal) => {
            api.posting.give_back(author);
            Err(refusal.into())
        }
    }
}

async fn react<E: Engine, S: Shards>(api: &Api<E, S>, user: UserId, post: PostId, on: bool) -> Answer<Likes> {
    seen(api, user, post).await?;
    let op = ReactOp { by: user, seq: post.seq, op_id: op_id(api)?, emoji: emoji(), on };
    match api.shards.apply(post.channel, ChannelOp::React(op)).await? {
        OpReply::Reacted { count } => {
            api.feeds.reacted(user, post.channel, post.seq);
            Ok(Json(Likes { likes: count.into(), liked: on }))
        }
        reply => Err(unexpected(&reply)),
    }
}

fn emoji() -> Emoji {
    LIKE.parse().expect("an emoji")
}

/// The name of an operation that its route makes: whoever repeats the request gets there all the same.
fn op_id<E: Engine, S: Shards>(api: &Api<E, S>) -> Result<ClientMsgId, Problem> {
    Ok(ClientMsgId::new(api.wall(), (u128::from(entropy()?) << 64) | u128::from(entropy()?)))
}

/// Whether a post may have this text, which may be none beside media.
fn text_is_legal(body: &str, may_be_empty: bool) -> Result<(), Problem> {
    if body.is_empty() && !may_be_empty {
        return Err(Problem::bad_request("the body is empty"));
    }
    // A text of at most so many bytes has at most so many characters, and needs no counting.
    if body.len() > POST_CHARS_MAX as usize {
        let chars = body.chars().count();
        if chars > POST_CHARS_MAX as usize {
            let detail = format!("the body is {chars} characters, the limit of a post is {POST_CHARS_MAX}");
            return Err(Problem::new(ErrorCode::BodyTooLong, detail));
        }
    }
    Ok(())
}

fn too_many(refused: Refused) -> Problem {
    match refused {
        Refused::TooMany { wait_ms } => {
            let wait_ms = u32::try_from(wait_ms).unwrap_or(u32::MAX);
            let detail = "too many posts of this user: 10 a minute and 100 a day";
            Problem::new(ErrorCode::RateLimited, detail).after_ms(wait_ms).because(Bound::Posts)
        }
        Refused::Full => {
            let detail = "too many users post, try again";
            Problem::from(Refusal::new(ErrorCode::Overloaded, detail).after_ms(1_000)).because(Bound::Posts)
        }
    }
}
