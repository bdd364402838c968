//! The program that users run: commands, the start and the end of a node, refusals to start.

mod support;

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use support::{Node, private_file, rookery, said};

/// What nodes of these tests are told unless they are told otherwise: free ports of loopback, and no disk that a
/// machine may not have free.
const ANYWHERE: [&str; 6] = [
    "--api=127.0.0.1:0",
    "--ws=127.0.0.1:0",
    "--internal=127.0.0.1:0",
    "--data.free_bytes_min=0",
    "--shards=1",
    "--log.format=json",
];

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// A command in a directory.
fn command(directory: &Path, words: &str) -> Command {
    let words: Vec<&str> = words.split(' ').collect();
    let mut command = rookery(&words);
    if ["run", "dev", "doctor"].contains(&words[0]) {
        let named = |flag: &&str| words.iter().any(|word| word.split('=').next() == flag.split('=').next());
        command.args(ANYWHERE.iter().filter(|flag| !named(flag)));
    }
    command.current_dir(directory);
    command
}

fn node(directory: &Path, words: &str) -> Node {
    Node::spawn(command(directory, words)).ready()
}

/// How a command ends, and the one line that it says then beside its log; `…` stands for anything.
fn check(directory: &Path, words: &str, code: i32, line: &str) {
    let (status, told) = said(&mut command(directory, words));
    let told: Vec<&str> = told.lines().filter(|line| !line.starts_with('{')).collect();
    let (head, tail) = line.split_once('…').unwrap_or((line, ""));
    let fits = |told: &str| told.starts_with(head) && told.ends_with(tail) && (line.contains('…') || told == line);
    assert!(status == code && told.len() == 1 && fits(told[0]), "{words}: {status} {told:?} is not {code} {line:?}");
}

#[test]
fn help_teaches_every_key_and_the_version_names_the_commit() {
    let directory = directory();
    let (_, help) = said(&mut command(directory.path(), "checkconfig --help"));
    let parts = ["Examples:", "--config <FILE>", "--api <IP:PORT>", "[alias: --listen.api]", "ROOKERY_NODE__SHARDS"];
    for part in parts.into_iter().chain(["in dev dev.rkdata]"]) {
        assert!(help.contains(part), "{part} in {help}");
    }
    check(directory.path(), "--version", 0, concat!("rookery ", env!("CARGO_PKG_VERSION"), " (commit …)"));
}

#[test]
fn a_mistake_is_one_line_with_the_remedy() {
    let directory = directory();
    let check = |words, code, line: &str| check(directory.path(), words, code, &format!("rookery: {line}"));
    check(
        "chekconfig",
        2,
        "unrecognized subcommand 'chekconfig'; a similar subcommand exists: 'checkconfig'; see --help",
    );
    check("checkconfig --config absent.toml", 1, "cannot read absent.toml: No such file…leave it out for the defaults");
    check("checkconfig --shards 0", 1, "flag --shards: node.shards is \"0\", expected a whole number from 1 to 256");
    check("gentoken --user 1 --data absent", 1, {
        "no key to sign with; name a node's directory with --data (rookery dev: --data dev.rkdata) or a key with \
         --auth.key_file: token key absent/token.key: No such file or directory (os error 2)"
    });
    check("gentoken --user 1 --ttl 2w", 2, "invalid value '2w' for '--ttl <TIME>': expected a time from 1s to 366d…");
    check("store push --data absent", 2, "the following required arguments were not provided: --list; see --help");
    check("store push --list --data absent", 1, "there is no store in absent (flag --data)");
    check("store push --list --limit 0", 2, "invalid value '0' for '--limit <N>': 0 is not in 1..=10000; see --help");
    check("store check", 1, "there is no store in rookery.rkdata (name the node's directory with --data)");

    // What keeps a node from starting.
    check("dev --ws=0.0.0.0:8001", 1, "flag --ws: listen.ws is 0.0.0.0:8001, and dev listens on loopback only; use …");
    check("run --data=absent", 1, {
        "the data directory absent (flag --data) does not exist; mount it, or make it: mkdir -p absent"
    });
    assert_eq!(std::fs::read_dir(directory.path()).expect("it is there").count(), 0, "nothing was made");
    std::fs::write(directory.path().join("file"), "").expect("a file");
    check("run --data=file", 1, "file (flag --data) is no directory; name one with --data");
    check("run --data=/proc/self/fd", 1, "the data directory /proc/self/fd is not writable: …another with --data");
    let taken = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let taken = taken.local_addr().expect("it is bound");
    for (flag, key) in [("api", "listen.api"), ("ws", "listen.ws"), ("internal", "listen.internal")] {
        in_use(directory.path(), flag, key, taken.port());
    }
}

/// A node that is to listen on a port that somebody has.
fn in_use(directory: &Path, flag: &str, key: &str, port: u16) {
    check(
        directory,
        &format!("run --{flag}=127.0.0.1:{port}"),
        1,
        &format!(
            "rookery: cannot listen on 127.0.0.1:{port} ({key}): Address already in use (os error 98); see who has it with \
         `ss -ltnp 'sport = :{port}'`, or choose another with --{flag}"
        ),
    );
}

#[test]
fn checkconfig_shows_what_is_in_force_and_who_set_it() {
    let directory = directory();
    let file = directory.path().join("rookery.toml");
    std::fs::write(&file, "[node]\nshards = 3\nregion = \"a\"\n").expect("a file");
    let secret = &"5ec2e7".repeat(11)[..64];
    let mut command = command(directory.path(), "checkconfig --config rookery.toml --node.region b");
    let output = command.env("ROOKERY_LISTEN__WS", "0.0.0.0:81").env("ROOKERY_AUTH__KEY", secret).output();
    let output = output.expect("the program starts");
    let (out, warning) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let rows: Vec<String> = out.lines().map(words).collect();
    for row in [
        "node.shards 3 rookery.toml:2",
        "node.region \"b\" flag --node.region",
        "listen.ws \"0.0.0.0:81\" environment variable ROOKERY_LISTEN__WS",
        "listen.api \"127.0.0.1:8000\" default",
        "node.name (not set) default",
        "auth.key \"(secret)\" environment variable ROOKERY_AUTH__KEY",
    ] {
        assert!(rows.iter().any(|of| of == row), "{row} in {rows:#?}");
    }
    assert!(!out.contains("5ec2e7"), "a secret is not shown: {out}");
    assert!(warning.starts_with("rookery: warning: listen.ws is 0.0.0.0:81 without TLS"), "{warning}");
    assert!(output.status.success());

    let (_, defaults) = said(&mut self::command(directory.path(), "checkconfig --defaults"));
    std::fs::write(&file, defaults).expect("a file");
    assert_eq!(said(&mut self::command(directory.path(), "checkconfig --config rookery.toml")).0, 0);
}

#[test]
fn a_token_is_signed_with_the_nodes_key_or_the_one_named() {
    let directory = directory();
    private_file(&directory.path().join("token.key"), &[0x0b; 32]);
    let words = "gentoken --user 7 --device phone-1 --ttl 1d";
    let mut from_variable = command(directory.path(), words);
    from_variable.env("ROOKERY_AUTH__KEY", "0b".repeat(32));
    let from_file = command(directory.path(), &format!("{words} --data ."));
    for mut command in [from_variable, from_file] {
        let (_, token) = said(&mut command);
        let key = api::token::TokenKey::new(&[0x0b; 32]);
        let claims = key.verify(token.trim_end(), support::wall()).expect("it is signed with this key");
        assert_eq!((claims.user, claims.device), (schema::UserId(7), "phone-1".parse().ok()));
        let left_ms = claims.expires_ms.since_ms(support::wall());
        assert!((86_000_000..=86_400_000).contains(&left_ms), "{left_ms}");
    }
}

/// A store in which user 2, whose name is bora, is to be told of three messages of user 1, ann, in a channel that is
/// gone.
fn store_with_items(directory: &Path) {
    use chat::{accounts, arrivals};
    use futures_lite::future::block_on;
    use kv::embedded::{EmbeddedEngine, EmbeddedOptions};
    use schema::record::{PushItem, UserRecord};
    use schema::{ChannelId, Owner, Seq, Stamp, UnixMs, UserId};

    let engine = EmbeddedEngine::open(directory, EmbeddedOptions::new(7)).expect("an empty directory");
    for (user, username) in [(1, "ann"), (2, "bora")] {
        let record = UserRecord { username: username.to_owned(), ..UserRecord::default() };
        block_on(accounts::create_user(&engine, UserId(user), &record, None)).expect("made");
    }
    let sent = |seq: u64| UnixMs(1_767_268_800_000 + seq * 1_000);
    let item = |seq| PushItem::new(UserId(2), (ChannelId(30), Seq(seq)), UserId(1), sent(seq));
    let items = [3, 1, 2].map(item);
    block_on(arrivals::clear(&engine, Owner::default(), Stamp::default(), &items)).expect("written");
    engine.close();
}

#[test]
fn what_phones_are_to_be_told_of_is_listed_for_people_and_for_programs() {
    let directory = directory();
    store_with_items(directory.path());
    let list = |words: &str| {
        let output = command(directory.path(), &format!("store push --list --data .{words}")).output();
        let output = output.expect("the program starts");
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("it writes text"))
    };
    let expected = "\
DUE                   DECISION  USER     FROM     CHANNEL  SEQ
2026-01-01T12:00:31Z  gone      bora  2  ann   1  30       #1
2026-01-01T12:00:32Z  gone      bora  2  ann   1  30       #2
2026-01-01T12:00:33Z  gone      bora  2  ann   1  30       #3
3 items: 3 gone
";
    assert_eq!(list(""), [expected, ""]);
    let [lines, error] = list(" --json --limit 2");
    let seq = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["seq"].as_u64();
    assert_eq!(lines.lines().map(seq).collect::<Vec<_>>(), [Some(1), Some(2)]);
    assert_eq!(error, "rookery: these are the first 2; there are more (--limit)\n");
}

#[test]
fn accounts_without_a_password_are_made_once_and_spoken_for_by_the_key_alone() {
    let directory = directory();
    let accounts = |words: &str| {
        let (code, told) = said(&mut command(directory.path(), &format!("store accounts --data . {words}")));
        assert_eq!(code, 0, "{told}");
        told
    };
    let check = |words: &str, line: &str| {
        check(directory.path(), &format!("store accounts --data . {words}"), 1, &format!("rookery: {line}"));
    };
    let made = accounts("--prefix load_ --count 501");
    let names = made.lines().map(|line| line.split_once(' ').expect("an id and a name").1);
    assert_eq!(names.collect::<Vec<_>>(), (0..501).map(|number| format!("load_{number}")).collect::<Vec<_>>());
    assert_eq!(accounts("--prefix load_ --count 501"), made, "they are there");
    assert!(accounts("--prefix load_ --count 502").starts_with(&made), "the rest is made");
    check("--prefix load1 --count 2", "--prefix load1 ends in a digit, …; end it in a letter or _");
    check("--prefix lo-ad --count 2", "cannot make accounts lo-ad0 and on: …and single dots between them");

    let node = node(directory.path(), "run --data=.");
    node.sign_up("ann_1");
    let user = made.split(' ').next().expect("an id");
    let tried = serde_json::json!({"username": "load_0", "password": "!"});
    assert_eq!(node.http("POST", "/v1/auth/login", None, Some(&tried)).0, 401, "nobody logs in to it");
    let (_, token) = said(&mut command(directory.path(), &format!("gentoken --user {user} --data .")));
    let (status, me) = node.http("GET", "/v1/me", Some(token.trim_end()), None);
    assert_eq!((status, &me["username"]), (200, &serde_json::json!("load_0")), "{me}");
    assert!(node.terminate().success());
    check("--prefix ann_ --count 2", "cannot make accounts ann_0 and on: …ann_1 has a password, so it is somebody's");
}

#[test]
fn friendships_are_made_in_bulk_by_the_rules_of_one() {
    let directory = directory();
    let (_, made) = said(&mut command(directory.path(), "store accounts --data . --prefix load_ --count 202"));
    let ids: Vec<&str> = made.lines().map(|line| line.split_once(' ').expect("an id and a name").0).collect();
    let pairs = |lines: &[String]| {
        std::fs::write(directory.path().join("pairs"), lines.join("\n")).expect("a file");
    };
    let check = |line: &str| check(directory.path(), "store friends --data . --pairs pairs", 1, line);
    let (code, told) = said(&mut command(directory.path(), "store friends --data . --pairs none"));
    assert!(code == 1 && told.contains("cannot read --pairs none"), "{told}");
    pairs(&[format!("{} x", ids[0])]);
    check(&format!("rookery: --pairs pairs, line 1: \"{} x\" are no two ids", ids[0]));
    let all: Vec<String> = ids[1..].iter().map(|other| format!("{} {other}", ids[0])).collect();
    pairs(&[all.as_slice(), &[format!("{} {}", ids[7], ids[7])]].concat());
    check("rookery: cannot make friends of lines 201 to 202 of --pairs pairs: that is you…");
    pairs(&all);
    for _ in 0..2 {
        assert_eq!(
            said(&mut command(directory.path(), "store friends --data . --pairs pairs")),
            (0, "201 friendships\n".to_owned())
        );
    }
    let node = node(directory.path(), "run --data=.");
    let (_, token) = said(&mut command(directory.path(), &format!("gentoken --user {} --data .", ids[201])));
    let (status, page) = node.http("GET", "/v1/me/friends", Some(token.trim_end()), None);
    let friend = &page["friends"][0];
    assert_eq!((status, &friend["user_id"], &friend["state"]), (200, &ids[0].into(), &"accepted".into()), "{page}");
}

#[test]
fn doctor_says_what_is_lacking_and_fails() {
    let directory = directory();
    let taken = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let port = taken.local_addr().expect("it is bound").port();
    let check = |words: &str, expected: Option<&str>| {
        let output = command(directory.path(), &format!("doctor --data=. {words}")).output().expect("it starts");
        let text = String::from_utf8(output.stdout).expect("it writes text");
        let lacking: Vec<_> = text.lines().filter(|line| line.starts_with("LACKING")).collect();
        assert_eq!(output.status.code(), Some(i32::from(expected.is_some())), "{text}");
        assert!(
            lacking.len() == expected.iter().count() && expected.is_none_or(|part| lacking[0].contains(part)),
            "{text}"
        );
        text
    };
    check("--node.region=here", None);
    check(&format!("--api=127.0.0.1:{port}"), Some(&format!("ss -ltnp 'sport = :{port}'")));
    assert_eq!(std::fs::read_dir(directory.path()).expect("it is there").count(), 0, "doctor leaves nothing behind");
    store_with_items(directory.path());
    let text = check("--node.region=here", None);
    assert!(text.contains("store: rows set aside"), "{text}");
}

#[test]
fn a_node_says_where_it_is_and_nothing_else_and_ends_with_0() {
    let directory = directory();
    for signal in [Signal::TERM, Signal::INT] {
        let node = node(directory.path(), "run");
        node.signal(signal);
        let (status, out, err) = node.ended();
        assert_eq!((status.code(), out), (Some(0), vec![]), "{err}");
        assert!(err.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "a JSON object a line: {err}");
    }
    assert!(directory.path().join("rookery.rkdata/token.key").exists(), "the default directory is made");
    let (_, told) = said(&mut command(directory.path(), "store check"));
    assert!(told.starts_with("sound: 0 channels, 0 messages"), "{told}");

    let node = node(directory.path(), "dev");
    let link = format!("{}/", node.api);
    node.signal(Signal::TERM);
    let (_, out, err) = node.ended();
    assert_eq!(out.iter().filter(|line| line.contains(&link)).count(), 2, "links under the ready line: {out:?} {err}");
    assert!(directory.path().join("dev.rkdata").is_dir());
}

/// A client that does not answer its close frame keeps a node from ending at once.
#[test]
fn a_second_signal_ends_a_node_that_is_stopping() {
    let directory = directory();
    let check = |first: Signal, second: Signal, code: i32| {
        let node = node(directory.path(), "run");
        let _mute = support::socket(&node.ws, "rookery.json.v1", support::PATIENCE);
        let (_, token) = node.sign_up(&format!("user{code}{}", first.as_raw()));
        let _connected = node.connect(&token, "mute");
        node.signal(first);
        node.logged("stopping");
        node.signal(second);
        let (status, _, err) = node.ended();
        assert_eq!(status.code(), Some(code), "{err}");
    };
    check(Signal::TERM, Signal::TERM, 143);
    check(Signal::TERM, Signal::INT, 130);
    check(Signal::INT, Signal::INT, 130);
}

#[test]
fn what_a_running_node_has_nobody_else_gets() {
    let (one, other) = (directory(), directory());
    // Off loopback it warns, and starts.
    let open = node(one.path(), "run --ws=0.0.0.0:0");
    assert!(open.logged("\"level\":\"WARN\"").contains("listen.ws is 0.0.0.0:0 without TLS"));
    drop(open);
    let node = node(one.path(), "run");
    let used = "rookery: rookery.rkdata is in use by another process; stop it, or name another data directory";
    check(one.path(), "run", 1, used);
    check(one.path(), "store check", 1, used);
    // Shards share their port among themselves, and with no other node.
    let port = node.ws.rsplit_once(':').expect("a port").1.parse().expect("a number");
    in_use(other.path(), "ws", "listen.ws", port);
    // A token is made beside it with its key.
    let (user, _) = node.sign_up("ann");
    let (_, token) = said(&mut command(one.path(), &format!("gentoken --user {user}")));
    let status = |token: &str| node.http("GET", "/v1/me", Some(token), None).0;
    assert_eq!((status(token.trim()), status(&token.trim()[1..])), (200, 401));
    node.terminate();

    // A newer format is refused and untouched.
    let format = one.path().join("rookery.rkdata/store/format");
    std::fs::write(&format, "rookery store 99\n").expect("it is ours");
    check(one.path(), "run", 1, "rookery: rookery.rkdata has format 99, this program knows 2; use the newer program");
    assert_eq!(std::fs::read_to_string(&format).expect("it is there"), "rookery store 99\n");
}
