//! Examples and exit codes, at the end of every `--help`.

pub(super) const EXAMPLES: &str = "\
Examples:
  Round trips through a node in dev mode, 100 connections, one message outstanding on each:
      loadgen echo --raw --connections 100

  The same with 16 outstanding on each, from core 1, as JSON for a script:
      loadgen echo --raw --pipeline 16 --cpu 1 --json

  Latency at a fixed load: 20,000 messages a second, each timed from when it was due (open loop):
      loadgen echo --raw --connections 1000 --rate 20000 --seconds 30

  As much as two threads can send, where one is the bound:
      loadgen echo --raw --connections 100 --threads 2

  Another WebSocket echo server, whatever it is written in:
      loadgen echo --raw --url ws://127.0.0.1:9001/

  What an idle connection costs the node, in resident bytes:
      loadgen idle --raw --connections 15000 --pid $(pidof rookery)

  15,000 sessions of accounts that were made in bulk, 16 devices each, without a password's cost:
      rookery store accounts --prefix load_ --count 1000 --data DIR > users    # before the node is started
      loadgen idle --connections 15000 --devices 16 --token-key DIR/token.key --users users

  2,000 accounts in 1,000 direct channels, 2,000 messages a second over all of them:
      loadgen chat --connections 2000 --rate 2000 --seconds 20

  Groups of 50, and one device that is dropped and resumed 200 times:
      loadgen chat --connections 1000 --group 50 --rate 100 --resumes 200

  Over the three nodes of a cluster, whatever becomes of each meanwhile (also: cargo xtask chaos):
      loadgen chat --url ws://127.0.0.1:8001 --url ws://127.0.0.1:8011 --url ws://127.0.0.1:8021 \
          --api http://127.0.0.1:8000 --api http://127.0.0.1:8010 --connections 3000 --rate 1000 --seconds 300

  The same load on two builds, and what came of it:
      loadgen chat --connections 200 --rate 500 --pid $(pidof rookery) --save before.json
      loadgen chat --connections 200 --rate 500 --pid $(pidof rookery) --save after.json
      loadgen compare before.json after.json

  What fifty million daily users take, by what a message and a session take on this machine:
      loadgen calibrate --pid $(pidof rookery) > constants.toml
      loadgen plan --profile loadgen/plans/fifty-million.toml --constants constants.toml

  A step of a pipeline: red if acknowledgements take too long, or if that cannot be known:
      loadgen chat --connections 200 --rate 500 --fail-if 'ack.p99>25ms' --fail-if 'delivered_per_second<490/s'

  What many people do in a day, in shares and stages, by accounts that were made in bulk:
      loadgen chat --scenario loadgen/scenarios/day.toml --connections 2000 --token-key DIR/token.key --users users

  A device that misses 100 messages over 200 channels, 200 times:
      loadgen catch-up --connections 21

  A user whom 500 others watch:
      loadgen presence --connections 501

  As many sessions as this machine holds, on a cluster of its own (more: loadgen million --help):
      loadgen million --sessions 20000

What was sent, answered and taken of the machine is told for each second beside the sum of all.

Exit code: 0 when every message came back exactly once, in order, and no connection was lost (or, with --reconnect,
each came back, and every channel's history is what its members were told), and every --fail-if is known not to be so;
1 when not, with the counts in the report; 2 when the run could not be carried out.";
