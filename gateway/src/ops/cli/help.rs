//! Examples and explanations behind `--help`, a text a command.

pub(super) const EXAMPLES: &str = "\
Examples:
  See whether this machine has what a node needs:
      rookery doctor

  Write down every key with its default, change some, and see what is in force:
      rookery checkconfig --defaults > rookery.toml
      rookery checkconfig --config rookery.toml

  Chat on this machine, in two browser tabs:
      rookery dev

  A node in production:
      rookery run --config rookery.toml

  Verify the order, the duplicates and the inboxes of a node that is stopped:
      rookery store check --data /var/lib/rookery

  Which nodes are there and how they fare, and one of them out of the way for an upgrade:
      rookery nodes
      rookery drain --wait

  An access token for a user, to try something with curl:
      rookery gentoken --user 81265426874630144 --data /var/lib/rookery

Exit codes: 0 when it did what was asked; 1 when it could not, with one line on standard error that
says why and what to do; 2 when the command line was not understood; 130 or 143 when a second SIGINT
or SIGTERM ended it before it had stopped.";

pub(super) const CHECKCONFIG_EXAMPLES: &str = "\
Examples:
  rookery checkconfig --config rookery.toml
  rookery checkconfig --config rookery.toml --ws 0.0.0.0:8001
  ROOKERY_NODE__SHARDS=4 rookery checkconfig
  rookery checkconfig --defaults > rookery.toml

Exit code 0 if a node would start with it, 1 with one line that says what is wrong.";

pub(super) const GENTOKEN_EXAMPLES: &str = "\
Examples:
  A token for one day, with the key of the node whose data directory this is:
      rookery gentoken --user 81265426874630144 --data /var/lib/rookery --ttl 1d

  One that a single device may use, with a key from elsewhere:
      rookery gentoken --user 81265426874630144 --device phone-1 --auth.key_file /etc/rookery/token.key

The token goes to standard output. It is not checked that the user exists. Whoever holds it speaks for
that user until it expires; logging out does not revoke it.";

pub(super) const NOTIFY_EXAMPLES: &str = "\
Examples:
  rookery notify status
  rookery notify dead apns --limit 20
  rookery notify replay apns       once the cause is mended
  rookery notify send ann --title 'Maintenance' --body 'From 22:00 on, for ten minutes.'
  rookery notify show 019357e5-5a3c-7000-8000-000000000001

A running node is asked at listen.internal. What waits is that of the whole store; reading it takes as long as it is deep.";

pub(super) const NOTIFY_SEND_EXAMPLES: &str = "\
Examples:
  rookery notify send ann 81265426874630144 --title 'Maintenance' --body 'From 22:00 on, for ten minutes.'
  rookery notify send ann --title 'Sign in again' --medium mail,apns --urgent

It is stored when this ends, and told at once by a node with the role notify. Who has no contact of such a medium, or wants nothing of the
category, is not told. What became of it: rookery notify show NOTICE.";

pub(super) const APP_HOOKS_EXAMPLES: &str = "\
Examples:
  rookery app hooks
  rookery app hooks app_00f3a1b2c3d4e5f6 --json
  rookery app hooks --pause hook_00000000000000ff
  rookery app hooks --resume hook_00000000000000ff

WAITS is how many events it has not taken, counted up to 10000, SINCE when the oldest of them happened; both are about 0 of one
that keeps up. LAST CALL is the status of its answer, or why there was none: look there first. TELLS is what it is told, ASKED
what it is asked before that is stored. One that takes nothing for three days is paused by itself, as is one for which a million
events wait; mend its server, then resume it. Applications do the same by /v1/hooks with their own key.";

pub(super) const APP_EXAMPLES: &str = "\
Examples:
  rookery app create shop --quota 100000
  rookery app list
  rookery app events app_00f3a1b2c3d4e5f6 --url https://shop.example.com/events
  rookery app hooks
  rookery app rotate app_00f3a1b2c3d4e5f6      then give the backend the new secret, and rotate again
  curl -u KEY:SECRET http://127.0.0.1:8000/v1/notifications -H 'Content-Type: application/json' \\
      -d '{\"to\":[\"81265426874630144\"],\"category\":\"shipping\",\"title\":\"On its way\"}'

They are the store's, and a running node is asked at listen.internal. A secret is shown once.";

pub(super) const DOCTOR_EXAMPLES: &str = "\
Examples:
  rookery doctor
  rookery doctor --config rookery.toml
  rookery doctor --shards 8 --limits.connections 500000

Run it as the user that runs the node, while the node is stopped. Exit code 1 if something is lacking.";

pub(super) const DEV_EXAMPLES: &str = "\
Examples:
  Everything on this machine, with two users and a page to chat on:
      rookery dev

  On free ports, with a store to throw away, and more in the logs:
      rookery dev --api 127.0.0.1:0 --ws 127.0.0.1:0 --internal 127.0.0.1:0 --data /tmp/try --log debug

The ready line and the links go to standard output, logs to standard error. Ctrl-C stops it. What was
written stays in ./dev.rkdata: remove it to begin anew.";

pub(super) const RUN_EXAMPLES: &str = "\
Examples:
  rookery run --config /etc/rookery/rookery.toml
  rookery run --data /var/lib/rookery --shards 2
  ROOKERY_LISTEN__WS=0.0.0.0:8001 rookery run --node.ws_url wss://chat.example.org

It is ready when `ready api=URL ws=URL internal=URL` is on standard output; logs go to standard error.
SIGTERM: clients are told (3001), what is under way ends, exit 0 within 10 s; beside other nodes it hands over first,
and takes as long as its clients need (`rookery drain --help`). A second one ends it at once.";

pub(super) const NODES_EXAMPLES: &str = "\
Examples:
  By the node on this machine, and by another:
      rookery nodes
      rookery nodes --internal 10.0.0.2:9000 --json

  By the store itself, where no node answers:
      rookery nodes --config rookery.toml

STANDING is home (owns partitions), draining (hands them over and stops), guest (weight 0), joining, standing by (it or the
members have no cluster.secret_file), or dead? (said nothing for 5 s). CLOCK is how far its clock is at least from that of
whoever was asked. What a node has to do is as old as its last beat.";

pub(super) const DRAIN_EXAMPLES: &str = "\
Examples:
  rookery drain --wait
  rookery drain --internal 10.0.0.2:9000

As SIGTERM does: the node is not ready any more, hands its partitions over, tells its clients another node's address, 200 a
second, and ends. What it owns stays served all the time. A node that is alone ends within 10 s.";

pub(super) const STORE_CHECK_EXAMPLES: &str = "\
Examples:
  rookery store check --data /var/lib/rookery
  rookery store check --config rookery.toml

The node must be stopped: a store has one owner. On a cluster every node must be; one that serves is noticed by its heartbeat,
and checked beside only with --beside-nodes. Nothing is changed. Exit code 1 with the first violation.";

pub(super) const STORE_EXPORT_EXAMPLES: &str = "\
Examples:
  rookery store export --to chat.dump --data /var/lib/rookery

The node must be stopped. Begun again after an interruption, it goes on with the same file. The dump holds accounts with
their password hashes: keep it as you keep the store. Inboxes are not in it; clients are given a snapshot instead.";

pub(super) const STORE_IMPORT_EXAMPLES: &str = "\
Examples:
  Into an empty data directory:
      rookery store import --from chat.dump --data /srv/rookery

  From the embedded store to FoundationDB:
      rookery store export --to chat.dump --data /var/lib/rookery
      rookery store import --from chat.dump --store.engine foundationdb --store.cluster_file /etc/foundationdb/fdb.cluster

The store must be empty. Begun again after an interruption, it goes on; until it has ended, no node opens the store. At its
end the store is checked. It is a new generation: cursors of the old store are refused (112), and what was acknowledged in
the old one is still known to be a repetition. Tokens stay valid if the key does: bring token.key along.";

pub(super) const STORE_PUSH_EXAMPLES: &str = "\
Examples:
  rookery store push --list --data /var/lib/rookery
  rookery store push --list --json --data /var/lib/rookery | jq -r 'select(.decision == \"push\").username'

An item is a message that a member had no session for. DECISION is what a worker would decide when the item is due, half a
minute after the message, or now if that is past:
  gone     the user may not read the message any more    muted    the user wants no notifications there
  deleted  the message was deleted                       online   somebody uses a device of the user
  read     the user has read it                          push     the phone is told

USER and FROM are names and ids, times are UTC. The node must be stopped, but on a cluster. Nothing is changed. An item
that nobody fetched goes a day after it was due.";

pub(super) const IMPORT_SLACK_EXAMPLES: &str = "\
Examples:
  What Slack exports for administrators, into the store of a node that is stopped:
      rookery import slack export.zip --data /var/lib/rookery

  Users who will sign in by tokens of an issuer whose namespace is `company`, and whose ids there are Slack's:
      rookery import slack export.zip --namespace company --config rookery.toml

Users keep their ids as external ids, channels of up to 500 members are groups, larger ones are large channels whose history
everybody sees, conversations of two are direct channels. Threads are replies. Files are named and not fetched, reactions and
edits of before are not taken over. All counts as read. It may be interrupted and begun again, also with a later export: what
is there already stays as it is. No node may have the store open meanwhile, of whichever engine.";

pub(super) const IMPORT_LINES_EXAMPLES: &str = "\
Examples:
  rookery import lines chat.jsonl --data /var/lib/rookery

Each line is one of these, and names only what came before it:
  {\"user\": {\"id\": \"u1\", \"display_name\": \"Ann\", \"picture\": \"https://…\"}}
  {\"channel\": {\"id\": \"c1\", \"kind\": \"group\", \"title\": \"Team\", \"members\": [\"u1\", \"u2\"], \"created_ms\": 1618000000000}}
  {\"message\": {\"channel\": \"c1\", \"id\": \"m1\", \"from\": \"u1\", \"sent_ms\": 1618000000200, \"body\": \"Hi\", \"reply_to\": \"m0\"}}

`kind` is direct, group or large; messages of a channel come in their order. It stops at the first line that it cannot take,
with its number: mend it and begin again. What is there already stays as it is, so a file may also be continued later.";

pub(super) const STORE_ACCOUNTS_EXAMPLES: &str = "\
Examples:
  1,000 accounts in a store that no node has open, and sessions of them without a password's cost:
      rookery store accounts --prefix load_ --count 1000 --data /var/lib/rookery > users
      loadgen idle --users users --token-key /var/lib/rookery/token.key --connections 16000 --devices 16

  On a cluster, also while its nodes run:
      rookery store accounts --prefix load_ --count 1000 --config rookery.toml > users

A line each, the id and the name, in the order of the numbers. Accounts that are there already are not made again; a name
of somebody who has a password ends the command. Nobody can log in to them: whoever may read the key that signs access tokens
speaks for them (`rookery gentoken`), as for everybody. The embedded store's node must be stopped.";

pub(super) const STORE_FRIENDS_EXAMPLES: &str = "\
Examples:
  Two accounts become friends, and a third a friend of the first:
      rookery store accounts --prefix load_ --count 3 --data /var/lib/rookery | cut -d' ' -f1 > ids
      paste -d' ' - - < <(sed -n '1p;2p;1p;3p' ids) > pairs
      rookery store friends --pairs pairs --data /var/lib/rookery

Each line of the file has two ids. The two are friends then as if one had asked and the other accepted, with all that comes of
that: each has at most 5,000, none begins across a block, and the newest posts of each come into the other's feed. Pairs that
are friends already stay as they are, so that it may be begun again. No node may have the store open meanwhile.";
