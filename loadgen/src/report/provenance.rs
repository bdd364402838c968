//! Provenance of a report: which program measured it, how, when, and on which machine.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::machine::Machine;

/// One run's.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct Provenance {
    pub(crate) version: &'static str,
    /// As the program was called, its name aside.
    pub(crate) arguments: Vec<String>,
    /// When the measured window began, in milliseconds since 1970.
    pub(crate) started_ms: u64,
    pub(crate) machine: Machine,
}

impl Provenance {
    /// Of this process.
    pub(crate) fn new(started: SystemTime) -> Self {
        let since = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            arguments: std::env::args().skip(1).collect(),
            started_ms: since.as_millis() as u64,
            machine: Machine::here(),
        }
    }

    /// The arguments in one line.
    pub(crate) fn said(&self) -> String {
        self.arguments.join(" ").replace(char::is_control, " ")
    }

    pub(crate) fn started(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.started_ms)
    }
}
