//! Metadata out of pictures, without decoding them.
//!
//! Owns which parts of a file are the picture: lists of what is kept, so that what nobody knows is left out. Positions,
//! times, devices, owners and comments go, and whatever stands behind the picture's end, where phones keep videos and
//! earlier versions. What a picture is drawn by stays: colours, transparency, animation. Finds a file that was cut off,
//! which decoders forgive.
//!
//! Orientation goes too: a picture that has one is turned by `pictures` and encoded anew.

/// Why a file is no whole picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// It ends before its end.
    #[error("it is cut off")]
    CutOff,
    /// A part is not where its format has it.
    #[error("its parts are not those of its format")]
    Malformed,
}

type Stripped = Result<Vec<u8>, Broken>;

/// A JPEG's segments: all but applications' and comments. Of those, JFIF (0), colour profiles (2) and Adobe's colour
/// transform (14) say how it is drawn.
pub(crate) fn jpeg(bytes: &[u8]) -> Stripped {
    const COLOURS: &[u8] = b"ICC_PROFILE\0";
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.strip_prefix(&[0xFF, 0xD8]).ok_or(Broken::Malformed)?;
    out.extend_from_slice(&[0xFF, 0xD8]);
    loop {
        // Any number of fill bytes stands before a marker.
        let marker = loop {
            match rest {
                [0xFF, 0xFF, ..] => rest = &rest[1..],
                [0xFF, marker, ..] => break *marker,
                [] | [0xFF] => return Err(Broken::CutOff),
                _ => return Err(Broken::Malformed),
            }
        };
        rest = &rest[2..];
        match marker {
            0xD9 => {
                out.extend_from_slice(&[0xFF, 0xD9]);
                return Ok(out);
            }
            0xD8 | 0x00 | 0xD0..=0xD7 | 0x01 => return Err(Broken::Malformed),
            _ => {}
        }
        let length =
            rest.first_chunk::<2>().map(|bytes| usize::from(u16::from_be_bytes(*bytes))).ok_or(Broken::CutOff)?;
        if length < 2 {
            return Err(Broken::Malformed);
        }
        let (segment, behind) = rest.split_at_checked(length).ok_or(Broken::CutOff)?;
        rest = behind;
        let kept = match marker {
            0xE0 | 0xEE => true,
            0xE2 => segment[2..].starts_with(COLOURS),
            0xE1 | 0xE3..=0xEF | 0xFE => false,
            _ => true,
        };
        if kept {
            out.extend_from_slice(&[0xFF, marker]);
            out.extend_from_slice(segment);
        }
        if marker == 0xDA {
            let end = scan_end(rest).ok_or(Broken::CutOff)?;
            out.extend_from_slice(&rest[..end]);
            rest = &rest[end..];
        }
    }
}

/// Where the next marker is that ends a scan's data.
fn scan_end(data: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += data[at..].iter().position(|&byte| byte == 0xFF)?;
        match *data.get(at + 1)? {
            // A data byte of 0xFF, and restarts within the scan.
            0x00 | 0xD0..=0xD7 => at += 2,
            0xFF => at += 1,
            _ => return Some(at),
        }
    }
}

/// A PNG's chunks: those that it is drawn by, the animation's among them.
pub(crate) fn png(bytes: &[u8]) -> Stripped {
    const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
    const KEPT: &[&[u8; 4]] =
        &[b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"sBIT", b"bKGD", b"pHYs", b"acTL", b"fcTL", b"fdAT"];
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.strip_prefix(SIGNATURE).ok_or(Broken::Malformed)?;
    out.extend_from_slice(SIGNATURE);
    loop {
        let head = rest.first_chunk::<8>().ok_or(Broken::CutOff)?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let kind: [u8; 4] = [head[4], head[5], head[6], head[7]];
        let (chunk, behind) = rest.split_at_checked(length.saturating_add(12)).ok_or(Broken::CutOff)?;
        rest = behind;
        // An upper-case letter says that the picture cannot be drawn without it.
        if kind[0].is_ascii_uppercase() || KEPT.contains(&&kind) {
            out.extend_from_slice(chunk);
        }
        if &kind == b"IEND" {
            return Ok(out);
        }
    }
}

/// A WebP's chunks, and the flags that say which there are.
pub(crate) fn webp(bytes: &[u8]) -> Stripped {
    const KEPT: &[&[u8; 4]] = &[b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"];
    /// EXIF and XMP, in the first byte of `VP8X`.
    const METADATA_FLAGS: u8 = 0x0C;
    let head = bytes.first_chunk::<12>().ok_or(Broken::CutOff)?;
    if &head[..4] != b"RIFF" || &head[8..] != b"WEBP" {
        return Err(Broken::Malformed);
    }
    let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
    let mut rest = bytes.get(12..length.saturating_add(8)).ok_or(Broken::CutOff)?;
    let mut out = head.to_vec();
    while !rest.is_empty() {
        let head = rest.first_chunk::<8>().ok_or(Broken::Malformed)?;
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let kind: [u8; 4] = [head[0], head[1], head[2], head[3]];
        // Padded to even; some writers leave the last byte of padding out.
        let padded = length.saturating_add(8 + length % 2).min(rest.len().max(length.saturating_add(8)));
        let (chunk, behind) = rest.split_at_checked(padded).ok_or(Broken::Malformed)?;
        rest = behind;
        if KEPT.contains(&&kind) {
            let at = out.len();
            out.extend_from_slice(chunk);
            if &kind == b"VP8X" {
                *out.get_mut(at + 8).ok_or(Broken::Malformed)? &= !METADATA_FLAGS;
            }
            if chunk.len() % 2 == 1 {
                out.push(0);
            }
        }
    }
    let length = u32::try_from(out.len() - 8).map_err(|_| Broken::Malformed)?;
    out[4..8].copy_from_slice(&length.to_le_bytes());
    Ok(out)
}

/// A GIF's blocks: pictures, how they are shown, and the count of repetitions.
pub(crate) fn gif(bytes: &[u8]) -> Stripped {
    const LOOPS: [&[u8]; 2] = [b"NETSCAPE2.0", b"ANIMEXTS1.0"];
    let head = bytes.first_chunk::<13>().ok_or(Broken::CutOff)?;
    if !head.starts_with(b"GIF8") {
        return Err(Broken::Malformed);
    }
    let at = 13 + colours(head[10]);
    let mut out = bytes.get(..at).ok_or(Broken::CutOff)?.to_vec();
    let mut rest = &bytes[at..];
    loop {
        let (&first, _) = rest.split_first().ok_or(Broken::CutOff)?;
        let (data, kept) = match first {
            0x3B => {
                out.push(0x3B);
                return Ok(out);
            }
            0x2C => {
                let head = rest.first_chunk::<10>().ok_or(Broken::CutOff)?;
                (10 + colours(head[9]) + 1, true)
            }
            0x21 => {
                let label = *rest.get(1).ok_or(Broken::CutOff)?;
                let name = rest.get(3..14).unwrap_or_default();
                (2, label == 0xF9 || (label == 0xFF && LOOPS.contains(&name)))
            }
            _ => return Err(Broken::Malformed),
        };
        let mut end = data;
        loop {
            let length = usize::from(*rest.get(end).ok_or(Broken::CutOff)?);
            end += 1 + length;
            if length == 0 {
                break;
            }
        }
        let (block, behind) = rest.split_at_checked(end).ok_or(Broken::CutOff)?;
        rest = behind;
        if kept {
            out.extend_from_slice(block);
        }
    }
}

/// Bytes of the table of colours that a byte of flags tells of.
fn colours(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 0x07) + 1) }
}
