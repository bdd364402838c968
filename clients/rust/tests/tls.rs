//! `wss` and `https`, as behind a proxy that speaks TLS: its authority is believed where it is named, and nowhere else.

#[expect(dead_code, reason = "each test binary uses its part of this")]
mod node;

use std::sync::Arc;
use std::time::Duration;

use node::{Node, Ports};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rookery_client::{Api, Client, Config, Connection, Endpoint, Error, Event, NewChannel, Seq};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const PATIENCE: Duration = Duration::from_secs(40);

/// Configurations of a client that believes an authority, and of a server that has its certificate for `localhost`.
fn authority() -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let mut roots = RootCertStore::empty();
    roots.add(params.self_signed(&key).expect("signed").der().clone()).expect("it is an authority");
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let certificate = certificate.signed_by(&key, &issuer).expect("signed").der().clone();
    let client = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let client = client.expect("versions").with_root_certificates(roots).with_no_client_auth();
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let server = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let server = server.expect("versions").with_no_client_auth().with_single_cert(vec![certificate], key);
    (Arc::new(client), Arc::new(server.expect("they fit")))
}

/// Passes on to a port of loopback what comes by TLS; the port on which it does.
async fn proxy(server: Arc<ServerConfig>, to: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let port = listener.local_addr().expect("it has an address").port();
    let acceptor = TlsAcceptor::from(server);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // Who does not believe it goes, and so does a node.
                let Ok(mut inside) = acceptor.accept(stream).await else { return };
                let Ok(mut outside) = TcpStream::connect(("127.0.0.1", to)).await else { return };
                let _ = copy_bidirectional(&mut inside, &mut outside).await;
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_s_authority_is_believed_where_it_is_named() {
    let place = tempfile::tempdir().expect("a directory");
    let ports = Ports::free();
    let _node = Node::start(place.path(), &ports, &[]);
    let (client, server) = authority();
    let https = format!("https://localhost:{}", proxy(Arc::clone(&server), ports.api).await);
    let wss = format!("wss://localhost:{}/connection/websocket", proxy(server, ports.ws).await);
    let api = Api::with(&https, &client);
    let ann = node::sign_up(&api, "ann").await.expect("it is reached");
    let bob = node::sign_up(&api, "bob").await.expect("it is reached");
    let channel = api.create_channel(&ann.token, &NewChannel::Direct(bob.user_id)).await.expect("it is made");
    let config = || {
        let token = ann.token.clone();
        let config = Config::new(&https, "tls", move |_| std::future::ready(Ok(token.clone())));
        config.endpoint(Endpoint::Fixed(wss.clone()))
    };
    let (believes, _events) = Client::start(config().tls(Arc::clone(&client))).expect("the configuration works");
    let sent = tokio::time::timeout(PATIENCE, believes.send(channel.channel_id, "hello")).await;
    assert_eq!(sent.expect("it connects").expect("it is taken").seq, Seq(1));
    believes.close().await;

    // By the authorities that everybody knows this one is a stranger.
    let error = node::sign_up(&Api::new(&https).expect("it has authorities"), "cho").await.expect_err("a stranger");
    assert!(matches!(&error, Error::Http { why, .. } if why.contains("UnknownIssuer")), "{error}");
    let (doubts, mut events) = Client::start(config()).expect("the configuration works");
    let why = loop {
        match tokio::time::timeout(PATIENCE, events.next()).await.expect("it tries") {
            Some(Event::Connection(Connection::Waiting { why, .. })) => break why,
            Some(Event::Connection(Connection::Connecting)) => {}
            other => panic!("it is told {other:?}"),
        }
    };
    assert!(why.contains("UnknownIssuer"), "{why}");
    doubts.close().await;
}
