// Channels as such: made, renamed, left, and who is in them. Each is one HTTP request to the channel's home.
//
// Owns the paths and bodies. What came of it arrives as an event for every member, this one too.

export class Groups {
  constructor(http) {
    this.http = http;
  }

  /** The direct channel with a user: there is one, or it is made. */
  direct(userId) {
    return this.http("POST", "/v1/channels", { kind: "direct", user_id: userId });
  }

  /** Makes a group. The same key, made once for what the user wants, makes it once. */
  group(title, memberIds, key) {
    return this.http("POST", "/v1/channels", { kind: "group", title, member_ids: memberIds }, { "idempotency-key": key });
  }

  /** Makes a large channel, whose members are added one by one. `history` is "all" or "joined": what those may read. */
  async large(title, memberIds, history, key) {
    const channel = await this.http("POST", "/v1/channels", { kind: "large", title, history }, { "idempotency-key": key });
    for (const userId of memberIds) await this.put(channel.channel_id, userId);
    return channel;
  }

  rename(channelId, title) {
    return this.http("PATCH", `/v1/channels/${channelId}`, { title });
  }

  /** Adds a member, or gives one another role. */
  put(channelId, userId, role = "member") {
    return this.http("PUT", `/v1/channels/${channelId}/members/${userId}`, { role });
  }

  remove(channelId, userId) {
    return this.http("DELETE", `/v1/channels/${channelId}/members/${userId}`);
  }

  leave(channelId) {
    return this.remove(channelId, "me");
  }

  mute(channelId, muted) {
    return this.http("PATCH", `/v1/channels/${channelId}/members/me`, { muted });
  }
}
