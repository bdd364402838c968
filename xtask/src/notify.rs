//! `cargo xtask notify`: many notifications by a node and stand-ins of the services, in trouble or not, and what became
//! of them.
//!
//! Owns the load, the trouble and the count. Everything is accepted by the API under keys, so what a killed node did not
//! answer is asked again; at the end each notification is sent or given up, or this fails.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ::fakes::{Fakes, Observer, Profile as Behaviour};
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::nodes::{PATIENCE, Profile, Programs, Running, say};

/// Media that each user is told by.
const MEDIA: [&str; 3] = ["apns", "fcm", "webpush"];
/// What all of it is.
const CATEGORY: &str = "load";
/// How long the trouble lasts.
const TROUBLE: Duration = Duration::from_secs(60);
/// How long what is left may take once nothing more is accepted, beside what the trouble takes.
const PATIENCE_AFTER: Duration = Duration::from_secs(600);

/// How many, how fast, and through what.
#[derive(Debug, Clone, Args)]
pub(crate) struct Notify {
    /// Notifications, a device each
    #[arg(long, default_value_t = 100_000)]
    notifications: u64,
    /// Users, each with a device of APNs, of FCM and a browser
    #[arg(long, default_value_t = 200)]
    users: u64,
    /// Notifications that are accepted a second; 0 for all at once
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// They are told by a template, half of the devices in another language
    #[arg(long)]
    template: bool,
    /// For a minute APNs hangs and FCM answers 503
    #[arg(long)]
    trouble: bool,
    /// How often the node is killed while it is at work
    #[arg(long, default_value_t = 0)]
    kills: u32,
    /// How programs are built
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
    /// The node's binary, in place of building one
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Where what waits is drawn over time
    #[arg(long)]
    svg: Option<PathBuf>,
    /// The API's port; WebSocket and the internal listener have the next
    #[arg(long, default_value_t = 8600)]
    port: u16,
}

/// When notices were accepted, and how long after that each message arrived, by service, in milliseconds.
#[derive(Default)]
struct Arrivals {
    accepted_ms: BTreeMap<String, u64>,
    took_ms: BTreeMap<String, Vec<u64>>,
}

fn lock(of: &Mutex<Arrivals>) -> MutexGuard<'_, Arrivals> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Runs it, and prints what became of all.
///
/// # Errors
/// Something cannot be started, or a notification was lost.
pub(crate) fn run(options: &Notify) -> Result<()> {
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => Programs::build(&["gateway"], options.profile)?.path("rookery"),
    };
    let directory = std::env::temp_dir().join(format!("rookery-notify-{}", std::process::id()));
    fs::create_dir_all(directory.join("data"))?;
    let done = load(options, &binary, &directory);
    // What could not be removed is in a directory for temporary files.
    let _ = fs::remove_dir_all(&directory);
    done
}

/// Lets each user have as many as there are: by default a user gets few of a category.
fn unlimited(config: &Path) -> Result<()> {
    let limits: Vec<_> = MEDIA.iter().map(|medium| format!("{medium} = {{ burst = 10000, every_s = 1 }}")).collect();
    let category = format!("\n[[category]]\nname = \"{CATEGORY}\"\nlimits = {{ {} }}\n", limits.join(", "));
    let written = fs::read_to_string(config)?;
    fs::write(config, written + &category)?;
    Ok(())
}

fn load(options: &Notify, binary: &Path, directory: &Path) -> Result<()> {
    let arrivals: Arc<Mutex<Arrivals>> = Arc::default();
    let observed = Arc::clone(&arrivals);
    let observer: Observer = Arc::new(move |service, received| {
        let mut arrivals = lock(&observed);
        let accepted = received.data.get("notice_id").and_then(|id| arrivals.accepted_ms.get(id)).copied();
        // One that arrives before its acceptance was answered took no time to speak of.
        let took_ms = accepted.map_or(0, |accepted| wall_ms().saturating_sub(accepted));
        arrivals.took_ms.entry(service.to_owned()).or_default().push(took_ms);
    });
    let fakes = Fakes::start_observed(&directory.join("fakes"), Some(observer))?;
    unlimited(fakes.config_path())?;
    let mut node = Node::start(binary, directory, fakes.config_path(), options.port)?;
    say(&format!("{} users sign up, each with {} devices", options.users, MEDIA.len()));
    let users = (0..options.users).map(|user| node.user(&fakes, user)).collect::<Result<Vec<_>>>()?;
    let app = node.app()?;
    if options.template {
        node.put_template(&app)?;
    }
    if options.trouble {
        fakes.apns.set_profile(Behaviour::Hang);
        fakes.fcm.set_profile(Behaviour::Unavailable);
    }
    let each = options.users * MEDIA.len() as u64;
    let notices = options.notifications.div_ceil(each);
    let expected = notices * options.users;
    say(&format!("{notices} notices of {each} notifications each are accepted"));
    let begun = Instant::now();
    let mut history: Vec<(f64, [u64; 3])> = Vec::new();
    let (mut ids, mut kills, mut healed) = (Vec::new(), 0, !options.trouble);
    let (mut cpu_ms, mut looked, mut accepted_s) = (0, Instant::now(), 0.0);
    loop {
        let at = begun.elapsed();
        let due = if options.rate == 0 { notices } else { 1 + at.as_secs() * options.rate / each };
        if (ids.len() as u64) < notices.min(due) {
            let number = ids.len();
            let id = node.notify(&app, &users, number, options.template)?;
            lock(&arrivals).accepted_ms.entry(id.clone()).or_insert_with(wall_ms);
            ids.push(id);
            accepted_s = begun.elapsed().as_secs_f64();
        } else {
            thread::sleep(Duration::from_millis(20));
        }
        if !healed && at >= TROUBLE {
            fakes.all().iter().for_each(|fake| fake.set_profile(Behaviour::Ok));
            say("the services are well again");
            healed = true;
        }
        if kills < options.kills && at.as_secs() >= u64::from(kills + 1) * 15 {
            kills += 1;
            cpu_ms += node.cpu_ms();
            say(&format!("the node is killed, {:.0} s after the first was accepted", at.as_secs_f64()));
            node = node.again()?;
        }
        if looked.elapsed() < Duration::from_secs(1) {
            continue;
        }
        looked = Instant::now();
        let told = [&fakes.apns, &fakes.fcm, &fakes.webpush].map(|fake| fake.counts().distinct);
        history.push((at.as_secs_f64(), told.map(|told| (ids.len() as u64 * options.users).saturating_sub(told))));
        if told.iter().all(|&told| told >= expected) && ids.len() as u64 == notices {
            break;
        }
        ensure!(
            at < TROUBLE + PATIENCE_AFTER,
            "after {:.0} s some are missing: {told:?} of {expected}",
            at.as_secs_f64()
        );
    }
    let took_s = begun.elapsed().as_secs_f64();
    cpu_ms += node.cpu_ms();
    let ends = node.ends(&app, &ids)?;
    node.running.stop()?;
    let total = expected * MEDIA.len() as u64;
    say(&report(&fakes, &arrivals, total, (accepted_s, took_s), cpu_ms, &ends));
    if let Some(svg) = &options.svg {
        fs::write(svg, drawn(&history))?;
    }
    let ended: u64 =
        ends.iter().filter(|(state, _)| matches!(state.as_str(), "sent" | "dead")).map(|(_, count)| count).sum();
    ensure!(ended == total, "{ended} of {total} are sent or dead: {ends:?}");
    Ok(())
}

/// A node and where it is.
struct Node {
    command: Vec<String>,
    binary: PathBuf,
    api: String,
    internal: String,
    running: Running,
}

impl Node {
    fn start(binary: &Path, directory: &Path, providers: &Path, port: u16) -> Result<Self> {
        let at = |offset: u16| format!("127.0.0.1:{}", port + offset);
        let words = ["run", "--api", &at(0), "--ws", &at(1), "--internal", &at(2), "--log", "warn", "--data"];
        let mut command: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        command.push(directory.join("data").display().to_string());
        command.extend(["--notify.providers_file".to_owned(), providers.display().to_string()]);
        Self::spawn(binary.to_owned(), command, format!("http://{}", at(0)), format!("http://{}", at(2)))
    }

    fn spawn(binary: PathBuf, command: Vec<String>, api: String, internal: String) -> Result<Self> {
        let mut process = Command::new(&binary);
        process.args(&command).stdout(std::process::Stdio::null());
        let running = Running::start("rookery", &mut process, |line| say(&line))?;
        let node = Self { command, binary, api, internal, running };
        let until = Instant::now() + PATIENCE;
        while ask("GET", &format!("{}/health/ready", node.internal), None, &[], "")
            .is_none_or(|(status, _)| status != 200)
        {
            ensure!(Instant::now() < until, "the node is not ready");
            thread::sleep(Duration::from_millis(50));
        }
        Ok(node)
    }

    /// The next life, after kill -9.
    fn again(self) -> Result<Self> {
        let Self { command, binary, api, internal, running } = self;
        drop(running);
        Self::spawn(binary, command, api, internal)
    }

    /// Makes an account with a device of each medium; its id.
    fn user(&self, fakes: &Fakes, number: u64) -> Result<String> {
        let body = json!({"username": format!("user{number}"), "password": "correct horse battery"}).to_string();
        let (_, account) =
            ask("POST", &format!("{}/v1/auth/signup", self.api), None, &[], &body).context("no answer")?;
        let token = format!("Bearer {}", account["token"].as_str().with_context(|| format!("{account}"))?);
        let subscription: Value = serde_json::from_str(&fakes.subscription(&format!("browser{number}")))?;
        let locale = ["en", "pt-BR"][usize::from(number % 2 == 1)];
        for (device, body) in [
            ("phone", json!({"medium": "apns", "token": format!("{number:064x}"), "locale": locale})),
            ("tablet", json!({"medium": "fcm", "token": format!("token-{number}"), "locale": locale})),
            ("browser", json!({"medium": "webpush", "subscription": subscription})),
        ] {
            let url = format!("{}/v1/me/devices/{device}/push", self.api);
            let (status, said) = ask("PUT", &url, Some(&token), &[], &body.to_string()).context("no answer")?;
            ensure!(status == 204, "{device}: {said}");
        }
        Ok(account["user_id"].as_str().context("an account has an id")?.to_owned())
    }

    /// Makes an application; what it says who it is by.
    fn app(&self) -> Result<String> {
        let url = format!("{}/admin/apps", self.internal);
        let (_, app) = ask("POST", &url, None, &[], r#"{"name":"load"}"#).context("no answer")?;
        let part = |name: &str| app[name].as_str().map(str::to_owned).with_context(|| format!("{app}"));
        Ok(format!("Basic {}", base64(&format!("{}:{}", part("key")?, part("secret")?))))
    }

    /// Stores the template that notices may be told by.
    fn put_template(&self, app: &str) -> Result<()> {
        let list = "{% for part in parts %}{{ loop.index }}. {{ part.name }}; {% endfor %}";
        let body = json!({
            "default_locale": "en",
            "parameters": [{"name": "number", "kind": "number", "required": true}, {"name": "parts", "kind": "list"}],
            "variants": [
                {"locale": "en", "title": "Notice {{ number }}", "body": format!("Of a load: {list}")},
                {"locale": "pt", "title": "Aviso {{ number }}", "body": format!("De uma carga: {list}")},
            ],
        });
        let url = format!("{}/v1/templates/load", self.api);
        let (status, said) = ask("PUT", &url, Some(app), &[], &body.to_string()).context("no answer")?;
        ensure!(status == 200, "the template: {said}");
        Ok(())
    }

    /// Has a notice accepted, asking again under its key until it is.
    fn notify(&self, app: &str, users: &[String], number: usize, by_template: bool) -> Result<String> {
        let mut body = json!({"to": users, "category": CATEGORY});
        if by_template {
            body["template"] = json!("load");
            body["data"] = json!({"number": number, "parts": vec![json!({"name": "a part"}); 5]});
        } else {
            body["title"] = json!(format!("Notice {number}"));
            body["body"] = json!("Of a load.");
        }
        let key = format!("notice-{number}");
        let until = Instant::now() + PATIENCE;
        loop {
            let url = format!("{}/v1/notifications", self.api);
            match ask("POST", &url, Some(app), &[("Idempotency-Key", &key)], &body.to_string()) {
                Some((202, accepted)) => return Ok(accepted["id"].as_str().context("it has an id")?.to_owned()),
                Some((status, said)) if status < 500 && status != 429 => bail!("refused: {said}"),
                _ => ensure!(Instant::now() < until, "the node accepts nothing any more"),
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// How many notifications are in which state, once none is planned any more.
    fn ends(&self, app: &str, ids: &[String]) -> Result<BTreeMap<String, u64>> {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut states: BTreeMap<String, u64> = BTreeMap::new();
            for id in ids {
                let url = format!("{}/v1/notifications/{id}", self.api);
                let (_, report) = ask("GET", &url, Some(app), &[], "").context("no answer")?;
                for (state, count) in report["states"].as_object().with_context(|| format!("{report}"))? {
                    *states.entry(state.clone()).or_default() += count.as_u64().unwrap_or_default();
                }
            }
            if !states.contains_key("planned") || Instant::now() > until {
                return Ok(states);
            }
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// Processor time of this life, in milliseconds.
    fn cpu_ms(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.running.pid())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        // In hundredths of a second on every Linux that this runs on: in user mode, in the kernel.
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
        (ticks(11) + ticks(12)) * 10
    }
}

/// One request. `None` without an answer.
fn ask(method: &str, url: &str, who: Option<&str>, headers: &[(&str, &str)], body: &str) -> Option<(u16, Value)> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into();
    let mut request = ureq::http::Request::builder().method(method).uri(url).header("content-type", "application/json");
    for (name, value) in headers.iter().copied().chain(who.map(|who| ("authorization", who))) {
        request = request.header(name, value);
    }
    let mut answer = agent.run(request.body(body.to_owned()).ok()?).ok()?;
    let text = answer.body_mut().read_to_string().ok()?;
    Some((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

/// By RFC 4648.
fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn report(
    fakes: &Fakes,
    arrivals: &Mutex<Arrivals>,
    total: u64,
    (accepted_s, took_s): (f64, f64),
    cpu_ms: u64,
    ends: &BTreeMap<String, u64>,
) -> String {
    let ends: Vec<String> = ends.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let rate = total as f64 / took_s;
    let mut text = format!(
        "{total} notifications: {}\naccepted within {accepted_s:.1} s, the last arrived after {took_s:.1} s: {rate:.0} a second\n\
         {:.0} us of the node's processor time a notification\n",
        ends.join(", "),
        cpu_ms as f64 * 1_000.0 / total as f64
    );
    let mut arrivals = lock(arrivals);
    for fake in fakes.all() {
        let counts = fake.counts();
        let Some(took_ms) = arrivals.took_ms.get_mut(fake.name()) else { continue };
        took_ms.sort_unstable();
        let at = |part: f64| took_ms[((took_ms.len() - 1) as f64 * part) as usize] as f64 / 1_000.0;
        let _ = writeln!(
            text,
            "{:<8} {} requests, {} taken, {} different; from accepted to taken p50 {:.2} s, p99 {:.2} s, at most {:.2} s",
            fake.name(),
            counts.requests,
            counts.taken,
            counts.distinct,
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
    text
}

/// What was accepted and has not arrived, over time, a line for each service.
fn drawn(history: &[(f64, [u64; 3])]) -> String {
    const WIDTH: f64 = 900.0;
    const HEIGHT: f64 = 320.0;
    let end_s = history.last().map_or(1.0, |(at, _)| at.max(1.0));
    let most = history.iter().flat_map(|(_, depths)| depths).copied().max().unwrap_or(1).max(1) as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"60\" y=\"20\">notifications that wait: {most:.0} at most, over {end_s:.0} s</text>\n\
         <path d=\"M60 30V{}H{}\" fill=\"none\" stroke=\"black\"/>\n",
        WIDTH + 80.0,
        HEIGHT + 80.0,
        HEIGHT + 30.0,
        WIDTH + 60.0
    );
    for part in 0..=4 {
        let (x, y) = (60.0 + WIDTH * f64::from(part) / 4.0, 30.0 + HEIGHT * (1.0 - f64::from(part) / 4.0));
        let _ = writeln!(
            svg,
            "<text x=\"{x:.0}\" y=\"{}\" text-anchor=\"middle\">{:.0} s</text>",
            HEIGHT + 48.0,
            end_s * f64::from(part) / 4.0
        );
        let _ = writeln!(
            svg,
            "<text x=\"55\" y=\"{:.0}\" text-anchor=\"end\">{:.0}</text>",
            y + 4.0,
            most * f64::from(part) / 4.0
        );
    }
    for (number, (medium, colour)) in MEDIA.iter().zip(["#c03", "#06c", "#090"]).enumerate() {
        let points: Vec<String> = history
            .iter()
            .map(|(at, depths)| {
                let (x, y) = (60.0 + at / end_s * WIDTH, 30.0 + HEIGHT * (1.0 - depths[number] as f64 / most));
                format!("{x:.1},{y:.1}")
            })
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
        let x = 60 + 100 * number;
        let _ = writeln!(svg, "<text x=\"{x}\" y=\"{}\" fill=\"{colour}\">{medium}</text>", HEIGHT + 70.0);
    }
    svg + "</svg>\n"
}
