//! One socket: dialled, upgraded to WebSocket, read and written until it closes.
//!
//! Owns the tasks of a socket and its TLS. What is said over it is the session's.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Uri, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::error::Error;
use crate::session::BROKEN;

/// The encoding that is spoken.
const SUBPROTOCOL: &str = "rookery.json.v1";
/// Bytes of a frame of the server's: a page of history has up to 200 messages of 400 KB in escapes, and a server sends one
/// such frame whatever its size.
const FRAME_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Frames that are read ahead of the session, so that the socket waits where the application does.
const READ_AHEAD: usize = 4;
/// Frames that wait to be written. The session has some 130 questions and operations under way at most, and signs of typing;
/// where more wait, the socket takes none.
const WRITE_QUEUE: usize = 1_024;

/// Time that a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Events of a socket.
#[derive(Debug)]
pub(crate) enum Heard {
    Opened,
    Text(String),
    /// A frame without text.
    Alive,
    /// The last word.
    Closed {
        code: u16,
        reason: String,
    },
}

/// An open socket, or one that is being opened. Dropped, it is closed.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) number: u64,
    heard: mpsc::Receiver<Heard>,
    writer: Option<mpsc::Sender<String>>,
    reading: JoinHandle<()>,
}

impl Socket {
    /// Opens one.
    pub(crate) fn open(number: u64, url: String, tls: Arc<ClientConfig>) -> Self {
        let (tell, heard) = mpsc::channel(READ_AHEAD);
        let (writer, texts) = mpsc::channel(WRITE_QUEUE);
        let reading = tokio::spawn(async move {
            let (code, reason) = match dial(&url, tls).await {
                Ok(stream) => run(stream, &tell, texts).await,
                Err(error) => (BROKEN, error.to_string()),
            };
            // If nobody hears it, nobody wants to.
            let _ = tell.send(Heard::Closed { code, reason }).await;
        });
        Self { number, heard, writer: Some(writer), reading }
    }

    /// The next that is heard. Cancelling it loses nothing.
    pub(crate) async fn next(&mut self) -> Heard {
        let last = || Heard::Closed { code: BROKEN, reason: "the connection was lost".to_owned() };
        self.heard.recv().await.unwrap_or_else(last)
    }

    /// Writes a text, soon. One that takes no more is closed.
    pub(crate) fn write(&mut self, text: String) {
        if self.writer.as_ref().is_some_and(|writer| writer.try_send(text).is_err()) {
            self.reading.abort();
            self.writer = None;
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Without a writer the task says goodbye and ends; it does so by itself soon, whatever the peer does.
        self.writer = None;
        self.heard.close();
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Connects and upgrades.
async fn dial(url: &str, tls: Arc<ClientConfig>) -> Result<WebSocketStream<Box<dyn Io>>, tungstenite::Error> {
    let mut request = url.into_client_request()?;
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let (host, port, secure) = address(request.uri())?;
    // A name with brackets is how a URL has an IPv6 address, and nobody else.
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let stream = TcpStream::connect((name.as_str(), port)).await?;
    // Commands are small and wait for their answers.
    stream.set_nodelay(true)?;
    let stream: Box<dyn Io> = if secure {
        let name = ServerName::try_from(name).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Box::new(TlsConnector::from(tls).connect(name, stream).await?)
    } else {
        Box::new(stream)
    };
    let config =
        WebSocketConfig::default().max_message_size(Some(FRAME_BYTES_MAX)).max_frame_size(Some(FRAME_BYTES_MAX));
    Ok(client_async_with_config(request, stream, Some(config)).await?.0)
}

fn address(uri: &Uri) -> Result<(String, u16, bool), tungstenite::Error> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{what} in {uri}"));
    let secure = match uri.scheme_str() {
        Some("wss") => true,
        Some("ws") => false,
        _ => return Err(invalid("no ws:// or wss://").into()),
    };
    let host = uri.host().ok_or_else(|| invalid("no host"))?;
    Ok((host.to_owned(), uri.port_u16().unwrap_or(if secure { 443 } else { 80 }), secure))
}

/// Reads and writes until either side is done; the code and the reason.
async fn run(
    stream: WebSocketStream<Box<dyn Io>>,
    tell: &mpsc::Sender<Heard>,
    mut texts: mpsc::Receiver<String>,
) -> (u16, String) {
    let (mut sink, mut source) = stream.split();
    let writing = async {
        while let Some(text) = texts.recv().await {
            sink.feed(Frame::text(text)).await?;
            if texts.is_empty() {
                sink.flush().await?;
            }
        }
        sink.send(Frame::Close(None)).await
    };
    let reading = async {
        // Nobody listens any more: what is being written has its time.
        let unheard = std::future::pending::<()>;
        if tell.send(Heard::Opened).await.is_err() {
            unheard().await;
        }
        while let Some(frame) = source.next().await {
            let heard =
                match frame {
                    Ok(Frame::Text(text)) => Heard::Text(text.as_str().to_owned()),
                    Ok(Frame::Close(frame)) => {
                        // The answer to it leaves while one waits for what comes behind it, which is the end.
                        let _ = tokio::time::timeout(GOODBYE, source.next()).await;
                        return Some(frame.map_or((1005, String::new()), |frame| {
                            (frame.code.into(), frame.reason.as_str().to_owned())
                        }));
                    }
                    Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Binary(_) | Frame::Frame(_)) => Heard::Alive,
                    Err(error) => return Some((BROKEN, error.to_string())),
                };
            if tell.send(heard).await.is_err() {
                unheard().await;
            }
        }
        None
    };
    let lost = || (BROKEN, "the connection was lost".to_owned());
    tokio::select! {
        // What was read before the end is heard before it.
        biased;
        closed = reading => closed.unwrap_or_else(lost),
        written = writing => match written {
            Ok(()) => (1000, String::new()),
            Err(error) => (BROKEN, error.to_string()),
        },
        () = async {
            tell.closed().await;
            tokio::time::sleep(GOODBYE).await;
        } => lost(),
    }
}

/// Authorities that `wss` and `https` believe by this crate's features.
pub(crate) fn default_tls() -> Result<Arc<ClientConfig>, Error> {
    #[cfg_attr(
        not(any(feature = "webpki-roots", feature = "native-roots")),
        expect(unused_mut, reason = "each feature adds to it")
    )]
    let mut roots = RootCertStore::empty();
    #[cfg(feature = "webpki-roots")]
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    #[cfg(feature = "native-roots")]
    {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 && roots.is_empty() {
            return Err(Error::Config(format!("the machine has no certificate authorities: {:?}", found.errors)));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Config(error.to_string()))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}
