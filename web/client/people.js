// Whom this account knows: names, friends, blocks, and the members of channels.
//
// Owns what was asked over HTTP about people. Who of them is there now is `presence.js`.

const PAGE = 200;
const NO_SUCH_USER = 102;

export class People {
  constructor(http, changed) {
    this.http = http;
    this.changed = changed;
    this.profiles = new Map();
    this.members = new Map();
    this.friends = [];
    this.blocks = [];
  }

  /** A user's profile, if it is known; otherwise it is asked for, and `changed` tells when it came. */
  profile(userId) {
    if (!this.profiles.has(userId)) {
      this.profiles.set(userId, null);
      this.http("GET", `/v1/users/${userId}`)
        .then((user) => { this.profiles.set(userId, user); this.changed(); })
        .catch(() => setTimeout(() => this.profiles.delete(userId), 5000));
    }
    return this.profiles.get(userId);
  }

  know(profile) {
    if (profile?.user_id && profile.username) this.profiles.set(profile.user_id, profile);
  }

  name(userId) {
    const profile = this.profile(userId);
    return profile ? profile.display_name || profile.username : "…";
  }

  /** The id of who has a username. */
  async find(username) {
    const name = username.trim().replace(/^@/u, "").toLowerCase();
    try {
      const found = await this.http("GET", `/v1/users?username=${encodeURIComponent(name)}`);
      this.know(found);
      return found.user_id;
    } catch (problem) {
      throw problem.code === NO_SUCH_USER ? new Error(`Nobody is called ${name}.`) : problem;
    }
  }

  /** Members as far as they were asked for: `{list, cursor}`, `cursor` if there are more. */
  membersOf(channelId) {
    return this.members.get(channelId) ?? { list: [], cursor: undefined };
  }

  /** The first page of members, or with `more` the one after what is known. */
  async loadMembers(channelId, more = false) {
    const known = more ? this.membersOf(channelId) : { list: [] };
    const after = known.cursor ? `&cursor=${encodeURIComponent(known.cursor)}` : "";
    const page = await this.http("GET", `/v1/channels/${channelId}/members?limit=${PAGE}${after}`);
    page.members.forEach((member) => this.know(member));
    this.members.set(channelId, { list: [...known.list, ...page.members], cursor: page.cursor });
    this.changed(channelId);
  }

  async loadFriends() {
    this.friends = await this.pages("/v1/me/friends", "friends");
    this.changed();
  }

  async loadBlocks() {
    this.blocks = await this.pages("/v1/me/blocks", "blocks");
    this.changed();
  }

  /** All pages of a list, of users or of channels: the rows under `field`. */
  async pages(path, field) {
    const rows = [];
    let cursor = "";
    do {
      const page = await this.http("GET", `${path}?limit=${PAGE}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
      rows.push(...page[field]);
      cursor = page.cursor ?? "";
    } while (cursor);
    rows.forEach((row) => this.know(row));
    return rows;
  }

  /** Asks for friendship, or accepts it. */
  async befriend(userId) {
    await this.http("PUT", `/v1/me/friends/${userId}`);
    await this.loadFriends();
  }

  /** Ends a friendship, or declines it. */
  async unfriend(userId) {
    await this.http("DELETE", `/v1/me/friends/${userId}`);
    await this.loadFriends();
  }

  async block(userId, on) {
    await this.http(on ? "PUT" : "DELETE", `/v1/me/blocks/${userId}`);
    await Promise.all([this.loadBlocks(), this.loadFriends()]);
  }

  isBlocked(userId) {
    return this.blocks.some((row) => row.user_id === userId);
  }
}
