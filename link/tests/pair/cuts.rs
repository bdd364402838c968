//! Random histories of a link with tiny bounds: busy, slow, cut anywhere and connected again.

use fastrand::Rng;
use link::Bounds;

use super::judge::{judge, settle};
use super::world::World;

const WORDS_MAX: usize = 60;

/// The history of a seed, without its judgement.
pub(crate) fn history(seed: u64, prepare: impl FnOnce(&mut World)) -> World {
    let mut rng = Rng::with_seed(seed);
    let bounds = Bounds { unsent_bytes_max: rng.usize(150..3_000), resend_bytes_max: rng.usize(250..6_000) };
    let mut world = World::new(bounds, WORDS_MAX);
    prepare(&mut world);
    let (mut number, eagerness, haste) = (0, rng.u32(1..6), rng.usize(1..400));
    for _ in 0..rng.u32(20..600) {
        let end = rng.usize(0..2);
        match rng.u32(0..20) {
            0..6 => {
                for _ in 0..rng.u32(0..eagerness) {
                    number += 1;
                    let words = if rng.u32(0..8) == 0 { rng.usize(0..=WORDS_MAX) } else { rng.usize(0..4) };
                    world.send(end, number, rng.bool(), words);
                }
            }
            6..9 => world.transmit(end),
            9..12 => {
                world.write(end, rng.usize(0..=haste));
            }
            12..16 => {
                world.deliver(end, rng.usize(0..=haste));
            }
            16 => world.flow(),
            17 => world.pass_ms(rng.u64(0..900)),
            18 if rng.bool() => world.disconnect(end),
            _ if world.ends.iter().all(|end| !end.is_connected) || rng.u32(0..30) == 0 => world.connect(),
            _ => {}
        }
    }
    settle(&mut world);
    world
}

fn check(seed: u64) {
    let world = history(seed, |_| {});
    if let Err(broken) = judge(&world) {
        panic!("seed {seed}: {broken}");
    }
}

#[test]
fn whatever_is_cut_each_frame_arrives_once_or_both_ends_are_told() {
    for seed in 0..1_500 {
        check(seed);
    }
}

/// The histories are worth judging: each of the things that can happen does.
#[test]
fn random_histories_meet_everything() {
    let (mut resent, mut dropped, mut gaps, mut resets, mut received) = (0, 0, 0, 0, 0);
    for seed in 0..100 {
        for end in &history(seed, |_| {}).ends {
            let figures = end.link.figures();
            resent += figures.resent;
            dropped += figures.dropped;
            gaps += figures.gaps;
            resets += figures.resets;
            received += figures.received;
        }
    }
    let met = [resent, dropped, gaps, resets, received];
    assert!(met.iter().all(|&count| count > 100), "resent, dropped, gaps, resets, received: {met:?}");
}
