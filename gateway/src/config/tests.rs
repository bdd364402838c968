use super::*;

/// Loads what the lines say: `ROOKERY_… value` is a variable, `--key value` a flag, any other line one of the file.
/// Shows the keys that are not at their default with who set them, or the error.
fn load(mode: Mode, lines: &str) -> String {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("rookery.toml");
    let (mut file, mut variables, mut flags) = (String::new(), Vec::new(), Vec::new());
    for line in lines.lines() {
        match (line.split_once(' ').unwrap_or((line, "")), line.strip_prefix("--")) {
            ((name, value), Some(_)) => {
                let key = find(&name[2..]).expect("clap refuses other flags");
                flags.push((key.get_id().as_str(), value.to_owned()));
            }
            ((name, value), None) if name.starts_with("ROOKERY_") || name == "OTHER__KEY" => {
                variables.push((name.into(), value.into()));
            }
            _ => file.push_str(&format!("{line}\n")),
        }
    }
    std::fs::write(&path, file).expect("a file in it");
    let shown = match Config::load(mode, Some(&path), variables, &flags) {
        Ok(config) => {
            let show = |key: &'static Arg| {
                let name = key.get_id().as_str();
                let by = config.named_by(name)?;
                Some(format!("{name} = {} ({by})", config.show(key, mode).expect("it is set")))
            };
            keys().filter_map(show).collect::<Vec<_>>().join("; ")
        }
        Err(error) => error.to_string(),
    };
    shown.replace(&path.display().to_string(), "FILE")
}

fn check(lines: &str, expected: &str) {
    assert_eq!(load(Mode::Run, lines), expected, "{lines}");
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let file = "[node]\nshards = 2";
    let by_variable = format!("{file}\nROOKERY_NODE__SHARDS 3");
    check("", "");
    check(file, "node.shards = 2 (FILE:2)");
    check(&by_variable, "node.shards = 3 (environment variable ROOKERY_NODE__SHARDS)");
    check(&format!("{by_variable}\n--node.shards 4"), "node.shards = 4 (flag --shards)");
    check(&format!("{file}\n--node.shards 4"), "node.shards = 4 (flag --shards)");
    check("node.shards = 0x10", "node.shards = 16 (FILE:1)");
    check("ROOKERY_DEBUG__ECHO true", "debug.echo = true (environment variable ROOKERY_DEBUG__ECHO)");
    // Only variables with a section are configuration.
    check("ROOKERY_COMMIT abc\nROOKERY_SHARDS 9\nOTHER__KEY 9", "");
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_nearest_key() {
    check("\n[listen]\nwss = 1", "FILE:3: unknown key \"listen.wss\"; did you mean \"listen.ws\"?");
    check("[server]\napi = \"x\"", "FILE:2: unknown key \"server.api\"; did you mean \"listen.api\"?");
    check("shards = 2", "FILE:1: unknown key \"shards\"; did you mean \"node.shards\"?");
    check("data = \"x\"", "FILE:1: unknown key \"data\"; did you mean \"data.dir\"?");
    check("[a.b]\nc = 1", "FILE:2: unknown key \"a.b.c\"; `rookery checkconfig --defaults` lists the keys");
    check("ROOKERY_LISTEN__APY 1", {
        "environment variable ROOKERY_LISTEN__APY: unknown key \"listen.apy\"; did you mean ROOKERY_LISTEN__API?"
    });
}

#[test]
fn a_value_that_does_not_fit_is_named_with_what_would() {
    let check = |line: &str, expected: &str| check(line, &format!("FILE:1: {expected}"));
    check("node.shards = 0", "node.shards is 0, expected a whole number from 1 to 256");
    check("node.shards = \"2\"", "node.shards is \"2\", expected a TOML integer");
    check("node.shards = [1]", "node.shards is a TOML array, expected a TOML integer");
    check("debug.echo = 1", "debug.echo is 1, expected a TOML boolean");
    check("store.engine = \"fdb\"", "store.engine is \"fdb\", expected embedded or foundationdb");
    check("node.name = \"a b\"", {
        "node.name is \"a b\", expected a name of 1 to 64 letters, digits, dots, dashes and underscores"
    });
    check("a = ", "not TOML: string values must be quoted, expected literal string");
}

/// The secret is never shown, not even where it is wrong.
#[test]
fn rules_and_remedies() {
    let secret = "ab".repeat(32);
    check("[node]\nshards = 1\nshards = 2", "FILE:3: not TOML: duplicate key");
    check("--node.shards many", "flag --shards: node.shards is \"many\", expected a whole number from 1 to 256");
    check("--auth.key hunter2", {
        "flag --auth.key: auth.key is not as it should be, expected 64 hexadecimal digits, as `openssl rand -hex 32` prints"
    });
    check(&format!("ROOKERY_AUTH__KEY {secret}"), "auth.key = \"(secret)\" (environment variable ROOKERY_AUTH__KEY)");
    check(&format!("auth.key_file = \"k\"\nROOKERY_AUTH__KEY {secret}"), {
        "auth.key (environment variable ROOKERY_AUTH__KEY) and auth.key_file (FILE:1) are both set; keep one"
    });
    check("--listen.api 127.0.0.1:9000", {
        "listen.api and listen.internal are both 127.0.0.1:9000; give each a port of its own"
    });
    check("--listen.api 127.0.0.1:0\n--listen.ws 127.0.0.1:0", {
        "listen.api = \"127.0.0.1:0\" (flag --api); listen.ws = \"127.0.0.1:0\" (flag --ws)"
    });
    check("--auth.mode both", {
        "flag --auth.mode: auth.mode takes tokens of issuers and none is known; set auth.issuers_file"
    });
    let config = Config::load(Mode::Run, None, [], &[("auth.key", secret)]).expect("64 digits");
    assert_eq!(config.key.as_ref().expect("it is set").bytes(), &[0xab; 32]);
    let printed = format!("{config:?}");
    assert!(!printed.contains("abab") && !printed.contains("171"), "{printed}");
}

#[test]
fn dev_listens_on_loopback_only() {
    let check = |flags: &str, expected: &str| assert_eq!(load(Mode::Dev, flags), expected, "{flags}");
    check("--listen.api [::1]:0", "listen.api = \"[::1]:0\" (flag --api)");
    check("--listen.ws 127.8.0.1:81", "listen.ws = \"127.8.0.1:81\" (flag --ws)");
    check("--listen.internal 192.168.1.2:9000", {
        "flag --internal: listen.internal is 192.168.1.2:9000, and dev listens on loopback only; use 127.0.0.1:9000, or \
         `rookery run`"
    });
}

#[test]
fn run_warns_of_what_is_open_to_the_network_and_of_what_means_nothing_to_the_engine() {
    let check = |flags: &[(&'static str, &str)], expected: &[&str]| {
        let flags: Vec<_> = flags.iter().map(|(key, text)| (*key, (*text).to_owned())).collect();
        let warnings = Config::load(Mode::Run, None, [], &flags).expect("it is legal").warnings(Mode::Run);
        assert_eq!(warnings.len(), expected.len(), "{flags:?}: {warnings:?}");
        for (warning, begin) in warnings.iter().zip(expected) {
            assert!(warning.starts_with(begin), "{flags:?}: {warning}");
        }
    };
    let open = [("listen.api", "0.0.0.0:80"), ("listen.ws", "[::]:81"), ("listen.internal", "10.0.0.1:82")];
    let (plain, tls) = (("node.ws_url", "ws://chat.example.org"), ("node.ws_url", "wss://chat.example.org"));
    check(&[], &[]);
    check(&open, &["listen.api is ", "listen.ws is ", "listen.internal is "]);
    check(&[open[0], open[1], tls], &[]);
    check(&[open[1], plain], &["listen.ws is "]);
    check(&[open[2], tls], &["listen.internal is "]);
    let api_tls = [("listen.api_tls_certificate_file", "c"), ("listen.api_tls_key_file", "k")];
    check(&[open[0], api_tls[0], api_tls[1]], &[]);
    check(&[open[0], open[1], api_tls[0], api_tls[1], tls], &[]);
    check(&[open[1], api_tls[0], api_tls[1]], &["listen.ws is ", "the API speaks TLS and WebSockets do not"]);
    let (cluster, prefix) = (("store.cluster_file", "a"), ("store.prefix", "b"));
    let (foundationdb, reserve) = (("store.engine", "foundationdb"), ("data.free_bytes_min", "5"));
    let told = "store.cluster_file is set (flag --store.cluster_file) and has no effect: store.engine is embedded";
    check(&[("store.chained_appends", "true"), reserve], &[]);
    check(&[cluster, prefix], &[told, "store.prefix is set "]);
    check(&[foundationdb, cluster, prefix], &[]);
    check(&[foundationdb, reserve], &["data.free_bytes_min is set "]);
    let (secret, links) = (("cluster.secret_file", "c"), ("listen.links", "0.0.0.0:84"));
    check(&[secret, links], &["listen.links is 0.0.0.0:84 and node.links_address is not set"]);
    check(&[secret, links, ("node.links_address", "a:84")], &[]);
    check(&[secret, open[1]], &["listen.ws is ", "listen.ws is [::]:81 and node.ws_url is not set"]);
    check(&[secret, open[1], tls], &[]);
    let issuers = ("auth.issuers_file", "d");
    check(&[issuers], &["auth.issuers_file is set (flag --auth.issuers_file) and has no effect"]);
    check(&[issuers, ("auth.mode", "external")], &[]);
}

#[test]
fn a_node_of_one_role_has_others_beside_it() {
    let cluster = "--store.engine foundationdb\n--cluster.secret_file a\n";
    let check = |flags: &str, expected: &str| {
        let told = load(Mode::Run, flags);
        assert!(told.contains(expected), "{flags}: {told}");
    };
    check("--node.roles api", "set store.engine = \"foundationdb\" and cluster.secret_file, or name both roles");
    check(&format!("{cluster}--node.roles api"), "node.roles = [\"api\"]");
    check(&format!("{cluster}--node.roles api\n--node.weight 2"), "leave node.weight out");
    check(&format!("{cluster}--node.roles gateway"), "set node.api_url to its address");
    check(&format!("{cluster}--node.roles gateway\n--node.api_url https://a"), "node.roles = [\"gateway\"]");
    let weight = |flags: &[(&'static str, String)]| Config::load(Mode::Run, None, [], flags).expect("legal").weight();
    let flag = |key, text: &str| (key, text.to_owned());
    let alone = [flag("store.engine", "foundationdb"), flag("cluster.secret_file", "a"), flag("node.roles", "api")];
    assert_eq!((weight(&alone), weight(&[flag("node.shards", "3")])), (0, 3));
}

#[test]
fn a_file_that_cannot_be_read_says_what_to_do() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let large = directory.path().join("large");
    std::fs::write(&large, "#".repeat((1 << 20) + 1)).expect("a file");
    let check = |path: &Path, parts: [&str; 2]| {
        let text = Config::load(Mode::Run, Some(path), [], &[]).expect_err("it cannot be read").to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    };
    check(&directory.path().join("absent"), ["absent: No such file", "leave it out for the defaults"]);
    check(&large, ["large is larger than 1048576 bytes", "name another file"]);
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
            let shown = load(Mode::Run, &format!("[{section}]\n{}", &line[1..]));
            assert_eq!(shown.starts_with(&format!("{name} = ")), name != "auth.key", "{line}: {shown}");
            documented.push(name);
        } else {
            comment.clear();
        }
    }
    let names: Vec<_> = keys().map(|key| key.get_id().to_string()).collect();
    assert_eq!(documented, names, "each once, in one order");
    check(DOCUMENT, "");
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
        for (texts, word) in [(fitting, "="), (others, "is")] {
            for text in texts {
                let told = load(Mode::Run, &format!("{} {text}", variable(key)));
                assert!(told.contains(&format!("{key} {word} ")), "{key} {text:?}: {told}");
            }
        }
    };
    check("listen.api", &["127.0.0.1:8100", "[::1]:0", "localhost:9"], &["127.0.0.1", ":8000", "127.0.0.1:70000", ""]);
    check("listen.trusted_proxies", &["10.0.0.1", "10.0.0.0/8,::1"], &["10.0.0.0/33", "10.0.0.1,x", "proxy", ""]);
    check("listen.allowed_origins", &["*", "https://a.example,http://b:81"], &["a.example", "https://a/", "null", ""]);
    check("node.shards", &["1", "256", "0_2"], &["0", "257", "65536", "-1", "+1", "_1", "1e1", ""]);
    check("data.free_bytes_min", &["1_000", "0"], &["-1", "99999999999999999999"]);
    check("debug.echo", &["true", "false"], &["yes", "1", ""]);
    check("data.dir", &["a b", "--x"], &[""]);
    check("node.region", &["서울"], &["", &"a".repeat(65), &"서".repeat(22)]);
    check("node.roles", &["gateway,api", "api,gateway", "gateway,api,notify"], &["", "web", "api;gateway"]);
    check("node.name", &["chat-1"], &["a b", "", &"x".repeat(65)]);
    check("node.ws_url", &["wss://chat.example.org", "ws://[::1]:8001/"], &["https://a", "ws://a/path", "ws://"]);
    check(
        "node.api_url",
        &["https://chat.example.org", "http://[::1]:8000/"],
        &["wss://a", "http://a/path", "https://"],
    );
    check("store.engine", &["foundationdb", "embedded"], &["FoundationDB"]);
    check("store.prefix", &["chat", &"é".repeat(29)], &["", "a\0b", &"é".repeat(30)]);
    check("log.format", &["json"], &["yaml"]);
    check("log.filter", &["warn,gateway::uring=trace", "OFF", "chat"], &["inof", "a=b=c", " "]);
    check("auth.key", &[&"0a".repeat(32)], &[&"+a".repeat(32), &"0a".repeat(31), &"é".repeat(32)]);
}
