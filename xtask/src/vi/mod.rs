//! The generator of the VI bindings: schema in, Rust out.

pub(crate) mod closure;
pub(crate) mod fixups;
pub(crate) mod names;
pub(crate) mod schema;
pub(crate) mod tables;
pub(crate) mod types;
