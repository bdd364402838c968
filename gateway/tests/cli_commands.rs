//! The commands that serve nobody, by the program that users run.

use std::path::Path;
use std::process::{Command, Output};

/// The program, in an empty directory and without anybody's configuration.
fn rookery(directory: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rookery"));
    command.args(words).current_dir(directory);
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("ROOKERY_") {
            command.env_remove(variable);
        }
    }
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the program writes text")
}

fn output(command: &mut Command) -> Output {
    command.output().expect("the program starts")
}

/// Runs the command, and compares its exit code and the one line on standard error; `…` in it stands for anything.
fn check(directory: &Path, words: &str, code: i32, line: &str) {
    let output = output(&mut rookery(directory, &words.split(' ').collect::<Vec<_>>()));
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{words}: {error}");
    let told = error.strip_suffix('\n').unwrap_or(error);
    let (head, tail) = line.split_once('…').unwrap_or((line, ""));
    let fits = told.starts_with(head) && told.ends_with(tail) && (line.contains('…') || told == line);
    assert!(fits && !told.contains('\n'), "{words}: {error:?} is not {line:?}");
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

#[test]
fn the_version_names_the_commit() {
    let output = output(&mut rookery(directory().path(), &["--version"]));
    let expected = format!("rookery {} (commit ", env!("CARGO_PKG_VERSION"));
    let printed = text(&output.stdout).trim_end();
    let commit = printed.strip_prefix(&expected).and_then(|rest| rest.strip_suffix(')')).unwrap_or_default();
    let hexadecimal = commit.len() >= 12 && commit.chars().all(|c| c.is_ascii_hexdigit());
    assert!(hexadecimal || commit == "unknown", "{printed}");
}

#[test]
fn help_teaches_every_key_and_its_variable() {
    let output = output(&mut rookery(directory().path(), &["checkconfig", "--help"]));
    let help = text(&output.stdout);
    assert!(output.status.success());
    for part in [
        "Examples:",
        "--config <FILE>",
        "--api <IP:PORT>",
        "[alias: --listen.api]",
        "ROOKERY_NODE__SHARDS",
        "in dev dev.rkdata]",
    ] {
        assert!(help.contains(part), "{part} in {help}");
    }
}

#[test]
fn a_mistake_is_one_line_with_the_remedy() {
    let empty = directory();
    let check = |words, code, line| check(empty.path(), words, code, line);
    check(
        "chekconfig",
        2,
        "rookery: unrecognized subcommand 'chekconfig'; a similar subcommand exists: 'checkconfig'; see --help",
    );
    check("doctor --listen.apii 1", 2, {
        "rookery: unexpected argument '--listen.apii' found; a similar argument exists: '--listen.api'; see --help"
    });
    check("checkconfig --config absent.toml", 1, {
        "rookery: cannot read absent.toml: No such file or directory (os error 2); name an existing file with --config, or \
         leave it out for the defaults"
    });
    check("checkconfig --shards 0", 1, {
        "rookery: flag --shards: node.shards is \"0\", expected a whole number from 1 to 256"
    });
    check("gentoken --user 1 --data absent", 1, {
        "rookery: no key to sign with; name a node's directory with --data (rookery dev: --data dev.rkdata) or a key with \
         --auth.key_file: token key absent/token.key: No such file or directory (os error 2)"
    });
    check("store push --data absent", 2, {
        "rookery: the following required arguments were not provided: --list; see --help"
    });
    check("store push --list --data absent", 1, "rookery: there is no store in absent (flag --data)");
    check(
        "store push --list --limit 0",
        2,
        "rookery: invalid value '0' for '--limit <N>': 0 is not in 1..=10000; see --help",
    );
    check("gentoken --user 1 --ttl 2w", 2, {
        "rookery: invalid value '2w' for '--ttl <TIME>': expected a time from 1s to 366d, such as 90s, 30m, 12h or 7d; \
         see --help"
    });
}

#[test]
fn checkconfig_shows_what_is_in_force_and_who_set_it() {
    let directory = directory();
    std::fs::write(directory.path().join("rookery.toml"), "[node]\nshards = 3\nregion = \"a\"\n").expect("a file");
    let words = ["checkconfig", "--config", "rookery.toml", "--node.region", "b"];
    let output = output(rookery(directory.path(), &words).env("ROOKERY_LISTEN__WS", "0.0.0.0:81"));
    let row = |key: &str| {
        let line = text(&output.stdout).lines().find(|line| line.starts_with(&format!("{key} ")));
        line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(row("node.shards"), "node.shards 3 rookery.toml:2");
    assert_eq!(row("node.region"), "node.region \"b\" flag --node.region");
    assert_eq!(row("listen.ws"), "listen.ws \"0.0.0.0:81\" environment variable ROOKERY_LISTEN__WS");
    assert_eq!(row("listen.api"), "listen.api \"127.0.0.1:8000\" default");
    assert_eq!(row("auth.key"), "auth.key (not set) default");
    let warning = text(&output.stderr);
    assert!(warning.starts_with("rookery: warning: listen.ws is 0.0.0.0:81 without TLS"), "{warning}");
    assert!(output.status.success());
}

#[test]
fn the_defaults_are_a_configuration() {
    let directory = directory();
    let defaults = output(&mut rookery(directory.path(), &["checkconfig", "--defaults"]));
    std::fs::write(directory.path().join("rookery.toml"), &defaults.stdout).expect("a file");
    check(directory.path(), "checkconfig --config rookery.toml", 0, "");
}

#[test]
fn a_secret_in_the_configuration_is_not_shown() {
    let directory = directory();
    let secret = "5ec2e7".repeat(11);
    let output = output(rookery(directory.path(), &["checkconfig"]).env("ROOKERY_AUTH__KEY", &secret[..64]));
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("(secret)"));
    assert!(!text(&output.stdout).contains("5ec2e7"), "{}", text(&output.stdout));
}

#[test]
fn a_token_is_signed_with_the_nodes_key_or_the_one_named() {
    let directory = directory();
    let key = "0b".repeat(32);
    let words = ["gentoken", "--user", "7", "--device", "phone-1", "--ttl", "1d"];
    let from_variable = output(rookery(directory.path(), &words).env("ROOKERY_AUTH__KEY", &key));

    let file = directory.path().join("token.key");
    std::fs::write(&file, [0x0b; 32]).expect("a key");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("it is ours");
    let from_file = output(rookery(directory.path(), &words).args(["--data", "."]));

    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    let now = schema::UnixMs(u64::try_from(now).expect("a time"));
    for output in [from_variable, from_file] {
        let token = text(&output.stdout).trim_end();
        let claims = api::token::TokenKey::new(&[0x0b; 32]).verify(token, now).expect("it is signed with this key");
        assert_eq!(claims.user, schema::UserId(7));
        assert_eq!(claims.device, "phone-1".parse().ok());
        assert!((86_000_000..=86_400_000).contains(&claims.expires_ms.since_ms(now)), "{claims:?}");
    }
}

/// A store in which user 2, whose name is bora, is to be told of three messages of user 1, ann, in a channel that is
/// gone.
fn store_with_items(directory: &Path) {
    use chat::{accounts, arrivals};
    use futures_lite::future::block_on;
    use kv::embedded::{EmbeddedEngine, EmbeddedOptions};
    use schema::record::{PushItem, UserRecord};
    use schema::{ChannelId, Epoch, Owner, Seq, Stamp, UnixMs, UserId};

    let engine = EmbeddedEngine::open(directory, EmbeddedOptions::new(7)).expect("an empty directory");
    for (user, username) in [(1, "ann"), (2, "bora")] {
        let record = UserRecord {
            username: username.to_owned(),
            display_name: String::new(),
            password_hash: String::new(),
            created_ms: UnixMs(0),
        };
        block_on(accounts::create_user(&engine, UserId(user), &record, None)).expect("made");
    }
    let sent = |seq: u64| UnixMs(1_767_268_800_000 + seq * 1_000);
    let item = |seq| PushItem::new(UserId(2), (ChannelId(30), Seq(seq)), UserId(1), sent(seq));
    let items = [3, 1, 2].map(item);
    block_on(arrivals::clear(&engine, Epoch(1), Owner::default(), Stamp::default(), &items)).expect("written");
    engine.close();
}

#[test]
fn what_phones_are_to_be_told_of_is_listed_for_people_and_for_programs() {
    let directory = directory();
    store_with_items(directory.path());
    let list = |words: &[&str]| {
        let all = [&["store", "push", "--list", "--data", "."], words].concat();
        let output = output(&mut rookery(directory.path(), &all));
        assert!(output.status.success(), "{}", text(&output.stderr));
        (text(&output.stdout).to_owned(), text(&output.stderr).to_owned())
    };
    let (table, error) = list(&[]);
    let expected = "\
DUE                   DECISION  USER     FROM     CHANNEL  SEQ
2026-01-01T12:00:31Z  gone      bora  2  ann   1  30       #1
2026-01-01T12:00:32Z  gone      bora  2  ann   1  30       #2
2026-01-01T12:00:33Z  gone      bora  2  ann   1  30       #3
3 items: 3 gone
";
    assert_eq!((table.as_str(), error.as_str()), (expected, ""));
    let (lines, error) = list(&["--json", "--limit", "2"]);
    let seqs: Vec<u64> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["seq"].as_u64().expect("a number"))
        .collect();
    assert_eq!(seqs, [1, 2]);
    assert_eq!(error, "rookery: these are the first 2; there are more (--limit)\n");
}

#[test]
fn doctor_says_what_is_lacking_and_fails() {
    let directory = directory();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let port = taken.local_addr().expect("it is bound").port();
    let api = format!("127.0.0.1:{port}");
    let words =
        ["doctor", "--ws", "127.0.0.1:0", "--internal", "127.0.0.1:0", "--data", ".", "--data.free_bytes_min", "0"];
    let sound = output(rookery(directory.path(), &words).args(["--api", "127.0.0.1:0", "--shards", "1"]));
    assert!(sound.status.success(), "this machine runs nodes: {}", text(&sound.stdout));

    let lacking = output(rookery(directory.path(), &words).args(["--api", &api, "--shards", "1"]));
    assert_eq!(lacking.status.code(), Some(1));
    let rows: Vec<_> = text(&lacking.stdout).lines().filter(|line| line.starts_with("LACKING")).collect();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert!(
        rows[0].contains("port of listen.api") && rows[0].contains(&format!("ss -ltnp 'sport = :{port}'")),
        "{rows:?}"
    );
    assert_eq!(std::fs::read_dir(directory.path()).expect("it is there").count(), 0, "doctor leaves nothing behind");
}
