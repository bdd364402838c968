//! JSON lines: each a user, a channel or a message, what is referred to before what refers to it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::store::NodeStore;

use super::history::{Channel, Message, User};
use super::writer::Writer;

/// Bytes of one line: a message of the longest text, each character escaped.
const LINE_BYTES_MAX: u64 = 2 * 1024 * 1024;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    User(User),
    Channel(Channel),
    Message(Message),
}

/// Reads a file to its end.
pub(super) async fn read<S: NodeStore>(file: &Path, writer: &mut Writer<'_, S>) -> anyhow::Result<()> {
    let mut reader = BufReader::new(File::open(file)?);
    let mut text = Vec::new();
    for number in 1_u64.. {
        text.clear();
        let at = || format!("line {number}");
        (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut text).with_context(at)?;
        if text.is_empty() {
            return Ok(());
        }
        ensure!((text.len() as u64) < LINE_BYTES_MAX, "line {number} is longer than {LINE_BYTES_MAX} bytes");
        if text.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(&text).with_context(at)? {
            Line::User(user) => writer.user(user).await.with_context(at)?,
            Line::Channel(channel) => writer.channel(channel).await.with_context(at)?,
            Line::Message(message) => writer.message(message).await.with_context(at)?,
        }
    }
    Ok(())
}
