//! Files with which a node sends to the fakes: keys, and a `notify.toml`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::{apns, sms, webhook, webpush};

pub(crate) struct Addresses {
    pub(crate) apns: SocketAddr,
    pub(crate) fcm: SocketAddr,
    pub(crate) mail: SocketAddr,
    pub(crate) sms: SocketAddr,
    pub(crate) webhook: SocketAddr,
}

/// Writes them, and gives the path of the configuration.
pub(crate) fn write(directory: &Path, addresses: &Addresses, fcm_key: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(directory)?;
    write_secret(&directory.join("apns.p8"), apns::KEY)?;
    write_secret(&directory.join("fcm.json"), fcm_key)?;
    write_secret(&directory.join("sms.token"), sms::AUTH_TOKEN)?;
    write_secret(&directory.join("webhook.secret"), webhook::SECRET)?;
    write_secret(&directory.join("webpush.pem"), webpush::KEY)?;
    let path = directory.join("notify.toml");
    fs::write(&path, text(addresses))?;
    Ok(path)
}

/// Writes a file that its owner alone may read.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    // A file that is there keeps its mode, which may be another's.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

fn text(addresses: &Addresses) -> String {
    let Addresses { apns, fcm, mail, sms, webhook } = addresses;
    format!(
        r#"# Written by the fakes: each provider is one of them. See notify.toml at the root of the project for all keys.
allow_loopback = true

[[provider]]
name = "apns"
medium = "apns"
key_file = "apns.p8"
key_id = "{key_id}"
team_id = "{team_id}"
topic = "{topic}"
url = "http://{apns}"
development_url = "http://{apns}"

[[provider]]
name = "webpush"
medium = "webpush"
key_file = "webpush.pem"
subject = "mailto:operator@rookery.example"

[[provider]]
name = "fcm"
medium = "fcm"
key_file = "fcm.json"
url = "http://{fcm}"

[[provider]]
name = "mail"
medium = "mail"
host = "{mail_host}"
port = {mail_port}
security = "none"
from = "Rookery <chat@rookery.example>"

[[provider]]
name = "sms"
medium = "sms"
account_sid = "{account_sid}"
auth_token_file = "sms.token"
from = "{from}"
url = "http://{sms}"

[[provider]]
name = "webhook"
medium = "webhook"
url = "http://{webhook}/hook/{{{{ address }}}}"
headers = {{ authorization = "Bearer {{{{ secret }}}}" }}
secret_file = "webhook.secret"
body = '''
{{ "id": {{{{ id }}}}, "address": {{{{ address }}}}, "title": {{{{ title }}}}, "body": {{{{ body }}}},
  "collapse": {{{{ collapse }}}}, "badge": {{{{ badge }}}}, "data": {{{{ data }}}} }}
'''
"#,
        key_id = apns::KEY_ID,
        team_id = apns::TEAM_ID,
        topic = apns::TOPIC,
        account_sid = sms::ACCOUNT_SID,
        from = sms::FROM,
        mail_host = mail.ip(),
        mail_port = mail.port(),
    )
}
