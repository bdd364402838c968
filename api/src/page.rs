//! Files of the web page, as they were when this was built.
//!
//! Owns their paths, types and headers: a Content-Security-Policy that lets the page load what it came with and talk to
//! this server, its WebSocket, those of the nodes beside it and their APIs, and a cache before its media, and nothing else. What the files hold is `web/`.

use std::sync::Arc;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::config::Node;
use crate::origin::Origin;

/// Each file below `web/`: its path there, its bytes.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// Serves `index.html` at `/` and every other file at its own path.
///
/// `media` is what is put before the paths of media: empty, or the address of a cache, from which pictures are loaded too.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(
    ws_origin: &Origin,
    node: &Arc<dyn Node>,
    media: &str,
) -> Router<S> {
    FILES.iter().fold(Router::new(), |router, &(path, bytes)| {
        let route = if path == "index.html" { "/".to_owned() } else { format!("/{path}") };
        let kind = content_type(path);
        let tag = tag(bytes);
        let (ws_origin, node, media) = (ws_origin.clone(), Arc::clone(node), media.to_owned());
        router.route(
            &route,
            get(async move |headers: HeaderMap| {
                let peers = node.peers();
                let others = peers.nodes.iter().flat_map(|peer| [peer.ws_url.as_str(), peer.api_url.as_str()]);
                let policy = policy(&ws_origin.for_client(&headers), others, &media);
                file(&headers, bytes, kind, tag, policy)
            }),
        )
    })
}

fn file(
    headers: &HeaderMap,
    bytes: &'static [u8],
    kind: &'static str,
    tag: HeaderValue,
    policy: HeaderValue,
) -> Response {
    let known = names(headers, tag.as_bytes());
    let answer = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        // Kept, and asked for each time: a new version of the node serves a new version of the page.
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, policy),
        (ETAG, tag),
    ];
    if known { (StatusCode::NOT_MODIFIED, answer).into_response() } else { (answer, bytes).into_response() }
}

/// Whether `If-None-Match` names an entity tag, by the weak comparison of RFC 9110, section 13.1.2: what compresses an
/// answer on its way makes a strong tag weak. A line that is no list of tags names those before its fault.
fn names(headers: &HeaderMap, tag: &[u8]) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().any(|line| {
        let mut rest = line.as_bytes();
        if rest == b"*" {
            return true;
        }
        loop {
            while let [b' ' | b'\t' | b',', behind @ ..] = rest {
                rest = behind;
            }
            rest = rest.strip_prefix(b"W/").unwrap_or(rest);
            let [b'"', behind @ ..] = rest else { return false };
            let Some(end) = behind.iter().position(|&byte| byte == b'"') else { return false };
            let (found, behind) = rest.split_at(end + 2);
            if found == tag {
                return true;
            }
            rest = behind;
        }
    })
}

fn policy<'a>(ws_origin: &str, others: impl Iterator<Item = &'a str>, media: &str) -> HeaderValue {
    let plain =
        |url: &&str| !url.is_empty() && url.bytes().all(|byte| byte.is_ascii_graphic() && !b",;'".contains(&byte));
    let others: Vec<&str> = others.filter(plain).collect();
    // The host alone: of a source with a path, what is below it counts only if that ends with a slash. Where a page asks
    // another node, pictures are that one's.
    let nodes = others.iter().copied().filter(|url| url.starts_with("http"));
    let media: String = nodes.chain(Some(origin(media)).filter(plain)).map(|url| format!(" {url}")).collect();
    let others: String = others.into_iter().filter(|url| *url != ws_origin).map(|url| format!(" {url}")).collect();
    let policy = format!(
        "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self'{media}; \
         media-src 'self' blob:{media}; font-src 'self'; \
         connect-src 'self' {ws_origin}{others}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("`serve` refuses another origin, and a host is plain")
}

/// An address without its path.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or(url, |end| &url[..host + end])
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "webmanifest" => "application/json",
        _ => "application/octet-stream",
    }
}

fn tag(bytes: &[u8]) -> HeaderValue {
    let digest = Sha256::digest(bytes);
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::try_from(format!("\"{hex}\"")).expect("hexadecimal digits are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_by_the_weak_comparison() {
        let check = |lines: &[&'static str], expected| {
            let lines = lines.iter().map(|line| (IF_NONE_MATCH, HeaderValue::from_static(line)));
            let headers = lines.fold(HeaderMap::new(), |mut headers, (name, line)| {
                headers.append(name, line);
                headers
            });
            assert_eq!(names(&headers, b"\"a\""), expected, "{headers:?}");
        };
        check(&[], false);
        check(&["\"a\""], true);
        check(&["W/\"a\""], true);
        check(&["*"], true);
        check(&["\"b\", W/\"a\""], true);
        check(&["\"b\",\"c\"\t, \"a\""], true);
        check(&["\"b\"", "W/\"a\""], true);
        check(&[",, \"a\" ,"], true);
        check(&["\"b,c\", \"a\""], true);
        check(&["\"b\"", "\"c\""], false);
        check(&["\"aa\""], false);
        check(&["\"b, \"a\""], false);
        check(&["a"], false);
        check(&["w/\"a\""], false);
        check(&["\"a"], false);
        check(&["\"*\""], false);
    }

    #[test]
    fn a_page_may_connect_to_every_node_and_to_nothing_else() {
        let check = |others: &[&str], expected: &str| {
            let policy = policy("ws://a:1", others.iter().copied(), "");
            let sources = policy.to_str().expect("text").split("; ").find_map(|part| part.strip_prefix("connect-src "));
            assert_eq!(sources, Some(expected), "{others:?}");
        };
        check(&[], "'self' ws://a:1");
        check(&["ws://a:1", "wss://b"], "'self' ws://a:1 wss://b");
        check(&["wss://b; script-src *", "", "'unsafe'"], "'self' ws://a:1");
    }

    #[test]
    fn a_page_shows_pictures_of_the_nodes_and_of_the_cache_before_their_media() {
        let check = |media: &str, expected: [&str; 2]| {
            let policy = policy("ws://a:1", ["ws://b:1", "http://b:2"].into_iter(), media);
            let policy = policy.to_str().expect("text");
            let of = |name: &str| policy.split("; ").find_map(|part| part.strip_prefix(name));
            assert_eq!([of("img-src "), of("media-src ")], expected.map(Some), "{media}");
        };
        // A video's first frame is taken from the file that the user chose.
        check("", ["'self' http://b:2", "'self' blob: http://b:2"]);
        check(
            "https://cdn.example",
            ["'self' http://b:2 https://cdn.example", "'self' blob: http://b:2 https://cdn.example"],
        );
        check(
            "https://cdn.example:8443/a/b",
            ["'self' http://b:2 https://cdn.example:8443", "'self' blob: http://b:2 https://cdn.example:8443"],
        );
        check("https://cdn.example; script-src *", ["'self' http://b:2", "'self' blob: http://b:2"]);
    }

    #[test]
    fn every_file_has_a_type_that_a_browser_knows() {
        assert!(FILES.iter().any(|&(path, _)| path == "index.html"), "the page begins with index.html");
        for (path, _) in FILES {
            assert_ne!(content_type(path), "application/octet-stream", "{path}");
        }
    }

    #[test]
    fn the_page_needs_nothing_that_its_policy_forbids() {
        for (path, bytes) in FILES.iter().filter(|(path, _)| path.ends_with(".html")) {
            let text = std::str::from_utf8(bytes).expect("a page is UTF-8");
            for forbidden in ["<style", " style=", " onclick=", " onsubmit=", " onload=", "javascript:", "<script>"] {
                assert!(!text.contains(forbidden), "{path} has {forbidden:?}");
            }
        }
    }
}
