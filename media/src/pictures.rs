//! A picture: decoded within limits, turned as it is to be shown, without metadata, in three smaller sizes.
//!
//! Owns what becomes of a picture's bytes. They are an attacker's: dimensions are judged before anything is decoded, memory
//! and time are bounded, and what is served was either encoded here or has only the parts that a picture is drawn by.

use std::borrow::Cow;
use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};
use std::time::{Duration, Instant};

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::metadata::Orientation;
use image::{
    DynamicImage, ExtendedColorType, GenericImageView as _, ImageDecoder, ImageEncoder, ImageFormat, ImageReader,
};
use schema::Attachment;

use crate::strip::{self, Broken};

/// Longest sides of the thumbnails, in pixels: small, medium, large.
const SIDES: [u32; 3] = [160, 480, 1280];
/// Quality of a JPEG: of a thumbnail, and of a picture that had to be turned.
const QUALITY: [u8; 2] = [80, 92];
/// Bytes of a colour profile that goes along: those of cameras have some KB.
const PROFILE_BYTES_MAX: usize = 16 * 1024;
/// Side of what the hash is made of, in pixels: it tells no more than a few colours.
const HASHED_SIDE: u32 = 32;

/// Limits of one picture.
#[derive(Debug, Clone, Copy)]
pub struct PictureLimits {
    /// Width times height. One of 50 million takes 150 MB while it is worked on, twice that if it is to be turned.
    pub pixels_max: u64,
    /// Bytes that a decoder may take, and that the decoded picture may with the one that is turned.
    pub memory_bytes_max: u64,
    /// How long decoding may take, as far as the decoder reads on meanwhile.
    pub time_max: Duration,
}

impl Default for PictureLimits {
    fn default() -> Self {
        Self { pixels_max: 50_000_000, memory_bytes_max: 320 << 20, time_max: Duration::from_secs(20) }
    }
}

/// One thumbnail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail {
    /// Its bit: small 1, medium 2, large 4.
    pub bit: u32,
    /// Encoded.
    pub bytes: Vec<u8>,
}

/// A picture as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Its bytes, without metadata and turned; absent if they are those that were given.
    pub replacement: Option<Vec<u8>>,
    /// Pixels from left to right, as it is shown.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
    /// BlurHash.
    pub blurhash: String,
    /// Smaller ones, of those sizes that are smaller.
    pub thumbnails: Vec<Thumbnail>,
    /// The thumbnails' media type.
    pub thumbnails_type: &'static str,
}

/// Why a picture is refused. Its sender's fault, but for [`Self::Encode`].
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// More pixels than are taken.
    #[error("the picture has {width} x {height} pixels, the limit is {pixels_max} of them")]
    TooLarge {
        /// From left to right.
        width: u32,
        /// From top to bottom.
        height: u32,
        /// The limit.
        pixels_max: u64,
    },
    /// It would take more memory than there is for one.
    #[error("the picture takes more memory than {0} bytes")]
    Memory(u64),
    /// It takes too long.
    #[error("the picture took over {0:?} to decode")]
    Time(Duration),
    /// Cut off, damaged, or of another format than its first bytes say.
    #[error("the picture cannot be decoded: {0}")]
    Damaged(String),
    /// A fault of ours.
    #[error("the picture could not be encoded")]
    Encode(#[source] image::ImageError),
    /// The node has more pictures to work on than it holds.
    #[error("too many pictures at once")]
    Busy,
}

impl From<Broken> for PictureError {
    fn from(broken: Broken) -> Self {
        Self::Damaged(broken.to_string())
    }
}

/// The bits of the thumbnails of a picture of this size: those that are smaller than it. Small 1, medium 2, large 4.
#[must_use]
pub fn thumbnail_bits(attachment: &Attachment) -> u32 {
    let longest = attachment.width.max(attachment.height);
    SIDES.iter().enumerate().fold(0, |bits, (at, &side)| if longest > side { bits | 1 << at } else { bits })
}

/// Works on a picture of a format that [`crate::sniff`] calls an image. Takes as long as its pixels do: not for a thread
/// that serves others.
pub(crate) fn picture(bytes: &[u8], content_type: &str, limits: &PictureLimits) -> Result<Picture, PictureError> {
    let (format, stripped) = match content_type {
        "image/jpeg" => (ImageFormat::Jpeg, strip::jpeg(bytes)?),
        "image/png" => (ImageFormat::Png, strip::png(bytes)?),
        "image/gif" => (ImageFormat::Gif, strip::gif(bytes)?),
        "image/webp" => (ImageFormat::WebP, strip::webp(bytes)?),
        other => return Err(PictureError::Damaged(format!("{other} is no picture"))),
    };
    let deadline = Deadline { bytes: Cursor::new(bytes), ends: Instant::now() + limits.time_max, passed: false };
    let mut reader = ImageReader::with_format(deadline, format);
    let mut of_image = image::Limits::default();
    of_image.max_alloc = Some(limits.memory_bytes_max);
    reader.limits(of_image);
    let failed = |error: image::ImageError| match error {
        image::ImageError::Limits(_) => PictureError::Memory(limits.memory_bytes_max),
        image::ImageError::IoError(error) if error.kind() == io::ErrorKind::TimedOut => {
            PictureError::Time(limits.time_max)
        }
        other => PictureError::Damaged(other.to_string()),
    };
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > limits.pixels_max {
        return Err(PictureError::TooLarge { width, height, pixels_max: limits.pixels_max });
    }
    if width == 0 || height == 0 {
        return Err(PictureError::Damaged("it has no pixels".into()));
    }
    let orientation = decoder.orientation().map_err(failed)?;
    // To turn it takes a second one.
    let copies = if orientation == Orientation::NoTransforms { 1 } else { 2 };
    if decoder.total_bytes().saturating_mul(copies) > limits.memory_bytes_max {
        return Err(PictureError::Memory(limits.memory_bytes_max));
    }
    let profile = decoder.icc_profile().map_err(failed)?.filter(|profile| is_usual(profile));
    let mut image = DynamicImage::from_decoder(decoder).map_err(failed)?;
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    let replacement = if orientation != Orientation::NoTransforms {
        Some(encode(&image, QUALITY[1], profile.as_deref(), format == ImageFormat::Jpeg)?.0)
    } else {
        (stripped != bytes).then_some(stripped)
    };

    let mut smaller = image;
    let is_opaque = !has_transparency(&smaller);
    let (mut thumbnails, mut thumbnails_type) = (Vec::new(), "");
    for (at, &side) in SIDES.iter().enumerate().rev() {
        if width.max(height) <= side {
            continue;
        }
        smaller = smaller.thumbnail(side, side);
        let (bytes, content_type) = encode(&smaller, QUALITY[0], profile.as_deref(), is_opaque)?;
        thumbnails.push(Thumbnail { bit: 1 << at, bytes });
        thumbnails_type = content_type;
    }
    thumbnails.reverse();
    Ok(Picture { replacement, width, height, blurhash: blurhash_of(&smaller), thumbnails, thumbnails_type })
}

/// Whether a colour profile is small, and for colours as they are encoded here: not a printer's.
fn is_usual(profile: &[u8]) -> bool {
    profile.len() <= PROFILE_BYTES_MAX && profile.get(16..20) == Some(b"RGB ")
}

fn has_transparency(image: &DynamicImage) -> bool {
    match image.as_rgba8() {
        Some(pixels) => pixels.pixels().any(|pixel| pixel.0[3] < 255),
        // Without a copy of all of it.
        None => image.color().has_alpha() && image.pixels().any(|(_, _, pixel)| pixel.0[3] < 255),
    }
}

/// Encodes: as JPEG what is opaque, as WebP without loss what is not. Gives the media type too.
fn encode(
    image: &DynamicImage,
    quality: u8,
    profile: Option<&[u8]>,
    is_opaque: bool,
) -> Result<(Vec<u8>, &'static str), PictureError> {
    let mut bytes = Vec::new();
    let (width, height) = (image.width(), image.height());
    let profile = profile.map(<[u8]>::to_vec);
    if is_opaque {
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
        if let Some(profile) = profile {
            encoder
                .set_icc_profile(profile)
                .map_err(|error| PictureError::Encode(image::ImageError::Unsupported(error)))?;
        }
        let pixels = image.as_rgb8().map_or_else(|| Cow::Owned(image.to_rgb8()), Cow::Borrowed);
        encoder.write_image(&pixels, width, height, ExtendedColorType::Rgb8).map_err(PictureError::Encode)?;
        return Ok((bytes, "image/jpeg"));
    }
    let mut encoder = WebPEncoder::new_lossless(&mut bytes);
    if let Some(profile) = profile {
        encoder
            .set_icc_profile(profile)
            .map_err(|error| PictureError::Encode(image::ImageError::Unsupported(error)))?;
    }
    let pixels = image.as_rgba8().map_or_else(|| Cow::Owned(image.to_rgba8()), Cow::Borrowed);
    encoder.write_image(&pixels, width, height, ExtendedColorType::Rgba8).map_err(PictureError::Encode)?;
    Ok((bytes, "image/webp"))
}

/// A few colours that stand for the picture before it is loaded.
fn blurhash_of(image: &DynamicImage) -> String {
    let small = image.thumbnail(HASHED_SIDE, HASHED_SIDE).to_rgba8();
    let (x, y) = if small.width() >= small.height() { (4, 3) } else { (3, 4) };
    blurhash::encode(x, y, small.width(), small.height(), &small).unwrap_or_default()
}

/// Bytes that fail to be read once a time is over, so that a decoder ends.
struct Deadline<'a> {
    bytes: Cursor<&'a [u8]>,
    ends: Instant,
    passed: bool,
}

impl Deadline<'_> {
    fn check(&mut self) -> io::Result<()> {
        self.passed |= Instant::now() >= self.ends;
        if self.passed { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

impl Read for Deadline<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        self.bytes.read(buffer)
    }
}

impl BufRead for Deadline<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.check()?;
        // As much at a time as a file is read, so that a decoder asks often.
        let buffered = self.bytes.fill_buf()?;
        Ok(&buffered[..buffered.len().min(16 * 1024)])
    }

    fn consume(&mut self, bytes: usize) {
        self.bytes.consume(bytes);
    }
}

impl Seek for Deadline<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}
