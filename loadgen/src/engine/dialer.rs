//! Dialling of connections.
//!
//! Owns the local addresses that connections start from. Waits for nothing: sockets are nonblocking from birth.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;

use anyhow::ensure;
use nix::sys::socket::{setsockopt, sockopt};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use wire::ClientHandshake;

use crate::target::Target;

/// Share of the local port range that is used of the one address that this machine has elsewhere: others need ports too.
const PORTS_USED_PERCENT: u32 = 90;
/// The same of each address of loopback, of which there are enough. `connect` tries one port after the other, every second
/// at first, until it meets one that is free: at 53 % of the range that was 95 % of a worker's processor time.
const LOOPBACK_PORTS_USED_PERCENT: u32 = 35;

/// Local addresses at most, 250 in each of 127.0.0.0/24 to 127.0.3.0/24: nearly ten million connections.
const SOURCES_MAX: u32 = 1_000;
/// Addresses of each of many processes that start connections on loopback: enough for the files of most.
const SOURCES_OF_WORKER: u32 = 3;
/// Processes that may start connections on loopback at a time.
pub(crate) const WORKERS_MAX: u32 = SOURCES_MAX / SOURCES_OF_WORKER;

/// Begins connections, in turn to each of some targets unless another is named.
#[derive(Debug)]
pub(crate) struct Dialer {
    targets: Vec<Arc<Target>>,
    subprotocol: Option<&'static str>,
    /// The nonce of every handshake. One is enough: it guards against caches and mistaken servers, not against anyone.
    key: [u8; 16],
    /// Local addresses, taken in turn; empty when the kernel may choose.
    sources: Vec<IpAddr>,
}

impl Dialer {
    /// Fails if `connections` to one of them need more local ports than there are, `ports` being what one local address
    /// has.
    pub(crate) fn new(
        targets: Vec<Arc<Target>>,
        subprotocol: Option<&'static str>,
        connections: u32,
        ports: u32,
        key: [u8; 16],
    ) -> anyhow::Result<Self> {
        let all = targets.iter().map(|target| sources(target.address.ip(), connections, ports));
        let all = all.collect::<anyhow::Result<Vec<_>>>()?;
        let sources = all.into_iter().max_by_key(Vec::len).unwrap_or_default();
        Ok(Self { targets, subprotocol, key, sources })
    }

    /// Where connection `number` is dialled first.
    pub(crate) fn target(&self, number: usize) -> Arc<Target> {
        Arc::clone(&self.targets[number % self.targets.len()])
    }

    /// The same, from the local addresses of loopback that are the worker's of this number.
    ///
    /// # Panics
    /// There are none of this number.
    pub(crate) fn of_worker(mut self, worker: u32) -> Self {
        assert!(worker < WORKERS_MAX, "worker {worker} is beyond the {WORKERS_MAX} that have local addresses");
        self.sources = (0..SOURCES_OF_WORKER).map(|own| source_address(worker * SOURCES_OF_WORKER + own)).collect();
        self
    }

    /// A handshake for one connection, and the request that begins it.
    pub(crate) fn handshake(&self, target: &Target) -> (ClientHandshake, Vec<u8>) {
        ClientHandshake::new(&target.host, &target.path, self.subprotocol.as_slice(), self.key)
    }

    /// Local addresses that connections start from; 0 when the kernel chooses.
    pub(crate) fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Begins connection `number`.
    pub(crate) fn dial(&self, number: usize, target: &Target) -> io::Result<TcpStream> {
        let address = target.address;
        let kind = Type::STREAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        if !self.sources.is_empty() && matches!(address.ip(), IpAddr::V4(ip) if ip.is_loopback()) {
            // The port is chosen by `connect`, which wants a free pair of addresses. `bind` would want a port that is
            // free for all destinations: at 11,000 of 28,000 it looked for one for 15 ms.
            setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
            socket.bind(&SocketAddr::new(self.sources[number % self.sources.len()], 0).into())?;
        }
        match socket.connect(&address.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(socket.into())
    }
}

/// The local addresses for `connections` to `destination`. A pair of addresses has about 28,000 ports; loopback has
/// as many addresses as are needed, any other network only what its interface was given.
fn sources(destination: IpAddr, connections: u32, ports: u32) -> anyhow::Result<Vec<IpAddr>> {
    match destination {
        IpAddr::V4(address) if address.is_loopback() => {
            let needed = connections.div_ceil(connections_of_loopback(ports));
            ensure!(
                needed <= SOURCES_MAX,
                "{connections} connections to {destination} need {needed} local addresses of {ports} ports each, and there \
                 are {SOURCES_MAX}: widen net.ipv4.ip_local_port_range"
            );
            Ok(if needed == 1 { Vec::new() } else { (0..needed).map(source_address).collect() })
        }
        IpAddr::V4(_) | IpAddr::V6(_) => {
            let machines = connections.div_ceil(connections_of_source(ports));
            ensure!(
                machines == 1,
                "{connections} connections to {destination} need more local ports than the {ports} there are: \
                 widen net.ipv4.ip_local_port_range, or start loadgen on {machines} machines"
            );
            Ok(Vec::new())
        }
    }
}

/// A local address of loopback, by number: 127.0.0.1, 127.0.0.2 and on.
fn source_address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, (number / 250) as u8, (number % 250) as u8 + 1))
}

/// Connections that start from one local address at most, of the `ports` that it has.
pub(crate) fn connections_of_source(ports: u32) -> u32 {
    (ports / 100 * PORTS_USED_PERCENT).max(1)
}

/// The same of an address of loopback.
fn connections_of_loopback(ports: u32) -> u32 {
    (ports / 100 * LOOPBACK_PORTS_USED_PERCENT).max(1)
}

/// Connections that start from the addresses of one worker on loopback at most.
pub(crate) fn connections_of_worker(ports: u32) -> u32 {
    SOURCES_OF_WORKER * connections_of_loopback(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_connections_on_loopback_start_from_several_addresses() {
        check("127.0.0.1", 9_870, "kernel's choice");
        check("127.0.0.1", 9_871, "2: 127.0.0.1 to 127.0.0.2");
        check("127.0.0.1", 1_000_000, "102: 127.0.0.1 to 127.0.0.102");
        check("127.0.0.1", 100_000_000, "and there are 1000");
        check("::1", 30_000, "start loadgen on 2 machines");
        check("192.0.2.1", 30_000, "widen net.ipv4.ip_local_port_range");
        check("192.0.2.1", 25_000, "kernel's choice");
    }

    fn check(destination: &str, connections: u32, expected: &str) {
        let got = match sources(destination.parse().unwrap(), connections, 28_232) {
            Ok(sources) => match &sources[..] {
                [] => "kernel's choice".to_owned(),
                [first, .., last] => format!("{}: {first} to {last}", sources.len()),
                [only] => panic!("one source {only} is the kernel's choice"),
            },
            Err(error) => error.to_string(),
        };
        assert!(got.contains(expected), "{connections} to {destination}: {got:?} does not say {expected:?}");
    }
}
