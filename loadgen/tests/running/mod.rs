//! `loadgen` as a user runs it, and what it says.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The program with these arguments, its output kept.
pub(crate) fn loadgen(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(arguments.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs to the end; gives the exit code, the report (null if there is none) and standard error.
pub(crate) fn run(arguments: &str) -> (i32, Value, String) {
    finish(loadgen(arguments).output().expect("loadgen starts"))
}

pub(crate) fn finish(output: Output) -> (i32, Value, String) {
    let stdout = String::from_utf8(output.stdout).expect("reports are UTF-8");
    let stderr = String::from_utf8(output.stderr).expect("messages are UTF-8");
    let report = if stdout.is_empty() { Value::Null } else { serde_json::from_str(&stdout).expect("one JSON object") };
    (output.status.code().unwrap_or(-1), report, stderr)
}

pub(crate) fn count(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_else(|| panic!("{name} is no count in {report}"))
}
