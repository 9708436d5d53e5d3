//! What single commands do that take more than a few lines; [`once`](crate::once) has those that change the kernel.

pub mod drain;
