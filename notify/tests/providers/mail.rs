//! Mail: the dialogue with a server, by a script of its answers.

use std::fs;

use notify::providers::Providers;
use schema::Medium;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use super::{Message, Outcome, check_discreet, message, shown};

const ADDRESS: &str = "ada@example.org";

/// A server that answers each command by the first row that it begins with, and the end of a mail by the row `.`; an empty
/// answer closes the connection. What
/// it was sent comes back when the client is done.
async fn serve(listener: TcpListener, script: &[(&str, &str)], connections: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for _ in 0..connections {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut stream = BufReader::new(stream);
        let answer_to =
            |command: &str| script.iter().find(|(row, _)| command.starts_with(row)).map(|&(_, answer)| answer);
        let mut next = answer_to("hello").unwrap_or("220 mail.example ESMTP").to_owned();
        let mut is_data = false;
        loop {
            if !next.is_empty() {
                stream.get_mut().write_all(format!("{next}\r\n").as_bytes()).await.expect("written");
            }
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or_default() == 0 {
                break;
            }
            let line = line.trim_end_matches("\r\n").to_owned();
            next = match line.as_str() {
                "." if is_data => {
                    is_data = false;
                    answer_to(".").unwrap_or("250 2.0.0 Ok: queued as 4F2A").replace("silence", "")
                }
                _ if is_data => String::new(),
                command => match answer_to(command) {
                    Some("") => break,
                    Some(answer) => answer.to_owned(),
                    None if command.starts_with("DATA") => "354 go on".to_owned(),
                    None if command.starts_with("EHLO") => {
                        "250-mail.example\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME".to_owned()
                    }
                    None if command.starts_with("AUTH") => "235 2.7.0 welcome".to_owned(),
                    None => "250 2.1.0 Ok".to_owned(),
                },
            };
            is_data |= next.starts_with("354");
            lines.push(line);
        }
    }
    lines
}

/// What becomes of messages, which are sent one after the other, and what the server was sent.
async fn send(
    script: &'static [(&str, &str)],
    connections: usize,
    messages: &[Message],
) -> (Vec<Outcome>, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = listener.local_addr().expect("bound").port();
    let served = tokio::spawn(serve(listener, script, connections));
    let mut outcomes = Vec::new();
    {
        let providers = providers(port);
        for message in messages {
            outcomes.push(providers.of(Medium::Mail)[0].send(message).await);
        }
        // With the providers their connections end.
    }
    (outcomes, served.await.expect("no panic"))
}

fn providers(port: u16) -> Providers {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("notify.toml");
    let password = directory.path().join("password");
    fs::write(&password, "hunter2").expect("written");
    fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("set");
    let text = format!(
        "allow_loopback = true\nattempt_ms_max = 1000\n[[provider]]\nname = \"mail\"\nmedium = \"mail\"\n\
         host = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\nfrom = \"Rookery <chat@rookery.example>\"\n\
         username = \"ada\"\npassword_file = \"password\"\n"
    );
    fs::write(&path, text).expect("written");
    Providers::load(&path).expect("legal")
}

#[tokio::test]
async fn a_mail_has_both_forms_and_a_way_out() {
    let unsubscribe = format!("https://chat.example/u/{}", "x".repeat(300));
    let sent = Message {
        html: Some("<p>Ada: hello</p>".to_owned()),
        unsubscribe: Some(unsubscribe.clone()),
        ..message(1, ADDRESS)
    };
    let (outcomes, lines) = send(&[], 1, &[sent.clone(), message(2, ADDRESS)]).await;
    assert_eq!(outcomes, vec![Outcome::Sent { provider_id: Some("4F2A".to_owned()) }; 2]);
    let has = |expected: &str| assert!(lines.iter().any(|line| line == expected), "no {expected} in {lines:#?}");
    has("EHLO rookery.example");
    has("MAIL FROM:<chat@rookery.example>");
    has("RCPT TO:<ada@example.org>");
    has("From: Rookery <chat@rookery.example>");
    has("To: ada@example.org");
    has("Subject: Team");
    has(&format!("Message-ID: <{}@rookery.example>", sent.id));
    has(&format!("List-Unsubscribe: <{unsubscribe}>"));
    has("List-Unsubscribe-Post: List-Unsubscribe=One-Click");
    has("Content-Type: text/plain; charset=utf-8");
    has("Content-Type: text/html; charset=utf-8");
    has("<p>Ada: hello</p>");
    assert!(lines.iter().any(|line| line.starts_with("Content-Type: multipart/alternative;")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("Date: ")), "{lines:#?}");
    // The second has no way out, and took the same connection.
    assert_eq!(lines.iter().filter(|line| line.starts_with("List-Unsubscribe:")).count(), 1);
    assert_eq!(lines.iter().filter(|line| line.starts_with("EHLO")).count(), 1);
}

#[tokio::test]
async fn what_the_server_says_has_a_class() {
    let check = async |script: &'static [(&str, &str)], expected: &str| {
        let (outcomes, _) = send(script, 1, &[message(1, ADDRESS)]).await;
        assert_eq!(shown(&outcomes[0]), expected, "{script:?}: {outcomes:?}");
        check_discreet(&outcomes[0], ADDRESS);
    };
    check(&[("RCPT", "550 5.1.1 <ada@example.org>: no such user")], "gone").await;
    check(&[("RCPT", "550 5.7.1 <ada@example.org>: not from you")], "payload").await;
    check(&[("RCPT", "450 4.2.1 greylisted")], "transient").await;
    check(&[("MAIL", "530 5.7.0 who are you")], "credential").await;
    check(&[("AUTH", "535 5.7.8 no")], "credential").await;
    check(&[("AUTH", "454 4.7.0 later")], "transient").await;
    check(&[("hello", "554 5.7.1 you are listed")], "credential").await;
    check(&[(".", "452 4.2.2 full")], "transient").await;
    check(&[(".", "552 5.3.4 too large")], "payload").await;
    check(&[("DATA", "421 4.3.2 going down")], "transient").await;
    // Closed without a word.
    check(&[("RCPT", "")], "network").await;
}

#[tokio::test]
async fn a_mail_that_was_given_up_ends_its_connection() {
    // On the same one, an answer that comes late would be taken for the next mail's.
    let sending = send(&[(".", "silence")], 2, &[message(1, ADDRESS), message(2, ADDRESS)]).await;
    let (outcomes, lines) = sending;
    assert!(outcomes.iter().all(|outcome| shown(outcome) == "network"), "{outcomes:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("EHLO")).count(), 2, "{lines:#?}");
}

#[tokio::test]
async fn nothing_of_a_message_begins_a_header_of_its_own() {
    let check = async |change: &dyn Fn(&mut Message), expected: &str| {
        let mut sent = message(1, ADDRESS);
        change(&mut sent);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("bound").port();
        let served = tokio::spawn(serve(listener, &[], 1));
        let providers = providers(port);
        let outcome = providers.of(Medium::Mail)[0].send(&sent).await;
        assert_eq!(shown(&outcome), expected, "{outcome:?}");
        drop(providers);
        if expected != "sent" {
            served.abort();
            return;
        }
        let lines = served.await.expect("no panic");
        let head: Vec<&String> =
            lines.iter().skip_while(|line| *line != "DATA").take_while(|line| !line.is_empty()).collect();
        assert!(head.iter().all(|line| !line.to_ascii_lowercase().starts_with("bcc")), "{lines:#?}");
        let end = lines.iter().position(|line| line == ".").expect("it ends once");
        assert!(!lines[end + 1..].iter().any(|line| line.starts_with("RCPT")), "{lines:#?}");
    };
    const FORGED: &str = "Hello\r\nBcc: eve@example.org";
    check(&|message| message.title = FORGED.to_owned(), "sent").await;
    check(&|message| message.title = FORGED.replace('\r', ""), "sent").await;
    check(&|message| message.title = format!("ü{FORGED}"), "sent").await;
    check(&|message| message.title = "x".repeat(5_000), "sent").await;
    check(&|message| message.body = "a\r\n.\r\nMAIL FROM:<x@y>\r\nRCPT TO:<eve@example.org>".to_owned(), "sent").await;
    check(&|message| message.target.address = "ada@example.org\r\nBcc: eve@example.org".to_owned(), "gone").await;
    check(&|message| message.target.address = "ada@example.org>\r\nRCPT TO:<eve@example.org".to_owned(), "gone").await;
    check(&|message| message.target.address = "no address".to_owned(), "gone").await;
    check(&|message| message.unsubscribe = Some("https://a.example/\r\nBcc: eve@example.org".to_owned()), "payload")
        .await;
    check(&|message| message.unsubscribe = Some("https://a.example/>, <b".to_owned()), "payload").await;
}
