//! Figures of uploads and of the object store.

use std::sync::atomic::{AtomicU64, Ordering};

use ::media::Library;

use super::text::{Family, Value};

/// The families of what a node's library counts.
pub(super) fn families(library: &Library) -> Vec<Family> {
    let counts = library.counts();
    let count = |counter: &AtomicU64| Value::Counter(counter.load(Ordering::Relaxed));
    vec![
        ("rookery_media_uploads", "Uploads under way", Value::Gauge(library.under_way() as u64)),
        ("rookery_media_bytes_written", "Bytes that were written to the object store", count(&counts.bytes_written)),
        ("rookery_media_finished", "Files that became media", count(&counts.finished)),
        ("rookery_media_refused", "Files that were refused for what they are", count(&counts.refused)),
        (
            "rookery_media_broken_off",
            "Uploads that came to nothing, or to a media that there was",
            count(&counts.broken_off),
        ),
        ("rookery_media_removed", "Media that were removed since nothing held them", count(&counts.removed)),
        ("rookery_media_store_errors", "Failures of the object store", count(&counts.store_errors)),
    ]
}
