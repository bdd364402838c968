use super::*;

/// Loads three layers, a setting a line (the environment and flags as `name value`), and shows the keys that are not
/// at their default with who set them, or the error.
fn load(mode: Mode, file: &str, environment: &str, flags: &str) -> String {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("rookery.toml");
    std::fs::write(&path, file).expect("a file in it");
    let words = |line: &str| line.split_once(' ').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let variables = environment.lines().filter_map(words).map(|(name, value)| (name.into(), value.into()));
    let flags: Vec<_> = flags
        .lines()
        .filter_map(words)
        .map(|(name, value)| (find(&name).expect("clap refuses other flags").get_id().as_str(), value))
        .collect();
    let shown = match Config::load(mode, Some(&path), variables, &flags) {
        Ok(config) => {
            let set = |key: &&Arg| config.origin(key.get_id().as_str()) != Origin::Default;
            let show = |key: &Arg| {
                let (name, value) = (key.get_id(), config.show(key, mode).expect("it is set"));
                format!("{name} = {value} ({})", config.origin(name.as_str()))
            };
            keys().filter(set).map(show).collect::<Vec<_>>().join("; ")
        }
        Err(error) => error.to_string(),
    };
    shown.replace(&path.display().to_string(), "FILE")
}

fn check(file: &str, environment: &str, flags: &str, expected: &str) {
    assert_eq!(
        load(Mode::Run, file, environment, flags),
        expected,
        "file {file:?}, env {environment:?}, flags {flags:?}"
    );
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let file = "[node]\nshards = 2";
    let environment = "ROOKERY_NODE__SHARDS 3";
    check("", "", "", "");
    check(file, "", "", "node.shards = 2 (FILE:2)");
    check(file, environment, "", "node.shards = 3 (environment variable ROOKERY_NODE__SHARDS)");
    check(file, environment, "node.shards 4", "node.shards = 4 (flag --shards)");
    check(file, "", "node.shards 4", "node.shards = 4 (flag --shards)");
    check("node.shards = 0x10", "", "", "node.shards = 16 (FILE:1)");
    check(file, "ROOKERY_DEBUG__ECHO true", "", {
        "node.shards = 2 (FILE:2); debug.echo = true (environment variable ROOKERY_DEBUG__ECHO)"
    });
}

#[test]
fn only_variables_with_a_section_are_configuration() {
    check("", "ROOKERY_COMMIT abc", "", "");
    check("", "ROOKERY_SHARDS 9", "", "");
    check("", "OTHER__KEY 9", "", "");
    check("", "ROOKERY_DATA__FREE_BYTES_MIN 5", "", {
        "data.free_bytes_min = 5 (environment variable ROOKERY_DATA__FREE_BYTES_MIN)"
    });
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_nearest_key() {
    check("\n[listen]\nwss = 1", "", "", "FILE:3: unknown key \"listen.wss\"; did you mean \"listen.ws\"?");
    check("[server]\napi = \"x\"", "", "", "FILE:2: unknown key \"server.api\"; did you mean \"listen.api\"?");
    check("shards = 2", "", "", "FILE:1: unknown key \"shards\"; did you mean \"node.shards\"?");
    check("data = \"x\"", "", "", "FILE:1: unknown key \"data\"; did you mean \"data.dir\"?");
    check("[a.b]\nc = 1", "", "", "FILE:2: unknown key \"a.b.c\"; `rookery checkconfig --defaults` lists the keys");
    check("", "ROOKERY_LISTEN__APY 1", "", {
        "environment variable ROOKERY_LISTEN__APY: unknown key \"listen.apy\"; did you mean ROOKERY_LISTEN__API?"
    });
}

#[test]
fn a_value_that_does_not_fit_is_named_with_what_would() {
    check("node.shards = 0", "", "", "FILE:1: node.shards is 0, expected a whole number from 1 to 256");
    check("node.name = \"a b\"", "", "", {
        "FILE:1: node.name is \"a b\", expected a name of 1 to 64 letters, digits, dots, dashes and underscores"
    });
    check("node.shards = \"2\"", "", "", "FILE:1: node.shards is \"2\", expected a TOML integer");
    check("node.shards = -2", "", "", "FILE:1: node.shards is -2, expected a whole number from 1 to 256");
    check("node.shards = [1]", "", "", "FILE:1: node.shards is a TOML array, expected a TOML integer");
    check("", "", "node.shards many", "flag --shards: node.shards is \"many\", expected a whole number from 1 to 256");
    check("", "ROOKERY_LISTEN__WS 8001", "", {
        "environment variable ROOKERY_LISTEN__WS: listen.ws is \"8001\", expected an address and a port, such as \
         127.0.0.1:8000 or [::]:8000"
    });
    check("store.engine = \"fdb\"", "", "", "FILE:1: store.engine is \"fdb\", expected embedded or foundationdb");
    check("debug.echo = 1", "", "", "FILE:1: debug.echo is 1, expected a TOML boolean");
    check("a = ", "", "", "FILE:1: not TOML: string values must be quoted, expected literal string");
    check("[node]\nshards = 1\nshards = 2", "", "", "FILE:3: not TOML: duplicate key");
}

#[test]
fn what_is_wrong_with_a_secret_is_said_without_showing_it() {
    let secret = "ab".repeat(32);
    check("", "", "auth.key hunter2", {
        "flag --auth.key: auth.key is not as it should be, expected 64 hexadecimal digits, as `openssl rand -hex 32` prints"
    });
    check("", &format!("ROOKERY_AUTH__KEY {secret}"), "", {
        "auth.key = \"(secret)\" (environment variable ROOKERY_AUTH__KEY)"
    });
    check("auth.key_file = \"k\"", &format!("ROOKERY_AUTH__KEY {secret}"), "", {
        "auth.key (environment variable ROOKERY_AUTH__KEY) and auth.key_file (FILE:1) are both set; keep one"
    });
}

#[test]
fn dev_listens_on_loopback_only() {
    let check = |flags: &str, expected: &str| assert_eq!(load(Mode::Dev, "", "", flags), expected, "{flags}");
    check("listen.api [::1]:0", "listen.api = \"[::1]:0\" (flag --api)");
    check("listen.ws 127.8.0.1:81", "listen.ws = \"127.8.0.1:81\" (flag --ws)");
    check("listen.ws 0.0.0.0:81", {
        "flag --ws: listen.ws is 0.0.0.0:81, and dev listens on loopback only; use 127.0.0.1:81, or `rookery run`"
    });
    check("listen.internal 192.168.1.2:9000", {
        "flag --internal: listen.internal is 192.168.1.2:9000, and dev listens on loopback only; use 127.0.0.1:9000, or \
         `rookery run`"
    });
}

#[test]
fn two_listeners_need_two_addresses() {
    check("", "", "listen.api 127.0.0.1:9000", {
        "listen.api and listen.internal are both 127.0.0.1:9000; give each a port of its own"
    });
    check("", "", "listen.api 127.0.0.1:0\nlisten.ws 127.0.0.1:0", {
        "listen.api = \"127.0.0.1:0\" (flag --api); listen.ws = \"127.0.0.1:0\" (flag --ws)"
    });
}

#[test]
fn run_warns_of_what_is_open_to_the_network() {
    let check = |flags: &[(&'static str, &str)], expected: &[&str]| {
        let flags: Vec<_> = flags.iter().map(|(key, text)| (*key, (*text).to_owned())).collect();
        let config = Config::load(Mode::Run, None, [], &flags).expect("it is legal");
        let warnings = config.warnings(Mode::Run);
        let keys: Vec<_> = warnings.iter().map(|line| line.split(' ').next().unwrap_or_default()).collect();
        assert_eq!(keys, expected, "{flags:?}");
    };
    let open = [("listen.api", "0.0.0.0:80"), ("listen.ws", "[::]:81"), ("listen.internal", "10.0.0.1:82")];
    check(&[], &[]);
    check(&open, &["listen.api", "listen.ws", "listen.internal"]);
    check(&[open[0], open[1], ("node.ws_url", "wss://chat.example.org")], &[]);
    check(&[open[1], ("node.ws_url", "ws://chat.example.org")], &["listen.ws"]);
    check(&[open[2], ("node.ws_url", "wss://chat.example.org")], &["listen.internal"]);
}

#[test]
fn run_warns_of_what_means_nothing_to_the_engine() {
    let check = |flags: &[(&'static str, &str)], expected: &[&str]| {
        let flags: Vec<_> = flags.iter().map(|(key, text)| (*key, (*text).to_owned())).collect();
        let config = Config::load(Mode::Run, None, [], &flags).expect("it is legal");
        assert_eq!(config.warnings(Mode::Run), expected, "{flags:?}");
    };
    let cluster = [("store.cluster_file", "a"), ("store.prefix", "b")];
    let foundationdb = ("store.engine", "foundationdb");
    check(&[("store.chained_appends", "true"), ("data.free_bytes_min", "5")], &[]);
    check(
        &cluster,
        &[
            "store.cluster_file is set (flag --store.cluster_file) and has no effect: store.engine is embedded",
            "store.prefix is set (flag --store.prefix) and has no effect: store.engine is embedded",
        ],
    );
    check(&[foundationdb, cluster[0], cluster[1]], &[]);
    check(
        &[foundationdb, ("data.free_bytes_min", "5")],
        &["data.free_bytes_min is set (flag --data.free_bytes_min) and has no effect: store.engine is foundationdb"],
    );
}

#[test]
fn a_file_that_cannot_be_read_says_what_to_do() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let error = Config::load(Mode::Run, Some(&directory.path().join("absent")), [], &[]).expect_err("it is absent");
    let text = error.to_string();
    assert!(text.contains("absent: No such file") && text.ends_with("leave it out for the defaults"), "{text}");

    let large = directory.path().join("large");
    std::fs::write(&large, "#".repeat((1 << 20) + 1)).expect("a file");
    let error = Config::load(Mode::Run, Some(&large), [], &[]).expect_err("it is too large");
    assert!(matches!(error, ConfigError::TooLarge { limit_bytes: 1_048_576, .. }), "{error}");
}

/// A documented key is `#name = value` below its section's line and a comment that opens with its help. The value is
/// its default; where it has none, or is a secret, an example that stands below `# For example:`.
#[test]
fn the_documented_file_names_every_key_with_its_help_and_default() {
    let (mut section, mut comment, mut documented) = ("", Vec::new(), Vec::new());
    for line in DOCUMENT.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some(words) = line.strip_prefix("# ") {
            comment.push(words);
        } else if let Some((name, value)) = line.strip_prefix('#').and_then(|line| line.split_once(" = ")) {
            let name = format!("{section}.{name}");
            let key = find(&name).unwrap_or_else(|| panic!("{name} is no key"));
            let help = key.get_help().map(|help| format!("{help}.")).unwrap_or_default();
            assert_eq!(comment.first().copied(), Some(help.as_str()), "{name}");
            let fallback = default(key, Mode::Run).map(|text| layers::to_toml(key, &text));
            let example = comment.last() == Some(&"For example:");
            assert!(fallback.as_deref() == Some(value) || fallback.is_none() && example, "{name}: {fallback:?}");
            // The secret's example is words, so that nobody signs with it.
            let shown = load(Mode::Run, &format!("[{section}]\n{}", &line[1..]), "", "");
            assert_eq!(shown.starts_with(&format!("{name} = ")), name != "auth.key", "{line}: {shown}");
            documented.push(name);
        } else {
            comment.clear();
        }
    }
    let names: Vec<_> = keys().map(|key| key.get_id().to_string()).collect();
    assert_eq!(documented, names, "each once, in one order");
    check(DOCUMENT, "", "", "");
}

#[test]
fn a_machine_with_any_name_has_a_name_as_a_node() {
    let check = |host: &str, name: &str| assert_eq!(host_name(host), name, "{host:?}");
    check("chat-1.example.org", "chat-1.example.org");
    check("", "node");
    check("séoul 1", "s-oul-1");
    check(&"x".repeat(65), &"x".repeat(64));
}

/// Whether each text fits the key; TOML strings and flags take the same.
#[test]
fn a_value_is_judged_by_its_keys_parser() {
    let check = |key: &str, fitting: &[&str], others: &[&str]| {
        let told = |text: &str| load(Mode::Run, "", &format!("{} {text}", variable(key)), "");
        for text in fitting {
            assert!(told(text).starts_with(&format!("{key} = ")), "{key} {text:?}: {}", told(text));
        }
        for text in others {
            assert!(told(text).contains(&format!("{key} is ")), "{key} {text:?}: {}", told(text));
        }
    };
    check("listen.api", &["127.0.0.1:8100", "[::1]:0", "localhost:9"], &["127.0.0.1", ":8000", "127.0.0.1:70000", ""]);
    check("listen.trusted_proxies", &["10.0.0.1", "10.0.0.0/8,::1"], &["10.0.0.0/33", "10.0.0.1,x", "proxy", ""]);
    check("listen.allowed_origins", &["*", "https://a.example,http://b:81"], &["a.example", "https://a/", "null", ""]);
    check("node.shards", &["1", "256", "0_2"], &["0", "257", "65536", "-1", "+1", "_1", "1e1", ""]);
    check("data.free_bytes_min", &["1_000", "0"], &["-1", "99999999999999999999"]);
    check("debug.echo", &["true", "false"], &["yes", "1", ""]);
    check("data.dir", &["a b", "--x"], &[""]);
    check("node.region", &["서울"], &["", &"a".repeat(65)]);
    check("node.name", &["chat-1"], &["a b", "", &"x".repeat(65)]);
    check(
        "node.ws_url",
        &["wss://chat.example.org", "ws://[::1]:8001/"],
        &["https://chat.example.org", "ws://chat.example.org/path", "ws://"],
    );
    check("store.engine", &["foundationdb", "embedded"], &["FoundationDB"]);
    check("store.prefix", &["chat", &"é".repeat(29)], &["", "a\0b", &"é".repeat(30)]);
    check("log.format", &["json"], &["yaml"]);
    check("log.filter", &["warn,gateway::uring=trace", "OFF", "chat"], &["inof", "a=b=c", " "]);
    check("auth.key", &[&"0a".repeat(32)], &[&"+a".repeat(32), &"0a".repeat(31), &"é".repeat(32)]);
}

#[test]
fn a_secret_prints_nothing_of_itself() {
    let flag = ("auth.key", "ab".repeat(32));
    let config = Config::load(Mode::Run, None, [], &[flag]).expect("64 digits");
    let key = config.auth.key.as_ref().expect("it is set");
    assert_eq!(key.bytes(), &[0xab; 32]);
    let shown = config.show(find("auth.key").expect("a key"), Mode::Run);
    let printed = format!("{config:?} {shown:?}");
    assert!(!printed.contains("abab") && !printed.contains("171"), "{printed}");
}
