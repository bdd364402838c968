//! The hang of glommio 0.9 that docs/glommio-parking.md tells of, alone, and the way around it that shards go.
//!
//! An executor has one task, which reads a file again and again. If the preemption timer fires between the step that arms
//! it and the one that looks for tasks, it parks for ever. A machine does that to a timer of 100 ms, glommio's own, when it
//! takes the processor away at that moment; to one of a microsecond it happens each time. With a timer that never fires the
//! executor comes to its end, also where its process is stopped and continued all the time. Each run is a process of its
//! own, since an executor that hangs cannot be ended otherwise.
//!
//! `ROOKERY_PARKING_RUNS=200 cargo test -p gateway --test glommio_parking -- --nocapture --include-ignored` takes as many
//! runs as you like, also with the default timer.

use std::ops::RangeInclusive;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use glommio::io::BufferedFile;
use glommio::{LocalExecutorBuilder, Placement};
use rustix::process::{Pid, Signal, kill_process};

/// As in `gateway/src/runtime/executor.rs`.
const NEVER: Duration = Duration::from_secs(50 * 365 * 24 * 60 * 60);

/// glommio's own.
const DEFAULT: Duration = Duration::from_millis(100);
/// One that has fired before the executor looks at its tasks.
const FIRES_AT_ONCE: Duration = Duration::from_micros(1);

/// Names the preemption timer of the process that is to be the run, in microseconds.
const RUN: &str = "ROOKERY_PARKING_TIMER_US";
/// How long a run works. For a little less it is disturbed.
const WORK: Duration = Duration::from_secs(3);
/// How long it may take after that.
const PATIENCE: Duration = Duration::from_secs(5);
/// For how long it is stopped each time: longer than glommio's own timer.
const STOPPED: Duration = Duration::from_millis(130);
/// Runs at one time.
const AT_ONCE: usize = 8;

#[test]
fn an_executor_whose_timer_never_fires_does_not_park_with_a_task_that_is_ready() {
    check(NEVER, 0..=0);
}

#[test]
#[ignore = "shows the fault of glommio 0.9 with its default timer: by chance, in 20 of 200 runs"]
fn with_the_default_timer_it_does() {
    check(DEFAULT, 1..=usize::MAX);
}

#[test]
fn one_whose_timer_fires_between_its_steps_does() {
    // A glommio in which this is mended fails here, and shards may have a timer again.
    let mut run = start(FIRES_AT_ONCE);
    assert!(!ends(&mut run, WORK + PATIENCE), "glommio's executor does not park any more with a task that is ready");
}

/// How many runs hang.
fn check(timer: Duration, expected: RangeInclusive<usize>) {
    let runs = std::env::var("ROOKERY_PARKING_RUNS").map_or(AT_ONCE, |runs| runs.parse().expect("a number of runs"));
    let (mut left, mut hung) = (runs, 0);
    while left > 0 {
        let started: Vec<_> = (0..left.min(AT_ONCE)).map(|number| (number, start(timer))).collect();
        left -= started.len();
        let watch = |(number, run)| thread::spawn(move || comes_to_its_end(number, run));
        let watched: Vec<_> = started.into_iter().map(watch).collect();
        hung += watched.into_iter().filter_map(|run| (!run.join().expect("it is watched")).then_some(())).count();
    }
    eprintln!("{hung} of {runs} runs hung with a preemption timer of {timer:?}");
    assert!(expected.contains(&hung), "{hung} of {runs} runs hung with a preemption timer of {timer:?}");
}

fn start(timer: Duration) -> Child {
    let test = std::env::current_exe().expect("a test knows itself");
    Command::new(test)
        .args(["--exact", "run", "--include-ignored"])
        .env(RUN, timer.as_micros().to_string())
        .stdout(Stdio::null())
        .spawn()
        .expect("the test runs again")
}

/// Stops and continues a run, at moments that differ, then leaves it alone.
fn comes_to_its_end(number: usize, mut run: Child) -> bool {
    let pid = Pid::from_child(&run);
    let until = Instant::now() + WORK - 2 * STOPPED;
    for pause_us in (1..).map(|step: u64| 2_000 + (step * 7_919 + number as u64 * 613) % 6_000) {
        if Instant::now() >= until {
            break;
        }
        thread::sleep(Duration::from_micros(pause_us));
        kill_process(pid, Signal::STOP).expect("it runs, or is to be waited for");
        thread::sleep(STOPPED);
        kill_process(pid, Signal::CONT).expect("it is stopped");
    }
    ends(&mut run, 2 * STOPPED + PATIENCE)
}

/// Whether it ends in time. If not it is killed.
fn ends(run: &mut Child, within: Duration) -> bool {
    let until = Instant::now() + within;
    while Instant::now() < until {
        if let Some(status) = run.try_wait().expect("it was started here") {
            assert!(status.success(), "a run failed: {status}");
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    run.kill().expect("it runs");
    run.wait().expect("it was started here");
    false
}

#[test]
#[ignore = "is one run of the others"]
fn run() {
    let Ok(timer_us) = std::env::var(RUN) else { return };
    let timer = Duration::from_micros(timer_us.parse().expect("microseconds"));
    let executor = LocalExecutorBuilder::new(Placement::Unbound).preempt_timer(timer).make();
    executor.expect("the machine has what a shard needs").run(async {
        // Read through the executor's ring: it is woken by the kernel each time, and hardly waits.
        let file = BufferedFile::open("/proc/self/exe").await.expect("it runs");
        let until = Instant::now() + WORK;
        while Instant::now() < until {
            file.read_at(0, 1).await.expect("it can be read");
        }
    });
}
