//! `lvscare-installer node undo`.

use installer::cli::Output;
use installer::cli::node::UndoArgs;
use installer::node::paths::Root;
use installer::node::session::{self, Session};
use installer::show::{self, Report};
use lvscare::exit::{Exit, Failure};

use super::{holder, say};

pub(crate) fn run(root: &Root, args: &UndoArgs) -> Result<Exit, Failure> {
    if !session::is_touched(root) {
        say("nothing to undo; nothing was changed on this node")?;
        return Ok(Exit::Success);
    }
    let mut session = Session::open(root, &holder("node undo"))?;
    let mut steps = Vec::new();
    if args.dry_run {
        steps = session.way_back()?;
        steps
            .iter()
            .filter(|_| args.output == Output::Text)
            .try_for_each(|step| say(&format!("  {step}")))?;
    } else {
        session.undo(&mut |step| {
            if args.output == Output::Text {
                let _ = say(&format!("  {step}"));
            }
            steps.push(step.clone());
        })?;
    }
    session.close()?;
    if args.output == Output::Json {
        say(&show::json(&Report::new(&steps, args.dry_run, Vec::new()))?)?;
    }
    Ok(Exit::Success)
}
