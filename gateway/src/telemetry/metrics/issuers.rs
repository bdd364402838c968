//! Figures of the keys by which tokens of other issuers are verified.

use super::text::{Family, Value};

/// The families of what is known of issuers' keys, of those that are fetched.
pub(super) fn families(tokens: &api::Tokens) -> Vec<Family> {
    let figures: Vec<_> = tokens.figures().map(|(issuer, figures)| (issuer.to_owned(), figures)).collect();
    let by = |count: fn(&api::RingFigures) -> Option<u64>| {
        let counted = figures.iter().filter_map(|(issuer, figures)| Some((issuer.clone(), count(figures)?)));
        counted.collect::<Vec<_>>()
    };
    vec![
        (
            "rookery_issuer_keys",
            "Keys of an issuer by which its tokens are verified",
            Value::GaugeBy("issuer", by(|figures| Some(figures.keys))),
        ),
        (
            "rookery_issuer_keys_age_seconds",
            "Since the keys of an issuer were fetched; none before the first time",
            Value::GaugeBy("issuer", by(|figures| figures.age.map(|age| age.as_secs()))),
        ),
        (
            "rookery_issuer_fetches_failed",
            "Fetches of an issuer's keys that failed",
            Value::CounterBy("issuer", by(|figures| Some(figures.failures))),
        ),
    ]
}
