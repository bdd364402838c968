//! Media: what is taken, what it becomes, who gets its bytes, and what is refused without a trace.

use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

use api::token::{Claims, FAMILY_OPERATOR};
use api::{LibraryConfig, Limits, Node as _};
use chat::keys;
use image::{ImageFormat, RgbImage};
use kv::{Begin, Engine as _, Transaction as _};
use media::{Library, Objects};
use schema::{MediaId, UnixMs};
use serde_json::Value;

use crate::client::{Answer, Client};
use crate::world::{Options, World, block_on};

/// A server that keeps media in a directory.
struct Media {
    world: World,
    directory: tempfile::TempDir,
}

/// Bytes of a file in these tests at most.
const BYTES_MAX: u64 = 5 << 20;

impl Media {
    fn new() -> Self {
        Self::with(0, |_| ())
    }

    fn with(reserve_bytes: u64, change: impl FnOnce(&mut Limits)) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let objects = Objects::directory(directory.path().join("media"), reserve_bytes).expect("a directory");
        let of_library = media::Limits {
            bytes_max: BYTES_MAX,
            resumable_bytes_max: 12 << 20,
            uploads_max: 6,
            ..media::Limits::default()
        };
        let library = Library::start(objects, of_library).expect("a thread");
        let library = LibraryConfig { library, base_url: String::new(), url_ttl_s: 86_400 };
        let mut limits = Options::default().limits;
        limits.sweep = Duration::from_millis(50);
        change(&mut limits);
        let mut world = World::with(Options { library: Some(library), limits, ..Options::default() });
        world.sign_up("bora");
        world.sign_up("minsu");
        Self { world, directory }
    }

    /// Asks with a body of bytes.
    fn ask(&mut self, user: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut client = Client::connect(self.world.public);
        let head = self.head(user, method, path, headers, body.len());
        client.write(head.as_bytes()).expect("the server reads");
        // One that refuses may close before it has read all.
        let _cut_off = client.write(body);
        client.read().expect("an answer")
    }

    fn head(&self, user: &str, method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> String {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {length}\r\n");
        if !user.is_empty() {
            // One that counts whatever the clock says.
            let (user, expires_ms) = (self.world.user(user), self.world.node.wall().plus_ms(3_600_000));
            let claims = Claims { user, family: FAMILY_OPERATOR, device: None, expires_ms };
            head += &format!("authorization: Bearer {}\r\n", self.world.key.issue(&claims));
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head + "\r\n"
    }

    fn upload(&mut self, user: &str, query: &str, content_type: &str, body: &[u8]) -> Answer {
        self.ask(user, "POST", &format!("/v1/media{query}"), &[("content-type", content_type)], body)
    }

    /// Uploads what is taken.
    fn made(&mut self, user: &str, query: &str, body: &[u8]) -> Value {
        let answer = self.upload(user, query, "application/octet-stream", body);
        assert_eq!(answer.status, 201, "{}", answer.body);
        json(&answer)
    }

    fn fetch(&mut self, url: &Value, headers: &[(&str, &str)]) -> Answer {
        self.ask("", "GET", url.as_str().expect("a URL"), headers, b"")
    }

    /// Every object there is.
    fn objects(&self) -> Vec<String> {
        fn walk(path: &Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(path).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() { walk(&path, found) } else { found.push(path.display().to_string()) }
            }
        }
        let mut found = Vec::new();
        walk(&self.directory.path().join("media"), &mut found);
        found
    }

    /// Rows of media: of all tables of theirs.
    fn rows(&self) -> usize {
        self.world.rows_between(76, 82)
    }

    /// Nothing is left of what was refused, within a moment.
    fn check_nothing_left(&self, what: &str) {
        let begun = Instant::now();
        loop {
            let left = (self.objects(), self.rows());
            if left == (Vec::new(), 0) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "{what}: {left:?} is left");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.body))
}

/// A picture in which every pixel differs from its neighbours.
fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let image =
        RgbImage::from_fn(width, height, |x, y| image::Rgb([(x % 256) as u8, (y % 256) as u8, (x * y % 251) as u8]));
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).expect("encoded");
    bytes.into_inner()
}

#[test]
fn a_picture_becomes_a_media_with_thumbnails_that_signed_urls_fetch() {
    let mut media = Media::new();
    let png = picture(1500, 600, ImageFormat::Png);
    let made = media.made("bora", "?name=%2Ftmp%2Fa%20b.png", &png);
    assert_eq!(
        (&made["kind"], &made["content_type"], &made["name"]),
        (&"image".into(), &"image/png".into(), &"a b.png".into())
    );
    assert_eq!(
        (made["width"].as_u64(), made["height"].as_u64(), made["bytes"].as_u64()),
        (Some(1500), Some(600), Some(png.len() as u64))
    );
    assert!(made["blurhash"].as_str().is_some_and(|hash| hash.len() > 20), "{made}");
    let urls = &made["urls"];
    let original = media.fetch(&urls["original"], &[]);
    assert_eq!((original.status, original.bytes == png), (200, true));
    for (header, expected) in [
        ("content-type", "image/png"),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("content-disposition", "inline; filename=\"a b.png\"; filename*=UTF-8''a%20b.png"),
    ] {
        assert_eq!(original.header(header), expected, "{header}");
    }
    let cache = original.header("cache-control");
    assert!(cache.starts_with("private, max-age=") && cache.ends_with(", immutable"), "{cache}");
    for (name, side) in [("small", 160), ("medium", 480), ("large", 1280)] {
        let answer = media.fetch(&urls[name], &[]);
        assert_eq!((answer.status, answer.header("content-type")), (200, "image/jpeg"), "{name}");
        let thumbnail = image::load_from_memory(&answer.bytes).expect("a picture");
        assert_eq!(thumbnail.width(), side, "{name}");
        assert_ne!(answer.header("etag"), original.header("etag"));
    }
    let part = media.fetch(&urls["original"], &[("range", "bytes=10-19")]);
    assert_eq!((part.status, &part.bytes[..]), (206, &png[10..20]));
    assert_eq!(part.header("content-range"), format!("bytes 10-19/{}", png.len()));
    let tag = original.header("etag").to_owned();
    assert_eq!(media.fetch(&urls["original"], &[("if-none-match", &tag)]).status, 304);
    let changed = media.fetch(&urls["original"], &[("range", "bytes=10-19"), ("if-range", "\"other\"")]);
    assert_eq!((changed.status, changed.bytes.len()), (200, png.len()));
    assert_eq!(media.fetch(&urls["small"], &[("range", "bytes=0-1")]).bytes.len(), 2);

    // The same bytes again are the same media; another account's are another.
    let again = media.upload("bora", "", "", &png);
    assert_eq!((again.status, &json(&again)["media_id"]), (200, &made["media_id"]));
    assert_ne!(media.made("minsu", "", &png)["media_id"], made["media_id"]);
    let path = format!("/v1/media/{}", made["media_id"].as_str().expect("an id"));
    assert_eq!(media.ask("bora", "GET", &path, &[], b"").status, 200);
    assert_eq!(media.ask("minsu", "GET", &path, &[], b"").status, 404);
}

/// What is sent: in words, the query, the type and the body; and the status and code of the answer.
type Refused<'a> = (&'a str, &'a str, &'a str, &'a [u8], u16, u16);

/// What is refused, and that nothing of it stays: neither an object nor a row.
#[test]
fn bad_files_get_an_error_each_and_leave_nothing() {
    let mut media = Media::new();
    let png = picture(300, 200, ImageFormat::Png);
    let html = b"<!DOCTYPE html><script>alert(1)</script>".to_vec();
    let form = |name: &str, file: &[u8]| {
        let head = format!("--B\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"x.png\"\r\n\r\n");
        [head.as_bytes(), file, b"\r\n--B--\r\n"].concat()
    };
    const FORM: &str = "multipart/form-data; boundary=B";
    let cut = &png[..png.len() / 2];
    let claims = png_that_claims(100_000, 100_000);
    let too_long = vec![0; BYTES_MAX as usize + 1];
    let rows: &[Refused<'_>] = &[
        ("HTML whose type says PNG", "", "image/png", &html, 422, 107),
        ("HTML whose name says PNG", "?name=a.png", "application/octet-stream", &html, 422, 107),
        ("HTML in a form whose name says PNG", "", FORM, &form("file", &html), 422, 107),
        ("a picture of 100,000 x 100,000", "", "image/png", &claims, 422, 106),
        ("a picture that is cut off", "", "image/png", cut, 422, 107),
        ("an empty file", "", "image/png", b"", 400, 107),
        ("a file that is too long", "", "video/mp4", &too_long, 413, 116),
        ("a form without a file", "", FORM, b"--B--\r\n", 400, 107),
        ("a form with another field", "", FORM, &form("other", &png), 400, 107),
        ("a form without a boundary", "", "multipart/form-data", &png, 400, 107),
        ("a form that ends early", "", FORM, &form("file", &png)[..400], 400, 107),
        ("a poster that is no id", "?poster=x", "video/mp4", &png, 400, 107),
    ];
    for (what, query, content_type, body, status, code) in rows {
        let answer = media.upload("bora", query, content_type, body);
        assert_eq!(
            (answer.status, json(&answer)["code"].as_u64()),
            (*status, Some((*code).into())),
            "{what}: {}",
            answer.body
        );
        media.check_nothing_left(what);
    }
    assert_eq!(media.upload("", "", "image/png", &png).status, 401);
    // Without a length, so that it is found out on the way.
    let mut client = Client::connect(media.world.public);
    let token = media.world.token("bora").to_owned();
    let head = format!(
        "POST /v1/media HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    client.write(head.as_bytes()).expect("the server reads");
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..6 {
        let _cut_off =
            client.write(b"100000\r\n").and_then(|()| client.write(&piece)).and_then(|()| client.write(b"\r\n"));
    }
    assert_eq!(client.read().map(|answer| answer.status), Some(413));
    media.check_nothing_left("a file in chunks that is too long");
    media.world.check_counted("body_bytes", 2);
}

/// A PNG that says it has these dimensions and has hardly any data.
fn png_that_claims(width: u32, height: u32) -> Vec<u8> {
    let crc = |bytes: &[u8]| {
        !bytes.iter().fold(u32::MAX, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
        })
    };
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let body = [kind.as_slice(), data].concat();
        [u32::try_from(data.len()).expect("short").to_be_bytes().as_slice(), &body, &crc(&body).to_be_bytes()].concat()
    };
    let header = [width.to_be_bytes().as_slice(), &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let data = [0x78, 0x9C, 0x63, 0, 0, 0, 1, 0, 1];
    [b"\x89PNG\r\n\x1a\n".as_slice(), &chunk(b"IHDR", &header), &chunk(b"IDAT", &data), &chunk(b"IEND", &[])].concat()
}

#[test]
fn an_upload_that_stalls_or_is_cut_off_leaves_nothing() {
    let mut media = Media::with(0, |limits| limits.stall = Duration::from_millis(500));
    let big = vec![7; 3 << 20];
    // Stalls in its third MiB, when a part is stored already.
    let mut client = Client::connect(media.world.public);
    let head = media.head("bora", "POST", "/v1/media", &[("content-type", "video/mp4")], big.len());
    client.write(head.as_bytes()).expect("the server reads");
    client.write(&big[..2_500_000]).expect("the server reads");
    while media.objects().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(media.rows() > 0, "there is a row before there is an object");
    let answer = client.read().expect("an answer");
    assert_eq!((answer.status, json(&answer)["code"].as_u64()), (408, Some(107)));
    media.check_nothing_left("an upload that stalls");
    media.world.check_counted("body_time", 1);
    // Its client is gone.
    let mut client = Client::connect(media.world.public);
    client.write(head.as_bytes()).expect("the server reads");
    client.write(&big[..2_500_000]).expect("the server reads");
    drop(client);
    media.check_nothing_left("an upload that is cut off");
    // All the places are there again.
    assert_eq!(media.made("bora", "", &big)["kind"], "file");
}

#[test]
fn uploads_at_once_are_bounded() {
    let mut media = Media::new();
    let head = media.head("bora", "POST", "/v1/media", &[("content-type", "video/mp4")], 1_000);
    let open = || {
        let mut client = Client::connect(media.world.public);
        client.write(head.as_bytes()).expect("the server reads");
        client.write(b"x").expect("the server reads");
        client
    };
    let clients: Vec<_> = (0..4).map(|_| open()).collect();
    // All have begun once each has its row.
    while media.rows() < 4 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let answer = media.upload("bora", "", "video/mp4", b"more");
    assert_eq!((answer.status, json(&answer)["code"].as_u64()), (503, Some(114)), "{}", answer.body);
    assert_eq!(media.upload("minsu", "", "video/mp4", b"more").status, 201, "another account has places of its own");
    media.world.check_counted("uploads", 1);
    drop(clients);
    let begun = Instant::now();
    while media.upload("bora", "", "video/mp4", b"more").status != 201 {
        assert!(begun.elapsed() < Duration::from_secs(10), "places come back");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_full_disk_is_said_and_nothing_is_left() {
    let mut media = Media::with(u64::MAX, |_| ());
    let answer = media.upload("bora", "", "image/png", &picture(300, 200, ImageFormat::Png));
    assert_eq!((answer.status, json(&answer)["code"].as_u64()), (507, Some(115)), "{}", answer.body);
    assert_ne!(answer.header("retry-after"), "");
    let begun = media.ask("bora", "POST", "/v1/media/uploads", &[("upload-length", "10")], b"");
    assert_eq!(begun.status, 507, "{}", begun.body);
    media.check_nothing_left("a full disk");
    media.world.check_counted("disk", 2);
}

#[test]
fn a_url_that_is_altered_or_expired_and_a_range_beyond_the_end_are_refused() {
    let mut media = Media::new();
    let made = media.made("bora", "?name=x.html", b"<html><script>alert(1)</script>");
    let url = made["urls"]["original"].as_str().expect("a URL").to_owned();
    let whole = media.ask("", "GET", &url, &[], b"");
    assert_eq!((whole.status, whole.header("content-type")), (200, "application/octet-stream"));
    assert!(whole.header("content-disposition").starts_with("attachment; "), "{}", whole.header("content-disposition"));
    let mut check = |url: &str, headers: &[(&str, &str)], status: u16, code: u64| {
        let answer = media.ask("", "GET", url, headers, b"");
        assert_eq!((answer.status, json(&answer)["code"].as_u64()), (status, Some(code)), "{url} {headers:?}");
        answer
    };
    let other = |from: &str, to: &str| url.replacen(from, to, 1);
    check(&other("/original", "/small"), &[], 403, 103);
    check(&other("/original", "/nothing"), &[], 403, 103);
    check(&other("expires=1", "expires=2"), &[], 403, 103);
    check(&other("signature=", "signature=x"), &[], 403, 103);
    check(url.split('?').next().expect("a path"), &[], 403, 103);
    let id = made["media_id"].as_str().expect("an id");
    check(&url.replacen(id, "1", 1), &[], 403, 103);
    let beyond = check(&url, &[("range", "bytes=31-")], 416, 106);
    assert_eq!(beyond.header("content-range"), "bytes */31");
    check(&url, &[("range", "bytes=500-600")], 416, 106);
    media.world.advance_ms(86_400_000 * 5 / 4 + 1_000);
    let expired = media.ask("", "GET", &url, &[], b"");
    assert_eq!((expired.status, json(&expired)["code"].as_u64()), (410, Some(103)));
}

#[test]
fn a_large_file_comes_in_parts_and_goes_on_where_it_broke_off() {
    let mut media = Media::with(0, |limits| limits.stall = Duration::from_millis(500));
    let file: Vec<u8> = (0..2_500_000_u32).flat_map(u32::to_le_bytes).collect();
    let length = file.len().to_string();
    let name = "filename bW92aWUuYmlu,filetype dmlkZW8vbXA0";
    let begun = media.ask(
        "bora",
        "POST",
        "/v1/media/uploads",
        &[("upload-length", &length), ("upload-metadata", name), ("tus-resumable", "1.0.0")],
        b"",
    );
    assert_eq!((begun.status, begun.header("tus-resumable")), (201, "1.0.0"), "{}", begun.body);
    assert_ne!(begun.header("upload-expires"), "");
    let place = begun.header("location").to_owned();
    let id = place.rsplit('/').next().expect("an id").to_owned();
    let whole = format!("/v1/media/{id}");
    const PART: (&str, &str) = ("content-type", "application/offset+octet-stream");
    let patch = |media: &mut Media, user: &str, from: usize, to: usize| {
        media.ask(user, "PATCH", &place, &[PART, ("upload-offset", &from.to_string())], &file[from..to])
    };
    let first = patch(&mut media, "bora", 0, 3_000_000);
    assert_eq!((first.status, first.header("upload-offset")), (204, "3000000"), "{}", first.body);
    assert_eq!(media.ask("bora", "GET", &whole, &[], b"").status, 409, "it is not whole");
    assert_eq!(patch(&mut media, "minsu", 3_000_000, 3_000_001).status, 404, "it is bora's");
    let wrong = patch(&mut media, "bora", 2_000_000, 2_000_001);
    assert_eq!((wrong.status, json(&wrong)["code"].as_u64()), (409, Some(122)));
    assert_eq!(media.ask("bora", "PATCH", &place, &[("upload-offset", "3000000")], b"x").status, 415);
    assert_eq!(
        media
            .ask("bora", "PATCH", &place, &[PART, ("upload-offset", "3000000"), ("tus-resumable", "0.2")], b"x")
            .status,
        412
    );
    // Breaks off: what had come by then counts.
    let mut client = Client::connect(media.world.public);
    let head = media.head("bora", "PATCH", &place, &[PART, ("upload-offset", "3000000")], file.len() - 3_000_000);
    client.write(head.as_bytes()).expect("the server reads");
    client.write(&file[3_000_000..5_500_000]).expect("the server reads");
    assert_eq!(client.read().map(|answer| answer.status), Some(408));
    let offset = |media: &mut Media| {
        let mut client = Client::connect(media.world.public);
        let head = media.head("bora", "HEAD", &place, &[], 0);
        client.write(head.as_bytes()).expect("the server reads");
        client.read().expect("an answer").header("upload-offset").parse::<usize>().expect("a number")
    };
    assert_eq!(offset(&mut media), 5_500_000);
    let last = patch(&mut media, "bora", 5_500_000, file.len());
    assert_eq!((last.status, last.header("upload-offset")), (204, &*length), "{}", last.body);
    let answer = media.ask("bora", "GET", &whole, &[], b"");
    let made = json(&answer);
    assert_eq!((answer.status, &made["name"], &made["media_id"]), (200, &"movie.bin".into(), &id.as_str().into()));
    let fetched = media.fetch(&made["urls"]["original"], &[("range", "bytes=2097150-6000000")]);
    assert_eq!((fetched.status, fetched.bytes == file[2_097_150..=6_000_000]), (206, true));
    // The same file again: its id leads to the media that there is.
    let begun = media.ask("bora", "POST", "/v1/media/uploads", &[("upload-length", &length)], b"");
    let again = begun.header("location").to_owned();
    let last = media.ask("bora", "PATCH", &again, &[PART, ("upload-offset", "0")], &file);
    assert_eq!(last.status, 204, "{}", last.body);
    let found = media.ask("bora", "GET", &again.replacen("/uploads", "", 1), &[], b"");
    assert_eq!((found.status, &json(&found)["media_id"]), (200, &made["media_id"]), "{}", found.body);
    // One that is given up.
    let begun = media.ask("bora", "POST", "/v1/media/uploads", &[("upload-length", "9")], b"");
    let given_up = begun.header("location").to_owned();
    assert_eq!(media.ask("bora", "PATCH", &given_up, &[PART, ("upload-offset", "0")], b"abc").status, 204);
    let objects = media.objects().len();
    assert_eq!(media.ask("minsu", "DELETE", &given_up, &[], b"").status, 404);
    assert_eq!(media.ask("bora", "DELETE", &given_up, &[], b"").status, 204);
    assert_eq!(media.objects().len(), objects - 1);
    assert_eq!(media.ask("bora", "PATCH", &given_up, &[PART, ("upload-offset", "3")], b"abc").status, 404);
    for length in ["0", "x", "12582913"] {
        let status = media.ask("bora", "POST", "/v1/media/uploads", &[("upload-length", length)], b"").status;
        assert!(status == 400 || status == 413, "{length}: {status}");
    }
    let spoken = media.ask("", "OPTIONS", "/v1/media/uploads", &[], b"");
    assert_eq!(
        (spoken.status, spoken.header("tus-version"), spoken.header("tus-max-size")),
        (204, "1.0.0", "12582912")
    );
}

#[test]
fn a_large_file_that_is_not_what_it_says_is_refused_at_its_end() {
    let mut media = Media::new();
    let metadata = ("upload-metadata", "filename YS5wbmc=");
    let begun = media.ask("bora", "POST", "/v1/media/uploads", &[("upload-length", "20"), metadata], b"");
    let place = begun.header("location").to_owned();
    let headers = [("content-type", "application/offset+octet-stream"), ("upload-offset", "0")];
    let answer = media.ask("bora", "PATCH", &place, &headers, b"<html>12345678901234");
    assert_eq!((answer.status, json(&answer)["code"].as_u64()), (422, Some(107)), "{}", answer.body);
    media.check_nothing_left("a large file that is not what it says");
}

#[test]
fn what_no_message_holds_goes_after_a_day() {
    let mut media = Media::new();
    let poster = media.made("bora", "", &picture(300, 200, ImageFormat::Jpeg));
    let id = poster["media_id"].as_str().expect("an id").to_owned();
    let video = [b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41".as_slice(), &[0; 1000]].concat();
    let refused = media.upload("minsu", &format!("?poster={id}"), "video/mp4", &video);
    assert_eq!(refused.status, 404, "another's poster: {}", refused.body);
    let made = media.made("bora", &format!("?poster={id}&name=a.mp4"), &video);
    assert_eq!((&made["kind"], &made["poster"]), (&"video".into(), &poster["media_id"]));
    let shown = media.fetch(&made["urls"]["poster"], &[]);
    assert_eq!((shown.status, shown.header("content-type")), (200, "image/jpeg"));
    media.world.advance_ms(86_400_000 - 60_000);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(media.fetch(&made["urls"]["original"], &[]).status, 200, "a day is not over");
    // Sent again: it stays for a day more.
    assert_eq!(media.upload("bora", "", "", &video).status, 200);
    media.world.advance_ms(120_000);
    std::thread::sleep(Duration::from_millis(300));
    let path = format!("/v1/media/{}", made["media_id"].as_str().expect("an id"));
    assert_eq!(media.ask("bora", "GET", &path, &[], b"").status, 200, "it was sent again");
    assert_eq!(media.ask("bora", "GET", &format!("/v1/media/{id}"), &[], b"").status, 200, "a video holds its poster");
    media.world.advance_ms(86_400_000);
    media.check_nothing_left("a day later");
}

#[test]
fn a_server_without_a_place_for_media_says_so() {
    let mut world = World::new();
    world.sign_up("bora");
    world.check(r#"bora GET /v1/media/1 => 501 {"code":104}"#);
    world.check(r#"GET /v1/media/1/original => 403 {"code":103}"#);
}

#[test]
fn what_a_message_carries_is_for_who_may_read_it_and_goes_with_it() {
    let mut media = Media::new();
    let made = media.made("bora", "", &picture(300, 200, ImageFormat::Jpeg));
    let world = &mut media.world;
    world.sign_up("cho");
    world.name("media", made["media_id"].as_str().expect("an id"));
    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"$minsu"} => 201 {"channel_id":"$c"}"#);
    world.check(r#"bora POST /v1/channels/$c/messages {"client_msg_id":"$m1","body":"before"} => 201 {"seq":1}"#);
    world.check(
        r#"bora POST /v1/channels/$c/messages {"client_msg_id":"$m2","body":"","media":["$media"]} => 201 {"seq":2}"#,
    );
    const ASK: &str = r#"POST /v1/media/urls {"channel_id":"$c","seqs":[0,1,2,3]}"#;
    let answer = world.check(&format!("minsu {ASK} => 200"));
    let urls = json(&answer)["media"][made["media_id"].as_str().expect("an id")].clone();
    assert!(urls["small"].is_string() && urls["medium"].is_null(), "{}", answer.body);
    world.check(&format!(r#"cho {ASK} => 404 {{"code":102}}"#));
    world.check(r#"minsu POST /v1/media/urls {"channel_id":"7","seqs":[1]} => 404 {"code":102}"#);
    world.check(r#"minsu POST /v1/media/urls {"channel_id":"$c","seqs":[1]} => 200 {"media":{}}"#);
    let many = vec!["1"; 101].join(",");
    world.check(&format!(r#"minsu POST /v1/media/urls {{"channel_id":"$c","seqs":[{many}]}} => 400 {{"code":106}}"#));
    assert_eq!(media.fetch(&urls["small"], &[]).status, 200);
    media.world.advance_ms(5 * 86_400_000);
    std::thread::sleep(Duration::from_millis(300));
    assert!(!media.objects().is_empty(), "a message holds it");
    let path = format!("/v1/channels/{}/messages/2?op_id={}", media.world.value("c"), media.world.value("m3"));
    let deleted = media.ask("bora", "DELETE", &path, &[], b"");
    assert_eq!(deleted.status, 200, "{}", deleted.body);
    media.check_nothing_left("the last message that held it");
}

#[test]
fn a_request_that_hangs_gives_way_to_the_next() {
    let mut media = Media::new();
    let file: Vec<u8> = (0..700_000_u32).flat_map(u32::to_le_bytes).collect();
    let begun = media.ask("bora", "POST", "/v1/media/uploads", &[("upload-length", &file.len().to_string())], b"");
    let place = begun.header("location").to_owned();
    const PART: (&str, &str) = ("content-type", "application/offset+octet-stream");
    let mut hangs = Client::connect(media.world.public);
    let head = media.head("bora", "PATCH", &place, &[PART, ("upload-offset", "0")], file.len());
    hangs.write(head.as_bytes()).expect("the server reads");
    hangs.write(&file[..2_500_000]).expect("the server reads");
    while media.objects().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(100));
    let mut asks = Client::connect(media.world.public);
    let head = media.head("bora", "HEAD", &place, &[], 0);
    asks.write(head.as_bytes()).expect("the server reads");
    let offset = asks.read().expect("an answer").header("upload-offset").to_owned();
    assert_eq!(offset, "2500000", "what had come is stored");
    assert_eq!(hangs.read().map(|answer| answer.status), Some(409));
    let rest = media.ask("bora", "PATCH", &place, &[PART, ("upload-offset", &offset)], &file[2_500_000..]);
    assert_eq!(rest.status, 204, "{}", rest.body);
    let made = json(&media.ask("bora", "GET", &place.replacen("/uploads", "", 1), &[], b""));
    assert!(media.fetch(&made["urls"]["original"], &[]).bytes == file, "not a byte is another's");
}

#[test]
fn an_upload_that_is_given_up_while_it_is_written_leaves_nothing() {
    let mut media = Media::new();
    let begun = media.ask("bora", "POST", "/v1/media/uploads", &[("upload-length", "9000000")], b"");
    let place = begun.header("location").to_owned();
    let mut writes = Client::connect(media.world.public);
    let headers = [("content-type", "application/offset+octet-stream"), ("upload-offset", "0")];
    let head = media.head("bora", "PATCH", &place, &headers, 9_000_000);
    writes.write(head.as_bytes()).expect("the server reads");
    writes.write(&vec![1; 2_500_000]).expect("the server reads");
    while media.objects().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(media.ask("bora", "DELETE", &place, &[], b"").status, 204);
    let _cut_off = writes.write(&vec![1; 6_500_000]);
    media.check_nothing_left("an upload that is given up");
    std::thread::sleep(Duration::from_millis(300));
    media.check_nothing_left("an upload that is given up, later");
}

#[test]
fn a_row_that_cannot_be_read_stops_no_sweep() {
    let mut media = Media::new();
    let earlier = MediaId(1);
    let mut tx = media.world.engine.begin(Begin::Fresh);
    tx.set(&keys::media(earlier), &[0xEE, 1, 2, 3]);
    tx.set(&keys::media_due(UnixMs(1), earlier), &[1]);
    block_on(tx.commit()).expect("stored");
    media.made("bora", "", b"a file that no message takes");
    media.world.advance_ms(86_400_000 + 1_000);
    let begun = Instant::now();
    while !media.objects().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it is behind one that cannot be read");
        std::thread::sleep(Duration::from_millis(20));
    }
}
