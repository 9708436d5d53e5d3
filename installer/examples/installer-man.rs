//! Writes the manual pages and the completions of every shell into a directory: `make man`.
//!
//! An example and not a command of the installer, which ships without the generator. The pages come from the same types
//! that parse the command line, so they cannot disagree with it.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use clap_complete::Shell;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: installer-man DIRECTORY")?);
    fs::create_dir_all(&directory)?;
    clap_mangen::generate_to(installer::command(), &directory)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut installer::command(), "lvscare-installer", &directory)?;
    }
    Ok(())
}
