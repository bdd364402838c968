//! The node's HTTP: sign up, log in, channels, histories. One request a connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use schema::command::{History, HistoryWindow};
use schema::{ChannelId, Seq, UserId};
use serde_json::{Value, json};

use super::{Fault, Inner};

pub(super) fn answer(mut stream: &TcpStream, node: &Inner) {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).map(|_| line.trim_end().to_owned())
    };
    let Ok(request) = line() else { return };
    let (mut length, mut token) = (0, String::new());
    while let Ok(header) = line() {
        match header.to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().expect("a number"),
            Some(("authorization", _)) => token = header["authorization: bearer ".len()..].to_owned(),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() || request.is_empty() {
        return;
    }
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let path = request.split(' ').nth(1).expect("a request has a path");
    let (status, body) = route(node, path, &token, &body);
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    _ = stream.write_all((head + &body).as_bytes());
}

fn route(node: &Inner, path: &str, token: &str, body: &Value) -> (u16, Value) {
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let mut state = node.state();
    let caller = state.users.values().find(|(_, known)| known == token).map(|&(user, _)| user);
    match (path, caller) {
        ("/v1/auth/signup", _) => {
            let (user, token) = (UserId(state.users.len() as u64 + 1), format!("token of {}", text("username")));
            assert!(state.users.insert(text("username"), (user, token.clone())).is_none(), "a name is taken once");
            let expires_ms = 4_000_000_000_000_u64;
            (201, json!({"user_id": user, "token": token, "expires_ms": expires_ms, "refresh_token": "r"}))
        }
        ("/v1/me", Some(user)) => (200, json!({"user_id": user})),
        ("/v1/channels", Some(user)) => {
            let id = |value: &Value| value.as_str().and_then(|id| id.parse().ok()).expect("a user's id");
            let members = match text("kind").as_str() {
                "direct" => vec![user, id(&body["user_id"])],
                "group" => {
                    let others = body["member_ids"].as_array().expect("ids").iter().map(id);
                    std::iter::once(user).chain(others).collect()
                }
                other => panic!("no kind {other:?}"),
            };
            state.channels.push(members);
            (201, json!({"channel_id": (state.channels.len() - 1).to_string()}))
        }
        (path, Some(_)) if path.starts_with("/v1/channels/") => {
            let part = |from: &str, to: char| path.split(from).nth(1)?.split(to).next()?.parse().ok();
            let (channel_id, after) = (part("/channels/", '/').expect("an id"), part("after=", '&').expect("a seq"));
            let window = HistoryWindow::After(Seq(after));
            let mut page = state.history(&History { channel_id: ChannelId(channel_id), window, limit: 200 });
            if node.fault == Fault::HideFromHistory {
                let all = page.messages.len();
                page.messages.retain(|message| !message.seq.0.is_multiple_of(5));
                state.faults += (all - page.messages.len()) as u64;
            }
            (200, serde_json::to_value(&page).expect("a page is JSON"))
        }
        (_, None) => (401, json!({"code": 101, "detail": "who are you?"})),
        (other, Some(_)) => panic!("loadgen asks for no {other}"),
    }
}
