//! Flags for every key of the configuration, made from its table.
//!
//! Owns how a key becomes a flag. What a flag's text means is the key's.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::config::{Config, ConfigError, KEYS, Key, Mode};

/// The flag that names the file.
const FILE: &str = "config";
const HEADING: &str = "Configuration (a flag wins over its environment variable, that over the file)";

/// What the command line says of the configuration.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    file: Option<PathBuf>,
    flags: Vec<(&'static str, String)>,
}

impl Settings {
    /// The configuration that a node with this command line, in this process's environment, would have.
    pub(super) fn load(&self, mode: Mode) -> Result<Config, ConfigError> {
        Config::load(mode, self.file.as_deref(), std::env::vars_os(), &self.flags)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flag = |key: &Key| matches.get_one::<String>(key.name).map(|text| (key.name, text.clone()));
        Ok(Self { file: matches.get_one::<PathBuf>(FILE).cloned(), flags: KEYS.iter().filter_map(flag).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new(FILE)
            .long(FILE)
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("The configuration file, TOML; `rookery checkconfig --defaults` prints one")
            .help_heading(HEADING);
        command.arg(file).args(KEYS.iter().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// `--short`, or `--section.key` where there is no short form; both are understood. `-h` shows the short ones.
fn flag(key: &'static Key) -> Arg {
    let summary = key.text.lines().next().unwrap_or_default();
    let help = format!("{summary}{}", default(key));
    let arg = Arg::new(key.name)
        .value_name(key.placeholder())
        .action(ArgAction::Set)
        .help(help.clone())
        .long_help(format!("{help} [env: {}]", key.variable()))
        .help_heading(HEADING);
    match key.short {
        Some(short) => arg.long(short).visible_alias(key.name),
        None => arg.long(key.name).hide_short_help(true),
    }
}

/// What the key is unless it is set, where that can be said in a word.
fn default(key: &Key) -> String {
    let shown = |mode| key.show(&Config::defaults(mode)).map(|value| value.trim_matches('"').to_owned());
    match (shown(Mode::Run), shown(Mode::Dev)) {
        (Some(run), Some(dev)) if run == dev => format!(" [default: {run}]"),
        (Some(run), Some(dev)) => format!(" [default: {run}, in dev {dev}]"),
        (_, _) => String::new(),
    }
}
