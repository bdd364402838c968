//! The file of providers: what it may hold, and what is said of what it may not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fakes::Fakes;
use notify::providers::{ConfigError, Providers};
use schema::Medium;

/// The documented configuration, in which every key is commented out.
const DOCUMENT: &str = include_str!("../../../notify.toml");

/// A directory with every file that the document names.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("set");
    };
    let fakes = Fakes::start(&directory.path().join("fakes")).expect("started");
    let account = fs::read_to_string(directory.path().join("fakes/fcm.json")).expect("it was written");
    let token_uri = format!("http://{}/token", fakes.fcm.address());
    write("firebase.json", &account.replace(&token_uri, "https://oauth2.googleapis.com/token"));
    write("AuthKey_ABC123DEFG.p8", fakes::apns::KEY);
    write("webpush.pem", fakes::webpush::KEY);
    for name in ["smtp.password", "sms.token", "pushy.secret"] {
        write(name, "hunter2");
    }
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().expect("a key");
    write("ca.pem", &params.self_signed(&key).expect("signed").pem());
    directory
}

fn load(directory: &Path, text: &str) -> Result<Providers, ConfigError> {
    let path = directory.join("notify.toml");
    fs::write(&path, text).expect("written");
    Providers::load(&path)
}

/// The document with its keys in force: a comment has a space behind its sign, a key has none.
fn uncommented() -> String {
    let in_force = |line: &str| match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with(' ') => key.to_owned(),
        _ => line.to_owned(),
    };
    DOCUMENT.lines().map(in_force).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_documented_configuration_is_one() {
    let directory = directory();
    let commented = load(directory.path(), DOCUMENT).expect("it is legal");
    assert!(Medium::ALL.iter().all(|&medium| commented.of(medium).is_empty()));
    assert_eq!(commented.public_url(), None);
    let providers = load(directory.path(), &uncommented()).expect("it is legal");
    assert_eq!(providers.public_url(), Some("https://chat.example.com"));
    for &medium in Medium::ALL {
        assert_eq!(providers.of(medium).len(), 1, "{medium}");
    }
}

#[test]
fn the_order_of_the_file_is_that_of_failover() {
    let directory = directory();
    let provider = |name: &str| {
        format!(
            "[[provider]]\nname = \"{name}\"\nmedium = \"webhook\"\nurl = \"https://a.example/\"\nbody = \"{{}}\"\n"
        )
    };
    let text = [provider("second-choice"), provider("a"), provider("b")].concat();
    let providers = load(directory.path(), &text).expect("legal");
    let names: Vec<_> = providers.of(Medium::Webhook).iter().map(|provider| provider.name()).collect();
    assert_eq!(names, ["second-choice", "a", "b"]);
}

#[test]
fn what_is_wrong_is_said_with_its_file_its_provider_and_its_key() {
    let directory = directory();
    let check = |from: &str, to: &str, expected: &[&str]| {
        let text = uncommented();
        assert!(text.contains(from), "{from}");
        let error = load(directory.path(), &text.replacen(from, to, 1)).err();
        let error = error.unwrap_or_else(|| panic!("{to} is taken"));
        let mut shown = error.to_string();
        if let Some(cause) = std::error::Error::source(&error) {
            shown += &format!(": {cause}");
        }
        for &part in [&["notify.toml"], expected].concat().iter() {
            assert!(shown.contains(part), "no {part:?} in {shown}");
        }
        assert!(!shown.contains("hunter2") && !format!("{error:?}").contains("hunter2"), "{error:?}");
    };
    check("dry_run", "dryrun", &["unknown field `dryrun`", "dry_run"]);
    check("attempt_ms_max = 20000", "attempt_ms_max = 20001", &["attempt_ms_max is none of 1 to 20000"]);
    check("https://chat.example.com", "http://chat.example.com", &["public_url is not https"]);
    check("https://chat.example.com", "https://chat.example.com/?x", &["public_url is none that a path can follow"]);
    check("https://chat.example.com", "chat.example.com", &["public_url is no URL"]);
    check("\"ca.pem\"", "\"webpush.pem\"", &["ca_file cannot be used", "PEM is expected"]);
    check("\"ca.pem\"", "\"none.pem\"", &["ca_file cannot be used", "none.pem"]);
    check("name = \"apns\"", "", &["provider #1: name is missing"]);
    check("name = \"fcm\"", "name = \"apns\"", &["provider apns: name is another provider's too"]);
    check("name = \"fcm\"", "name = \"f c m\"", &["provider #2: name is none of"]);
    check("medium = \"fcm\"", "medium = \"fax\"", &["provider fcm: medium is missing or none of apns, fcm"]);
    check("topic = ", "topics = ", &["provider apns: ", "unknown field `topics`"]);
    check("team_id = \"DEF123GHIJ\"", "", &["provider apns: missing field `team_id`"]);
    check("team_id = \"DEF123GHIJ\"", "team_id = 7", &["provider apns: ", "invalid type", "team_id"]);
    check("\"AuthKey_ABC123DEFG.p8\"", "\"none.p8\"", &["provider apns: key_file cannot be read", "none.p8"]);
    check(
        "\"AuthKey_ABC123DEFG.p8\"",
        "\"sms.token\"",
        &["provider apns: key_file is no private key", "openssl pkcs8"],
    );
    check("\"AuthKey_ABC123DEFG.p8\"", "\"fakes\"", &["provider apns: key_file ", "chmod 600"]);
    check("https://api.push.apple.com", "http://api.push.apple.com", &["provider apns: url is not https"]);
    check("https://api.push.apple.com", "api.push.apple.com", &["provider apns: url is no URL"]);
    check("\"firebase.json\"", "\"sms.token\"", &["provider fcm: key_file is no service account's key"]);
    check("mailto:operator@", "operator@", &["provider webpush: subject is no contact"]);
    check("\"starttls\"", "\"none\"", &["provider mail: security is none, which is for a server on loopback"]);
    check("username = \"chat\"", "", &["provider mail: username is missing"]);
    check("Chat <chat@example.com>", "chat at example.com", &["provider mail: from is no mailbox"]);
    check("connections_max = 10", "connections_max = 0", &["provider mail: connections_max is none of 1 to 1000"]);
    check("account_sid = \"AC0", "account_sid = \"../", &["provider sms: account_sid is none"]);
    check("{{ title }}, \"text\"", "{{ tilte }}, \"text\"", &["provider pushy: body fails: undefined value"]);
    check("{{ title }}, \"text\"", "\"{{ title }}\", \"text\"", &["provider pushy: body makes no JSON"]);
    check("\"Bearer {{ secret }}\"", "\"Bearer {{ secret\"", &["provider pushy: headers.authorization is no template"]);
    check("method = \"POST\"", "method = \"PO ST\"", &["provider pushy: method is none"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let error = Providers::load(&directory.path().join("none.toml")).err().expect("there is none");
    assert!(error.to_string().ends_with("none.toml cannot be read"), "{error}");
}
