//! The test laboratory.
