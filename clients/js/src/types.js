// What is told to applications: shapes of PROTOCOL, with its names. No code.

/**
 * @typedef {object} Message
 * @property {string} channel_id
 * @property {number} seq its place in the channel, from 1
 * @property {number} revision 0 as it was sent; grows with every edit and the deletion
 * @property {string} from a user id
 * @property {number} sent_ms
 * @property {string} [client_msg_id]
 * @property {string} [kind]
 * @property {string} body
 * @property {number} [reply_to]
 * @property {string[]} [mentions]
 * @property {number} [edited_ms]
 * @property {boolean} [deleted]
 * @property {{ emoji: string, count: number, mine?: boolean }[]} [reactions]
 *
 * @typedef {{ user_id: string, state: string, last_active_ms: number }} PresenceEntry
 * @typedef {{ channel_id: string, kind: string, head_seq: number, read_seq: number, unread: number }} SnapshotChannel
 * @typedef {{ messages: Message[], head_seq: number, first_seq: number, more: boolean }} HistoryPage
 * @typedef {{ channel_id: string, seq: number, snippet: string, sent_ms: number, from: string }} SearchHit
 *
 * @typedef {object} Events
 * @property {import("./connection.js").State} state
 * @property {{ message: Message, cursor?: string }} message
 * @property {{ message: Message, cursor?: string }} edited
 * @property {{ channel_id: string, seq: number, revision: number, cursor?: string }} deleted
 * @property {{ channel_id: string, seq: number, emoji: string, count: number, user_id: string, on: boolean, cursor?: string }} reaction
 * @property {{ channel_id: string, user_id: string, change: string, role?: string, cursor?: string }} membership
 * @property {{ channel_id: string, user_id: string, read_seq: number, cursor?: string }} read
 * @property {{ channels: SnapshotChannel[], first: boolean, more: boolean, cursor?: string }} snapshot the device was away for too long: drop messages at the `first` page
 * @property {{ channel_id: string, head_seq: number }} head a large channel that is not open has more
 * @property {{ entries: PresenceEntry[] }} presence
 * @property {{ channel_id: string, user_id: string, on: boolean }} typing
 * @property {{ channel_id: string, event: string, data: string }} published the application's backend says something of a channel, which is kept nowhere
 * @property {{ count: number }} feed_head so many posts came into the news feed: read it again
 * @property {import("./outbox.js").Outcome} outgoing
 * @property {{}} lost the device starts anew: drop what is held, and ask for channels
 * @property {{ error: unknown, during: string }} error what went wrong and was survived: for logs
 */

export {};
