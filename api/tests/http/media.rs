//! Media: what is taken, what it becomes, who gets its bytes, and what is refused without a trace.

use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

use api::{LibraryConfig, Limits};
use image::{ImageFormat, RgbImage};
use media::{Library, Objects};
use serde_json::Value;

use crate::client::{Answer, Client};
use crate::world::{Options, World};

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
            head += &format!("authorization: Bearer {}\r\n", self.world.token(user));
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
