//! Flags of a virtual server.

use bitflags::bitflags;
use netlink_packet_core::{DecodeError, parse_u32};

const IP_VS_SVC_F_PERSISTENT: u32 = 0x01;
const IP_VS_SVC_F_HASHED: u32 = 0x02;
const IP_VS_SVC_F_ONEPACKET: u32 = 0x04;
const IP_VS_SVC_F_SCHED1: u32 = 0x08;
const IP_VS_SVC_F_SCHED2: u32 = 0x10;
const IP_VS_SVC_F_SCHED3: u32 = 0x20;

bitflags! {
    /// How a service treats its clients (`IP_VS_SVC_F_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ServiceFlags: u32 {
        /// A client stays with its real server for a while (`IP_VS_SVC_F_PERSISTENT`).
        const PERSISTENT = IP_VS_SVC_F_PERSISTENT;
        /// The service is in the kernel's table: set by the kernel in every answer (`IP_VS_SVC_F_HASHED`).
        const HASHED = IP_VS_SVC_F_HASHED;
        /// Each UDP packet is scheduled on its own (`IP_VS_SVC_F_ONEPACKET`).
        const ONE_PACKET = IP_VS_SVC_F_ONEPACKET;
        /// First flag of the scheduler; of `sh` and `mh`: fall back to another real server
        /// (`IP_VS_SVC_F_SCHED1`, `IP_VS_SVC_F_SCHED_SH_FALLBACK`).
        const SCHEDULER_1 = IP_VS_SVC_F_SCHED1;
        /// Second flag of the scheduler; of `sh` and `mh`: the port counts too
        /// (`IP_VS_SVC_F_SCHED2`, `IP_VS_SVC_F_SCHED_SH_PORT`).
        const SCHEDULER_2 = IP_VS_SVC_F_SCHED2;
        /// Third flag of the scheduler (`IP_VS_SVC_F_SCHED3`).
        const SCHEDULER_3 = IP_VS_SVC_F_SCHED3;
        // The kernel owns the list: bits of a newer one are kept.
        const _ = !0;
    }
}

/// Flags, and which of them are meant (`struct ip_vs_flags`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MaskedFlags {
    /// The values.
    pub flags: ServiceFlags,
    /// The flags to change; the others stay as they are. All of them in an answer.
    pub mask: ServiceFlags,
}

impl MaskedFlags {
    /// Length on the wire.
    pub(super) const LEN: usize = 2 * size_of::<u32>();

    pub(super) fn parse(value: &[u8]) -> Result<Self, DecodeError> {
        let Some((flags, mask)) = value.split_at_checked(size_of::<u32>()) else {
            return Err(DecodeError::invalid_number(Self::LEN, value.len()));
        };
        Ok(Self {
            flags: ServiceFlags::from_bits_retain(parse_u32(flags)?),
            mask: ServiceFlags::from_bits_retain(parse_u32(mask)?),
        })
    }

    pub(super) fn emit(self, buffer: &mut [u8]) {
        let (flags, mask) = buffer.split_at_mut(size_of::<u32>());
        flags.copy_from_slice(&self.flags.bits().to_ne_bytes());
        mask.copy_from_slice(&self.mask.bits().to_ne_bytes());
    }
}

/// These flags set and all others cleared.
impl From<ServiceFlags> for MaskedFlags {
    fn from(flags: ServiceFlags) -> Self {
        Self { flags, mask: ServiceFlags::all() }
    }
}
