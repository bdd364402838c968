//! The accounts and channels that sessions use: made over HTTP, kept in a file, used again.
//!
//! Owns that file (mode 0600: it holds passwords and tokens). A run takes its first accounts; tokens that would lapse
//! during the run are renewed; whatever is missing is made, several at a time. Where the nodes' key is at hand tokens are
//! signed here instead, and the accounts may be those that an operator made.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use schema::{ChannelId, UserId};
use serde::{Deserialize, Serialize};

use crate::api::{Api, Tokens, is_refusal};
use crate::cli::SessionArgs;
use crate::interrupt::Interrupt;
use crate::parallel::in_parallel;
use crate::run::random;
use crate::token::Signer;

/// What a token must be good for beyond the run's own length: opening, draining, slow clocks.
const TOKEN_MARGIN: Duration = Duration::from_secs(300);

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Account {
    username: String,
    password: String,
    user_id: UserId,
    token: String,
    expires_ms: u64,
    refresh_token: String,
}

/// The file, and the key where it is at hand.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Book {
    /// Whose accounts these are.
    api: String,
    accounts: Vec<Account>,
    /// By members of a channel: its `n`th channel is that of the `n`th so many accounts.
    channels: BTreeMap<u32, Vec<ChannelId>>,
    #[serde(skip)]
    signer: Option<Signer>,
}

/// How sessions log in.
#[derive(Debug)]
pub(crate) enum Logins {
    /// By the tokens that their accounts were given.
    Given(Vec<Box<str>>),
    /// By tokens that are signed when they are needed.
    Signed { signer: Box<Signer>, users: Vec<UserId> },
}

impl Logins {
    /// The access token of account `at`.
    pub(crate) fn token(&self, at: usize) -> String {
        match self {
            Self::Given(tokens) => tokens[at].as_ref().to_owned(),
            Self::Signed { signer, users } => signer.token(users[at]),
        }
    }
}

impl Book {
    /// The access token of account `at`.
    pub(crate) fn token(&self, at: usize) -> String {
        match &self.signer {
            Some(signer) => signer.token(self.user(at)),
            None => self.accounts[at].token.clone(),
        }
    }

    /// How the first `count` accounts log in.
    pub(crate) fn logins(&self, count: usize) -> Logins {
        let accounts = &self.accounts[..count];
        match &self.signer {
            Some(signer) => {
                let users = accounts.iter().map(|account| account.user_id).collect();
                Logins::Signed { signer: Box::new(signer.clone()), users }
            }
            None => Logins::Given(accounts.iter().map(|account| account.token.as_str().into()).collect()),
        }
    }

    pub(crate) fn user(&self, at: usize) -> UserId {
        self.accounts[at].user_id
    }

    /// The channels of `members` each that [`prepare_channels`] made.
    pub(crate) fn channels(&self, members: u32) -> &[ChannelId] {
        self.channels.get(&members).map_or(&[], Vec::as_slice)
    }

    fn load(path: &Path, apis: &[String]) -> anyhow::Result<Self> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Self { api: apis.first().cloned().unwrap_or_default(), ..Self::default() });
            }
            Err(error) => return Err(error).with_context(|| format!("--accounts {}", path.display())),
        };
        let book: Self = serde_json::from_slice(&text)
            .with_context(|| format!("--accounts {} is not a file of this program", path.display()))?;
        ensure!(
            apis.contains(&book.api),
            "--accounts {}: its accounts are those of {}, not of {}; name another file",
            path.display(),
            book.api,
            apis.join(" or ")
        );
        Ok(book)
    }

    /// Writes a new file and puts it in the place of the old one.
    fn save(&self, path: &Path) -> anyhow::Result<()> {
        let new = path.with_extension("new");
        let write = || {
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            fs::rename(&new, path)
        };
        write().with_context(|| format!("cannot write --accounts {}", path.display()))
    }
}

/// The first `count` accounts, with tokens that are good for `span`.
pub(crate) fn prepare(args: &SessionArgs, count: u32, span: Duration, interrupt: &Interrupt) -> anyhow::Result<Book> {
    let api = Api::new(&args.api);
    let signer = args.token_key.as_deref().map(|key| Signer::load(key, span + TOKEN_MARGIN)).transpose()?;
    if let (Some(users), Some(_)) = (&args.users, &signer) {
        let book = Book { api: String::new(), accounts: provided(users, count)?, signer, ..Book::default() };
        ensure!(api.knows(&book.token(0))?, {
            let (users, api) = (users.display(), api.bases().join(" or "));
            format!("the node at {api} does not know the accounts of --users {users} by --token-key; are both its own?")
        });
        return Ok(book);
    }
    let mut book = Book { signer, ..Book::load(&args.accounts, api.bases())? };
    if let Some(first) = book.accounts.first_mut() {
        let known = match &book.signer {
            Some(signer) => api.knows(&signer.token(first.user_id))?,
            None => match renewed(&api, first, span) {
                Ok(account) => {
                    *first = account;
                    api.knows(&first.token)?
                }
                Err(error) if is_refusal(&error, 401) => false,
                Err(error) => return Err(error),
            },
        };
        ensure!(
            known,
            "--accounts {}: the node at {} does not know them (another data directory?); remove the file",
            args.accounts.display(),
            api.bases().join(" or ")
        );
    }
    let count = count as usize;
    let known = book.accounts.len().min(count);
    let lapses = |at: &usize| book.signer.is_none() && !is_good(&book.accounts[*at], span);
    let stale: Vec<usize> = (0..known).filter(lapses).collect();
    let (work, run) = (stale.len() + count - known, random() as u32);
    let done = in_parallel("accounts", work, interrupt, |at| match stale.get(at) {
        Some(&stale) => renewed(&api, &book.accounts[stale], span),
        None => {
            let username = format!("lg{run:08x}_{}", known + at - stale.len());
            let password = format!("{:032x}", random());
            let tokens = api.sign_up(&username, &password)?;
            Ok(account(username, password, tokens))
        }
    });
    // What was made is kept, also when something failed.
    for (at, account) in done.finished {
        match stale.get(at) {
            Some(&stale) => book.accounts[stale] = account,
            None => book.accounts.push(account),
        }
    }
    if work > 0 {
        book.save(&args.accounts)?;
    }
    done.failed.map_or(Ok(book), Err)
}

/// Channels of `members` accounts each (2: direct), for the first `count` accounts.
pub(crate) fn prepare_channels(
    args: &SessionArgs,
    book: &mut Book,
    members: u32,
    count: u32,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let api = Api::new(&args.api);
    let known = book.channels(members).len();
    let work = ((count / members) as usize).saturating_sub(known);
    let done = in_parallel("channels", work, interrupt, |at| {
        let first = (known + at) * members as usize;
        let others: Vec<UserId> = (first + 1..first + members as usize).map(|at| book.user(at)).collect();
        match others[..] {
            [other] => api.direct(&book.token(first), other),
            _ => api.group(&book.token(first), &format!("loadgen {}", known + at), &others),
        }
    });
    // Those in an unbroken row, since a channel's place says whose it is. One made beyond a gap is made again.
    let row = done.finished.into_iter().enumerate().take_while(|(expected, (at, _))| expected == at);
    book.channels.entry(members).or_default().extend(row.map(|(_, (_, channel))| channel));
    // Accounts that an operator made are in the operator's file, and their channels are found again.
    if work > 0 && args.users.is_none() {
        book.save(&args.accounts)?;
    }
    done.failed.map_or(Ok(()), Err)
}

fn is_good(account: &Account, span: Duration) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u128::from(account.expires_ms) > (now + span + TOKEN_MARGIN).as_millis()
}

/// The account with a token that is good for `span`: its own, one for its refresh token, or one for its password.
fn renewed(api: &Api, old: &Account, span: Duration) -> anyhow::Result<Account> {
    if is_good(old, span) {
        return Ok(old.clone());
    }
    let tokens = match api.refresh(&old.refresh_token) {
        Err(error) if is_refusal(&error, 401) => api.log_in(&old.username, &old.password)?,
        tokens => tokens?,
    };
    let renewed = account(old.username.clone(), old.password.clone(), tokens);
    ensure!(is_good(&renewed, span), "tokens of this node do not last for a run of {} s", span.as_secs());
    Ok(renewed)
}

/// The first `count` accounts that `path` names.
pub(crate) fn read_users(path: &Path, count: u32) -> anyhow::Result<Vec<UserId>> {
    Ok(provided(path, count)?.into_iter().map(|account| account.user_id).collect())
}

fn provided(path: &Path, count: u32) -> anyhow::Result<Vec<Account>> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read --users {shown}"))?;
    let account = |(at, line): (usize, &str)| {
        let (id, name) = line.split_once(' ').unwrap_or((line, ""));
        let user_id = id.parse().with_context(|| {
            format!("--users {shown}, line {}: {line:?} does not begin with an account's id", at + 1)
        })?;
        let none = String::new();
        Ok(Account {
            username: name.to_owned(),
            user_id,
            password: none.clone(),
            token: none.clone(),
            expires_ms: 0,
            refresh_token: none,
        })
    };
    let accounts = text.lines().enumerate().take(count as usize).map(account).collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(accounts.len() == count as usize, {
        format!(
            "--users {shown} names {} accounts, {count} are needed; make more with `rookery store accounts`, or ask for more --devices of each",
            accounts.len()
        )
    });
    Ok(accounts)
}

fn account(username: String, password: String, tokens: Tokens) -> Account {
    let Tokens { user_id, token, expires_ms, refresh_token } = tokens;
    Account { username, password, user_id, token, expires_ms, refresh_token }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_is_read_as_it_was_written_and_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("accounts.json");
        let tokens = Tokens { user_id: UserId(7), token: "t".into(), expires_ms: 9, refresh_token: "r".into() };
        let book = Book {
            api: "http://a".to_owned(),
            accounts: vec![account("u".into(), "p".into(), tokens)],
            channels: [(2, vec![ChannelId(5)])].into(),
            signer: None,
        };
        let load = |apis: &[&str]| Book::load(&path, &apis.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(load(&["http://a"]).unwrap().accounts.len(), 0);
        book.save(&path).unwrap();
        let read = load(&["http://b", "http://a"]).unwrap();
        assert_eq!((read.accounts, read.channels), (book.accounts, book.channels));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(load(&["http://b"]).unwrap_err().to_string().contains("those of http://a"));
        fs::write(&path, "[1]").unwrap();
        assert!(load(&["http://a"]).unwrap_err().to_string().contains("not a file of this program"));
    }
}
