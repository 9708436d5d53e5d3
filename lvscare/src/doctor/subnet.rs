//! Ranges of addresses, as Kubernetes is told them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::kernel::address::InterfaceAddress;

/// A range such as `10.96.0.0/12`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// Any address in it.
    pub address: IpAddr,
    /// Leading bits that all its addresses share.
    pub prefix: u8,
}

impl Subnet {
    /// Whether `address` lies in it.
    pub fn holds(self, address: IpAddr) -> bool {
        InterfaceAddress { address: self.address, prefix: self.prefix }.shares_subnet_with(address)
    }
}

impl FromStr for Subnet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "not a range of addresses such as 10.96.0.0/22".to_owned();
        let (address, prefix) = text.trim().split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let prefix = prefix.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        if prefix > longest {
            return Err(wrong());
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Every range in a list separated by commas, as dual-stack clusters have; what is none is left out.
pub fn list(text: &str) -> Vec<Subnet> {
    text.split(',').filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubeadms_default_holds_the_usual_virtual_address() {
        let vip = "10.103.97.2".parse().unwrap();
        assert!("10.96.0.0/12".parse::<Subnet>().unwrap().holds(vip));
        assert!(!"10.96.0.0/22".parse::<Subnet>().unwrap().holds(vip));
        assert!(!"fd00:103::/64".parse::<Subnet>().unwrap().holds(vip));
        assert_eq!(list("10.96.0.0/12, fd00::/108,nonsense").len(), 2);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["", "10.96.0.0", "10.96.0.0/33", "10.96.0.0/-1", "fd00::/129", "service/12"] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }
}
