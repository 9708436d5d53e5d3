//! One node: from what it has to what it shall have, and back.
//!
//! ```text
//!   asked for ──► wanted ─┐
//!                         ├─[`plan`], pure─► actions ─[`session`]─► journal, then [`hands`] ─► the node
//!   the node ──► [`facts`]┘                                           │
//!                                                       [`undo`] ◄────┘
//! ```
//!
//! - [`wanted`]: what a node shall have. [`facts`]: what it has. Neither knows the other.
//! - [`plan`]: the difference, as [`action`]s. Printing it is a dry run.
//! - [`session`]: one run. It holds the lock, and notes in the [`journal`] how a thing was before [`hands`], the one
//!   place that changes a node, touches it.
//! - [`undo`]: the journal read backwards.
//! - [`prepare`]: all of it in the order that a join needs. [`prepared`]: what a node was prepared with, and
//!   [`replace`]: other masters for it, without a gap.

pub mod action;
pub mod facts;
pub mod hands;
pub mod journal;
pub mod paths;
pub mod plan;
pub mod prepare;
pub mod prepared;
pub mod replace;
pub mod session;
pub mod undo;
pub mod wanted;
