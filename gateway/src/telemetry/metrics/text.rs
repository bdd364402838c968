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

/// One family of figures: its name, its description, what it is now.
pub(crate) type Family = (&'static str, &'static str, Value);

#[derive(Debug)]
pub(crate) enum Value {
    /// A count since the start; the text adds `_total` to its name.
    Counter(u64),
    /// The same, of seconds.
    Seconds(f64),
    /// The same for each value of a label.
    CounterBy(&'static str, Vec<(String, u64)>),
    /// A level now.
    Gauge(u64),
    /// The same for each value of a label.
    GaugeBy(&'static str, Vec<(String, u64)>),
    /// Facts that do not change; the text adds `_info` to its name.
    Info(Vec<(&'static str, &'static str)>),
    /// Durations, in seconds.
    Histogram(Histogram),
}

/// The text of families, in this order.
pub(crate) fn render(families: Vec<Family>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(families)));
    let mut text = String::new();
    encode(&mut text, &registry).expect("a string takes any text, and every histogram has buckets");
    text
}

#[derive(Debug)]
struct Families(Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, help, value)| {
            value.encode(encoder.encode_descriptor(name, help, None, value.kind())?)
        })
    }
}

impl Value {
    fn kind(&self) -> MetricType {
        match self {
            Self::Counter(_) | Self::Seconds(_) | Self::CounterBy(..) => MetricType::Counter,
            Self::Gauge(_) | Self::GaugeBy(..) => MetricType::Gauge,
            Self::Info(_) => MetricType::Info,
            Self::Histogram(_) => MetricType::Histogram,
        }
    }

    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Counter(count) => encoder.encode_counter::<NoLabelSet, _, u64>(count, None),
            Self::Seconds(count) => encoder.encode_counter::<NoLabelSet, _, f64>(count, None),
            Self::CounterBy(label, counts) => counts.iter().try_for_each(|(of, count)| {
                encoder.encode_family(&[(*label, of)])?.encode_counter::<NoLabelSet, _, u64>(count, None)
            }),
            Self::Gauge(level) => encoder.encode_gauge(level),
            Self::GaugeBy(label, levels) => {
                levels.iter().try_for_each(|(of, level)| encoder.encode_family(&[(*label, of)])?.encode_gauge(level))
            }
            Self::Info(labels) => encoder.encode_info(labels),
            Self::Histogram(of) => encoder.encode_histogram::<NoLabelSet>(of.sum_s(), of.count(), &of.buckets(), None),
        }
    }
}
