//! What production has and the fakes have not: TLS, with an authority of the operator's.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use notify::providers::Providers;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use schema::Medium;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{Rig, message, shown};

/// An authority's certificate in PEM, and a server's TLS by it, which agrees on one of these protocols.
fn authority(protocols: &[&str]) -> (String, TlsAcceptor) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let pem = params.self_signed(&key).expect("signed").pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &issuer).expect("signed");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has suites for these")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a pair");
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    (pem, TlsAcceptor::from(Arc::new(config)))
}

/// Puts TLS before a fake: the port.
async fn terminate(acceptor: TlsAcceptor, fake: SocketAddr) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // Who does not believe the authority says so here.
                let Ok(mut tls) = acceptor.accept(stream).await else { return };
                let mut plain = TcpStream::connect(fake).await.expect("the fake");
                // However it ends.
                let _ = copy_bidirectional(&mut tls, &mut plain).await;
            });
        }
    });
    port
}

/// The fakes' configuration with another URL for one of them, and an authority if there is one.
fn configured(rig: &Rig, fake: SocketAddr, url: &str, ca: Option<&str>) -> Providers {
    let text = fs::read_to_string(rig.fakes.config_path()).expect("it was written");
    let text = text.replace(&format!("http://{fake}"), url);
    let path = rig.fakes.config_path().with_file_name("tls.toml");
    let ca = ca.map(|pem| fs::write(path.with_file_name("ca.pem"), pem).expect("written"));
    let keys = ca.map(|()| "ca_file = \"ca.pem\"\n").unwrap_or_default();
    fs::write(&path, format!("{keys}{text}")).expect("written");
    Providers::load(&path).expect("legal")
}

#[tokio::test]
async fn http_2_is_agreed_on_in_tls_and_only_with_whom_the_authority_knows() {
    const DEVICE: &str = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0";
    let check = async |protocols: &[&str], host: &str, believes: bool, expected: &str| {
        let rig = Rig::start();
        let (pem, acceptor) = authority(protocols);
        let fake = rig.fakes.apns.address();
        let port = terminate(acceptor, fake).await;
        let providers = configured(&rig, fake, &format!("https://{host}:{port}"), believes.then_some(&pem));
        let outcome = providers.of(Medium::Apns)[0].send(&message(1, DEVICE)).await;
        assert_eq!(shown(&outcome), expected, "{protocols:?} {host} {believes}: {outcome:?}");
    };
    check(&["h2"], "localhost", true, "sent").await;
    check(&["h2", "http/1.1"], "localhost", true, "sent").await;
    check(&["h2"], "localhost", false, "network").await;
    // Not the name that the certificate is made out to.
    check(&["h2"], "127.0.0.1", true, "network").await;
    check(&["http/1.1"], "localhost", true, "network").await;
}

#[tokio::test]
async fn whatever_both_speak_is_agreed_on() {
    for protocols in [&["h2"][..], &["http/1.1"], &[]] {
        let rig = Rig::start();
        let (pem, acceptor) = authority(protocols);
        let fake = rig.fakes.webhook.address();
        let port = terminate(acceptor, fake).await;
        let providers = configured(&rig, fake, &format!("https://localhost:{port}"), Some(&pem));
        let outcome = providers.of(Medium::Webhook)[0].send(&message(1, "whoever")).await;
        assert_eq!(shown(&outcome), "sent", "{protocols:?}: {outcome:?}");
    }
}

/// A mail server that says nothing but what a mail needs, over whatever it is given.
async fn talk(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, greets: bool) -> Vec<u8> {
    let (mut read, mut write) = tokio::io::split(stream);
    let mut taken = Vec::new();
    let mut answers: Vec<&str> = vec!["250 mail", "250 Ok", "250 Ok", "354 go on", "250 2.0.0 Ok: queued as 1"];
    if greets {
        write.write_all(b"220 mail\r\n").await.expect("written");
    }
    while !answers.is_empty() {
        let before = taken.len();
        if read.read_buf(&mut taken).await.unwrap_or_default() == 0 {
            break;
        }
        let is_data = answers.len() == 1;
        if taken[before..].ends_with(b"\r\n") && (!is_data || taken.ends_with(b"\r\n.\r\n")) {
            write.write_all(format!("{}\r\n", answers.remove(0)).as_bytes()).await.expect("written");
        }
    }
    taken
}

#[tokio::test]
async fn a_mail_goes_over_tls_or_not_at_all() {
    let check = async |security: &str, has_tls: bool, believes: bool, expected: &str| {
        let directory = tempfile::tempdir().expect("a directory");
        let (pem, acceptor) = authority(&[]);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("bound").port();
        let is_implicit = security == "implicit";
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            if is_implicit {
                let Ok(tls) = acceptor.accept(stream).await else { return Vec::new() };
                return talk(tls, true).await;
            }
            let offer: &[u8] = if has_tls { b"250-mail\r\n250 STARTTLS\r\n" } else { b"250 mail\r\n" };
            let mut line = [0; 256];
            stream.write_all(b"220 mail\r\n").await.expect("written");
            let _ = stream.read(&mut line).await.expect("EHLO");
            stream.write_all(offer).await.expect("written");
            let read = stream.read(&mut line).await.unwrap_or_default();
            if &line[..read] != b"STARTTLS\r\n" {
                return line[..read].to_vec();
            }
            stream.write_all(b"220 go on\r\n").await.expect("written");
            let Ok(tls) = acceptor.accept(stream).await else { return Vec::new() };
            talk(tls, false).await
        });
        let providers = mail(directory.path(), port, security, believes.then_some(&pem));
        let outcome = providers.of(Medium::Mail)[0].send(&message(1, "ada@example.org")).await;
        assert_eq!(shown(&outcome), expected, "{security} {has_tls} {believes}: {outcome:?}");
        drop(providers);
        let taken = String::from_utf8_lossy(&served.await.expect("no panic")).into_owned();
        assert_eq!(taken.contains("Subject: Team"), expected == "sent", "{taken}");
    };
    check("starttls", true, true, "sent").await;
    check("implicit", true, true, "sent").await;
    check("starttls", true, false, "network").await;
    check("implicit", true, false, "network").await;
    // No server has STARTTLS one day and none the next: somebody is between, or the configuration is wrong.
    check("starttls", false, true, "credential").await;
}

fn mail(directory: &Path, port: u16, security: &str, ca: Option<&str>) -> Providers {
    let ca = ca.map(|pem| fs::write(directory.join("ca.pem"), pem).expect("written"));
    let keys = ca.map(|()| "ca_file = \"ca.pem\"\n").unwrap_or_default();
    let text = format!(
        "{keys}attempt_ms_max = 5000\n[[provider]]\nname = \"mail\"\nmedium = \"mail\"\nhost = \"localhost\"\n\
         port = {port}\nsecurity = \"{security}\"\nfrom = \"chat@rookery.example\"\n"
    );
    let path = directory.join("notify.toml");
    fs::write(&path, text).expect("written");
    Providers::load(&path).expect("legal")
}
