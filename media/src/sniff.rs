//! What a file is by its first bytes, and what may be said of it.
//!
//! Owns the media types that a browser may show, and names of files as they are kept. What a sender says of a file is
//! compared with what it is, and never believed.

use schema::MediaKind;

/// Bytes from a file's beginning that tell what it is.
pub(crate) const SNIFFED_BYTES: usize = 8 * 1024;
/// Bytes of a file's name at most, as file systems have it.
const NAME_BYTES_MAX: usize = 255;
/// The type of what is none of the known ones.
const UNKNOWN: &str = "application/octet-stream";

/// Pictures that are decoded.
const PICTURES: &[&str] = &["image/jpeg", "image/png", "image/gif", "image/webp"];
/// Videos and sound that browsers play. Whatever a browser could run is in neither list.
const PLAYED: &[&str] = &[
    "video/mp4",
    "video/webm",
    "video/quicktime",
    "audio/mpeg",
    "audio/mp4",
    "audio/ogg",
    "audio/opus",
    "audio/aac",
    "audio/flac",
    "audio/wav",
];

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sniffed {
    /// In one word. A picture that is not decoded here, such as HEIC, is a file.
    pub kind: MediaKind,
    /// As a media type.
    pub content_type: &'static str,
}

/// What a file is that begins with `first`: some [`SNIFFED_BYTES`], or all of it.
#[must_use]
pub fn sniff(first: &[u8]) -> Sniffed {
    let content_type = match infer::get(first).map(|found| found.mime_type()) {
        Some("audio/m4a") => "audio/mp4",
        Some("audio/x-flac") => "audio/flac",
        Some("audio/x-wav") => "audio/wav",
        Some("video/x-m4v") => "video/mp4",
        Some(other) => other,
        None if is_markup(first) => "text/html",
        None => UNKNOWN,
    };
    let kind = match content_type {
        picture if PICTURES.contains(&picture) => MediaKind::Image,
        played if PLAYED.contains(&played) => {
            if played.starts_with("video/") {
                MediaKind::Video
            } else {
                MediaKind::Audio
            }
        }
        _ => MediaKind::File,
    };
    Sniffed { kind, content_type }
}

/// Whether a text begins with markup, where a browser's own sniffing would look for it.
fn is_markup(first: &[u8]) -> bool {
    let text = first.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(first).trim_ascii_start();
    text.first() == Some(&b'<') && text.get(1).is_some_and(|next| next.is_ascii_alphabetic() || b"!?/".contains(next))
}

/// Whether a browser may show or play a media of this type where it was asked to. Anything else is to be saved.
#[must_use]
pub fn is_inline(content_type: &str) -> bool {
    PICTURES.contains(&content_type) || PLAYED.contains(&content_type)
}

/// Why a file is not what its sender says: a picture, a video or sound, by the type or the ending of its name.
#[must_use]
pub fn contradiction(said: Option<&str>, name: &str, found: Sniffed) -> Option<String> {
    let said = said.map(|said| said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let by_name = || {
        let ending = name.rsplit_once('.')?.1.to_ascii_lowercase();
        let said = match ending.as_str() {
            "jpg" | "jpeg" | "png" | "gif" | "webp" | "bmp" | "heic" | "avif" => "image/",
            "mp4" | "m4v" | "mov" | "webm" => "video/",
            "mp3" | "m4a" | "aac" | "flac" | "wav" => "audio/",
            _ => return None,
        };
        Some(format!("{said}{ending}"))
    };
    let claims = [said, by_name()];
    claims.into_iter().flatten().find_map(|said| {
        let (family, _) = said.split_once('/')?;
        // MP4, WebM and Ogg hold video or sound, and say which only further in.
        let families: &[&str] = match family {
            "image" => &["image/"],
            "video" | "audio" => &["video/", "audio/"],
            _ => return None,
        };
        let is_so = families.iter().any(|family| found.content_type.starts_with(family));
        let played_unknown = family != "image" && found.content_type == UNKNOWN;
        (!is_so && !played_unknown).then(|| format!("the file is said to be {said}, and is {}", found.content_type))
    })
}

/// A file's name as it is kept: without a path, without characters that show nothing or mean something to a shell's
/// or a header's reader, at most 255 bytes.
#[must_use]
pub fn file_name(said: &str) -> String {
    let last = said.rsplit(['/', '\\']).next().unwrap_or_default();
    let shown = last.chars().filter(|&c| !c.is_control() && !is_direction(c));
    let mut name: String = shown.collect::<String>().trim().to_owned();
    if name.len() > NAME_BYTES_MAX {
        // The ending says what opens it.
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        let ending = if ending.len() <= 16 && !ending.is_empty() { format!(".{ending}") } else { String::new() };
        let mut end = NAME_BYTES_MAX - ending.len();
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.truncate(end);
        name += &ending;
    }
    if name.chars().all(|c| c == '.') { String::new() } else { name }
}

/// Whether a character turns the direction of those behind it, so that an ending could pose as another.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

    #[test]
    fn a_file_is_what_its_first_bytes_say() {
        let check = |first: &[u8], kind: MediaKind, content_type: &str| {
            assert_eq!(sniff(first), Sniffed { kind, content_type: sniff(first).content_type }, "{first:?}");
            assert_eq!(sniff(first).content_type, content_type, "{first:?}");
        };
        check(PNG, MediaKind::Image, "image/png");
        check(b"\xff\xd8\xff\xe0\0\x10JFIF", MediaKind::Image, "image/jpeg");
        check(b"GIF89a\x01\0\x01\0", MediaKind::Image, "image/gif");
        check(b"RIFF\x10\0\0\0WEBPVP8L", MediaKind::Image, "image/webp");
        check(b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41", MediaKind::Video, "video/mp4");
        check(b"ID3\x03\0\0\0\0\0\0", MediaKind::Audio, "audio/mpeg");
        check(b"%PDF-1.7", MediaKind::File, "application/pdf");
        check(b"<!DOCTYPE html><script>alert(1)</script>", MediaKind::File, "text/html");
        check(b"\xEF\xBB\xBF \n<svg xmlns='http://www.w3.org/2000/svg'>", MediaKind::File, "text/html");
        check(b"<?xml version='1.0'?><svg/>", MediaKind::File, "text/xml");
        check(b"hello", MediaKind::File, "application/octet-stream");
        check(b"", MediaKind::File, "application/octet-stream");
        check(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", MediaKind::File, "image/heif");
    }

    #[test]
    fn what_could_run_is_never_shown_in_place() {
        for content_type in ["text/html", "text/xml", "image/svg+xml", "application/pdf", UNKNOWN, "text/plain", ""] {
            assert!(!is_inline(content_type), "{content_type}");
        }
        assert!(is_inline("image/png") && is_inline("video/mp4"));
    }

    #[test]
    fn a_file_that_claims_to_be_another_is_found_out() {
        let check = |said: Option<&str>, name: &str, first: &[u8], expected: Option<&str>| {
            assert_eq!(contradiction(said, name, sniff(first)).as_deref(), expected, "{said:?} {name}");
        };
        let html = b"<html><script>alert(1)</script>";
        check(Some("image/png"), "x", html, Some("the file is said to be image/png, and is text/html"));
        check(None, "x.PNG", html, Some("the file is said to be image/png, and is text/html"));
        check(Some("video/mp4"), "x", html, Some("the file is said to be video/mp4, and is text/html"));
        check(Some("image/jpeg; q=1"), "x.jpg", PNG, None);
        check(Some("text/html"), "x.html", html, None);
        check(Some("application/octet-stream"), "", html, None);
        check(None, "x.png.txt", html, None);
        check(
            Some("image/png"),
            "x.png",
            b"",
            Some("the file is said to be image/png, and is application/octet-stream"),
        );
        check(Some("video/mp4"), "x.mp4", b"\0\0\0\x08wide", None);
        check(Some("audio/mp4"), "x.m4a", b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41", None);
    }

    #[test]
    fn a_name_is_one_of_a_file() {
        let check = |said: &str, expected: &str| assert_eq!(file_name(said), expected, "{said:?}");
        check("a.png", "a.png");
        check("../../etc/passwd", "passwd");
        check("C:\\x\\고양이.jpg", "고양이.jpg");
        check(" a\r\nb\0.png ", "ab.png");
        check("cod\u{202e}gnp.exe", "codgnp.exe");
        check("..", "");
        check("", "");
        check("x/", "");
        let long = file_name(&format!("{}.jpeg", "가".repeat(200)));
        assert!(long.len() <= 255 && long.ends_with("가.jpeg"), "{long}");
    }
}
