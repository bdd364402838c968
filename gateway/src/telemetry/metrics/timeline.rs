//! Figures of news feeds: what the fan-out wrote, how far it is behind, and what the reader's caches had.

use std::time::Duration;

use timeline::{Asked, Counts};

use super::latency::Histogram;
use super::text::{Family, Value};

/// The families of what the fan-out and the reader count.
pub(super) fn families(counts: &Counts) -> Vec<Family> {
    let caches = counts.caches();
    let cached =
        |count: fn(&Asked) -> u64| caches.iter().map(|(cache, asked)| ((*cache).to_owned(), count(asked))).collect();
    let [steps, failed] = counts.steps();
    vec![
        ("rookery_timeline_rows", "Rows of feeds that the fan-out wrote", Value::Counter(counts.rows())),
        ("rookery_timeline_steps", "Transactions of the fan-out", Value::Counter(steps)),
        ("rookery_timeline_steps_failed", "Transactions of the fan-out that are tried again", Value::Counter(failed)),
        (
            "rookery_timeline_told",
            "Users whose homes were told that their feeds have grown",
            Value::Counter(counts.told()),
        ),
        (
            "rookery_timeline_waiting",
            "Authors of this node whose posts are not in all feeds yet, 1,024 at most",
            Value::Gauge(counts.waiting()),
        ),
        ("rookery_timeline_step_seconds", "How long steps took", Value::Histogram(shown(&counts.step_us(), 1))),
        (
            "rookery_timeline_behind_seconds",
            "How long it took from when posts were found until the last feed had them",
            Value::Histogram(shown(&counts.behind_ms(), 1_000)),
        ),
        (
            "rookery_timeline_page_seconds",
            "How long pages of feeds took to be read",
            Value::Histogram(shown(&counts.page_us(), 1)),
        ),
        (
            "rookery_timeline_cache_hits",
            "How often a cache had what a page wanted",
            Value::CounterBy("cache", cached(|asked| asked.hits)),
        ),
        (
            "rookery_timeline_cache_misses",
            "How often it had not",
            Value::CounterBy("cache", cached(|asked| asked.misses)),
        ),
        ("rookery_timeline_cache_bytes", "Bytes that it holds", Value::GaugeBy("cache", cached(|asked| asked.bytes))),
    ]
}

/// Durations as this process shows others: each value is so many microseconds.
fn shown(counts: &hdrhistogram::Histogram<u64>, unit_us: u64) -> Histogram {
    let mut shown = Histogram::default();
    for value in counts.iter_recorded() {
        let took = Duration::from_micros(value.value_iterated_to().saturating_mul(unit_us));
        shown.record_many(took, value.count_at_value());
    }
    shown
}
