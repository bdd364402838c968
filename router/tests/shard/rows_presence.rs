//! Rows of presence: one state over all devices, told to those who may see it and to nobody else (I8).

use crate::script::{check, rules};
use crate::world::World;

rules! {
    whoever_watches_is_told_who_is_there_and_what_changes {
        "earlier ab m1, a1 joins, a1 watches b, b1 joins => a1: connected, sees b-offline, presence b-online
        | b1: connected",
        "earlier ab m1, a1 joins, b1 joins, a1 watches ba => a1: connected, sees b-online a-online | b1: connected",
        "a1 joins, a1 watches -, a1 looks-for - => a1: connected, sees ×2",
        "earlier ab m1, a1 joins, b1 joins, a1 looks-for bb => a1: connected, sees b-online b-online | b1: connected",
    }

    who_goes_is_offline_after_the_grace_and_not_before {
        "earlier ab m1, a1 joins, b1 joins, a1 watches b, b1 leaves, wait 29s => a1: connected, sees b-online
        | b1: connected",
        "earlier ab m1, a1 joins, b1 joins, a1 watches b, b1 leaves, wait 32s
        => a1: connected, sees b-online, presence b-offline | b1: connected",
    }

    who_comes_back_within_the_grace_was_never_away_to_others {
        "earlier ab m1, a1 joins, b1 joins, a1 watches b, b1 leaves, wait 29s, b1 joins, wait 100s
        => a1: connected, sees b-online | b1: connected ×2",
        "earlier ab m1, a1 joins, b1 joins, a1 watches b, b1' joins, wait 100s
        => a1: connected, sees b-online | b1: connected, closed 3505 | b1': connected",
    }

    several_devices_make_one_state {
        "earlier ab m1, a1 joins, b1 joins, b2 joins, a1 watches b, b1 leaves, wait 100s, b2 leaves, wait 32s
        => a1: connected, sees b-online, presence b-offline | b1: connected | b2: connected",
        "earlier ab m1, a1 joins, b1 joins, b2 joins, a1 watches b, wait 200s, b2 sends ab m2, wait 200s, wait 120s
        => a1: connected, sees b-online, ab#2=m2, presence b-away | b1: connected, ab#2=m2
        | b2: connected, #2, ab#2=m2",
    }

    who_uses_no_device_for_five_minutes_is_away_until_one_is_used {
        "earlier ab m1, a1 joins, b1 joins, a1 watches b, wait 299s => a1: connected, sees b-online | b1: connected",
        "earlier ab m1, a1 joins, b1 joins, a1 watches b, wait 302s, b1 echoes x, b1 refreshes b, wait 1s, b1 marks ab 0
        => a1: connected, sees b-online, presence b-away, presence b-online
        | b1: connected, echo x, refreshed, marked #0 1",
    }

    a_stranger_and_whoever_blocks_appear_offline_without_an_error {
        "a1 joins, b1 joins, a1 watches b, a1 looks-for b => a1: connected, sees b-offline ×2 | b1: connected",
        "earlier ab m1, a1 joins, b1 joins, a1 watches b, b1 watches a, api blocks ab on, wait 1s, a1 looks-for b,
        api blocks ab off, wait 1s
        => a1: connected, sees b-online, presence b-offline, sees b-offline, presence b-online | api: 0 ok ×2
        | b1: connected, sees a-online, presence a-offline, presence a-online",
        // What was being read when the block came is read again.
        "earlier ab m1, a1 joins, b1 joins, store delays Visible, a1 watches b, api blocks ab on, store releases,
        wait 1s
        => a1: connected, sees b-offline | api: 0 ok | b1: connected",
    }

    who_becomes_a_fellow_or_is_one_no_longer_is_judged_within_a_minute_and_a_half {
        "earlier abc m1, a1 joins, b1 joins, a1 watches b, api removes a from abc, wait 90s, api adds a to abc, wait 90s
        => a1: connected, sees b-online, member abc, presence b-offline, member abc, presence b-online | api: 0 ok ×2
        | b1: connected, member abc ×2",
    }

    whom_nothing_happens_to_nobody_judges_for_half_an_hour_and_somebody_does_within_the_hour {
        "earlier ab m1, a1 joins, b1 joins, a1 watches b, watch Visible, wait 1799s
        => a1: connected, sees b-online, presence b-away | b1: connected | seen:",
        "earlier ab m1, a1 joins a//9000, b1 joins b//9000, a1 watches b, watch Visible, wait 3670s
        => a1: connected, sees b-online, presence b-away | b1: connected | seen: Visible",
    }

    a_change_that_was_lost_on_the_way_is_told_within_a_minute_and_a_half {
        "2 nodes, earlier ab m1, a1 joins, a1 watches b, far frames are lost, b2 joins, wait 1s, far frames come, wait 90s
        => a1: connected, sees b-offline, presence b-online | b2: connected",
    }

    lists_are_bounded_and_count_as_one_command_for_fifty_users {
        "a1 joins, a1 watches 500, a1 looks-for 200 => a1: connected, sees 500, sees 200",
        "a1 joins, watch Visible, a1 watches 501, a1 looks-for 201 => a1: connected, !106 ×2 | seen:",
        "a1 joins, a1 dances 1991 times, a1 watches 500 => a1: connected, !104 ×1991, !111",
        "a1 joins, a1 dances 1989 times, a1 watches 500, a1 dances => a1: connected, !104 ×1989, sees 500, !111",
    }

    a_store_that_cannot_say_who_is_visible_is_asked_again {
        "store refuses Visible 115, a1 joins, a1 looks-for b => a1: connected, !115",
        "earlier ab m1, store refuses Visible 115, a1 joins, b1 joins, a1 watches b, wait 11s, store accepts Visible,
        wait 11s
        => a1: connected, !115, presence b-online | b1: connected",
        "store refuses PutPresence 115, a1 joins, wait 5s, store accepts PutPresence, watch PutPresence, wait 2s
        => a1: connected | seen: PutPresence",
    }

    a_second_list_takes_the_place_of_the_first {
        "earlier abc m1, a1 joins, a1 watches b, a1 watches c, b1 joins, c1 joins
        => a1: connected, sees b-offline, sees c-offline, presence c-online | b1: connected | c1: connected",
        "earlier abc m1, store holds Visible, a1 joins, a1 watches b, a1 watches bc, store releases, c1 joins
        => a1: connected, !107, sees b-offline c-offline, presence c-online | c1: connected",
        "earlier ab m1, a1 joins, a1 watches b, a1 watches -, b1 joins => a1: connected, sees b-offline, sees
        | b1: connected",
    }

    a_home_that_has_just_started_believes_what_was_stored_for_the_lease_and_the_grace {
        "earlier ab m1, store has b online, a1 joins, a1 watches b, wait 34s => a1: connected, sees b-online",
        "earlier ab m1, store has b online, a1 joins, a1 watches b, wait 37s
        => a1: connected, sees b-online, presence b-offline",
        "earlier ab m1, store has b online, a1 joins, a1 watches b, wait 20s, b1 joins, wait 60s
        => a1: connected, sees b-online | b1: connected",
        "earlier ab m1, store has b online, wait 36s, a1 joins, watch PutPresence, a1 watches b, wait 2s
        => a1: connected, sees b-offline | seen: PutPresence",
    }

    a_change_comes_to_each_watcher_once_and_batches_are_a_quarter_second_apart {
        "earlier abc m1, a1 joins, a1 watches bc, wait 1s, b1 joins, c1 joins, wait 100ms
        => a1: connected, sees b-offline c-offline, presence b-online | b1: connected | c1: connected",
        "earlier abc m1, a1 joins, a1 watches bc, wait 1s, b1 joins, c1 joins, wait 500ms
        => a1: connected, sees b-offline c-offline, presence b-online, presence c-online
        | b1: connected | c1: connected",
    }
}

#[test]
fn five_hundred_watchers_are_told_within_a_second_of_everybody_in_one_push_each() {
    for shards in [1, 2] {
        let mut world = World::after(shards, "wait 0s");
        let users = world.everybody(false, 20);
        let watched: Vec<_> = users.iter().map(|user| world.user(user)).collect();
        let watchers: Vec<String> = (0..500).map(|number| format!("w{number}x")).collect();
        for (number, name) in watchers.iter().enumerate() {
            // Each a user of its own, in the same group.
            let user = world.user(&format!("w{number}"));
            world.store.join(world.names.id("everybody"), user);
            world.open(name, number % usize::from(shards), schema::Encoding::Json);
            world.steps(&format!("{name} connects"));
            world.ask(name, schema::Command::PresenceWatch { user_ids: watched.clone() });
        }
        world.wait(1_000);
        for user in &users {
            world.step(&format!("{user}1 joins"));
        }
        world.wait(1_000);
        for name in &watchers {
            let told = &world.client(name).told;
            let pushes = told.iter().filter(|told| told.starts_with("presence")).count();
            let entries: usize = told.iter().map(|told| told.matches("-online").count()).sum();
            assert!(pushes <= 4 && entries == 20, "{name} was told {told:?} on {shards} shards");
        }
        world.everybody_leaves();
    }
}

rules! {
    a_slow_session_is_told_of_presence_when_it_reads_and_then_as_it_is {
        "earlier ab m1, a1 joins, a1 watches b, a1 stalls, a1 sends ab m2 97KB, b1 joins, b1 leaves, wait 15s, a1 reads
        => a1: connected, sees b-offline, #2, ab#2=m2, presence b-online | b1: connected",
    }
}
