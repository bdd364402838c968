//! Files as they come, good and bad: what each becomes, and that nothing of it stays that should not.

use std::io::Cursor;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use image::codecs::gif::GifEncoder;
use image::{DynamicImage, Frame, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use media::{FinishError, Finished, Library, Limits, Objects, PART_BYTES, PictureError, StoreError};
use schema::{MediaId, UserId};

/// GPS in EXIF, as a phone writes it: big-endian, an orientation, and a position.
fn exif(orientation: u8) -> Vec<u8> {
    let mut tiff = b"MM\0\x2a\0\0\0\x08\0\x02".to_vec();
    tiff.extend_from_slice(&[0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0]);
    tiff.extend_from_slice(&[0x88, 0x25, 0, 4, 0, 0, 0, 1, 0, 0, 0, 38]);
    tiff.extend_from_slice(&[0, 0, 0, 0]);
    tiff.extend_from_slice(b"\0\x01\0\x01\0\x02\0\0\0\x02N\0\0\0\0\0\0\0GPSPOSITION");
    tiff
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).expect("encoded");
    bytes.into_inner()
}

/// Red above, blue below, so that it shows which way up it is.
fn two_colours(width: u32, height: u32) -> DynamicImage {
    let colour = |_, y| if y < height / 2 { Rgb([250, 10, 10]) } else { Rgb([10, 10, 250]) };
    RgbImage::from_fn(width, height, colour).into()
}

/// A JPEG with EXIF behind its first marker, and a video of the phone's behind its end.
fn phones_jpeg(orientation: u8) -> Vec<u8> {
    let plain = encoded(&two_colours(800, 400), ImageFormat::Jpeg);
    let body = [b"Exif\0\0".as_slice(), &exif(orientation)].concat();
    let length = u16::try_from(body.len() + 2).expect("short").to_be_bytes();
    let comment = b"\xFF\xFE\0\x0aGPSWORDS";
    [&plain[..2], b"\xFF\xE1", &length, &body, comment, &plain[2..], b"GPS OF A VIDEO"].concat()
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).expect("short").to_be_bytes();
    let body = [kind.as_slice(), data].concat();
    [length.as_slice(), &body, &crc32(&body).to_be_bytes()].concat()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

/// A PNG with chunks before its data.
fn png_with(chunks: &[Vec<u8>]) -> Vec<u8> {
    let plain = encoded(&two_colours(300, 200), ImageFormat::Png);
    let head = 8 + 25;
    [&plain[..head], &chunks.concat(), &plain[head..]].concat()
}

/// A PNG that says it has these dimensions and has hardly any data.
fn png_that_claims(width: u32, height: u32) -> Vec<u8> {
    let header = [width.to_be_bytes().as_slice(), &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let data = [0x78, 0x9C, 0x63, 0, 0, 0, 1, 0, 1];
    [b"\x89PNG\r\n\x1a\n".as_slice(), &chunk(b"IHDR", &header), &chunk(b"IDAT", &data), &chunk(b"IEND", &[])].concat()
}

/// Few bytes that inflate to so many zeros: stored as runs of the longest matches, without a compressor.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    encoded(&DynamicImage::new_luma8(width, height), ImageFormat::Png)
}

fn with_webp_metadata() -> Vec<u8> {
    let plain = encoded(&two_colours(200, 100), ImageFormat::WebP);
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let mut bytes = [kind.as_slice(), &u32::try_from(data.len()).expect("short").to_le_bytes(), data].concat();
        bytes.resize(bytes.len() + data.len() % 2, 0);
        bytes
    };
    let extended = chunk(b"VP8X", &[0x0C, 0, 0, 0, 199, 0, 0, 99, 0, 0]);
    let body =
        [b"WEBP".as_slice(), &extended, &plain[12..], &chunk(b"EXIF", &exif(1)), &chunk(b"XMP ", b"GPSXMP")].concat();
    [b"RIFF".as_slice(), &u32::try_from(body.len()).expect("short").to_le_bytes(), &body].concat()
}

/// An animation of three pictures, with a comment.
fn animation() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for shade in [0, 100, 200] {
        encoder.encode_frame(Frame::new(RgbaImage::from_pixel(200, 200, Rgba([shade, 0, 0, 255])))).expect("encoded");
    }
    drop(encoder);
    let end = bytes.len() - 1;
    [&bytes[..end], b"\x21\xFE\x08GPSWORDS\0", b";"].concat()
}

struct World {
    library: Library,
    directory: tempfile::TempDir,
}

impl World {
    fn new(limits: Limits) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let objects = Objects::directory(directory.path().to_owned(), 0).expect("a directory");
        Self { library: Library::start(objects, limits).expect("a thread"), directory }
    }

    fn run<T>(&self, work: impl AsyncFnOnce(&Library) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(work(&self.library))
    }

    /// Stores a file and says what it is.
    fn finish(&self, bytes: &[u8], said: Option<&str>, name: &str) -> Result<Finished, FinishError> {
        self.run(async |library| {
            let media = MediaId(7);
            let mut writing = library.write(media, PART_BYTES, 0).await.expect("begun");
            for piece in bytes.chunks(100_000) {
                writing.push(Bytes::copy_from_slice(piece)).await.expect("stored");
            }
            let written = writing.end().await.expect("stored");
            library.finish(media, PART_BYTES, &written, said, name).await
        })
    }

    /// The bytes that are served.
    fn served(&self, finished: &Finished) -> Vec<u8> {
        self.run(async |library| {
            let pieces = library.objects().read(MediaId(7), PART_BYTES, 0..finished.bytes);
            pieces.map_ok(|piece| piece.to_vec()).try_concat().await.expect("it is there")
        })
    }
}

/// What a file becomes: its type, its size, the number of its thumbnails; or why it is refused.
fn check(what: &str, bytes: &[u8], expected: &str) -> Option<Vec<u8>> {
    let world = World::new(Limits::default());
    let finished = world.finish(bytes, None, "x");
    let found = match &finished {
        Ok(found) => {
            let smaller = found.thumbnails.count_ones();
            format!("{} {}x{} {smaller}", found.content_type, found.width, found.height)
        }
        Err(error) => error.to_string(),
    };
    assert_eq!(found, expected, "{what}");
    let served = finished.ok().map(|finished| world.served(&finished));
    if let Some(served) = &served {
        let told = served.windows(3).any(|window| window == b"GPS");
        assert!(!told, "{what}: what is served tells a position");
    }
    served
}

#[test]
fn metadata_goes_and_the_picture_stays() {
    let unturned = check("JPEG", &phones_jpeg(1), "image/jpeg 800x400 2").expect("served");
    assert_eq!(unturned, encoded(&two_colours(800, 400), ImageFormat::Jpeg), "not encoded again");
    let text = [
        chunk(b"tEXt", b"Comment\0GPS"),
        chunk(b"eXIf", &exif(1)),
        chunk(b"prVt", b"GPS"),
        chunk(b"gAMA", &[0, 0, 177, 143]),
    ];
    let png = check("PNG", &png_with(&text), "image/png 300x200 1").expect("served");
    assert_eq!(png, png_with(&text[3..]), "what it is drawn by stays");
    check("PNG with something behind it", &[png_with(&[]), b"GPS".to_vec()].concat(), "image/png 300x200 1");
    check("WebP", &with_webp_metadata(), "image/webp 200x100 1");
    let gif = check("animated GIF", &animation(), "image/gif 200x200 1").expect("served");
    assert_eq!(gif.windows(3).filter(|block| block == b"\x21\xF9\x04").count(), 3, "it is still animated");
}

#[test]
fn a_picture_is_turned_as_it_is_to_be_shown() {
    for (orientation, size, is_red_first) in [
        (2, "800x400", true),
        (3, "800x400", false),
        (4, "800x400", false),
        (5, "400x800", true),
        (6, "400x800", true),
        (8, "400x800", true),
    ] {
        let expected = format!("image/jpeg {size} 2");
        let served = check("a turned JPEG", &phones_jpeg(orientation), &expected).expect("served");
        let image = image::load_from_memory(&served).expect("a picture").to_rgb8();
        let first = image.get_pixel(image.width() / 2, 2).0;
        if size == "800x400" {
            assert_eq!(first[0] > first[2], is_red_first, "{orientation}: {first:?}");
        }
        // Of those that lie on a side, red is right where they were turned clockwise.
        let (left, right) =
            (image.get_pixel(2, image.height() / 2).0, image.get_pixel(image.width() - 3, image.height() / 2).0);
        if orientation == 6 {
            assert!(right[0] > right[2] && left[0] < left[2], "{left:?} {right:?}");
        }
        if orientation == 8 {
            assert!(left[0] > left[2] && right[0] < right[2], "{left:?} {right:?}");
        }
    }
}

#[test]
fn what_is_transparent_has_thumbnails_that_are() {
    let image: DynamicImage =
        RgbaImage::from_fn(400, 400, |x, _| Rgba([9, 9, 9, if x < 200 { 0 } else { 255 }])).into();
    let world = World::new(Limits::default());
    let finished = world.finish(&encoded(&image, ImageFormat::Png), None, "").expect("taken");
    assert_eq!((finished.thumbnails, finished.thumbnails_type), (1, "image/webp"));
    let small = world.run(async |library| library.objects().thumbnail(MediaId(7), 1).await.expect("there"));
    let small = image::load_from_memory(&small).expect("a picture").to_rgba8();
    assert_eq!((small.dimensions(), small.get_pixel(10, 10).0[3]), ((160, 160), 0));
    assert!(matches!(
        world.run(async |library| library.objects().thumbnail(MediaId(7), 2).await),
        Err(StoreError::Missing)
    ));
}

#[test]
fn bombs_and_damaged_pictures_are_refused() {
    let claims = png_that_claims(100_000, 100_000);
    check("100,000 x 100,000", &claims, "the picture has 100000 x 100000 pixels, the limit is 50000000 of them");
    let bomb_bytes = bomb(20_000, 2_501);
    assert!(bomb_bytes.len() < 400_000, "{} bytes are a bomb of 50 MB", bomb_bytes.len());
    check("a bomb", &bomb_bytes, "the picture has 20000 x 2501 pixels, the limit is 50000000 of them");
    check(
        "no pixels",
        &png_that_claims(0, 10),
        "the picture cannot be decoded: Format error decoding Png: Invalid image dimensions",
    );
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP] {
        let whole = encoded(&two_colours(300, 200), format);
        for part in [2, 3, 4] {
            let cut = &whole[..whole.len() * (part - 1) / part];
            let world = World::new(Limits::default());
            let refused = world.finish(cut, None, "");
            assert!(
                matches!(&refused, Err(FinishError::Picture(PictureError::Damaged(_)))),
                "{format:?} cut to {} of {} bytes: {refused:?}",
                cut.len(),
                whole.len()
            );
        }
    }
}

#[test]
fn what_says_that_it_is_a_picture_and_is_not_is_refused() {
    let html = b"<!DOCTYPE html><script>alert(1)</script>";
    let world = World::new(Limits::default());
    let refused = |said: Option<&str>, name: &str, bytes: &[u8]| {
        world.finish(bytes, said, name).map_err(|error| error.to_string()).map(|finished| finished.content_type)
    };
    let why = "the file is said to be image/png, and is text/html";
    assert_eq!(refused(Some("image/png"), "", html), Err(why.to_owned()));
    assert_eq!(refused(None, "a.png", html), Err(why.to_owned()));
    assert_eq!(refused(None, "a.html", html), Ok("text/html"));
    // The first bytes of a picture, and a page behind them: nothing that decodes.
    let both = [b"\x89PNG\r\n\x1a\n".as_slice(), html].concat();
    assert!(refused(None, "", &both).is_err_and(|why| why.contains("cannot be decoded")));
}

#[test]
fn limits_of_bytes_memory_and_time_hold() {
    let picture = encoded(&two_colours(1_000, 1_000), ImageFormat::Png);
    let with = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        World::new(limits).finish(&picture, None, "").map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(with(|_| ()), Ok(()));
    assert_eq!(with(|limits| limits.bytes_max = 1_000), Err("a picture has at most 1000 bytes".to_owned()));
    assert_eq!(
        with(|limits| limits.picture.memory_bytes_max = 100_000),
        Err("the picture takes more memory than 100000 bytes".to_owned())
    );
    assert_eq!(
        with(|limits| limits.picture.time_max = Duration::ZERO),
        Err("the picture took over 0ns to decode".to_owned())
    );
}

#[test]
fn a_file_is_read_as_it_was_written_whatever_its_parts() {
    let world = World::new(Limits::default());
    let bytes: Vec<u8> = (0..5_000_u32).flat_map(u32::to_le_bytes).collect();
    world.run(async |library| {
        const PART: u64 = 4_096;
        let media = MediaId(9);
        // In three requests, which begin within a part.
        let mut offset = 0;
        for end in [1_000, 10_000, bytes.len()] {
            let mut writing = library.write(media, PART, offset).await.expect("begun");
            writing.push(Bytes::copy_from_slice(&bytes[offset as usize..end])).await.expect("stored");
            writing.flush().await.expect("stored");
            offset = writing.bytes();
        }
        let hashed = library.hash(media, PART, offset).await.expect("read");
        let mut at_once = library.write(MediaId(10), PART, 0).await.expect("begun");
        at_once.push(Bytes::copy_from_slice(&bytes)).await.expect("stored");
        assert_eq!(at_once.end().await.expect("stored"), hashed);
        for range in [0..0, 0..1, 0..20_000, 4_095..4_097, 4_096..8_192, 19_999..20_000] {
            let pieces = library.objects().read(media, PART, range.clone());
            let read = pieces.map_ok(|piece| piece.to_vec()).try_concat().await.expect("it is there");
            assert_eq!(read, bytes[range.start as usize..range.end as usize], "{range:?}");
        }
        let beyond = library.objects().read(media, PART, 19_000..30_000).try_for_each(|_| async { Ok(()) }).await;
        assert!(matches!(beyond, Err(StoreError::Missing | StoreError::Other(_))), "{beyond:?}");
        for media in [media, MediaId(10), MediaId(11)] {
            library.objects().remove(media).await.expect("removed, there or not");
        }
    });
    let left = std::fs::read_dir(world.directory.path()).expect("a directory");
    let left = left.flat_map(|entry| std::fs::read_dir(entry.expect("an entry").path()).expect("a directory"));
    assert_eq!(left.count(), 0);
}

#[test]
fn uploads_at_once_are_bounded_by_account_and_in_all() {
    let world = World::new(Limits { uploads_max: 3, uploads_of_user_max: 2, ..Limits::default() });
    let enter = |user| world.library.enter(UserId(user));
    let (first, _second) = (enter(1).expect("a place"), enter(1).expect("a place"));
    assert!(enter(1).is_none(), "an account has two");
    let _third = enter(2).expect("a place");
    assert!(enter(3).is_none(), "all are taken");
    assert_eq!(world.library.under_way(), 3);
    drop(first);
    assert!(enter(1).is_some(), "one has ended");
}

#[test]
fn a_full_disk_is_told_apart() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let objects = |reserve| Objects::directory(directory.path().to_owned(), reserve).expect("a directory");
    assert!(matches!(runtime.block_on(objects(u64::MAX).check_room(0)), Err(StoreError::Full)));
    assert!(runtime.block_on(objects(0).check_room(1)).is_ok());
    assert!(matches!(runtime.block_on(objects(0).check_room(u64::MAX / 2)), Err(StoreError::Full)));
    assert!(matches!(StoreError::from(std::io::Error::from_raw_os_error(28)), StoreError::Full));
    let nested = object_store::Error::Generic {
        store: "x",
        source: Box::new(std::io::Error::other(std::io::Error::from_raw_os_error(28))),
    };
    assert!(matches!(StoreError::from(nested), StoreError::Full));
    runtime.block_on(objects(0).probe()).expect("it writes, reads and removes");
}
