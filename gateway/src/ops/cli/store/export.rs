//! `rookery store export`: a store at rest, written into a file.
//!
//! Owns the file: where it goes on after an interruption, and that it is whole on the disk when this says so. What goes
//! into it is `chat::transfer`'s.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use chat::transfer;
use chat::transfer::dump::{DumpError, Header, Reader, Totals, Writer};
use clap::Args;

use crate::config::Config;
use crate::ops::cli::settings::Settings;
use crate::ops::terminal;
use crate::store::NodeStore;

use super::StoreTask;
use super::progress::{self, Progress};

/// A dump holds password hashes: for whoever exported it, and nobody else.
const MODE: u32 = 0o600;

#[derive(Debug, Args)]
pub(in crate::ops::cli) struct Export {
    /// The file to write, or to go on with
    #[arg(long, value_name = "FILE")]
    to: PathBuf,

    #[command(flatten)]
    settings: Settings,
}

impl StoreTask for Export {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    async fn run<S: NodeStore>(&self, _: &Config, store: &S) -> anyhow::Result<()> {
        let place = self.to.display();
        let epoch = transfer::settle(store, crate::runtime::wall()).await?;
        let (mut writer, mut after) =
            self.open(Header { dump: getrandom::u64()?, generation: store.generation(), epoch })?;
        let mut progress = Progress::new();
        loop {
            let rows = transfer::read(store, after.as_deref()).await?;
            let Some(last) = rows.last() else { break };
            after = Some(last.key.to_vec());
            writer.part(&rows).with_context(|| format!("cannot write to {place}"))?;
            progress.show(|| told(writer.totals()));
        }
        progress.clear();
        ensure!(
            transfer::epoch(store).await? == epoch,
            "a node has had the store while it was exported, so the parts do not belong together: stop it, remove {place}, and export again"
        );
        let (file, totals) = writer.end().with_context(|| format!("cannot write to {place}"))?;
        file.sync_all()
            .and_then(|()| sync_directory_of(&self.to))
            .with_context(|| format!("cannot write to {place}"))?;
        terminal::print(&format!("exported {} to {place}\n", told(totals)))
    }
}

impl Export {
    /// The file behind what it holds of this store already, and the last key in it.
    fn open(&self, header: Header) -> anyhow::Result<(Writer<File>, Option<Vec<u8>>)> {
        let place = self.to.display();
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(MODE).open(&self.to);
        let mut file = file.with_context(|| format!("cannot open {place}"))?;
        if file.metadata()?.len() == 0 {
            return Ok((Writer::begin(file, header).with_context(|| format!("cannot write to {place}"))?, None));
        }
        let mut reader = Reader::open(BufReader::new(&file)).with_context(|| format!("{place} is there already"))?;
        let there = reader.header();
        ensure!(
            (there.generation, there.epoch) == (header.generation, header.epoch),
            "{place} holds a dump of another store, or of this one before a node had it again; name another file"
        );
        let mut last = None;
        loop {
            match reader.part() {
                Ok(Some(rows)) => last = rows.last().map(|row| row.key.to_vec()),
                Ok(None) => {
                    bail!("{place} is whole already: {}; name another file to export again", told(reader.totals()))
                }
                // What a crash leaves may be cut, or torn: either is written again.
                Err(DumpError::Incomplete { .. } | DumpError::Damaged { .. }) => break,
                Err(error @ (DumpError::NotADump | DumpError::Io(_))) => {
                    return Err(error).with_context(|| format!("cannot go on with {place}"));
                }
            }
        }
        let (totals, whole_bytes) = (reader.totals(), reader.whole_bytes());
        file.set_len(whole_bytes)?;
        file.seek(SeekFrom::End(0))?;
        progress::note(&format!("going on with {place}, which holds {}", told(totals)));
        Ok((Writer::go_on(file, totals), last))
    }
}

/// A file that has just been made is there after a power loss only once its directory says so.
fn sync_directory_of(file: &Path) -> io::Result<()> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// `5 rows, 0.1 MB`.
pub(super) fn told(Totals { rows, bytes, parts: _ }: Totals) -> String {
    format!("{rows} rows, {:.1} MB", bytes as f64 / 1e6)
}
