//! Flags for every key of the configuration.
//!
//! Owns what the command line shows of a key, and takes its text. What fits a key is for [`config`], which knows the
//! other layers too.

use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};

use crate::config::{self, Config, Mode};

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
    pub(super) fn load(&self, mode: Mode) -> anyhow::Result<Config> {
        Config::load(mode, self.file.as_deref(), std::env::vars_os(), &self.flags)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let names = config::keys().map(|key| key.get_id().as_str());
        let flags = names.filter_map(|name| Some((name, matches.get_one::<String>(name)?.clone())));
        Ok(Self { file: matches.get_one::<PathBuf>(FILE).cloned(), flags: flags.collect() })
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
            .value_parser(value_parser!(PathBuf))
            .help("The configuration file, TOML; `rookery checkconfig --defaults` prints one")
            .help_heading(HEADING);
        command.arg(file).args(config::keys().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// The key's flag, which takes any text. `-h` shows those with a short word, `--help` all.
fn flag(key: &'static Arg) -> Arg {
    let name = key.get_id().as_str();
    let help = format!("{}{}", key.get_help().expect("every key has help"), default(key));
    key.clone()
        .value_parser(value_parser!(String))
        .value_delimiter(Resettable::Reset)
        .default_value(Resettable::Reset)
        .required(false)
        .help(help.clone())
        .long_help(format!("{help} [env: {}]", config::variable(name)))
        .hide_short_help(config::flag(name) == name)
        .help_heading(HEADING)
}

/// What the key is unless it is set, where that can be said in a word.
fn default(key: &Arg) -> String {
    match (config::default(key, Mode::Run), config::default(key, Mode::Dev)) {
        (Some(run), Some(dev)) if run == dev => format!(" [default: {run}]"),
        (Some(run), Some(dev)) => format!(" [default: {run}, in dev {dev}]"),
        (_, _) => String::new(),
    }
}
