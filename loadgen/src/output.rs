//! Files that a report is written to beside standard output.
//!
//! Owns them from before the run, so that one that cannot be written is refused before anything is measured. What was
//! in a file before stands until the run is over.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::ReportArgs;
use crate::page;
use crate::report::{Report, write_hlog};

/// Those that were asked for.
pub(crate) struct Outputs(Vec<Output>);

struct Output {
    flag: &'static str,
    path: PathBuf,
    file: File,
    write: fn(&Report, &mut BufWriter<&File>) -> io::Result<()>,
}

impl Outputs {
    /// # Errors
    /// A file cannot be written to.
    pub(crate) fn open(args: &ReportArgs) -> anyhow::Result<Self> {
        let mut outputs = Vec::new();
        if let Some(path) = &args.save {
            outputs.push(Output::open("--save", path, |report, out| out.write_all(report.json().as_bytes()))?);
        }
        if let Some(path) = &args.hlog {
            outputs.push(Output::open("--hlog", path, |report, out| write_hlog(report, out))?);
        }
        if let Some(path) = &args.html {
            outputs.push(Output::open("--html", path, |report, out| page::write(report, out))?);
        }
        Ok(Self(outputs))
    }

    pub(crate) fn write(&self, report: &Report) -> anyhow::Result<()> {
        self.0.iter().try_for_each(|output| {
            let written = output.replace(report);
            written.with_context(|| format!("cannot write {} {}", output.flag, output.path.display()))
        })
    }
}

impl Output {
    fn open(
        flag: &'static str,
        path: &Path,
        write: fn(&Report, &mut BufWriter<&File>) -> io::Result<()>,
    ) -> anyhow::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).with_context(|| {
            format!("{flag} {}: cannot be written; does its folder exist, and is it yours?", path.display())
        })?;
        Ok(Self { flag, path: path.to_owned(), file, write })
    }

    fn replace(&self, report: &Report) -> io::Result<()> {
        self.file.set_len(0)?;
        (&self.file).rewind()?;
        let mut out = BufWriter::new(&self.file);
        (self.write)(report, &mut out)?;
        out.flush()
    }
}
