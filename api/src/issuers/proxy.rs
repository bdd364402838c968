//! Connect proxy: an operator's own service, which says whose a token is that is no JWT of a listed issuer.
//!
//! Owns the question and the answer, what is remembered of answers, and for how long. Who asks waits for a moment only; what
//! is answered later is found when the same token comes again. Does no I/O: questions leave by a queue, which
//! [`refresh`](super::refresh) empties.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat::accounts::External;
use schema::{DeviceId, UnixMs};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};

use super::draw;
use super::jwt::{is_subject, picture};
use super::refresh::Fetched;
use crate::names;
use crate::proxy::ClientNetwork;
use crate::token::TokenError;

/// Time for which an answer is good at most: for so long a user may come again whom the service would not let in any more.
const KNOWN_MS_MAX: u64 = 60_000;
/// The same of a refusal: for so long whoever shows the same token again costs the service nothing.
const REFUSED_MS: u64 = 5_000;
/// Answers that are remembered: some 10 MB of them.
const ANSWERS_MAX: usize = 16_384;
/// Questions under way. A service that hangs holds no more.
pub(super) const ASKED_MAX: usize = 256;
/// The same of one client, by its address: an eighth, so that none that hangs on to its own keeps others from theirs. A
/// network of many clients behind one address has hundreds of answers a second all the same.
const OF_CLIENT_MAX: usize = 32;
/// Time after which to come again while the service cannot be asked.
const RETRY_MS: u32 = 1_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) url: String,
    pub(super) secret: Secret,
    namespace: String,
    pub(super) timeout: Duration,
    /// By the tokens' hashes.
    answers: Mutex<HashMap<[u8; 32], Remembered>>,
    /// Questions under way, by client.
    clients: Clients,
    questions: mpsc::Sender<Question>,
    /// Taken once, by whoever carries them out.
    pub(super) asked: Mutex<Option<mpsc::Receiver<Question>>>,
}

/// Secret by which the service and this node sign.
pub(super) struct Secret(pub(super) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// A token that the service is to be asked about.
pub(super) struct Question {
    pub(super) token: String,
    /// Time that its asker waits.
    pub(super) patience: Duration,
    pub(super) reply: oneshot::Sender<Said>,
    /// Held until it is answered.
    pub(super) place: Option<Place>,
}

/// Questions under way, by client.
#[derive(Debug, Clone, Default)]
struct Clients(Arc<Mutex<HashMap<ClientNetwork, usize>>>);

/// One of them.
#[derive(Debug)]
pub(super) struct Place {
    client: ClientNetwork,
    clients: Clients,
}

impl Clients {
    fn lock(&self) -> MutexGuard<'_, HashMap<ClientNetwork, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more question of a client; none if it has as many as it may.
    fn enter(&self, client: ClientNetwork) -> Option<Place> {
        let mut counts = self.lock();
        let count = counts.entry(client).or_default();
        (*count < OF_CLIENT_MAX).then(|| {
            *count += 1;
            Place { client, clients: self.clone() }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.clients.lock();
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

/// Answer of the service about a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// User whose it is.
    Known(User),
    /// Nobody's.
    Refused,
    /// Nothing that is understood, or nothing in time.
    Nothing,
}

#[derive(Debug)]
struct Remembered {
    said: Said,
    until: UnixMs,
}

/// The service's answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct User {
    user: String,
    name: Option<String>,
    picture: Option<String>,
    device_id: Option<DeviceId>,
    expires_ms: UnixMs,
}

#[derive(Serialize)]
struct Asked<'a> {
    token: &'a str,
}

/// The body of the question about a token.
pub(super) fn body(token: &str) -> Vec<u8> {
    serde_json::to_vec(&Asked { token }).expect("a text is JSON")
}

/// Meaning of an answer.
pub(super) fn said(answer: Result<Fetched, String>) -> Said {
    match answer {
        Ok(Fetched { status: 200, body }) => match serde_json::from_slice::<User>(&body) {
            Ok(user) if is_subject(&user.user) => Said::Known(user),
            Ok(_) => nothing("its user has 1 to 255 bytes without control characters"),
            Err(error) => nothing(&format!("it is not what was asked for: {error}")),
        },
        Ok(Fetched { status: 401 | 403, .. }) => Said::Refused,
        Ok(Fetched { status, .. }) => nothing(&format!("it answers {status}")),
        Err(why) => nothing(&why),
    }
}

fn nothing(why: &str) -> Said {
    tracing::warn!(why, "the connect proxy does not say whose a token is");
    Said::Nothing
}

impl Proxy {
    pub(super) fn new(url: String, secret: String, namespace: String, timeout: Duration) -> Self {
        let (questions, asked) = mpsc::channel(ASKED_MAX);
        let asked = Mutex::new(Some(asked));
        let (answers, clients) = (Mutex::default(), Clients::default());
        Self { url, secret: Secret(secret), namespace, timeout, answers, clients, questions, asked }
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<[u8; 32], Remembered>> {
        // Nothing is left half done by a panic.
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// User whom a token speaks for.
    pub(super) async fn verify(
        &self,
        token: &str,
        client: Option<ClientNetwork>,
        wall: UnixMs,
        patience: Duration,
    ) -> Result<(External, Option<DeviceId>), TokenError> {
        let later = TokenError::Later { retry_after_ms: RETRY_MS };
        let said = match self.remembered(token, wall) {
            Some(said) => said,
            None => {
                let place = match client {
                    Some(client) => Some(self.clients.enter(client).ok_or(later)?),
                    None => None,
                };
                let (reply, answer) = oneshot::channel();
                let question = Question { token: token.to_owned(), patience, reply, place };
                if self.questions.try_send(question).is_err() {
                    return Err(later);
                }
                answer.await.unwrap_or(Said::Nothing)
            }
        };
        match said {
            Said::Known(user) => self.external(token, user, wall),
            Said::Refused => Err(TokenError::Invalid),
            Said::Nothing => Err(later),
        }
    }

    fn external(&self, token: &str, user: User, wall: UnixMs) -> Result<(External, Option<DeviceId>), TokenError> {
        let User { user: subject, name, picture: url, device_id, expires_ms } = user;
        if expires_ms <= wall {
            return Err(TokenError::Expired { expired_ms: expires_ms.0 });
        }
        let external = External {
            namespace: self.namespace.clone(),
            subject,
            // Each token is a login of its own: the service says neither which login a token is of nor when it was issued,
            // and a later answer about the same token is no newer token. So a login that has ended stays so.
            session: hex(&hash(token)),
            issued_s: 0,
            expires_ms,
            display_name: name.and_then(|name| names::title("name", &name).ok().map(str::to_owned)),
            picture: url.as_deref().and_then(picture),
            draw: draw()?,
        };
        Ok((external, device_id))
    }

    /// Answer about a token that was given not long ago.
    pub(super) fn remembered(&self, token: &str, wall: UnixMs) -> Option<Said> {
        let answers = self.answers();
        let remembered = answers.get(&hash(token)).filter(|remembered| remembered.until > wall)?;
        Some(remembered.said.clone())
    }

    /// Remembers what was said of a token, if it is good for any time.
    pub(super) fn remember(&self, token: &str, said: &Said, wall: UnixMs) {
        let until = match said {
            Said::Known(user) => user.expires_ms.min(wall.plus_ms(KNOWN_MS_MAX)),
            Said::Refused => wall.plus_ms(REFUSED_MS),
            Said::Nothing => return,
        };
        let mut answers = self.answers();
        if answers.len() >= ANSWERS_MAX {
            answers.retain(|_, remembered| remembered.until > wall);
        }
        if answers.len() >= ANSWERS_MAX {
            answers.clear();
        }
        answers.insert(hash(token), Remembered { said: said.clone(), until });
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::*;

    fn check(status: u16, body: &str, expected: &str) {
        let said = said(Ok(Fetched { status, body: body.as_bytes().to_vec() }));
        let found = match said {
            Said::Known(user) => format!("{} {}", user.user, user.expires_ms.0),
            Said::Refused => "refused".to_owned(),
            Said::Nothing => "nothing".to_owned(),
        };
        assert_eq!(found, expected, "{status} {body}");
    }

    #[test]
    fn the_service_says_whose_a_token_is_or_that_it_is_nobodys_or_nothing() {
        check(200, r#"{"user":"ann","expires_ms":5}"#, "ann 5");
        check(200, r#"{"user":"ann","name":"Ann","expires_ms":5,"more":1}"#, "ann 5");
        check(200, r#"{"user":"","expires_ms":5}"#, "nothing");
        check(200, r#"{"user":"a\u0000","expires_ms":5}"#, "nothing");
        check(200, r#"{"user":"ann"}"#, "nothing");
        check(200, r#"{"user":7,"expires_ms":5}"#, "nothing");
        check(200, "", "nothing");
        check(401, "", "refused");
        check(403, r#"{"user":"ann","expires_ms":5}"#, "refused");
        check(500, r#"{"user":"ann","expires_ms":5}"#, "nothing");
        check(302, "", "nothing");
    }

    /// Questions of a client, `ADDRESS*N`, or answers to some of them, `-ADDRESS*N`; how many were taken.
    #[test]
    fn a_client_has_an_eighth_of_the_places() {
        let check = |steps: &str, expected: &[usize]| {
            let (clients, mut places) = (Clients::default(), HashMap::<_, Vec<Place>>::new());
            let mut taken = Vec::new();
            for step in steps.split(' ') {
                let (address, times) = step.split_once('*').expect("how many");
                let (times, ends) = (times.parse().expect("a number"), address.starts_with('-'));
                let address = address.trim_start_matches('-').parse().expect("an address");
                let client = ClientNetwork::of(&[], address, &HeaderMap::new()).expect("nobody is trusted");
                let own = places.entry(client).or_default();
                if ends {
                    own.truncate(own.len() - times);
                } else {
                    let before = own.len();
                    own.extend((0..times).filter_map(|_| clients.enter(client)));
                    taken.push(own.len() - before);
                }
            }
            assert_eq!(taken, expected, "{steps}");
            drop(places);
            assert!(clients.lock().is_empty(), "{steps}");
        };
        check("1.1.1.1*40 1.1.1.2*40", &[32, 32]);
        check("1.1.1.1*40 -1.1.1.1*3 1.1.1.1*40", &[32, 3]);
        check("1.1.1.1*10 -1.1.1.1*10 1.1.1.1*32 1.1.1.1*1", &[10, 32, 0]);
        check("2001:db8::1*20 2001:db8::2*20 2001:db8:0:1::1*40", &[20, 12, 32]);
    }

    #[test]
    fn each_token_is_a_login_of_its_own_that_no_later_answer_makes_newer() {
        let proxy = Proxy::new(String::new(), String::new(), "proxy".to_owned(), Duration::from_secs(1));
        let login = |token: &str, expires_ms| {
            let user = "ann".to_owned();
            let user = User { user, name: None, picture: None, device_id: None, expires_ms: UnixMs(expires_ms) };
            let (external, _) = proxy.external(token, user, UnixMs(1_000)).expect("it counts");
            assert_eq!(external.expires_ms, UnixMs(expires_ms));
            (external.session, external.issued_s)
        };
        // The end slides on with each answer, and nothing tells the answers apart: so a login that has ended stays so.
        assert_eq!(login("a", 60_000), login("a", 3_600_000));
        assert_ne!(login("a", 60_000).0, login("b", 60_000).0);
        assert_eq!(login("a", 60_000).1, login("b", 90_000).1);
        assert_eq!(login("a", 60_000).0.len(), 64);
    }

    #[test]
    fn an_answer_is_good_for_a_minute_at_most_and_a_refusal_for_a_moment() {
        let proxy = Proxy::new(String::new(), String::new(), "proxy".to_owned(), Duration::from_secs(1));
        let known = |expires_ms| {
            let user = "ann".to_owned();
            Said::Known(User { user, name: None, picture: None, device_id: None, expires_ms: UnixMs(expires_ms) })
        };
        let check = |said: &Said, good_ms: Option<u64>| {
            proxy.remember("token", said, UnixMs(1_000));
            let found = |at| proxy.remembered("token", UnixMs(at)).as_ref() == Some(said);
            let good = good_ms.is_none_or(|ms| found(1_000 + ms - 1) && !found(1_000 + ms));
            assert!(good, "{said:?}");
            assert_eq!(found(1_000), good_ms.is_some(), "{said:?}");
        };
        check(&Said::Nothing, None);
        check(&known(999_999), Some(60_000));
        check(&known(11_000), Some(10_000));
        check(&Said::Refused, Some(5_000));
        assert_eq!(proxy.remembered("another", UnixMs(1_000)), None);
    }
}
