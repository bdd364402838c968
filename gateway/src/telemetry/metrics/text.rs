//! Figures as OpenMetrics text, which is what the internal listener says it is, by `prometheus-client`'s encoder.
//!
//! Owns the borrowing of that encoder: it is only lent to a collector of a registry.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::latency::Histogram;

/// One family of figures.
#[derive(Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Counter(u64),
    CounterF64(f64),
    Gauge(u64),
    GaugeByShard(Vec<u64>),
    CounterByTable(Vec<(&'static str, u64)>),
    Info(Vec<(&'static str, &'static str)>),
    Histogram { sum_s: f64, count: u64, buckets: Vec<(f64, u64)> },
}

/// Families in the order in which they are shown.
#[derive(Debug, Default)]
pub(crate) struct Text(Vec<Family>);

impl Text {
    fn push(&mut self, name: &'static str, help: &'static str, value: Value) {
        self.0.push(Family { name, help, value });
    }

    /// A count since the start; the text adds `_total` to its name.
    pub(crate) fn counter(&mut self, name: &'static str, help: &'static str, count: u64) {
        self.push(name, help, Value::Counter(count));
    }

    /// The same, of something that has parts.
    pub(super) fn counter_f64(&mut self, name: &'static str, help: &'static str, count: f64) {
        self.push(name, help, Value::CounterF64(count));
    }

    /// A level now.
    pub(crate) fn gauge(&mut self, name: &'static str, help: &'static str, level: u64) {
        self.push(name, help, Value::Gauge(level));
    }

    /// A level of each shard.
    pub(super) fn gauge_by_shard(&mut self, name: &'static str, help: &'static str, levels: impl Iterator<Item = u64>) {
        self.push(name, help, Value::GaugeByShard(levels.collect()));
    }

    /// A count since the start for each table of the store.
    pub(super) fn counter_by_table(
        &mut self,
        name: &'static str,
        help: &'static str,
        counts: impl Iterator<Item = (&'static str, u64)>,
    ) {
        self.push(name, help, Value::CounterByTable(counts.collect()));
    }

    /// Facts that do not change; the text adds `_info` to its name.
    pub(super) fn info(&mut self, name: &'static str, help: &'static str, labels: &[(&'static str, &'static str)]) {
        self.push(name, help, Value::Info(labels.to_vec()));
    }

    /// Durations, in seconds.
    pub(crate) fn histogram(&mut self, name: &'static str, help: &'static str, of: &Histogram) {
        self.push(name, help, Value::Histogram { sum_s: of.sum_s(), count: of.count(), buckets: of.buckets() });
    }

    /// The whole text.
    pub(crate) fn finish(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        encode(&mut text, &registry).expect("a string takes any text, and every histogram has buckets");
        text
    }
}

impl Collector for Text {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|family| {
            let encoder = encoder.encode_descriptor(family.name, family.help, None, family.value.kind())?;
            family.value.encode(encoder)
        })
    }
}

impl Value {
    fn kind(&self) -> MetricType {
        match self {
            Self::Counter(_) | Self::CounterF64(_) | Self::CounterByTable(_) => MetricType::Counter,
            Self::Gauge(_) | Self::GaugeByShard(_) => MetricType::Gauge,
            Self::Info(_) => MetricType::Info,
            Self::Histogram { .. } => MetricType::Histogram,
        }
    }

    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Counter(count) => encoder.encode_counter::<NoLabelSet, _, u64>(count, None),
            Self::CounterF64(count) => encoder.encode_counter::<NoLabelSet, _, f64>(count, None),
            Self::Gauge(level) => encoder.encode_gauge(level),
            Self::GaugeByShard(levels) => levels.iter().enumerate().try_for_each(|(shard, level)| {
                let label = [("shard", shard.to_string())];
                encoder.encode_family(&label)?.encode_gauge(level)
            }),
            Self::CounterByTable(counts) => counts.iter().try_for_each(|(table, count)| {
                let label = [("table", *table)];
                encoder.encode_family(&label)?.encode_counter::<NoLabelSet, _, u64>(count, None)
            }),
            Self::Info(labels) => encoder.encode_info(labels),
            Self::Histogram { sum_s, count, buckets } => {
                encoder.encode_histogram::<NoLabelSet>(*sum_s, *count, buckets, None)
            }
        }
    }
}
