//! A bot that answers every message with the same text, and `/count` with how many messages it has seen.
//!
//! ```sh
//! cargo run -- dev &                                            # a node on loopback
//! cargo run -p rookery-client --example bot -- http://127.0.0.1:8000 echo_bot 'correct horse battery' /tmp/echo-bot
//! ```
//!
//! It makes its account if there is none. What it had not answered when it was stopped it answers when it is started again.

#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]

use rookery_client::{Api, Client, Code, Config, DirectoryStore, Error, Event, Message, Operation, Refusal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, username, password, directory] = &arguments[..] else {
        return Err("usage: bot API_URL USERNAME PASSWORD DIRECTORY".into());
    };
    let store = DirectoryStore::open(directory)?;
    let api = Api::new(url)?;
    let device = store.device_id().to_owned();
    let login = match api.log_in(username, password, Some(&device)).await {
        Err(Error::Refused(Refusal { code: Code::Unauthenticated, .. })) => {
            api.sign_up(username, password, Some(&device)).await?
        }
        login => login?,
    };
    let me = login.user_id;
    let config = Config::new(url, &device, api.tokens(login, |_| ())).client_name("echo bot").store(store);
    let (client, mut events) = Client::start(config)?;
    let mut seen = 0_u64;
    loop {
        // Ctrl-C closes the client, so that the store has everything; kill -9 loses nothing either.
        let event = tokio::select! {
            event = events.next() => event,
            _ = tokio::signal::ctrl_c() => {
                client.close().await;
                continue;
            }
        };
        match event {
            Some(Event::Message(message)) if message.from != me && !message.deleted => {
                seen += 1;
                answer(&client, &message, seen).await?;
            }
            Some(Event::Connection(connection)) => println!("{connection:?}"),
            Some(Event::Outgoing(outgoing)) => println!("{}: {:?}", outgoing.id, outgoing.progress),
            Some(Event::Ended(why)) => println!("ended: {why:?}"),
            Some(_) => {}
            None => return Ok(()),
        }
    }
}

/// Takes the answer into the outbox: from then on it is sent, whatever happens. A crash between this and the next event may
/// have it done again, since then the message is told again.
async fn answer(client: &Client, message: &Message, seen: u64) -> Result<(), Error> {
    let body = if message.body == "/count" { format!("{seen} messages") } else { message.body.clone() };
    client.submit(message.channel_id, Operation::Send(body.into())).await?;
    Ok(())
}
