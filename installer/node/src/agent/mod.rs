//! The remote end: commands in, replies out, for a controller that reaches this machine by any stream of bytes.
//!
//! - [`wire`]: what is said, one JSON value a line. [`lines`], [`link`]: bounded lines; a controller that talks, falls
//!   silent or goes away at any byte. [`name`]: names that a controller gives.
//! - [`serve`](mod@serve): one command after the other, on any [`Machine`](crate::machine::Machine).
//! - [`silence`]: a controller whose link was cut.
//! - [`task`]: which programs may take minutes. [`runs`]: what became of them. [`supervise`](mod@supervise): the process
//!   that watches over one, and that keeps the machine locked meanwhile.

pub mod lines;
pub mod link;
pub mod name;
pub mod runs;
pub mod serve;
pub mod silence;
pub mod supervise;
pub mod task;
pub mod wire;

#[cfg(test)]
mod test;

pub use serve::{Places, serve};
pub use supervise::supervise;
