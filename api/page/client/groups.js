// Channels as such: made, renamed, left, and who is in them. Each is one HTTP request to the channel's home.
//
// Owns the paths and bodies. What came of it arrives as an event for every member, this one too.

export class Groups {
  constructor(http) {
    this.http = http;
  }

  /** Makes a channel, or opens the direct one there is. The same key, a request's own, makes the same channel. */
  create(body, key) {
    return this.http("POST", "/v1/channels", body, { "idempotency-key": key });
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
