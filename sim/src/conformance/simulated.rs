//! The simulated node as a transport: a calm world that is moved on step by step while somebody waits for something.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use chat::accounts::FAMILY_OPERATOR;
use schema::event::Role;
use schema::op::{ChannelKind, CreateOp, PastAccess};
use schema::{ChannelId, ChannelOp, Encoding, Refusal, UnixMs, UserId};
use tokio::sync::oneshot::{self, error::TryRecvError};
use turmoil::Sim;
use wire::Opcode;

use crate::client::socket::{Incoming, Socket};
use crate::network;
use crate::node::token;
use crate::rng::Rng;
use crate::run::calm;
use crate::world::{HOSTS, Request, WALL, World};

use super::{ApiCall, Heard, PEOPLE, Transport};

/// The clients' host.
const CLIENTS: &str = "clients";
/// How long the node stays away when it restarts.
const AWAY_STEPS: u32 = 50;

enum Instruction {
    Open(usize, Encoding),
    Say(usize, bool, Vec<u8>),
    Drop(usize),
}

/// Queues between the scenario, outside of the simulation, and the clients in it.
#[derive(Default)]
struct Queues {
    instructions: VecDeque<Instruction>,
    heard: BTreeMap<usize, VecDeque<Heard>>,
}

/// A node of several shards in a world in which nothing goes wrong unless it is told to.
pub struct SimulatedNode {
    world: Rc<World>,
    sim: Sim<'static>,
    queues: Rc<RefCell<Queues>>,
    connections: usize,
}

impl SimulatedNode {
    /// A node that is up, with the people of a scenario.
    #[must_use]
    pub fn start(seed: u64) -> Self {
        let world = Rc::new(calm(seed, PEOPLE.len()));
        let queues = Rc::new(RefCell::new(Queues::default()));
        let mut sim = network::of_nodes(&world);
        let (inside, instructions) = (Rc::clone(&world), Rc::clone(&queues));
        sim.client(CLIENTS, async move {
            serve(&inside, &instructions).await;
            Ok(())
        });
        Self { world, sim, queues, connections: 0 }
    }

    fn step(&mut self) {
        let elapsed_ms = u64::try_from(self.sim.elapsed().as_millis()).expect("a scenario is short");
        self.world.trace.set_now_ms(elapsed_ms);
        self.sim.step().unwrap_or_else(|error| panic!("the simulated node failed: {error}"));
        self.world.step();
    }

    /// Asks the API, and waits for its answer.
    fn request<R>(&mut self, request: impl FnOnce(oneshot::Sender<Result<R, Refusal>>) -> Request) -> Result<R, u16> {
        let (reply, mut answer) = oneshot::channel();
        self.world.requests.borrow_mut().push_back(request(reply));
        loop {
            self.step();
            match answer.try_recv() {
                Ok(answer) => return answer.map_err(|refusal| refusal.code.into()),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Closed) => panic!("the node went away with a request"),
            }
        }
    }

    fn instruct(&mut self, instruction: Instruction) {
        self.queues.borrow_mut().instructions.push_back(instruction);
    }
}

/// Carries instructions out, and brings what connections hear.
async fn serve(world: &Rc<World>, queues: &RefCell<Queues>) {
    let mut sockets: BTreeMap<usize, Socket> = BTreeMap::new();
    let mut rng = Rng::new(world.options.seed).part("clients");
    loop {
        let instruction = queues.borrow_mut().instructions.pop_front();
        match instruction {
            Some(Instruction::Open(number, encoding)) => {
                let rng = Rng::new(rng.bits());
                let socket = loop {
                    // It comes back within moments, as a node does that was restarted.
                    match Socket::open(world, HOSTS[0], "client", encoding, rng.clone()).await {
                        Some(socket) => break socket,
                        None => tokio::time::sleep(Duration::from_millis(20)).await,
                    }
                };
                sockets.insert(number, socket);
            }
            Some(Instruction::Say(number, text, payload)) => {
                let opcode = if text { Opcode::Text } else { Opcode::Binary };
                if let Some(socket) = sockets.get_mut(&number) {
                    socket.say_raw(opcode, &payload);
                }
            }
            Some(Instruction::Drop(number)) => drop(sockets.remove(&number)),
            None => tokio::time::sleep(Duration::from_millis(1)).await,
        }
        for (&number, socket) in &mut sockets {
            while let Ok(incoming) = socket.incoming.try_recv() {
                let heard = match incoming {
                    Incoming::Frame(frame) => Heard::Frame(frame),
                    Incoming::Closed(code) => Heard::Closed(code),
                };
                queues.borrow_mut().heard.entry(number).or_default().push_back(heard);
            }
        }
    }
}

impl Transport for SimulatedNode {
    fn user(&self, person: &str) -> UserId {
        let at = PEOPLE.iter().position(|known| *known == person);
        self.world.users[at.unwrap_or_else(|| panic!("nobody is called {person}"))]
    }

    fn token(&self, person: &str) -> String {
        token(self.user(person), FAMILY_OPERATOR, WALL.plus_ms(24 * 3600 * 1000))
    }

    fn direct(&self) -> ChannelId {
        self.world.rooms.borrow()[0].id
    }

    fn call(&mut self, by: &str, call: ApiCall<'_>) -> Result<Option<ChannelId>, u16> {
        let (creator, direct) = (self.user(by), self.direct());
        let made = ChannelId::new(self.wall(), self.connections as u64);
        let make = |kind, members, past| {
            let title = "room".into();
            ChannelOp::Create(CreateOp { kind, title, creator, members, idempotency_key: None, past })
        };
        let (channel, op) = match call {
            ApiCall::MakeGroup(others) => {
                let members = others.iter().map(|other| self.user(other)).collect();
                (made, make(ChannelKind::Group, members, PastAccess::Joined))
            }
            ApiCall::MakeLarge(past) => (made, make(ChannelKind::Large, Vec::new(), past)),
            ApiCall::Add(channel, person) => {
                (channel, ChannelOp::AddMember { by: creator, user: self.user(person), role: Role::Member })
            }
            ApiCall::Remove(channel, person) => {
                (channel, ChannelOp::RemoveMember { by: creator, user: self.user(person) })
            }
            ApiCall::Block(person) => (direct, ChannelOp::Block { by: creator, user: self.user(person), on: true }),
            ApiCall::Unblock(person) => (direct, ChannelOp::Block { by: creator, user: self.user(person), on: false }),
            ApiCall::Revoke(device) => {
                return self.request(|reply| Request::Revoke(creator, device, reply)).map(|()| None);
            }
        };
        self.request(|reply| Request::Operate(channel, op, reply)).map(|_| Some(channel))
    }

    fn wait(&mut self, ms: u64) {
        (0..ms).for_each(|_| self.step());
    }

    fn wall(&self) -> UnixMs {
        WALL.plus_ms(self.world.trace.now_ms())
    }

    fn open(&mut self, encoding: Encoding) -> usize {
        self.connections += 1;
        self.instruct(Instruction::Open(self.connections, encoding));
        self.connections
    }

    fn say(&mut self, connection: usize, text: bool, payload: &[u8]) {
        self.instruct(Instruction::Say(connection, text, payload.to_vec()));
    }

    fn hear(&mut self, connection: usize, patience_ms: u64) -> Option<Heard> {
        for _ in 0..patience_ms {
            let heard = self.queues.borrow_mut().heard.get_mut(&connection).and_then(VecDeque::pop_front);
            if heard.is_some() {
                return heard;
            }
            self.step();
        }
        None
    }

    fn drop_connection(&mut self, connection: usize) {
        self.instruct(Instruction::Drop(connection));
        self.step();
    }

    fn restart(&mut self) {
        self.sim.crash(HOSTS[0]);
        self.world.end_life(0);
        (0..AWAY_STEPS).for_each(|_| self.step());
        self.sim.bounce(HOSTS[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{SLOW_SCENARIOS, play, scenarios};

    #[test]
    fn the_simulated_node_does_as_the_scenarios_say() {
        for (seed, scenario) in (1..).zip(scenarios().chain(SLOW_SCENARIOS)) {
            let played = play(scenario, &mut SimulatedNode::start(seed));
            assert_eq!(played, scenario.expected(), "{}", scenario.name);
        }
    }
}
