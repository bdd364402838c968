use std::time::Duration;

use host::driver::{LinkFigures, PeerTotals};
use kv::embedded::{EmbeddedEngine, EmbeddedOptions};

use super::*;
use crate::store;
use crate::uring::Counters;

fn metrics(shards: u16) -> (tempfile::TempDir, Metrics) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = EmbeddedEngine::open(directory.path(), EmbeddedOptions::new(1)).expect("an empty store");
    let metrics = Metrics::new(shards, 1_000, directory.path());
    metrics.show_store(store::Figures::of(&store));
    (directory, metrics)
}

/// Whether the text has each of the lines.
fn check(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|of| of == *line), "{line:?} is not in\n{text}");
    }
}

#[test]
fn levels_are_shown_by_shard_and_counters_summed() {
    let (_directory, metrics) = metrics(2);
    let counters = Counters { accepted: 5, sent_bytes: 1 << 40, ..Counters::default() };
    let stats = router::Stats { sessions: 3, ..router::Stats::default() };
    let links = LinkFigures { waiting_bytes: 7, dropped: 2, lost: 1 };
    let peers = PeerTotals { links: 3, up: 2, sent: 9, refused: 4, ..PeerTotals::default() };
    let operations = OperationFigures { runs: 12, took: Duration::from_millis(3) };
    let (requests_refused, origins_refused) = (8, 10);
    let figures =
        Figures { counters, connections: 4, stats, links, peers, operations, requests_refused, origins_refused };
    metrics.shard(0).publish(figures, ShardLinks::default());
    metrics.shard(1).publish(Figures { connections: 1, ..figures }, ShardLinks::default());
    check(
        &metrics.render(),
        &[
            "# TYPE rookery_connections gauge",
            "rookery_connections{shard=\"0\"} 4",
            "rookery_connections{shard=\"1\"} 1",
            "rookery_sessions{shard=\"1\"} 3",
            "rookery_connections_max 1000",
            "rookery_link_waiting_bytes{shard=\"1\"} 7",
            "rookery_link_dropped_total 4",
            "rookery_link_lost_total 2",
            "rookery_links_up{shard=\"1\"} 2",
            "rookery_links_sent_total 18",
            "rookery_frames_refused_total 8",
            "rookery_operations_runs_total 24",
            "rookery_operations_microseconds_total 6000",
            "rookery_refused_requests_total 16",
            "rookery_refused_origins_total 20",
            "# TYPE rookery_accepted counter",
            "rookery_accepted_total 10",
            "rookery_sent_bytes_total 2199023255552",
            "# EOF",
        ],
    );
    assert_eq!((metrics.connections(), metrics.sessions()), (5, 6));

    let later = Figures { counters: Counters { accepted: 6, ..counters }, connections: 0, ..figures };
    metrics.shard(0).publish(later, ShardLinks::default());
    check(&metrics.render(), &["rookery_connections{shard=\"0\"} 0", "rookery_accepted_total 11"]);
}

#[test]
fn latencies_of_all_shards_are_one_histogram() {
    let (_directory, metrics) = metrics(2);
    metrics.shard(0).record(Latency::Append, &[900_000, 1_000_000, 7_000_000_000]);
    metrics.shard(1).record(Latency::Append, &[40_000]);
    let expected = [
        "# TYPE rookery_append_seconds histogram",
        "rookery_append_seconds_sum 7.00194",
        "rookery_append_seconds_count 4",
        "rookery_append_seconds_bucket{le=\"0.00002\"} 0",
        "rookery_append_seconds_bucket{le=\"0.00005\"} 1",
        "rookery_append_seconds_bucket{le=\"0.001\"} 3",
        "rookery_append_seconds_bucket{le=\"5.0\"} 3",
        "rookery_append_seconds_bucket{le=\"10.0\"} 4",
        "rookery_append_seconds_bucket{le=\"+Inf\"} 4",
        "rookery_deliver_seconds_count 0",
    ];
    check(&metrics.render(), &expected);
    check(&metrics.render(), &expected);
}

#[test]
fn the_program_and_the_store_are_named() {
    let (_directory, metrics) = metrics(1);
    let text = metrics.render();
    let info = format!("rookery_build_info{{version=\"{VERSION}\",commit=\"{COMMIT}\"}} 1");
    check(&text, &[&info, "rookery_store_conflicts_total 0", "rookery_log_lines_dropped_total 0"]);
    assert!(text.contains("\nrookery_disk_free_bytes ") && text.contains("\nprocess_resident_memory_bytes "), "{text}");
}

#[test]
fn shards_share_no_cache_line() {
    assert_eq!(align_of::<ShardMetrics>(), 128);
    assert_eq!(size_of::<ShardMetrics>() % 128, 0);
}
