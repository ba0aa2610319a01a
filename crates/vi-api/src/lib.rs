//! The VMware VI API as Rust types, schema tables and an XML codec; no I/O.

#![forbid(unsafe_code)]
