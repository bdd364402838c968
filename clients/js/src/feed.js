// The feed: posts of friends and of whom one follows, likes, replies, and who follows whom. HTTP; PROTOCOL has the answers.

import { uuid7 } from "./ids.js";
import { part, query } from "./query.js";

/**
 * @typedef {import("./types.js").Post} Post
 * @typedef {import("./types.js").PostPage} PostPage
 * @typedef {import("./types.js").ReplyPage} ReplyPage
 * @typedef {{ post_id: string, author: string, seq: number, sent_ms: number }} Posted
 * @typedef {{ cursor?: string, limit?: number }} Page
 *
 * @typedef {object} Draft
 * @property {string} body may be empty where there is media
 * @property {string[]} [media] media ids, at most 10
 * @property {string[]} [mentions] user ids
 * @property {string} [id] a UUID of version 7, made once for what the user wants: repeated with it a post is made once
 */

export class Feed {
  /** @param {import("./api.js").Api} api */
  constructor(api) {
    this.api = api;
  }

  /** A page of the caller's feed, newest first. @param {Page} [page] @returns {Promise<PostPage>} */
  home(page = {}) {
    return this.page("/v1/me/feed", page);
  }

  /** A page of a user's posts, newest first. @param {string} userId @param {Page} [page] @returns {Promise<PostPage>} */
  of(userId, page = {}) {
    return this.page(`/v1/users/${part(userId)}/feed`, page);
  }

  /** Posts. @param {Draft & { audience: "friends" | "public" }} draft @returns {Promise<Posted>} */
  create({ audience, ...draft }) {
    return this.api.call("POST", "/v1/me/feed", { ...written(draft), audience }, {}, { isRepeatable: true });
  }

  /** @param {string} postId @returns {Promise<Post>} */
  async get(postId) {
    return this.taken(await this.api.call("GET", `/v1/posts/${part(postId)}`));
  }

  /**
   * Another text for an own post or reply; the post as it is now. Rejects if it had another revision meanwhile.
   *
   * @param {{ post_id: string, revision: number }} post as the user saw it
   * @param {string} body
   * @returns {Promise<Post>}
   */
  async edit({ post_id, revision }, body) {
    return this.taken(await this.api.call("PATCH", `/v1/posts/${part(post_id)}`, { body, base_revision: revision }));
  }

  /** Deletes an own post or reply, or a reply to an own post. @param {string} postId */
  delete(postId) {
    return this.api.call("DELETE", `/v1/posts/${part(postId)}`);
  }

  /** @param {string} postId @param {boolean} [on] @returns {Promise<{ likes: number, liked: boolean }>} */
  like(postId, on = true) {
    return this.api.call(on ? "PUT" : "DELETE", `/v1/posts/${part(postId)}/like`);
  }

  /** A page of who likes a post. @param {string} postId @param {Page} [page] @returns {Promise<{ people: { user_id: string, username: string, display_name: string }[], more: boolean, cursor?: string }>} */
  likes(postId, page = {}) {
    return this.api.call("GET", `/v1/posts/${part(postId)}/likes${query(page)}`);
  }

  /** A page of replies, oldest first. @param {string} postId @param {Page} [page] @returns {Promise<ReplyPage>} */
  async replies(postId, page = {}) {
    const found = await this.api.call("GET", `/v1/posts/${part(postId)}/replies${query(page)}`);
    for (const reply of found.replies) this.taken(reply);
    return found;
  }

  /** Replies to a post. @param {string} postId @param {Draft} draft @returns {Promise<Posted>} */
  reply(postId, draft) {
    return this.api.call("POST", `/v1/posts/${part(postId)}/replies`, written(draft), {}, { isRepeatable: true });
  }

  /** Follows a public account, or no longer. @param {string} userId @param {boolean} on @returns {Promise<{ user_id: string, following: boolean }>} */
  follow(userId, on) {
    return this.api.call(on ? "PUT" : "DELETE", `/v1/users/${part(userId)}/follow`);
  }

  /** @param {string} path @param {Page} page @returns {Promise<PostPage>} @private */
  async page(path, page) {
    const found = await this.api.call("GET", path + query(page));
    for (const post of found.posts) this.taken(post);
    return found;
  }

  /** @template {{ media?: import("./types.js").Attachment[] }} T @param {T} post @returns {T} @private */
  taken(post) {
    if (post.media) this.api.media.take(post.media);
    return post;
  }
}

/** @param {Draft} draft */
function written({ body, media, mentions, id = uuid7(Date.now()) }) {
  return { client_post_id: id, body, ...(media?.length && { media }), ...(mentions?.length && { mentions }) };
}
