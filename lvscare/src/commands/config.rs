//! `lvscare config`: help for whoever writes a file.

use super::{say, text_of};
use crate::active_config::ActiveConfig;
use crate::cli::{ConfigCommand, Output};
use crate::config::Config;
use crate::config::raw::{File, SCHEMA};
use crate::exit::Failure;

/// Checks, prints, or says what may be written.
pub(super) fn run(command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check(args) => {
            let config = ActiveConfig::load(args)?.config;
            let servers = config.services.iter().map(|service| service.servers.len()).sum::<usize>();
            let services = config.services.len();
            say(&format!("the configuration is valid: virtual servers: {services}, real servers: {servers}"))
        }
        ConfigCommand::Print(args) => {
            let file = File::from(&Config::load(args)?);
            say(text_of(&file, Output::Yaml)?.trim_end())
        }
        ConfigCommand::Schema => say(SCHEMA.trim_end()),
    }
}
