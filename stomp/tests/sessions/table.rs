//! A session with a clock, driven by rows: a step of the client, the server or the time, and what comes of it.
//!
//! Owns the rows' language, and how the server's replies and pushes are written in it.

use std::collections::VecDeque;

use schema::{CloseCode, Encoding, Instant, Now, UnixMs};
use stomp::{Decoder, Frame, Output, Session, Verb, Version};

/// A session, and the time that its test has reached.
pub(crate) struct Table {
    pub(crate) session: Session,
    version: Version,
    now_ms: u64,
}

pub(crate) const CONNECTED: &str = r#"< {"id":1,"connect":{"user_id":"7","session_id":"2a","server_time_ms":5,"ping_ms":25000,"limits":{"body_chars_max":1,"frame_bytes_max":2},"cursor":"c0","retry":{"base_ms":1,"cap_ms":2}}}"#;

impl Table {
    pub(crate) fn new(version: Version) -> Self {
        Self { session: Session::new(), version, now_ms: 1_000 }
    }

    /// After CONNECT.
    pub(crate) fn connected(version: Version, headers: &str) -> Self {
        let mut table = Self::new(version);
        table.step(&format!("> CONNECT accept-version:{} passcode:a.b.c{headers}", version.number()));
        table.step(CONNECTED);
        table
    }

    pub(crate) fn now(&self) -> Now {
        Now { mono: Instant(self.now_ms * 1_000_000), wall: UnixMs(1_800_000_000_000 + self.now_ms) }
    }

    /// One step: `> FRAME` of the client, with its headers between blanks and its body behind ` | `; `bytes …` of it, as
    /// they are; `< JSON` of the server; `+MS` of time; `close CODE` of the server. What comes of it: `? JSON` asked of
    /// the server, `FRAME` to the client, `~` a beat, `x CODE` the end.
    pub(crate) fn step(&mut self, step: &str) -> Vec<String> {
        let mut out = VecDeque::new();
        let now = self.now();
        match step.split_once(' ').unwrap_or((step, "")) {
            (">", frame) => self.session.receive(now, &self.frame(frame), &mut out),
            ("bytes", bytes) => self.session.receive(now, bytes.as_bytes(), &mut out),
            ("<", json) => {
                for frame in Encoding::Json.server_frames(json.as_bytes()).expect("the server's") {
                    self.session.told(now, frame, &mut out);
                }
            }
            ("close", code) => {
                let code = CloseCode::try_from(code.parse::<u16>().expect("a number")).expect("a code");
                self.session.closing(now, code, &mut out);
            }
            (time, _) => {
                let until = self.now_ms + time.strip_prefix('+').expect("a step").parse::<u64>().expect("a time");
                while let Some(at) = self.session.poll_timeout().filter(|at| at.0 <= until * 1_000_000) {
                    self.now_ms = self.now_ms.max(at.0.div_ceil(1_000_000));
                    self.session.tick(self.now(), &mut out);
                    assert!(self.session.poll_timeout().is_none_or(|next| next > at), "{step}: due again at once");
                }
                self.now_ms = until;
            }
        }
        out.into_iter().map(|output| self.shown(output)).collect()
    }

    fn frame(&self, text: &str) -> Vec<u8> {
        let (head, body) = text.split_once(" | ").unwrap_or((text, ""));
        let mut words = head.split(' ');
        let verb = words.next().expect("a verb");
        let verb = Verb::ALL.iter().copied().find(|known| known.text() == verb).expect("a verb");
        let headers = words.map(|word| word.split_once(':').expect("a header"));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Frame { verb, headers, body: body.as_bytes().to_vec() }.to_bytes(self.version)
    }

    pub(crate) fn shown(&self, output: Output) -> String {
        match output {
            Output::Request(request) => {
                let mut line = b"? ".to_vec();
                Encoding::Json.put_request(&request, &mut line);
                String::from_utf8(line).expect("JSON is text")
            }
            Output::Close(code) => format!("x {}", u16::from(code)),
            Output::Send(bytes) if bytes == b"\n" => "~".to_owned(),
            Output::Send(bytes) => {
                let mut decoder = Decoder::default();
                decoder.take(&bytes);
                let frame = decoder.next(self.version).expect("a frame").expect("it is whole");
                assert_eq!((decoder.next(self.version), decoder.is_amid_frame()), (Ok(None), false), "one frame");
                let headers = frame.headers.iter().map(|(name, value)| format!(" {name}:{value}"));
                let body = String::from_utf8_lossy(&frame.body);
                let body = if body.is_empty() { String::new() } else { format!(" | {body}") };
                format!("{}{}{body}", frame.verb.text(), headers.collect::<String>())
            }
        }
    }

    /// Takes steps; of each comes what is written beside it. A `*` at the end of that stands for anything.
    pub(crate) fn check(&mut self, steps: &[(&str, &[&str])]) {
        for (at, (step, expected)) in steps.iter().enumerate() {
            let seen = self.step(step);
            let alike = |seen: &String, expected: &&str| match expected.strip_suffix('*') {
                Some(start) => seen.starts_with(start),
                None => seen == expected,
            };
            let all = seen.len() == expected.len() && seen.iter().zip(*expected).all(|(seen, want)| alike(seen, want));
            assert!(all, "step {at}, {step}:\n{}\nin place of\n{}", seen.join("\n"), expected.join("\n"));
        }
    }
}

/// After CONNECT, in 1.2.
pub(crate) fn check(steps: &[(&str, &[&str])]) {
    Table::connected(Version::V12, "").check(steps);
}

/// From the first byte on, in 1.2.
pub(crate) fn check_login(steps: &[(&str, &[&str])]) {
    Table::new(Version::V12).check(steps);
}

pub(crate) fn message(seq: u64) -> String {
    let id = "019b76da-a800-7000-8000-000000000000";
    format!(
        r#"{{"channel_id":"5","seq":{seq},"revision":0,"from":"9","sent_ms":{seq}000,"client_msg_id":"{id}","kind":"text","body":"m{seq}"}}"#
    )
}

pub(crate) fn pushed(seq: u64) -> String {
    format!(r#"< {{"push":{{"message":{{"message":{},"cursor":"c{seq}"}}}}}}"#, message(seq))
}

pub(crate) fn page(id: u32, seqs: std::ops::RangeInclusive<u64>, head: u64, more: bool) -> String {
    let messages: Vec<String> = seqs.map(message).collect();
    let messages = messages.join(",");
    format!(r#"< {{"id":{id},"history":{{"messages":[{messages}],"head_seq":{head},"first_seq":1,"more":{more}}}}}"#)
}

pub(crate) fn history(id: u32, after: u64) -> String {
    format!(r#"? {{"id":{id},"history":{{"channel_id":"5","after":{after},"limit":200}}}}"#)
}

pub(crate) fn opened(id: u32, head: u64) -> String {
    format!(r#"< {{"id":{id},"open":{{"head_seq":{head},"read_seq":0,"online":1}}}}"#)
}

pub(crate) fn sent(id: u32) -> String {
    format!(r#"< {{"id":{id},"send":{{"seq":8,"sent_ms":99,"duplicate":false}}}}"#)
}

pub(crate) fn error(id: u32, code: u16, temporary: bool, retry_after_ms: u32) -> String {
    let fields = format!(r#""code":{code},"message":"why","temporary":{temporary},"retry_after_ms":{retry_after_ms}"#);
    format!(r#"< {{"id":{id},"error":{{{fields}}}}}"#)
}

/// The beginning of a message's frame for subscription `s`.
pub(crate) fn given(seq: u64) -> String {
    format!("MESSAGE destination:/channel/5 subscription:s message-id:5-{seq} *")
}

pub(crate) fn marked(id: u32) -> String {
    format!(r#"< {{"id":{id},"mark":{{"read_seq":1,"unread":0}}}}"#)
}
