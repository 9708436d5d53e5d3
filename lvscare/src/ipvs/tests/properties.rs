//! What holds for any message and for any bytes.

use netlink_packet_core::{DecodeError, ParseableParametrized};
use netlink_packet_generic::{GenlFamily, GenlHeader};
use proptest::{collection::vec, prelude::*};

use super::{arbitrary, bytes_of};
use crate::ipvs::Message;

fn parse(command: u8, payload: &[u8]) -> Result<Message, DecodeError> {
    Message::parse_with_param(payload, GenlHeader { cmd: command, version: 1 })
}

proptest! {
    #[test]
    fn a_message_is_read_back_as_written(message in arbitrary::message()) {
        prop_assert_eq!(parse(message.command(), &bytes_of(&message)).unwrap(), message);
    }

    #[test]
    fn any_bytes_are_read_or_refused(command: u8, bytes in vec(any::<u8>(), 0..256)) {
        let _ = parse(command, &bytes);
    }

    /// Closer to a message than any bytes are, so that errors are met deeper inside. What is read need not be
    /// what is written: flags of nests are dropped. But from there on nothing changes.
    #[test]
    fn a_damaged_message_is_read_or_refused(
        message in arbitrary::message(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = bytes_of(&message);
        for (index, byte) in damage {
            let index = index.index(bytes.len().max(1));
            if let Some(damaged) = bytes.get_mut(index) {
                *damaged = byte;
            }
        }
        if let Ok(read) = parse(message.command(), &bytes) {
            let written = bytes_of(&read);
            prop_assert_eq!(bytes_of(&parse(read.command(), &written).unwrap()), written);
        }
    }
}
