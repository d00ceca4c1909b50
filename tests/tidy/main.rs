//! The rules of the house as tests.
#![allow(clippy::unwrap_used)]
