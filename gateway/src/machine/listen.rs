//! The three listeners before they listen, and the line that says where they do.
//!
//! Owns the check that a port is free, the patience with a process that has just ended, and the ready line. Shards bind the WebSocket address with SO_REUSEPORT, which
//! would share it with another node instead of failing, so it is bound once without before.

use std::fmt;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use crate::config;

/// The patience with an address that is still in use. The system closes the listeners of a node that was killed only once it has
/// taken its rings down, with thousands of connections more than a second later: the node that is started again waits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);
/// The pause between two tries meanwhile.
const RETRY: Duration = Duration::from_millis(50);

/// Why the address of `key` cannot be listened on, with the remedy.
fn refused(key: &'static str, address: SocketAddr, error: &io::Error) -> anyhow::Error {
    let (flag, port) = (config::flag(key), address.port());
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("see who has it with `ss -ltnp 'sport = :{port}'`, or choose another with --{flag}")
        }
        io::ErrorKind::AddrNotAvailable => format!("name an address of this machine with --{flag}"),
        io::ErrorKind::PermissionDenied => {
            format!("ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one with --{flag}")
        }
        _ => format!("choose another with --{flag}"),
    };
    anyhow!("cannot listen on {address} ({key}): {error}; {remedy}")
}

/// Listens on the address of `key`, alone, which may be in use for so long. For listeners of which there is one in the process.
///
/// # Errors
/// The address is in use and stays so, not of this machine, or not permitted.
pub(crate) fn open(key: &'static str, address: SocketAddr, patience: Duration) -> anyhow::Result<TcpListener> {
    let until = Instant::now() + patience;
    let mut is_said = false;
    loop {
        match TcpListener::bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                if !std::mem::replace(&mut is_said, true) {
                    tracing::info!(%address, key, "the address is in use, perhaps by a node that has just ended: waiting for it");
                }
                thread::sleep(RETRY);
            }
            bound => return bound.map_err(|error| refused(key, address, &error)),
        }
    }
}

/// Checks that nobody listens on the address of `key`, and returns it with a real port in place of 0.
///
/// The port is free again on return, for shards to bind one after the other with SO_REUSEPORT.
///
/// # Errors
/// As [`open`].
pub(crate) fn check_free(key: &'static str, address: SocketAddr, patience: Duration) -> anyhow::Result<SocketAddr> {
    open(key, address, patience)?.local_addr().map_err(|error| refused(key, address, &error))
}

/// Where a node listens, once it does: the real ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ready {
    /// The public API, where it is served.
    pub api: Option<SocketAddr>,
    /// Its scheme: `https` where it speaks TLS.
    pub api_scheme: &'static str,
    /// WebSocket clients, where they are.
    pub ws: Option<SocketAddr>,
    /// Health and metrics.
    pub internal: SocketAddr,
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ready")?;
        if let Some(api) = self.api {
            write!(f, " api={}://{api}", self.api_scheme)?;
        }
        if let Some(ws) = self.ws {
            write!(f, " ws=ws://{ws}")?;
        }
        write!(f, " internal=http://{}", self.internal)
    }
}

impl Ready {
    /// Writes the line that scripts wait for, and flushes it.
    ///
    /// # Errors
    /// The writer's: nobody reads it any more.
    pub(crate) fn announce(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{self}")?;
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn a_port_that_others_share_is_in_use_all_the_same() {
        let shared = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        shared.set_reuse_port(true).expect("Linux has it");
        shared.bind(&loopback(0).into()).expect("a free port");
        shared.listen(1).expect("it is bound");
        let taken = shared.local_addr().ok().and_then(|address| address.as_socket()).expect("it has one");
        let error = check_free("listen.ws", taken, Duration::ZERO).expect_err("it is taken").to_string();
        assert!(error.contains("Address already in use") && error.ends_with("choose another with --ws"), "{error}");
        let ends = thread::spawn(move || {
            thread::sleep(RETRY * 4);
            drop(shared);
        });
        assert_eq!(check_free("listen.ws", taken, PATIENCE).expect("it is waited for"), taken);
        ends.join().expect("it only waits");
    }

    #[test]
    fn an_address_of_another_machine_says_so() {
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 80));
        let text = check_free("listen.internal", elsewhere, PATIENCE).expect_err("TEST-NET is nobody's").to_string();
        assert!(text.ends_with("name an address of this machine with --internal"), "{text}");
    }
}
