//! `cargo xtask fakes`: a stand-in of each service that notifications go to, until Ctrl-C.
//!
//! Owns what is shown. What they are, and the files with which a node sends to them, is the crate `fakes`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::fakes::{Observer, Profile, Received};
use anyhow::{Context as _, Result};
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::nodes::say;

/// Characters of a text that are shown.
const SHOWN_CHARS_MAX: usize = 60;

/// How they behave, and where their files lie.
#[derive(Debug, Clone, Args)]
pub(crate) struct Fakes {
    /// What they do: ok, throttle[:seconds], gone, bad-credentials, slow:ms, hang, drop, flaky:n or unavailable
    #[arg(long, default_value = "ok")]
    profile: Profile,
    /// Where keys and notify.toml are written [default: target/fakes]
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Starts them, shows what arrives, and ends on Ctrl-C.
///
/// # Errors
/// If the directory cannot be written, or one of them cannot listen.
pub(crate) fn run(options: &Fakes) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target").join("fakes");
    let directory = options.dir.as_ref().unwrap_or(&default);
    let observer: Observer = Arc::new(|name, received| say(&line(name, received)));
    let fakes = ::fakes::Fakes::start_observed(directory, Some(observer))
        .with_context(|| format!("cannot start them in {}", directory.display()))?;
    for fake in fakes.all() {
        fake.set_profile(options.profile);
        let (name, address) = (fake.name(), fake.address());
        say(&format!("{name:<8} http://{address}  does {}", options.profile));
    }
    let config = fakes.config_path().canonicalize()?;
    let (webpush, apns) = (fakes.webpush.address(), fakes.apns.address());
    say(&format!("a node sends to them with  --notify.providers_file {}", config.display()));
    say(&format!("a browser's subscription   curl http://{webpush}/subscription/NAME"));
    say(&format!("another behaviour          curl http://{apns}/control -d '{{\"profile\": \"flaky:3\"}}'"));
    say(&format!("what one has taken         curl http://{apns}/received    curl http://{apns}/counts"));
    let events = fakes.events.address();
    say(&format!("an application's server     rookery app events KEY --url http://{events}/events"));
    say(&format!("and what calls are signed with    curl http://{events}/control -d '{{\"secret\": \"…\"}}'"));
    say("what arrives follows; Ctrl-C stops them");
    signals.forever().next();
    for fake in fakes.all() {
        let counts = fake.counts();
        say(&format!(
            "{:<8} {} requests, {} taken, {} different, {} faulty{}",
            fake.name(),
            counts.requests,
            counts.taken,
            counts.distinct,
            counts.faulty,
            fake.fault().map(|why| format!(" (the last: {why})")).unwrap_or_default()
        ));
    }
    Ok(())
}

/// One message in one line.
fn line(name: &str, received: &Received) -> String {
    let Received { id, target, collapse, title, body, badge, data, .. } = received;
    // Whatever is in them, it moves no cursor.
    let cut = |text: &str| text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect::<String>();
    let badge = badge.map(|badge| format!("  badge {badge}")).unwrap_or_default();
    let data = data.iter().map(|(key, value)| format!("  {key}={}", cut(value))).collect::<String>();
    let [id, target, collapse, title, body] = [id, target, collapse, title, body].map(|text| cut(text));
    format!("{name:<8} {id}  to {target}  [{collapse}]  {title}: {body}{badge}{data}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_is_in_it() {
        let received = Received {
            id: "7".to_owned(),
            target: "t".repeat(100),
            collapse: "c".to_owned(),
            title: "a\nb".to_owned(),
            body: "\u{1b}[2J".to_owned(),
            badge: Some(3),
            data: [("channel".to_owned(), "7".to_owned())].into(),
            ..Received::default()
        };
        let expected = format!("apns     7  to {}  [c]  a\\nb: \\u{{1b}}[2J  badge 3  channel=7", "t".repeat(60));
        assert_eq!(line("apns", &received), expected);
    }
}
