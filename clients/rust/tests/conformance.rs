//! The conformance list of all client libraries, `clients/conformance`, against this one.
//!
//! Plays the server of each row: a WebSocket server on loopback that says what the row says. The README there has the format. A
//! failure names its file, row and step. `ROOKERY_ROW` runs the rows alone that have this in their name.

mod script;

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// Rows at once: each has little to do, and some measure time.
const AT_ONCE: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rows_of_the_conformance_list_hold() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../conformance"));
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|file| file.expect("the folder is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    let wanted = std::env::var("ROOKERY_ROW").unwrap_or_default();
    let turn = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = Vec::new();
    for path in &files {
        let text = std::fs::read_to_string(path).expect("the file is readable");
        let file: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for row in file["rows"].as_array().expect("a file has rows").clone() {
            let name = format!("{stem}: {}", row["name"].as_str().expect("a row has a name"));
            if !name.contains(&wanted) {
                continue;
            }
            let turn = Arc::clone(&turn);
            running.push(tokio::spawn(async move {
                let _turn = turn.acquire_owned().await.expect("it is never closed");
                script::run(&row).await.map_err(|why| format!("{name}\n    {why}"))
            }));
        }
    }
    let count = running.len();
    assert!(count > 0, "no rows in {} have {wanted:?} in their name", folder.display());
    let mut failures = Vec::new();
    for row in running {
        failures.extend(row.await.expect("a row does not panic").err());
    }
    assert!(failures.is_empty(), "{} of {count} rows failed:\n{}", failures.len(), failures.join("\n"));
    eprintln!("{count} rows of {} files", files.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_leaves_a_frame_fails() {
    let accept = json!({"accept": {}});
    let send = json!({"client": {"send": {"channel_id": "7", "body": "b"}}, "as": "one"});
    let expect = json!({"expect": {"send": {}}});
    // Events go to the client and back while the frame is long on its way.
    let shown = (1..=4).flat_map(|seq| {
        let push = json!({"push": {"message": {"cursor": format!("c{seq}"), "message": {
            "channel_id": "9", "seq": seq, "revision": 0, "from": "2", "sent_ms": 1, "body": "b",
            "client_msg_id": "00000000-0000-7000-8000-000000000001",
        }}}});
        [push, json!({"show": {"message": {"message": {"seq": seq}}}})]
    });
    let left: Vec<_> = [accept, send].into_iter().chain(shown).collect();
    let why = script::run(&json!({"steps": left})).await.expect_err("a frame is left");
    assert!(why.starts_with("a frame is left: {") && why.contains("\"send\""), "{why}");
    let whole: Vec<_> = left.into_iter().chain([expect]).collect();
    assert_eq!(script::run(&json!({"steps": whole})).await, Ok(()));
}
