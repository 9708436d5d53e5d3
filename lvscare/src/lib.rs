//! lvscare keeps every Kubernetes node connected to its apiservers with the kernel's own load balancer, IPVS.

pub mod ipvs;
