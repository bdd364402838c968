//! Media in a bucket: against a server on loopback that speaks as much of S3 as is asked of it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use media::{Library, Limits, Objects, S3, StoreError};
use schema::MediaId;

/// Objects by name, below a bucket called `media`.
type Bucket = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// Serves until the process ends. Whoever does not sign is refused.
fn serve() -> (SocketAddr, Bucket) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (address, bucket) = (listener.local_addr().expect("it is bound"), Bucket::default());
    let served = Arc::clone(&bucket);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let bucket = Arc::clone(&served);
            thread::spawn(move || {
                let mut stream = BufReader::new(stream.expect("a connection"));
                while answer(&mut stream, &bucket).is_some() {}
            });
        }
    });
    (address, bucket)
}

fn answer(stream: &mut BufReader<TcpStream>, bucket: &Bucket) -> Option<()> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|&bytes| bytes > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let is_signed = headers.get("authorization").is_some_and(|value| value.contains("Credential=visible/"));
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let name = path.strip_prefix("/media").unwrap_or_default().trim_start_matches('/').to_owned();
    let mut objects = bucket.lock().expect("nobody panics here");
    let (status, more, told) = match method.as_str() {
        _ if !is_signed => (403, String::new(), Vec::new()),
        "PUT" => {
            objects.insert(name, body);
            (200, "etag: \"e\"\r\n".to_owned(), Vec::new())
        }
        "GET" if query.contains("list-type=2") => {
            let prefix = query.split('&').find_map(|part| part.strip_prefix("prefix=")).unwrap_or_default();
            let prefix = prefix.replace("%2F", "/");
            let one = |(name, bytes): (&String, &Vec<u8>)| {
                let size = bytes.len();
                format!(
                    "<Contents><Key>{name}</Key><LastModified>2026-11-30T00:00:00.000Z</LastModified><ETag>\"e\"</ETag><Size>{size}</Size></Contents>"
                )
            };
            let listed: String = objects.iter().filter(|(name, _)| name.starts_with(&prefix)).map(one).collect();
            let text = format!("<ListBucketResult><IsTruncated>false</IsTruncated>{listed}</ListBucketResult>");
            (200, String::new(), text.into_bytes())
        }
        "GET" => match objects.get(&name) {
            None => (404, String::new(), b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
            Some(bytes) => {
                let range = headers.get("range").and_then(|range| {
                    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
                    Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?.min(bytes.len() - 1)))
                });
                let tag = "etag: \"e\"\r\nlast-modified: Mon, 30 Nov 2026 00:00:00 GMT\r\n";
                match range {
                    None => (200, tag.to_owned(), bytes.clone()),
                    Some((first, _)) if first >= bytes.len() => (416, String::new(), Vec::new()),
                    Some((first, last)) => {
                        let range = format!("{tag}content-range: bytes {first}-{last}/{}\r\n", bytes.len());
                        (206, range, bytes[first..=last].to_vec())
                    }
                }
            }
        },
        "DELETE" => {
            objects.remove(&name);
            (204, String::new(), Vec::new())
        }
        "POST" if query.starts_with("delete") => {
            let text = String::from_utf8(body).expect("XML");
            let names = text.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
            let deleted: String = names
                .map(|name| {
                    objects.remove(name);
                    format!("<Deleted><Key>{name}</Key></Deleted>")
                })
                .collect();
            (200, String::new(), format!("<DeleteResult>{deleted}</DeleteResult>").into_bytes())
        }
        other => panic!("{other} {target} is not asked of a bucket"),
    };
    let head = format!("HTTP/1.1 {status} x\r\n{more}content-length: {}\r\n\r\n", told.len());
    stream.get_mut().write_all(head.as_bytes()).ok()?;
    stream.get_mut().write_all(&told).ok()
}

fn bucket(address: SocketAddr, key: &str) -> Objects {
    let config = S3 {
        bucket: "media".to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: Some(format!("http://{address}")),
        prefix: "chat".to_owned(),
        access_key_id: Some(key.to_owned()),
        secret_access_key: Some("hidden".to_owned()),
    };
    Objects::s3(&config).expect("named well")
}

#[test]
fn a_file_is_kept_in_a_bucket_and_nothing_of_it_stays() {
    let (address, stored) = serve();
    let objects = bucket(address, "visible");
    let library = Library::start(objects, Limits::default()).expect("a thread");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let bytes: Vec<u8> = (0..5_000_u32).flat_map(u32::to_le_bytes).collect();
    runtime.block_on(async {
        library.objects().probe().await.expect("it writes, reads and removes");
        const PART: u64 = 4_096;
        let media = MediaId(0x1234);
        let mut offset = 0;
        for end in [1_000, 10_000, bytes.len()] {
            let mut writing = library.write(media, PART, offset).await.expect("begun");
            writing.push(Bytes::copy_from_slice(&bytes[offset as usize..end])).await.expect("stored");
            writing.flush().await.expect("stored");
            offset = writing.bytes();
        }
        let names: Vec<String> = stored.lock().expect("nobody panics").keys().cloned().collect();
        let expected: Vec<String> = (0..5).map(|part| format!("chat/34/4660/o{part}")).collect();
        assert_eq!(names, expected);
        for range in [0..1, 0..20_000, 4_095..4_097, 4_096..8_192, 19_999..20_000] {
            let pieces = library.objects().read(media, PART, range.clone());
            let read = pieces.map_ok(|piece| piece.to_vec()).try_concat().await.expect("it is there");
            assert_eq!(read, bytes[range.start as usize..range.end as usize], "{range:?}");
        }
        assert!(matches!(library.objects().thumbnail(media, 1).await, Err(StoreError::Missing)));
        library.objects().remove(media).await.expect("removed");
        library.objects().remove(media).await.expect("removed, there or not");
    });
    assert_eq!(stored.lock().expect("nobody panics").len(), 0);
}

#[test]
fn a_bucket_whose_key_is_another_says_so() {
    let (address, _) = serve();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let refused = runtime.block_on(bucket(address, "other").probe());
    let shown = format!("{refused:?}");
    assert!(refused.is_err() && !shown.contains("hidden"), "{shown}");
}
