//! Figures of notifications: what was decided, sent and given up, and how much waits.

use std::time::Duration;

use chat::keys::Queue;
use chat::notices::cache::Asked;
use notify::{Counts, Waiting};

use super::latency::Histogram;
use super::text::{Family, Value};

/// The families of what the workers count.
pub(super) fn families(counts: &Counts) -> Vec<Family> {
    let words = |words: Vec<(String, u64)>, label| Value::CounterBy(label, words);
    let decisions = counts.decisions().into_iter().map(|(decision, items)| (decision.to_string(), items)).collect();
    let mut outcomes: Vec<(String, Vec<(String, u64)>)> = Vec::new();
    for (medium, word, count) in counts.outcomes() {
        match outcomes.iter_mut().find(|(of, _)| of == word) {
            Some((_, media)) => media.push((medium.to_string(), count)),
            None => outcomes.push((word.to_owned(), vec![(medium.to_string(), count)])),
        }
    }
    let of = |word: &str| {
        let found = outcomes.iter().find(|(of, _)| of == word).map(|(_, media)| media.clone());
        found.unwrap_or_default()
    };
    let states: Vec<_> = counts.states().collect();
    let queue = |of: &Waiting| match of.queue {
        Queue::Pushes => "items".to_owned(),
        Queue::Notices => "notices".to_owned(),
        Queue::Jobs(medium) => medium.to_string(),
    };
    let queues = counts.queues();
    let failed = |word: &str| words(of(word), "medium");
    let caches = counts.caches();
    let cached =
        |count: fn(&Asked) -> u64| caches.iter().map(|(cache, asked)| ((*cache).to_owned(), count(asked))).collect();
    let [events_told, events_failed, events_oldest_ms] = counts.events();
    let [hook_events, hook_calls, hook_calls_failed, hooks_oldest_ms] = counts.hooks();
    vec![
        (
            "rookery_notify_items",
            "Push items that became jobs or nothing, by what was decided",
            words(decisions, "decision"),
        ),
        ("rookery_notify_jobs", "Jobs that were made", Value::Counter(counts.jobs())),
        (
            "rookery_notify_cache_hits",
            "How often a cache had what was wanted",
            words(cached(|asked| asked.hits), "cache"),
        ),
        ("rookery_notify_cache_misses", "How often it had not", words(cached(|asked| asked.misses), "cache")),
        ("rookery_notify_sent", "Notifications that a provider has taken", failed("sent")),
        ("rookery_notify_withdrawn", "Jobs that had nothing to say any more", failed("withdrawn")),
        ("rookery_notify_dead", "Jobs that were given up", failed("dead")),
        ("rookery_notify_quiet", "Times that a job was put off for its user's quiet hours", failed("quiet")),
        ("rookery_notify_put_off", "Times that a job was put off by its user's limit", failed("put_off")),
        ("rookery_notify_dropped", "Jobs that were dropped by their users' limits", failed("dropped")),
        ("rookery_notify_gone", "Attempts that found the target gone", failed("gone")),
        ("rookery_notify_transient", "Attempts that met a provider's passing trouble", failed("transient")),
        ("rookery_notify_quota", "Attempts that were too many for a provider", failed("quota")),
        ("rookery_notify_credential", "Attempts whose key or certificate did not count", failed("credential")),
        ("rookery_notify_payload", "Attempts whose content was not taken", failed("payload")),
        ("rookery_notify_network", "Attempts without an answer", failed("network")),
        (
            "rookery_notify_under_way",
            "Attempts that are under way",
            Value::GaugeBy("medium", states.iter().map(|(medium, count, _)| (medium.to_string(), *count)).collect()),
        ),
        (
            "rookery_notify_stopped",
            "1 while every provider of a medium is left alone, else 0",
            Value::GaugeBy(
                "medium",
                states.iter().map(|(medium, _, stopped)| (medium.to_string(), (*stopped).into())).collect(),
            ),
        ),
        (
            "rookery_notify_waiting",
            "Items and jobs of this node that wait, due or not, as of the last 10 s",
            Value::GaugeBy("queue", queues.iter().map(|of| (queue(of), of.rows)).collect()),
        ),
        (
            "rookery_notify_oldest_seconds",
            "How long the oldest of those has been due; where it grows, add nodes",
            Value::GaugeBy("queue", queues.iter().map(|of| (queue(of), of.oldest_ms / 1_000)).collect()),
        ),
        ("rookery_notify_events", "Events that applications were called with and took", Value::Counter(events_told)),
        (
            "rookery_notify_event_calls_failed",
            "Calls of applications that were not taken",
            Value::Counter(events_failed),
        ),
        (
            "rookery_notify_events_oldest_seconds",
            "How long the oldest event waits that an application did not take, of this node's applications",
            Value::Gauge(events_oldest_ms / 1_000),
        ),
        ("rookery_hook_events", "Events that webhooks were called with and took", Value::Counter(hook_events)),
        ("rookery_hook_calls", "Calls of webhooks that were taken", Value::Counter(hook_calls)),
        ("rookery_hook_calls_failed", "Calls of webhooks that were not taken", Value::Counter(hook_calls_failed)),
        (
            "rookery_hook_oldest_seconds",
            "How long the oldest event waits that a webhook did not take, of this node's partitions",
            Value::Gauge(hooks_oldest_ms / 1_000),
        ),
        ("rookery_notify_attempt_seconds", "How long attempts took", Value::Histogram(of_ms(&counts.attempt_ms()))),
        (
            "rookery_notify_sent_seconds",
            "How long it took from when a job was made until a provider had it",
            Value::Histogram(of_ms(&counts.sent_ms())),
        ),
    ]
}

/// The same durations as this process shows others.
fn of_ms(counts: &hdrhistogram::Histogram<u64>) -> Histogram {
    let mut shown = Histogram::default();
    for value in counts.iter_recorded() {
        shown.record_many(Duration::from_millis(value.value_iterated_to()), value.count_at_value());
    }
    shown
}
