//! One row: the server that says what it says, the client that it is said to, and what each must show.

mod compare;
mod program;
mod server;

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use compare::{Names, fits, said};
use program::Program;
use server::{Heard, Server};

/// Time that a step may wait.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time that a row may take.
const ROW: Duration = Duration::from_secs(10);

type Outcome<T> = Result<T, String>;

/// Runs a row; the step that failed, and why.
pub(crate) async fn run(row: &Value) -> Outcome<()> {
    let steps = row["steps"].as_array().ok_or("a row has steps")?;
    let mut row = Row::new(row).await;
    let all = async {
        if steps.first().is_none_or(|step| step.get("stopped").is_none()) {
            row.program.start(&row.server.url)?;
        }
        for (at, step) in steps.iter().enumerate() {
            row.step(step).await.map_err(|why| format!("step {} {step}: {why}", at + 1))?;
            row.last = Instant::now();
        }
        row.program.nothing_left()?;
        row.server.nothing_left()
    };
    let result = tokio::time::timeout(ROW, all).await.unwrap_or_else(|_| Err("it takes over 10 s".to_owned()));
    row.program.stop().await;
    result
}

/// Waits for what a step waits for.
async fn patiently<T>(what: &str, waits: impl Future<Output = T>) -> Outcome<T> {
    tokio::time::timeout(PATIENCE, waits).await.map_err(|_| format!("within 5 s there is no {what}"))
}

/// A frame that the client sent: where, under which id, which command.
#[derive(Clone)]
struct Asked {
    connection: usize,
    id: Value,
    command: String,
}

struct Row {
    server: Server,
    program: Program,
    names: Names,
    asked: BTreeMap<String, Asked>,
    newest: Option<Asked>,
    last: Instant,
}

impl Row {
    async fn new(row: &Value) -> Self {
        let tokens = row["tokens"].as_array().cloned();
        let tokens = tokens.unwrap_or_else(|| (1..10).map(|number| json!(format!("t{number}"))).collect());
        Self {
            server: Server::start().await,
            program: Program::new(tokens, row["cursor"].as_str()),
            names: Names::new(),
            asked: BTreeMap::new(),
            newest: None,
            last: Instant::now(),
        }
    }

    async fn step(&mut self, step: &Value) -> Outcome<()> {
        let has = |key: &str| step.get(key);
        if let Some(name) = has("result") {
            let result = self.program.result(name.as_str().ok_or("a result has a name")?).await?;
            match (result, has("ok"), has("error")) {
                (Ok(reply), Some(expected), None) => fits(expected, &reply, &mut self.names),
                (Err(code), None, Some(expected)) => fits(expected, &json!(code), &mut self.names),
                (result, _, _) => Err(format!("it came to {result:?}")),
            }
        } else if let Some(accept) = has("accept") {
            self.accept(accept, has("connect").unwrap_or(&Value::Null)).await
        } else if let Some(expected) = has("expect") {
            self.expect(expected, step).await
        } else if let Some(reply) = has("reply") {
            let asked = self.named(step)?;
            let fields = said(reply, &self.names, &self.server.url);
            self.server.say(asked.connection, json!({"id": asked.id, asked.command.as_str(): fields}).to_string()).await
        } else if let Some(error) = has("error") {
            let asked = self.named(step)?;
            let mut fields = json!({"message": "no", "temporary": false, "retry_after_ms": 0});
            overlay(&mut fields, error);
            self.server.say(asked.connection, json!({"id": asked.id, "error": fields}).to_string()).await
        } else if let Some(push) = has("push") {
            let push = said(push, &self.names, &self.server.url);
            self.server.say_newest(json!({"push": push}).to_string()).await
        } else if let Some(raw) = has("raw") {
            for _ in 0..has("times").and_then(Value::as_u64).unwrap_or(1) {
                self.server.say_newest(raw.as_str().ok_or("raw is a text")?.to_owned()).await?;
            }
            Ok(())
        } else if let Some(code) = has("close") {
            let code = code.as_u64().and_then(|code| u16::try_from(code).ok()).ok_or("a code is a number")?;
            self.server.close(code, has("reason").and_then(Value::as_str).unwrap_or_default()).await
        } else if has("cut").is_some() {
            self.server.cut()
        } else if let Some(ms) = has("quiet_ms") {
            self.server.quiet(Duration::from_millis(ms.as_u64().ok_or("a number of ms")?)).await
        } else if let Some(call) = has("client") {
            let (name, fields) = only(call)?;
            let fields = said(fields, &self.names, &self.server.url);
            self.program.call(name, &fields, has("as").and_then(Value::as_str)).await
        } else if let Some(shown) = has("show") {
            let (kind, fields) = only(shown)?;
            let of = has("as").and_then(Value::as_str);
            self.program.show(kind, fields, of, &mut self.names).await
        } else if has("stop").is_some() {
            self.program.stop().await;
            Ok(())
        } else if has("start").is_some() {
            self.program.start(&self.server.url)
        } else if has("stopped").is_some() {
            Ok(())
        } else {
            Err("this runner knows no such step".to_owned())
        }
    }

    fn named(&self, step: &Value) -> Outcome<Asked> {
        let asked = match step.get("to").and_then(Value::as_str) {
            Some(name) => self.asked.get(name),
            None => self.newest.as_ref(),
        };
        asked.cloned().ok_or_else(|| "nothing was expected under that name".to_owned())
    }

    /// The next frame of the newest connection: checked for what holds of all frames.
    async fn frame(&mut self) -> Outcome<(usize, Value, String, Value)> {
        loop {
            let Heard { connection, text } = patiently("frame", self.server.frame()).await?;
            let frame: Value = serde_json::from_str(&text).map_err(|error| format!("{text} is no JSON: {error}"))?;
            let mut fields = frame.as_object().cloned().ok_or_else(|| format!("{text} is no envelope"))?;
            let id = fields.remove("id").unwrap_or(Value::Null);
            let [(command, fields)] = &fields.into_iter().collect::<Vec<_>>()[..] else {
                return Err(format!("{text} has not one command"));
            };
            self.server.check_id(connection, &id, command)?;
            for field in ["client_msg_id", "op_id"] {
                let of_version_7 = |id: &str| uuid::Uuid::parse_str(id).is_ok_and(|id| id.get_version_num() == 7);
                if let Some(id) = fields.get(field)
                    && !id.as_str().is_some_and(of_version_7)
                {
                    return Err(format!("{text}: {field} is no UUID of version 7"));
                }
            }
            if command == "echo" {
                self.server.say(connection, json!({"id": id, "echo": fields}).to_string()).await?;
            } else if connection == self.server.newest() {
                return Ok((connection, id, command.clone(), fields.clone()));
            }
        }
    }

    async fn accept(&mut self, accept: &Value, expected: &Value) -> Outcome<()> {
        let (connection, id, command, fields) = self.frame().await?;
        if command != "connect" {
            return Err(format!("the frame is {command} {fields}"));
        }
        if !expected.is_null() {
            fits(expected, &fields, &mut self.names)?;
        }
        let days = accept.get("days").and_then(Value::as_u64).unwrap_or(0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
        let mut reply = json!({
            "user_id": "1", "session_id": "s", "server_time_ms": u64::try_from(now).expect("64 bits of ms") + days * 24 * 3_600_000,
            "ping_ms": 25_000, "limits": {"body_chars_max": 4_000, "frame_bytes_max": 65_536},
            "cursor": fields.get("cursor").cloned().unwrap_or(json!("c0")), "retry": {"base_ms": 20, "cap_ms": 80},
        });
        overlay(&mut reply, &said(accept, &self.names, &self.server.url));
        self.server.say(connection, json!({"id": id, "connect": reply}).to_string()).await
    }

    async fn expect(&mut self, expected: &Value, step: &Value) -> Outcome<()> {
        let (connection, id, command, fields) = self.frame().await?;
        let (expected_command, expected_fields) = only(expected)?;
        if command != expected_command {
            return Err(format!("the frame is {command} {fields}"));
        }
        fits(expected_fields, &fields, &mut self.names)?;
        if let Some(path) = step.get("path").and_then(Value::as_str) {
            let is = self.server.path(connection);
            if is != path {
                return Err(format!("it comes on {is}"));
            }
        }
        if let Some(ms) = step.get("after_ms").and_then(Value::as_u64) {
            let after = self.last.elapsed();
            if after < Duration::from_millis(ms) {
                return Err(format!("it comes after {after:?}"));
            }
        }
        let asked = Asked { connection, id, command };
        if let Some(name) = step.get("as").and_then(Value::as_str) {
            self.asked.insert(name.to_owned(), asked.clone());
        }
        self.newest = Some(asked);
        Ok(())
    }
}

/// The one key of an object and what is there.
fn only(object: &Value) -> Outcome<(&str, &Value)> {
    let mut entries = object.as_object().into_iter().flat_map(Map::iter);
    match (entries.next(), entries.next()) {
        (Some((name, fields)), None) => Ok((name, fields)),
        _ => Err(format!("{object} has not one key")),
    }
}

/// Puts fields over others, at every depth.
fn overlay(under: &mut Value, over: &Value) {
    match (under.as_object_mut(), over) {
        (Some(under), Value::Object(over)) => {
            for (key, value) in over {
                overlay(under.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        _ => *under = over.clone(),
    }
}
