//! From the outside in: what a kernel said and was told, byte for byte; then each attribute on its own; then
//! the readers; then everything that may go wrong.

mod arbitrary;
mod properties;
mod readers;

// These hold bytes of a little-endian kernel.
#[cfg(target_endian = "little")]
mod answers;
#[cfg(target_endian = "little")]
mod capture;
#[cfg(target_endian = "little")]
mod layout;
#[cfg(target_endian = "little")]
mod malformed;
#[cfg(target_endian = "little")]
mod requests;

use netlink_packet_core::Emitable;

fn bytes_of(emitable: &impl Emitable) -> Vec<u8> {
    let mut bytes = vec![0xff; emitable.buffer_len()];
    emitable.emit(&mut bytes);
    bytes
}
