//! A dump as a file: what tells it apart, its parts, and its end.
//!
//! Owns the bytes. All numbers are little-endian. A part that is cut off, or that is not what it says, is noticed
//! before anything of it is used; a dump without its end is known to be incomplete.
//!
//! ```text
//! header   "rookery dump 1\n" · dump u64 · generation u64 · epoch u64 · checksum u64
//! part     'P' · rows u32 · bytes u32 before compression · bytes u32 after · checksum u64 · LZ4 block of (key length u16 · value length u32 · key · value)*
//! end      'E' · parts u64 · rows u64 · bytes u64 of keys and values · checksum u64
//! ```

use std::io::{self, Read, Write};

use bytes::Bytes;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::bytes_of;
use kv::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use kv::transaction::{Generation, Row};

use schema::Epoch;

const MAGIC: &[u8; 15] = b"rookery dump 1\n";
const PART: u8 = b'P';
const END: u8 = b'E';
/// Bytes of a part before compression: a part ends with the row that reaches its bytes, so twice the largest
/// transaction is more than any has, and bounds what a damaged length makes us read.
const PART_BYTES_MAX: usize = 20_000_000;

/// What tells a dump apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Drawn at random by the export.
    pub dump: u64,
    /// The store that it is of.
    pub generation: Generation,
    /// That store's epoch: an export goes on only while it stays.
    pub epoch: Epoch,
}

/// What a dump holds so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Parts.
    pub parts: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

impl Totals {
    fn add(&mut self, rows: &[Row]) {
        self.parts += 1;
        self.rows += rows.len() as u64;
        self.bytes += bytes_of(rows);
    }
}

/// Why a file is no dump that can be read.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// Operator's mistake: another kind of file, or a dump of a newer program.
    #[error("it is no dump that this program knows; name a file that `rookery store export` wrote")]
    NotADump,
    /// The export was cut off, or the file while it was copied.
    #[error("it ends after {} whole parts without an end; export again into the same file to go on", totals.parts)]
    Incomplete {
        /// What is whole.
        totals: Totals,
    },
    /// Bytes changed after they were written.
    #[error("part {part} is damaged: {what}; copy the file again, or export into another")]
    Damaged {
        /// From 0.
        part: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The file could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes a dump.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    totals: Totals,
}

impl<W: Write> Writer<W> {
    /// Begins with the header.
    ///
    /// # Errors
    /// The file's.
    pub fn begin(mut out: W, header: Header) -> io::Result<Self> {
        let mut bytes = MAGIC.to_vec();
        for number in [header.dump, header.generation.0, header.epoch.0] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
        out.write_all(&bytes)?;
        Ok(Self { out, totals: Totals::default() })
    }

    /// Goes on at the end of `out`, which holds so much.
    pub fn go_on(out: W, totals: Totals) -> Self {
        Self { out, totals }
    }

    /// Writes a part, whole or not at all as a reader sees it.
    ///
    /// # Errors
    /// The file's.
    ///
    /// # Panics
    /// If a row is larger than any store takes.
    pub fn part(&mut self, rows: &[Row]) -> io::Result<()> {
        let mut raw = Vec::new();
        for Row { key, value } in rows {
            let key_len = u16::try_from(key.len()).expect("no key is longer than 10,000 bytes");
            let value_len = u32::try_from(value.len()).expect("no value is longer than 100,000 bytes");
            raw.extend_from_slice(&key_len.to_le_bytes());
            raw.extend_from_slice(&value_len.to_le_bytes());
            raw.extend_from_slice(key);
            raw.extend_from_slice(value);
        }
        let packed = lz4_flex::block::compress(&raw);
        let mut bytes = vec![PART];
        for length in [rows.len(), raw.len(), packed.len()] {
            bytes.extend_from_slice(&u32::try_from(length).expect("a part is far below 4 GB").to_le_bytes());
        }
        bytes.extend_from_slice(&checksum(&bytes, &packed).to_le_bytes());
        bytes.extend_from_slice(&packed);
        self.out.write_all(&bytes)?;
        self.totals.add(rows);
        Ok(())
    }

    /// Writes the end, and gives back what the whole holds.
    ///
    /// # Errors
    /// The file's.
    pub fn end(mut self) -> io::Result<(W, Totals)> {
        let Totals { parts, rows, bytes } = self.totals;
        let mut out = vec![END];
        for number in [parts, rows, bytes] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&xxh3_64(&out).to_le_bytes());
        self.out.write_all(&out)?;
        self.out.flush()?;
        Ok((self.out, self.totals))
    }

    /// What it holds so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Where it goes.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }
}

/// Reads a dump, part by part.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    header: Header,
    totals: Totals,
    /// Bytes of the file up to the last whole part.
    whole_bytes: u64,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`DumpError::NotADump`]; the file's.
    pub fn open(mut input: R) -> Result<Self, DumpError> {
        let mut bytes = [0; MAGIC.len() + 4 * 8];
        fill(&mut input, &mut bytes)?.ok_or(DumpError::NotADump)?;
        let (said, sum) = bytes.split_at(MAGIC.len() + 3 * 8);
        if !said.starts_with(MAGIC) || xxh3_64(said) != number(sum, 0) {
            return Err(DumpError::NotADump);
        }
        let fields = &said[MAGIC.len()..];
        let header = Header {
            dump: number(fields, 0),
            generation: Generation(number(fields, 1)),
            epoch: Epoch(number(fields, 2)),
        };
        Ok(Self { input, header, totals: Totals::default(), whole_bytes: bytes.len() as u64 })
    }

    /// What tells it apart.
    #[must_use]
    pub fn header(&self) -> Header {
        self.header
    }

    /// What was read so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Bytes of the file up to the last whole part that was read.
    #[must_use]
    pub fn whole_bytes(&self) -> u64 {
        self.whole_bytes
    }

    /// The next part; `None` at the end of a whole dump.
    ///
    /// # Errors
    /// [`DumpError`]. Reading on after one finds nothing sensible.
    pub fn part(&mut self) -> Result<Option<Vec<Row>>, DumpError> {
        let mut kind = [0];
        self.fill(&mut kind)?;
        match kind[0] {
            PART => self.rest_of_part().map(Some),
            END => self.rest_of_end().map(|()| None),
            _ => Err(self.damaged("it begins as no part does")),
        }
    }

    fn rest_of_part(&mut self) -> Result<Vec<Row>, DumpError> {
        let mut said = [0; 1 + 3 * 4];
        said[0] = PART;
        self.fill(&mut said[1..])?;
        let mut sum = [0; 8];
        self.fill(&mut sum)?;
        let length = |at: usize| {
            let bytes = said[1 + 4 * at..].first_chunk::<4>().expect("three lengths");
            u32::from_le_bytes(*bytes) as usize
        };
        let (rows, raw_len, packed_len) = (length(0), length(1), length(2));
        if raw_len > PART_BYTES_MAX || packed_len > 2 * PART_BYTES_MAX {
            return Err(self.damaged("it is longer than any part"));
        }
        let mut packed = vec![0; packed_len];
        self.fill(&mut packed)?;
        if checksum(&said, &packed) != number(&sum, 0) {
            return Err(self.damaged("its checksum differs"));
        }
        let raw = lz4_flex::block::decompress(&packed, raw_len).map_err(|_| self.damaged("it cannot be unpacked"))?;
        let parsed = parse(&Bytes::from(raw)).filter(|parsed| parsed.len() == rows && !parsed.is_empty());
        let parsed = parsed.ok_or_else(|| self.damaged("its rows are not as it says"))?;
        self.totals.add(&parsed);
        self.whole_bytes += (said.len() + sum.len() + packed_len) as u64;
        Ok(parsed)
    }

    fn rest_of_end(&mut self) -> Result<(), DumpError> {
        let mut said = [0; 1 + 3 * 8];
        said[0] = END;
        self.fill(&mut said[1..])?;
        let mut sum = [0; 8];
        self.fill(&mut sum)?;
        let [parts, rows, bytes] = [0, 1, 2].map(|at| number(&said[1..], at));
        if xxh3_64(&said) != number(&sum, 0) || self.totals != (Totals { parts, rows, bytes }) {
            return Err(self.damaged("the end counts other parts than there are"));
        }
        match fill(&mut self.input, &mut [0])? {
            None => Ok(()),
            Some(()) => Err(self.damaged("something follows the end")),
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), DumpError> {
        fill(&mut self.input, bytes)?.ok_or(DumpError::Incomplete { totals: self.totals })
    }

    fn damaged(&self, what: &'static str) -> DumpError {
        DumpError::Damaged { part: self.totals.parts, what }
    }
}

/// Fills all of `bytes`; `None` if the file ends before.
fn fill(input: &mut impl Read, bytes: &mut [u8]) -> io::Result<Option<()>> {
    match input.read_exact(bytes) {
        Ok(()) => Ok(Some(())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[8 * at..].first_chunk().expect("as many numbers as are asked for"))
}

fn checksum(said: &[u8], packed: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(said);
    hash.update(packed);
    hash.digest()
}

/// The rows of a part, `None` if it is none.
fn parse(raw: &Bytes) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    let mut rest: &[u8] = raw;
    while !rest.is_empty() {
        let (key_len, after) = rest.split_first_chunk::<2>()?;
        let (value_len, after) = after.split_first_chunk::<4>()?;
        let (key_len, value_len) = (usize::from(u16::from_le_bytes(*key_len)), u32::from_le_bytes(*value_len) as usize);
        if key_len > KEY_BYTES_MAX || value_len > VALUE_BYTES_MAX {
            return None;
        }
        let (key, after) = after.split_at_checked(key_len)?;
        let (value, after) = after.split_at_checked(value_len)?;
        rows.push(Row { key: raw.slice_ref(key), value: raw.slice_ref(value) });
        rest = after;
    }
    Some(rows)
}
