//! What is to be done: the difference between what there is and what there shall be. Pure.
//!
//! - [`prepare`]: on the way to a join. [`masters`]: when the masters are others. [`undo`]: on the way back.

pub mod masters;
pub mod prepare;
pub mod undo;
