//! Out of file descriptors: in a process of its own, since the limit is the process's.

#[expect(dead_code, reason = "what the larger test of the driver needs too")]
mod uring;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use uring::{Driver, echoes, within};

fn limit_descriptors(current: Option<u64>) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).expect("lowering and restoring is allowed");
}

#[test]
fn without_descriptors_clients_wait_in_the_backlog_and_the_others_go_on() {
    let before = getrlimit(Resource::Nofile).current;
    let mut clients: Vec<_> = (0..7).map(|_| Driver::socket()).collect();
    // Before the driver starts: the kernel looks at the limit when accepting is asked for. The lowest number that is
    // free, then a listener, an eventfd, a ring, and four of the seven connections.
    let free = File::open("/dev/null").expect("there are descriptors").as_raw_fd() as u64;
    limit_descriptors(Some(free + 3 + 4));
    let driver = Driver::start();
    let mut socket = driver.upgrade(driver.connect_socket(clients.remove(0)), "/debug/echo");
    let mut waiting: Vec<_> = clients.into_iter().map(|client| driver.connect_socket(client)).collect();
    within(Duration::from_secs(5), || driver.ask(|sockets| sockets.counters().out_of_descriptors) > 1);
    echoes(&mut socket, 0..10);
    limit_descriptors(before);
    for stream in &mut waiting {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("accepted at last, and answered");
        assert!(answer.starts_with("HTTP/1.1 426"), "{answer}");
    }
}
