//! lvscare.
