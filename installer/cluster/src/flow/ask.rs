//! One question for many hosts at once.

use std::time::Duration;

use node::api::{Outcome, Request};

use crate::remote;
use crate::remote::session::Session;
use crate::runner::{self, Ended, Stop};
use crate::transport::Transport;

/// Asks those hosts, and gives their answers in the order of `questions`; none where somebody asked to stop before. A host
/// whose link is lost is spoken with no more.
pub async fn ask<T: Transport + 'static>(
    sessions: &mut [Option<Session<T>>],
    questions: Vec<(usize, Request)>,
    stop: &Stop,
) -> Vec<(usize, Option<Result<Outcome, remote::Error>>)> {
    let mut answers = Vec::new();
    let mut jobs = Vec::new();
    for (host, request) in questions {
        let Some(mut session) = sessions.get_mut(host).and_then(Option::take) else { continue };
        answers.push((host, None));
        jobs.push(async move {
            let answer = session.run(request, &mut |_| ()).await;
            (session, answer)
        });
    }
    runner::run(jobs, stop.clone(), Duration::ZERO, |event| {
        let runner::Event::Ended(index, Ended::Done((session, answer))) = event else { return };
        let Some((host, place)) = answers.get_mut(index) else { return };
        if let Some(there) = sessions.get_mut(*host)
            && !matches!(answer, Err(remote::Error::Unknown { .. }))
        {
            *there = Some(session);
        }
        *place = Some(answer);
    })
    .await;
    answers
}
