//! Latencies by seconds as HdrHistogram's tools read them: its interval log, each kind of latency under its tag.
//!
//! Owns the choices that the format leaves: times in seconds behind `StartTime`, which is when the measured window
//! began; values in nanoseconds; a maximum in milliseconds, as the tools say it.

use std::io::{self, Write};
use std::time::Duration;

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError, Tag};

use super::Report;

/// Nanoseconds in a millisecond, in which the log's column of maxima is.
const MAXIMUM_SCALE: f64 = 1e6;

/// Writes all seconds in which something was answered.
pub(crate) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment(&format!("[loadgen {}; values in nanoseconds]", report.run.said()))
        .with_start_time(report.run.started())
        .with_max_value_divisor(MAXIMUM_SCALE)
        .begin_log_with(out, &mut serializer)?;
    for second in &report.by_second {
        for (what, packed) in &second.histograms {
            let (from, length) = (Duration::from_secs(second.at), Duration::from_secs_f64(second.seconds));
            let written = log.write_histogram(packed.open().histogram(), from, length, Tag::new(what));
            written.map_err(|error| match error {
                IntervalLogWriterError::IoError(error) => error,
                IntervalLogWriterError::SerializeError(error) => io::Error::other(error),
            })?;
        }
    }
    Ok(())
}
