//! What must be true of all that two ends were told, once they are at rest.

use std::collections::BTreeMap;

use link::LinkEvent;

use super::world::{End, Seen, Sent, World, number_of, version_of};

/// The first promise that was broken.
pub(crate) fn judge(world: &World) -> Result<(), String> {
    judge_frames(world)?;
    let [one, other] = world.ends.each_ref().map(|end| end.link.figures());
    for figures in [one, other] {
        if !figures.is_open || figures.unacknowledged > 0 || figures.unsent_bytes > 0 {
            return Err(format!("the link is not at rest: {figures:?}"));
        }
    }
    if one.generation != other.generation {
        return Err(format!("generations {} and {}", one.generation, other.generation));
    }
    Ok(())
}

/// The first that was broken of those about frames.
pub(crate) fn judge_frames(world: &World) -> Result<(), String> {
    for (from, to) in [(0, 1), (1, 0)] {
        direction(&world.ends[from], &world.ends[to]).map_err(|broken| format!("from {from} to {to}: {broken}"))?;
    }
    Ok(())
}

fn direction(from: &End, to: &End) -> Result<(), String> {
    let sent: BTreeMap<u64, Sent> = from.sent.iter().map(|sent| (sent.number, *sent)).collect();
    let mut arrived = BTreeMap::new();
    let (mut last, mut generation) = (0, 1);
    for (step, seen) in &to.seen {
        match seen {
            Seen::Told(LinkEvent::Frame { frame, version }) => {
                let (number, _) = number_of(frame);
                if number <= last {
                    return Err(format!("frame {number} arrives behind {last}, twice or out of order"));
                }
                let Some(sent) = sent.get(&number) else { return Err(format!("frame {number} was never sent")) };
                if sent.generation < generation {
                    return Err(format!("{sent:?} arrives in generation {generation}"));
                }
                if *version != version_of(number) {
                    return Err(format!("frame {number} arrives with version {version}"));
                }
                last = number;
                arrived.insert(number, *step);
            }
            Seen::Told(LinkEvent::PeerLost { generation: next }) => {
                if *next <= generation {
                    return Err(format!("generation {next} begins in {generation}"));
                }
                generation = *next;
            }
            Seen::Told(LinkEvent::Up | LinkEvent::Gap | LinkEvent::Silent) | Seen::Fault(_) => {}
        }
    }
    for lost in from.sent.iter().filter(|sent| !arrived.contains_key(&sent.number)) {
        for (end, who) in [(from, "its sender"), (to, "its receiver")] {
            let is_told = if lost.must_arrive { tells_lost(end, lost) } else { tells_gap(end, lost) };
            if !is_told {
                return Err(format!("{who} was not told that {lost:?} is lost"));
            }
        }
    }
    Ok(())
}

/// Whether an end begins afresh behind a frame.
fn tells_lost(end: &End, lost: &Sent) -> bool {
    let is_behind =
        |seen: &Seen| matches!(seen, Seen::Told(LinkEvent::PeerLost { generation }) if *generation > lost.generation);
    end.seen.iter().any(|(_, seen)| is_behind(seen))
}

/// Whether an end is told of a loss once there is one.
fn tells_gap(end: &End, lost: &Sent) -> bool {
    let is_gap = |(step, seen): &(u64, Seen)| *step >= lost.step && matches!(seen, Seen::Told(LinkEvent::Gap));
    end.seen.iter().any(is_gap) || tells_lost(end, lost)
}

/// Lets the two meet once more, and rest. What was kept arrives within a few beats.
pub(crate) fn settle(world: &mut World) {
    world.connect();
    for _ in 0..4 {
        world.flow();
        // A fault that tampering has led to: the drivers connect again.
        if world.ends.iter().any(|end| !end.is_connected) {
            world.connect();
        }
        let wanted = world.ends.iter().filter_map(|end| end.link.poll_timeout()).min();
        let wanted = wanted.expect("I12: a connection has a timer");
        world.pass_ms(wanted.since(world.now).as_millis() as u64);
    }
    world.flow();
}
