//! What all nests of attributes share.

use netlink_packet_core::{DecodeError, Nla, NlaBuffer, NlasIterator, Parseable};

/// Reads a nest: attributes one after the other, in the order of the wire.
pub(super) fn parse_nest<A>(nest: &[u8]) -> Result<Vec<A>, DecodeError>
where
    A: for<'a> Parseable<NlaBuffer<&'a [u8]>>,
{
    NlasIterator::new(nest).map(|attribute| A::parse(&attribute?)).collect()
}

/// Replaces the attribute of the same kind, or appends.
pub(super) fn set<A: Nla>(attributes: &mut Vec<A>, attribute: A) {
    match attributes.iter_mut().find(|present| present.kind() == attribute.kind()) {
        Some(present) => *present = attribute,
        None => attributes.push(attribute),
    }
}

/// Length of a string on the wire, where a NUL ends it.
pub(super) fn string_len(text: &str) -> usize {
    text.len().saturating_add(1)
}

/// Writes a string and its NUL into a buffer of [`string_len`] bytes.
pub(super) fn emit_string(text: &str, buffer: &mut [u8]) {
    let (head, tail) = buffer.split_at_mut(text.len());
    head.copy_from_slice(text.as_bytes());
    tail.fill(0);
}

/// The value of an attribute in a list. Of several of a kind the last one counts, as it does in the kernel.
macro_rules! find {
    ($attributes:expr, $pattern:pat => $value:expr) => {
        $attributes.iter().rev().find_map(|attribute| match attribute {
            $pattern => Some($value),
            _ => None,
        })
    };
}
pub(super) use find;
