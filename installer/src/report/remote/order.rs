//! What many hosts say at once, told as if they had spoken one after the other. Pure.
//!
//! The host whose turn it is is told as it speaks; what the others say waits. All that waits has a bound: what goes beyond
//! is counted and lost, and whoever reads is told so.

/// What may wait of all hosts together, in bytes.
const MAX_WAITING: usize = 32 << 20;

/// The streams of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

/// What is told of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It said this.
    Said(Stream, Vec<u8>),
    /// So many bytes that followed were lost.
    Lost(u64),
    /// Nothing follows.
    Ended,
}

/// What waits of one host.
#[derive(Debug, Default)]
struct Waiting {
    said: Vec<(Stream, Vec<u8>)>,
    lost: u64,
    has_ended: bool,
}

/// Puts them in order.
#[derive(Debug)]
pub(super) struct InOrder {
    hosts: Vec<Waiting>,
    /// Whose turn it is.
    turn: usize,
    waiting: usize,
    most: usize,
}

impl InOrder {
    /// So many hosts.
    pub(super) fn new(hosts: usize) -> Self {
        let hosts = std::iter::repeat_with(Waiting::default).take(hosts).collect();
        Self { hosts, turn: 0, waiting: 0, most: MAX_WAITING }
    }

    /// A host says something. Returned is what is to be told now.
    pub(super) fn said(&mut self, index: usize, stream: Stream, bytes: &[u8]) -> Option<Told> {
        let host = self.hosts.get_mut(index)?;
        if host.lost > 0 || (index != self.turn && self.waiting.saturating_add(bytes.len()) > self.most) {
            // A hole has one place: where the first of it was.
            host.lost = host.lost.saturating_add(bytes.len() as u64);
            return None;
        }
        if index == self.turn {
            return Some(Told::Said(stream, bytes.to_vec()));
        }
        self.waiting = self.waiting.saturating_add(bytes.len());
        match host.said.last_mut() {
            Some((last, kept)) if *last == stream => kept.extend_from_slice(bytes),
            _ => host.said.push((stream, bytes.to_vec())),
        }
        None
    }

    /// A host has said all. Returned is what is to be told now, of it and of those that had to wait for it.
    pub(super) fn ended(&mut self, index: usize) -> Vec<(usize, Told)> {
        let mut told = Vec::new();
        if let Some(host) = self.hosts.get_mut(index) {
            host.has_ended = true;
        }
        while let Some(host) = self.hosts.get_mut(self.turn) {
            for (stream, bytes) in host.said.drain(..) {
                self.waiting = self.waiting.saturating_sub(bytes.len());
                told.push((self.turn, Told::Said(stream, bytes)));
            }
            if !host.has_ended {
                break;
            }
            if host.lost > 0 {
                told.push((self.turn, Told::Lost(host.lost)));
            }
            told.push((self.turn, Told::Ended));
            self.turn += 1;
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    /// `>` ended; everything else is said.
    fn told(hosts: usize, most: usize, events: &[(usize, &str)]) -> String {
        let mut order = InOrder { most, ..InOrder::new(hosts) };
        let mut text = String::new();
        for (host, said) in events {
            let all = match *said {
                ">" => order.ended(*host),
                said => order
                    .said(*host, Stream::Out, said.as_bytes())
                    .map(|told| (*host, told))
                    .into_iter()
                    .collect(),
            };
            for (host, told) in all {
                let _ = match told {
                    Told::Said(_, bytes) => write!(text, "{host}:{} ", String::from_utf8(bytes).unwrap()),
                    Told::Lost(count) => write!(text, "{host}-{count} "),
                    Told::Ended => write!(text, "{host}> "),
                };
            }
            text.push('|');
        }
        text
    }

    #[test]
    fn the_first_is_told_as_it_speaks_and_the_others_wait() {
        let events = [(1, "b"), (0, "a"), (1, "c"), (2, "d"), (0, ">"), (1, "e"), (2, ">"), (1, ">")];
        assert_eq!(told(3, 99, &events), "|0:a |||0> 1:bc |1:e ||1> 2:d 2> |");
    }

    #[test]
    fn what_waits_has_a_bound_and_a_hole_is_told() {
        // Both share six bytes; the one whose turn it is needs none.
        let events =
            [(1, "aaaa"), (2, "bbb"), (2, "c"), (0, "long enough"), (0, ">"), (1, ">"), (2, "d"), (2, ">")];
        assert_eq!(told(3, 6, &events), "|||0:long enough |0> 1:aaaa |1> ||2-5 2> |");
        // What was told makes room.
        let events = [(1, "aaaa"), (0, ">"), (2, "bbbbbb"), (1, ">"), (2, ">")];
        assert_eq!(told(3, 6, &events), "|0> 1:aaaa ||1> 2:bbbbbb |2> |");
    }

    #[test]
    fn streams_keep_their_order() {
        let mut order = InOrder::new(2);
        for (stream, bytes) in
            [(Stream::Out, "a"), (Stream::Err, "b"), (Stream::Err, "c"), (Stream::Out, "d")]
        {
            assert_eq!(order.said(1, stream, bytes.as_bytes()), None);
        }
        let said = |stream, text: &str| (1, Told::Said(stream, text.as_bytes().to_vec()));
        assert_eq!(
            order.ended(0),
            [(0, Told::Ended), said(Stream::Out, "a"), said(Stream::Err, "bc"), said(Stream::Out, "d")]
        );
    }

    proptest! {
        /// Whatever comes in whatever order: every host ends once, in order, and of its bytes none is unaccounted for.
        #[test]
        fn nothing_is_lost_unseen(events in prop::collection::vec((0_usize..5, 0_usize..9), 0..80), most in 0_usize..40) {
            let mut order = InOrder { most, ..InOrder::new(5) };
            let mut said = [0_u64; 5];
            let mut told = [0_u64; 5];
            let mut ended = Vec::new();
            let mut hear = |host: usize, what: Told, ended: &mut Vec<usize>| match what {
                Told::Said(_, bytes) => told[host] += bytes.len() as u64,
                Told::Lost(count) => told[host] += count,
                Told::Ended => ended.push(host),
            };
            for (host, length) in events {
                said[host] += length as u64;
                if let Some(what) = order.said(host, Stream::Out, &vec![b'x'; length]) {
                    hear(host, what, &mut ended);
                }
                prop_assert!(order.waiting <= most);
            }
            for host in [3, 0, 4, 1, 2] {
                for (host, what) in order.ended(host) {
                    hear(host, what, &mut ended);
                }
            }
            prop_assert_eq!((ended, told, order.waiting), (vec![0, 1, 2, 3, 4], said, 0));
        }
    }
}
