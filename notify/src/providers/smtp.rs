//! Connections to a mail server (SMTP), kept for the next mail.
//!
//! Owns how one is made (TLS, authentication), how many there are, and which may be used again: one whose mail was
//! answered, and no other. `lettre`'s pool keeps one whose mail was given up too, whose next answer would be the last
//! mail's. What is sent is [`super::mail`]'s.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use serde::Deserialize;
use tokio::sync::Semaphore;

/// A connection that has waited for longer is asked whether it is still one before it is used.
const FRESH: Duration = Duration::from_secs(2);
/// A connection that has waited for longer is closed: servers do so after five minutes (RFC 5321, 4.5.3.2.7).
const IDLE_MAX: Duration = Duration::from_secs(60);

/// What protects a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Security {
    /// TLS, agreed on after the first words; no mail without it.
    #[default]
    StartTls,
    /// TLS from the first byte.
    Implicit,
    /// Nothing: for a server on loopback.
    None,
}

impl Security {
    pub(super) fn port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Implicit => 465,
            Self::None => 25,
        }
    }
}

/// Where a mail failed: the same code means another thing there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Before the server knew of any mail: the greeting, TLS.
    Connect,
    /// The account.
    Authenticate,
    /// The mail.
    Mail,
}

/// A server with its connections.
pub(super) struct Smtp {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) tls: TlsParameters,
    pub(super) hello: ClientId,
    pub(super) credentials: Option<Credentials>,
    /// Mails that may be under way.
    pub(super) places: Semaphore,
    /// Connections that wait, the one that was used last at the end: no more than there are places.
    pub(super) idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

impl Smtp {
    /// Sends one mail. If this is given up meanwhile, its connection ends.
    ///
    /// # Errors
    /// Where it failed, and with what.
    pub(super) async fn send(&self, envelope: &Envelope, mail: &[u8]) -> Result<Response, (Stage, Error)> {
        let _place = self.places.acquire().await.expect("it is never closed");
        let mut connection = match self.waiting().await {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let answer = connection.send(envelope, mail).await.map_err(|error| (Stage::Mail, error))?;
        if !connection.has_broken() {
            self.idle.lock().expect("nobody panics with it").push((connection, Instant::now()));
        }
        Ok(answer)
    }

    /// A connection that waited and is still one.
    async fn waiting(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let (mut connection, since) = {
                let mut idle = self.idle.lock().expect("nobody panics with it");
                idle.retain(|(_, since)| since.elapsed() < IDLE_MAX);
                idle.pop()?
            };
            if since.elapsed() < FRESH || connection.test_connected().await {
                return Some(connection);
            }
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, (Stage, Error)> {
        let implicit = (self.security == Security::Implicit).then(|| self.tls.clone());
        let at = |stage| move |error| (stage, error);
        // How long it may take is the attempt's.
        let connecting =
            AsyncSmtpConnection::connect_tokio1((self.host.as_str(), self.port), None, &self.hello, implicit, None);
        let mut connection = connecting.await.map_err(at(Stage::Connect))?;
        if self.security == Security::StartTls {
            connection.starttls(self.tls.clone(), &self.hello).await.map_err(at(Stage::Connect))?;
        }
        if let Some(credentials) = &self.credentials {
            let authenticating = connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials);
            authenticating.await.map_err(at(Stage::Authenticate))?;
        }
        Ok(connection)
    }
}
