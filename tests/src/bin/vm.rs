//! Runs tests, programs or a shell on a kernel that has IPVS: in a guest, or here if this kernel will do.

#![allow(clippy::print_stderr, reason = "a command-line tool for developers")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use nix::unistd::Uid;
use tests::vm::{self, Built, Clock, Kernel, Machine, Plan, Program, Request, Tree, Verdict};

/// A guest with tests is killed after so long.
const LIMIT: Duration = Duration::from_secs(600);

#[derive(Parser)]
#[command(about)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Run the tests that need IPVS
    Test {
        #[command(flatten)]
        setup: Setup,
        /// Only this test file (repeatable)
        #[arg(long, value_name = "NAME")]
        test: Vec<String>,
        /// Arguments for the test executables, such as a name to filter by
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Run one program
    Run {
        #[command(flatten)]
        setup: Setup,
        /// The program and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Look into the guest with a shell; `exit` ends it
    Shell {
        #[command(flatten)]
        setup: Setup,
    },
}

#[derive(Args)]
struct Setup {
    /// Boot the guest even if this kernel has IPVS
    #[arg(long)]
    guest: bool,
    /// Also build and pack the programs of this package (repeatable)
    #[arg(long, value_name = "NAME")]
    package: Vec<String>,
    /// Also pack this executable (repeatable)
    #[arg(long, value_name = "PATH")]
    bin: Vec<PathBuf>,
    /// Also unpack this Debian package in the guest, with all that it depends on (repeatable)
    #[arg(long, value_name = "NAME")]
    debian: Vec<String>,
    /// Seconds until the guest is killed [default: 600, and none for a shell]
    #[arg(long)]
    limit: Option<u64>,
    /// Processors of the guest; one finds what another one would have hidden
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    processors: u8,
    /// A clock that costs no system call, as on a real machine; only where nothing else runs while the guest boots
    #[arg(long)]
    cheap_clock: bool,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(Verdict::Success) => ExitCode::SUCCESS,
        Ok(Verdict::Failure) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("vm: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<Verdict> {
    match cli.what {
        What::Test { setup, test, args } => {
            let built = build(&Request { tests: Some(test), packages: setup.package.clone() })?;
            let commands = built.tests.iter().map(|test| [vec![test.name.clone()], args.clone()].concat());
            let plan = Plan { commands: commands.collect() };
            setup.execute(&built, &plan)
        }
        What::Run { setup, command } => {
            let built = setup.build_programs()?;
            setup.execute(&built, &Plan { commands: vec![command] })
        }
        What::Shell { setup } => {
            let built = setup.build_programs()?;
            // A shell without a terminal of its own could not be interrupted.
            let command = ["setsid", "cttyhack", "bash"].map(str::to_owned).to_vec();
            setup.boot(&built, &Plan { commands: vec![command] }, Duration::ZERO, |machine| {
                machine.attach().map(|()| Verdict::Success)
            })
        }
    }
}

/// Builds it and says so: the first time it takes as long as everything else.
fn build(request: &Request) -> Result<Built> {
    eprintln!("vm: building what is to run on the other kernel, a minute or two the first time");
    let began = Instant::now();
    let built = vm::build(request)?;
    eprintln!("vm: built in {:.1?}", began.elapsed());
    Ok(built)
}

impl Setup {
    fn build_programs(&self) -> Result<Built> {
        build(&Request { tests: None, packages: self.package.clone() })
    }

    fn execute(&self, built: &Built, plan: &Plan) -> Result<Verdict> {
        if self.guest || !host_will_do() {
            self.boot(built, plan, LIMIT, Machine::run)
        } else {
            self.run_here(built, plan)
        }
    }

    fn boot(
        &self,
        built: &Built,
        plan: &Plan,
        limit: Duration,
        start: impl FnOnce(&Machine) -> Result<Verdict>,
    ) -> Result<Verdict> {
        let began = Instant::now();
        let cache = vm::target_directory()?.join("guest");
        let kernel = Kernel::fetch(&cache)?;
        let packages = match [self.debian.as_slice(), &built.debian].concat().as_slice() {
            [] => None,
            names => Some(Tree::fetch(&cache, &names.join("+"), names)?),
        };
        let image = tempfile::tempfile()?;
        vm::pack(image.try_clone()?, &kernel, built, &self.extra()?, packages.as_ref(), plan)?;
        eprintln!("vm: packed {} MiB in {:.1?}, booting", image.metadata()?.len() >> 20, began.elapsed());
        let began = Instant::now();
        let limit = self.limit.map_or(limit, Duration::from_secs);
        let clock = if self.cheap_clock { Clock::Counter } else { Clock::Hpet };
        let verdict =
            start(&Machine { kernel: kernel.image, image, limit, processors: self.processors, clock })?;
        eprintln!("vm: {verdict:?} after {:.1?}", began.elapsed());
        Ok(verdict)
    }

    /// The same commands with the same programs in reach, without a guest around them.
    fn run_here(&self, built: &Built, plan: &Plan) -> Result<Verdict> {
        let extra = self.extra()?;
        let programs = built.tests.iter().chain(&built.programs).chain(&extra);
        let mut places: Vec<PathBuf> = programs.filter_map(|p| p.path.parent()).map(Path::to_owned).collect();
        places.dedup();
        places.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let path = std::env::join_paths(places)?;
        let mut verdict = Verdict::Success;
        for command in &plan.commands {
            let [name, arguments @ ..] = command.as_slice() else { continue };
            let test = built.tests.iter().find(|test| test.name == *name);
            let program = test.map_or(Path::new(name), |test| &test.path);
            let status = Command::new(program).args(arguments).env("PATH", &path).status();
            if !status.with_context(|| name.clone())?.success() {
                verdict = Verdict::Failure;
            }
        }
        Ok(verdict)
    }

    fn extra(&self) -> Result<Vec<Program>> {
        let program = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).context("--bin needs a file")?;
            Ok(Program { name: name.to_owned(), path: path.clone() })
        };
        self.bin.iter().map(program).collect()
    }
}

/// Whether we may change IPVS here. Asking for the table also loads the module, as on a node.
fn host_will_do() -> bool {
    let mut list = Command::new("ipvsadm");
    list.arg("-Ln").stdout(Stdio::null()).stderr(Stdio::null());
    Uid::effective().is_root() && list.status().is_ok_and(|status| status.success())
}
