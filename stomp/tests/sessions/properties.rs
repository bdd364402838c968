//! Sessions under steps drawn at random: nothing is missed or given twice, and no frame is a panic.

use std::collections::VecDeque;

use proptest::prelude::*;
use stomp::{Verb, Version};

use crate::table::{Table, error, marked, opened, page, pushed, sent};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Pushes, pages and ACKs in any order: each seq that the user may read is given once and in order, to
    /// each of two subscriptions, none is left out, and no more than the window waits for an ACK. The server is that of a
    /// large channel: it pushes what is sent from an `open` on, and refuses an `open` behind which another comes.
    #[test]
    fn a_subscription_misses_nothing(
        steps in prop::collection::vec(0..7_u32, 0..80),
        (after, head, window) in (0..10_u64, 10..14_u64, 1..5_usize),
        (unreadable, second_at) in (0..14_u64, 0..80_usize),
        acks in prop::sample::select(vec!["auto", "client", "client-individual"]),
    ) {
        let may_read = |seq: &u64| *seq > unreadable;
        let mut table = Table::connected(Version::V12, "");
        let mut asked: VecDeque<String> = VecDeque::new();
        let (mut head, mut acked) = (head, [0, 0]);
        // What was pushed last, since the `open` that was answered last; whether one is not answered.
        let (mut pushed_to, mut is_opening) = (None, false);
        let mut given: [Vec<u64>; 2] = Default::default();
        let subscribe = |id: &str| {
            format!("> SUBSCRIBE id:{id} destination:/channel/5 ack:{acks} x-prefetch:{window} x-after-seq:{after}")
        };
        let mut seen = table.step(&subscribe("s"));
        // In the end all that is under way comes to its end.
        let last: Vec<u32> = (0..1_600).map(|at| [1, 2, 3, 4, 5][at % 5]).collect();
        let steps: Vec<u32> = steps.into_iter().chain(last).collect();
        for (at, step) in steps.into_iter().enumerate() {
            if at == second_at {
                seen.extend(table.step(&subscribe("t")));
            }
            for seen in std::mem::take(&mut seen) {
                match seen.split_once("message-id:5-") {
                    Some((start, rest)) => given[usize::from(start.contains("subscription:t"))]
                        .push(rest.split(' ').next().expect("a seq").parse().expect("a number")),
                    None => {
                        prop_assert!(seen.starts_with('?'), "{seen}");
                        if seen.contains(r#""open""#) {
                            prop_assert!(!is_opening, "the server would refuse the first");
                            (is_opening, pushed_to) = (true, None);
                        }
                        asked.push_back(seen);
                    }
                }
            }
            for (given, acked) in given.iter().zip(acked) {
                prop_assert!(acks == "auto" || given.len() <= acked + window, "{given:?}, {acked} are acknowledged");
            }
            seen = match step {
                0 => {
                    head += 1;
                    continue;
                }
                // What was sent is pushed, in its order.
                1 if pushed_to.is_some_and(|pushed_to| pushed_to < head) => {
                    let seq = pushed_to.map_or(0, |pushed_to| pushed_to + 1);
                    pushed_to = Some(seq);
                    if !may_read(&seq) {
                        continue;
                    }
                    table.step(&pushed(seq))
                }
                // A request is answered by what is now.
                2 => {
                    let Some(request) = asked.pop_front() else { continue };
                    let request = request.strip_prefix("? {\"id\":").expect("a request");
                    let (id, command) = request.split_once(',').expect("a number and a command");
                    let id = id.parse().expect("a number");
                    let reply = match command.split('"').nth(1).expect("a command") {
                        "open" => {
                            (is_opening, pushed_to) = (false, Some(head));
                            opened(id, head)
                        }
                        "mark" => marked(id),
                        "history" => {
                            let after = command.split("after\":").nth(1).expect("after").split(',').next();
                            let after: u64 = after.expect("a seq").parse().expect("a number");
                            let first = (after + 1).max(unreadable + 1);
                            let through = (first + 2).min(head);
                            page(id, first..=through, head, through < head)
                        }
                        other => panic!("nobody asked for {other}"),
                    };
                    table.step(&reply)
                }
                3 | 4 if acks != "auto" && acked[step as usize - 3] < given[step as usize - 3].len() => {
                    let of = step as usize - 3;
                    acked[of] += 1;
                    table.step(&format!("> ACK id:{}-{}", of + 1, given[of][acked[of] - 1]))
                }
                5 => table.step("+1000"),
                _ => continue,
            };
        }
        let all: Vec<u64> = (after + 1..=head).filter(may_read).collect();
        prop_assert_eq!(&given, &[all.clone(), all]);
    }

    /// Frames of any kind in any order: nothing panics, and a session that is over says nothing more.
    #[test]
    fn no_frames_panic(
        frames in prop::collection::vec((
            prop::sample::select(Verb::ALL.to_vec()),
            prop::collection::btree_set(prop::sample::select(vec![
                "id:1", "id:1-1", "ack:client", "ack:client-individual", "destination:/channel/5", "transaction:t",
                "destination:/user/queue/inbox", "destination:/topic/presence.5", "receipt:r", "x-after-seq:0",
                "subscription:1", "message-id:5-1", "message-id:5-18446744073709551615", "id:1-18446744073709551615",
                "x-prefetch:1", "x-events:all", "x-client-msg-id:x", "heart-beat:1,1", "passcode:a.b.c",
                "x-after-seq:18446744073709551615", "id:4294967296-0", "message-id:-", "destination:/app/refresh",
            ]), 0..5),
            1..200_u64,
        ), 0..30),
        version in prop::sample::select(Version::ALL.to_vec()),
    ) {
        let mut table = Table::connected(version, "");
        let mut is_over = false;
        for (verb, headers, seq) in frames {
            let headers: String = headers.iter().map(|header| format!(" {header}")).collect();
            for step in [
                format!("> {}{headers}", verb.text()), pushed(seq), format!("+{}", seq * 100),
            ] {
                let seen = table.step(&step);
                prop_assert!(!is_over || seen.is_empty(), "{step} came to {seen:?} after the end");
                is_over |= seen.iter().any(|seen| seen.starts_with('x'));
                let mut asked: VecDeque<String> = seen.into();
                while let Some(asked) = asked.pop_front() {
                    let Some(request) = asked.strip_prefix("? {\"id\":") else { continue };
                    let (id, command) = request.split_once(',').expect("a number and a command");
                    let id = id.parse().expect("a number");
                    let reply = match command.split('"').nth(1).expect("a command") {
                        "open" => opened(id, seq),
                        "send" => sent(id),
                        "mark" => marked(id),
                        "close" => format!(r#"< {{"id":{id},"close":{{}}}}"#),
                        "history" => page(id, 1..=seq.min(3), seq, false),
                        _ => error(id, 115, true, 10),
                    };
                    let more = table.step(&reply);
                    is_over |= more.iter().any(|more| more.starts_with('x'));
                }
            }
        }
    }
}
