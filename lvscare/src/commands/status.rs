//! `lvscare status`: once, or again and again.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::{say, text_of};
use crate::cli::{Output, StatusArgs};
use crate::client;
use crate::exit::Failure;
use crate::status::{self, Style};

/// Shows it, until the reader goes away where it is shown again and again.
pub(super) fn run(args: &StatusArgs) -> Result<(), Failure> {
    let Some(every) = args.watch else { return say(&status_text(args)?) };
    loop {
        let text = status_text(args)?;
        // To the top left corner, and away with what was below.
        let mut out = io::stdout();
        if writeln!(out, "\x1b[H\x1b[2J{text}").and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
        std::thread::sleep(every.0.max(Duration::from_millis(100)));
    }
}

fn status_text(args: &StatusArgs) -> Result<String, Failure> {
    let status = if args.all {
        client::status_of_all(args.listen.0)?
    } else {
        client::status(args.listen.0, args.target.vs)?
    };
    if args.all
        && matches!(args.output, Output::Table | Output::Wide)
        && status.virtual_servers.is_empty()
        && status.bare_routes.is_empty()
    {
        return Ok("nothing on this node was made by lvscare".to_owned());
    }
    let style = Style { colour: io::stdout().is_terminal(), wide: args.output == Output::Wide };
    let text = match args.output {
        Output::Table | Output::Wide => status::render(&status, style),
        Output::Json | Output::Yaml => text_of(&status, args.output)?,
    };
    Ok(text.trim_end().to_owned())
}
