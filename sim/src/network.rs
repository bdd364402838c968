//! The network of a run: hosts of nodes and of clients, and what is wrong between them.
//!
//! Owns which pairs of hosts are disturbed now. A pair bears one disturbance at a time, since the simulated network would
//! end both with the first that ends.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use turmoil::Sim;

use crate::plan::{CLIENT_HOSTS, Disturbance, How, Place};
use crate::world::{HOSTS, World};

/// Names of the hosts of clients.
pub(crate) const CLIENTS: [&str; CLIENT_HOSTS] = ["clients-a", "clients-b"];
/// One step of the simulation, below which nothing is ordered by time.
const STEP: Duration = Duration::from_millis(1);
/// Segments of a stream that a peer has not read: some 90 KB, as kernels have. Also connections not accepted yet.
const TCP_SEGMENTS: usize = 64;

/// The hosts of a world's nodes, without anything on others.
pub(crate) fn of_nodes(world: &Rc<World>) -> Sim<'static> {
    let mut rng = world.rng.part("network");
    let mut sim = turmoil::Builder::new()
        .rng_seed(rng.bits())
        .epoch(UNIX_EPOCH)
        .simulation_duration(Duration::from_secs(3_600))
        .tick_duration(STEP)
        .min_message_latency(Duration::from_millis(rng.within(0..=2)))
        .max_message_latency(Duration::from_millis(rng.within(3..=40)))
        // Each refused connection keeps its port.
        .ephemeral_ports(1_024..=65_535)
        .tcp_capacity(TCP_SEGMENTS)
        .build();
    for (at, node) in world.nodes.iter().enumerate() {
        let world = Rc::clone(world);
        sim.host(node.host, move || {
            let world = Rc::clone(&world);
            async move { if world.nodes[at].is_up.get() { crate::node::run(world, at).await } else { Ok(()) } }
        });
    }
    sim
}

/// Disturbances that have begun and not ended, by pair.
#[derive(Debug, Default)]
pub(crate) struct Disturbed(BTreeMap<(Place, Place), Disturbance>);

impl Disturbed {
    /// Begins one, if nothing is wrong there yet. Whether it did.
    pub(crate) fn begin(&mut self, sim: &Sim<'_>, what: Disturbance) -> bool {
        if self.0.contains_key(&pair(what)) {
            return false;
        }
        self.0.insert(pair(what), what);
        let (from, to) = (host(what.from), host(what.to));
        match what.how {
            How::Held => sim.hold(from, to),
            How::Cut => sim.partition(from, to),
            How::CutOneWay => sim.partition_oneway(from, to),
        }
        true
    }

    /// Ends one that has begun.
    pub(crate) fn end(&mut self, sim: &Sim<'_>, what: Disturbance) {
        if self.0.get(&pair(what)) != Some(&what) {
            return;
        }
        self.0.remove(&pair(what));
        let (from, to) = (host(what.from), host(what.to));
        match what.how {
            How::Held => sim.release(from, to),
            How::Cut => sim.repair(from, to),
            How::CutOneWay => sim.repair_oneway(from, to),
        }
    }

    /// Kills what is on a host as by a loss of power: nobody is told, as the ends of its connections would be by
    /// destructors. What was wrong around it is over.
    pub(crate) fn lose_power(&mut self, sim: &mut Sim<'_>, world: &World, at: usize) {
        self.0.retain(|(one, other), _| *one != Place::Node(at) && *other != Place::Node(at));
        let me = world.nodes[at].host;
        let nodes = world.nodes.iter().map(|node| node.host).filter(|&host| host != me);
        let others: Vec<&str> = nodes.chain(CLIENTS).collect();
        others.iter().for_each(|&other| sim.partition(me, other));
        sim.crash(me);
        others.iter().for_each(|&other| sim.repair(me, other));
    }
}

fn pair(what: Disturbance) -> (Place, Place) {
    (what.from.min(what.to), what.from.max(what.to))
}

fn host(place: Place) -> &'static str {
    match place {
        Place::Node(at) => HOSTS[at],
        Place::Clients(at) => CLIENTS[at],
    }
}
