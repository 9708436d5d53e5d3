//! `lvscare-installer`: the program. What it does stands in the library beside it, from which the manual is made as well.

use std::process::ExitCode;

fn main() -> ExitCode {
    installer::main()
}
