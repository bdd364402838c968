//! A stand-in of a mail server that takes whatever it is sent, without TLS.
//!
//! By RFC 5321, as much of it as a client needs: EHLO, MAIL, RCPT, DATA, RSET, NOOP and QUIT, one at a time. A mail is read
//! by `mail-parser`; its id is its `Message-ID`.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use mail_parser::MessageParser;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::ledger::Received;
use crate::profile::Profile;
use crate::server::Shared;

/// Bytes of a line, its end among them.
const LINE_BYTES_MAX: u64 = 1_000;
/// Bytes of a mail.
const MAIL_BYTES_MAX: usize = 1 << 20;

/// Accepts connections until it is dropped.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(talk(BufReader::new(stream), Arc::clone(&shared)))),
            // Too many descriptors, or a peer that has gone: neither ends a fake.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// One connection, until either ends it. Whatever a peer does with it is no concern of a fake.
async fn talk(mut stream: BufReader<TcpStream>, shared: Arc<Shared>) -> io::Result<()> {
    answer(&mut stream, "220 mail.fake.example ESMTP").await?;
    let (mut from, mut to) = (None::<String>, Vec::new());
    loop {
        let line = line(&mut stream).await?;
        let Ok(line) = std::str::from_utf8(&line) else {
            answer(&mut stream, "500 5.5.2 not ASCII").await?;
            continue;
        };
        let line = line.trim_end();
        let upper = line.to_ascii_uppercase();
        let profile = shared.profile();
        let said = match upper.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => "250-mail.fake.example\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES",
            "HELO" | "NOOP" => "250 2.0.0 Ok",
            "RSET" => {
                (from, to) = (None, Vec::new());
                "250 2.0.0 Ok"
            }
            "QUIT" => return answer(&mut stream, "221 2.0.0 Bye").await,
            "MAIL" if profile == Profile::BadCredentials => "530 5.7.0 authentication required",
            "MAIL" => match mailbox(line) {
                Some(mailbox) => {
                    (from, to) = (Some(mailbox), Vec::new());
                    "250 2.1.0 Ok"
                }
                None => "501 5.1.7 from whom?",
            },
            "RCPT" if from.is_none() => "503 5.5.1 MAIL comes first",
            "RCPT" if profile == Profile::Gone => "550 5.1.1 no such mailbox",
            "RCPT" => match mailbox(line).filter(|mailbox| mailbox.contains('@')) {
                Some(mailbox) => {
                    to.push(mailbox);
                    "250 2.1.5 Ok"
                }
                None => "501 5.1.3 to whom?",
            },
            "DATA" if to.is_empty() => "503 5.5.1 RCPT comes first",
            "DATA" => {
                answer(&mut stream, "354 go on").await?;
                let mail = mail(&mut stream).await?;
                let said = taken(&shared, &to, mail).await;
                (from, to) = (None, Vec::new());
                match said {
                    Some(said) => said,
                    // The answer is lost.
                    None => return Ok(()),
                }
            }
            _ => "502 5.5.1 not here",
        };
        answer(&mut stream, said).await?;
    }
}

/// Takes a mail, as the profile says. What is answered; `None` is nothing, and the end of the connection.
async fn taken(shared: &Shared, to: &[String], mail: Vec<u8>) -> Option<&'static str> {
    let number = shared.ledger.asked();
    let received = match read(to, &mail) {
        Ok(received) => received,
        Err(why) => {
            shared.ledger.faulty(why);
            return Some("554 5.6.0 no mail");
        }
    };
    let profile = shared.profile();
    match profile {
        Profile::Unavailable | Profile::Throttle { .. } => return Some("451 4.7.0 later"),
        Profile::Flaky { one_of } if number.is_multiple_of(one_of.into()) => return Some("451 4.3.0 later"),
        Profile::Hang => pending().await,
        Profile::Slow { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
        Profile::Ok | Profile::Drop | Profile::Flaky { .. } | Profile::Gone | Profile::BadCredentials => {}
    }
    shared.take(received);
    (profile != Profile::Drop).then_some("250 2.0.0 Ok: queued as 4F2A")
}

fn read(to: &[String], mail: &[u8]) -> Result<Received, &'static str> {
    let parsed = MessageParser::default().parse(mail).ok_or("no mail")?;
    let id = parsed.message_id().ok_or("no Message-ID")?.to_owned();
    let mut extra: BTreeMap<String, String> =
        parsed.headers_raw().map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    // What `mail-parser` makes of the text where there is none is not what was sent.
    let html = parsed.html_part(0).filter(|part| part.is_text_html()).and_then(|_| parsed.body_html(0));
    extra.extend(html.map(|html| ("html".to_owned(), html.into_owned())));
    Ok(Received {
        id,
        target: to.join(", "),
        title: parsed.subject().unwrap_or_default().to_owned(),
        body: parsed.body_text(0).unwrap_or_default().replace("\r\n", "\n"),
        extra,
        ..Received::default()
    })
}

/// The mailbox between `<` and `>`.
fn mailbox(line: &str) -> Option<String> {
    let (_, rest) = line.split_once('<')?;
    rest.split_once('>').map(|(mailbox, _)| mailbox.to_owned())
}

/// A mail's lines up to a dot, of which those that begin with a dot have one more.
async fn mail(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut mail = Vec::new();
    loop {
        let line = line(stream).await?;
        match line.strip_prefix(b".") {
            Some(b"\r\n") => return Ok(mail),
            Some(rest) => mail.extend_from_slice(rest),
            None => mail.extend_from_slice(&line),
        }
        if mail.len() > MAIL_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

async fn line(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    stream.take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
    if line.ends_with(b"\r\n") { Ok(line) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

async fn answer(stream: &mut BufReader<TcpStream>, said: &str) -> io::Result<()> {
    stream.get_mut().write_all(format!("{said}\r\n").as_bytes()).await
}
