//! `rookery gentoken`: an access token for a user, signed with a node's key.
//!
//! Owns the bounds of its life. Asks no store: whether the user exists is not checked.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use api::token::{Claims, FAMILY_OPERATOR, TokenKey};
use clap::Args;
use schema::{DeviceId, UserId};

use crate::config::Mode;
use crate::ops::terminal::print;
use crate::runtime::wall;

use super::settings::Settings;

/// Longest life of an operator's token: a year.
const TTL_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

#[derive(Debug, Args)]
pub(super) struct GentokenArgs {
    /// The user for whom it speaks
    #[arg(long, value_name = "ID")]
    user: UserId,

    /// The one device that may use it; any if left out
    #[arg(long, value_name = "ID")]
    device: Option<DeviceId>,

    /// How long it is valid: seconds, or with a unit: 90s, 30m, 12h, 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = ttl)]
    ttl: Duration,

    #[command(flatten)]
    settings: Settings,
}

pub(super) fn gentoken(arguments: &GentokenArgs) -> anyhow::Result<ExitCode> {
    let config = arguments.settings.load(Mode::Run)?;
    let key = match &config.key {
        Some(secret) => TokenKey::new(secret.bytes()),
        None => TokenKey::load(&config.key_file()).context(
            "no key to sign with; name a node's directory with --data (rookery dev: --data dev.rkdata) or a key with \
             --auth.key_file",
        )?,
    };
    let ttl_ms = u64::try_from(arguments.ttl.as_millis()).expect("a year in milliseconds");
    let claims = Claims {
        user: arguments.user,
        family: FAMILY_OPERATOR,
        device: arguments.device.clone(),
        expires_ms: wall().plus_ms(ttl_ms),
    };
    print(&format!("{}\n", key.issue(&claims)))?;
    Ok(ExitCode::SUCCESS)
}

fn ttl(text: &str) -> anyhow::Result<Duration> {
    let (number, unit_s) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        Some((at, 'd')) => (&text[..at], 24 * 3600),
        _ => (text, 1),
    };
    let ttl_s = number.parse::<u64>().ok().map(|number| number.saturating_mul(unit_s));
    match ttl_s.map(Duration::from_secs) {
        Some(ttl) if !ttl.is_zero() && ttl <= TTL_MAX => Ok(ttl),
        _ => bail!("expected a time from 1s to 366d, such as 90s, 30m, 12h or 7d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tokens_life_has_a_unit_and_a_bound() {
        let check = |text: &str, seconds: Option<u64>| {
            assert_eq!(ttl(text).ok(), seconds.map(Duration::from_secs), "{text}");
        };
        check("90", Some(90));
        check("90s", Some(90));
        check("30m", Some(1_800));
        check("1h", Some(3_600));
        check("366d", Some(31_622_400));
        check("367d", None);
        check("0s", None);
        check("-1h", None);
        check("1w", None);
        check("1hd", None);
        check("99999999999999999999d", None);
        check("", None);
    }
}
