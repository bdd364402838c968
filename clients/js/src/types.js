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
 * @property {Attachment[]} [media] at most 10
 *
 * @typedef {object} Attachment a file of a message or a post
 * @property {string} media_id
 * @property {"image" | "video" | "audio" | "file"} kind
 * @property {string} content_type as its first bytes say, never its name
 * @property {string} name of the file, or ""
 * @property {number} bytes
 * @property {number} [width] in pixels, of pictures
 * @property {number} [height]
 * @property {string} [blurhash] what to draw before a picture has come
 * @property {string} [poster] media id of the picture that stands for a video
 * @property {MediaUrls} [urls] in posts and of uploads; those of messages are asked for by `api.media.urls`
 *
 * @typedef {object} MediaUrls signed and good for a day at most; the thumbnails of pictures alone
 * @property {string} original
 * @property {string} [small] 160 pixels at most
 * @property {string} [medium] 480
 * @property {string} [large] 1280
 * @property {string} [poster]
 *
 * @typedef {Attachment & { urls: MediaUrls, expires_ms: number }} Uploaded
 *
 * @typedef {object} FilePart a file of a message in the outbox
 * @property {string} id
 * @property {string} name
 * @property {number} bytes
 * @property {string} type as the application says
 * @property {number} sent_bytes so far
 * @property {string} [media_id] of its upload, once that has begun or ended
 * @property {string} [poster] media id of the picture that stands for a video
 * @property {Attachment} [attachment] once it is at the server
 *
 * @typedef {object} Post
 * @property {string} post_id
 * @property {string} channel_id of the author's posts
 * @property {number} seq
 * @property {number} revision 0 as it was posted; grows with every edit
 * @property {{ user_id: string, username: string, display_name: string, picture?: string }} author
 * @property {string} body
 * @property {"friends" | "public"} [audience] of a post; a reply is for those who see it
 * @property {string} [reply_to] of a reply: the post's id
 * @property {Attachment[]} [media]
 * @property {string[]} [mentions]
 * @property {number} sent_ms
 * @property {number} [edited_ms]
 * @property {number} likes
 * @property {boolean} liked by the caller
 * @property {number} replies
 *
 * @typedef {{ posts: Post[], more: boolean, cursor?: string }} PostPage
 * @typedef {{ replies: Post[], more: boolean, cursor?: string }} ReplyPage
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
 * @property {{ count: number }} feed_head so many posts came into the caller's feed since the last one: a hint that is kept nowhere
 * @property {import("./outbox.js").Outcome} outgoing
 * @property {{ id: string, file: string, sent_bytes: number, bytes: number }} upload how far a file of a message in the outbox is
 * @property {{}} lost the device starts anew: drop what is held, and ask for channels
 * @property {{ error: unknown, during: string }} error what went wrong and was survived: for logs
 */

export {};
