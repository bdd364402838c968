//! SIGTERM and SIGINT in a process that handles them.
//!
//! Signals concern a whole process, so each test starts this test program again as the process concerned.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use gateway::machine::signals;
use rustix::process::{Pid, Signal, kill_process};

/// Set for the process that is signalled: how its stop behaves.
const ROLE: &str = "STOP_ROLE";
/// Longer than anything here takes, so that a hang is a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// The signalled process. Does nothing when it is run as a test.
#[test]
fn a_process_that_is_signalled() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (stopped, stop) = std::sync::mpsc::channel();
    signals::on_signal(move |signal| {
        say(signal.name());
        if role == "hangs" {
            std::thread::sleep(PATIENCE * 2);
        }
        stopped.send(()).expect("the process waits for it");
    })
    .expect("a handler and a thread");
    say("waits");
    stop.recv().expect("a signal ends the wait");
    std::process::exit(0);
}

/// Past the test program's capture of output.
fn say(word: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "said {word}").and_then(|()| out.flush()).expect("the parent reads");
}

/// Sends each signal after the process has said the word before it, and returns how it ended.
fn check(role: &str, steps: &[(&str, Signal)]) -> ExitStatus {
    let program = std::env::current_exe().expect("this program has a path");
    let mut child = Command::new(program)
        .args(["--exact", "a_process_that_is_signalled", "--nocapture"])
        .env(ROLE, role)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    for (word, signal) in steps {
        let heard = lines.by_ref().map_while(Result::ok).any(|line| line.ends_with(&format!("said {word}")));
        assert!(heard, "{role}: it never said {word}");
        kill_process(Pid::from_child(&child), *signal).expect("it runs");
    }
    ended(&mut child)
}

fn ended(child: &mut Child) -> ExitStatus {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return status;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("it still runs");
    panic!("the process did not end within {PATIENCE:?}");
}

#[test]
fn the_first_signal_asks_the_process_to_stop() {
    assert_eq!(check("stops", &[("waits", Signal::TERM)]).code(), Some(0));
    assert_eq!(check("stops", &[("waits", Signal::INT)]).code(), Some(0));
}

#[test]
fn the_second_ends_it_at_once_though_its_stop_hangs() {
    assert_eq!(check("hangs", &[("waits", Signal::TERM), ("SIGTERM", Signal::TERM)]).code(), Some(143));
    assert_eq!(check("hangs", &[("waits", Signal::TERM), ("SIGTERM", Signal::INT)]).code(), Some(130));
    assert_eq!(check("hangs", &[("waits", Signal::INT), ("SIGINT", Signal::INT)]).code(), Some(130));
}
