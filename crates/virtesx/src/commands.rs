//! The commands, one file per group.

pub(crate) mod domain;
pub(crate) mod dumpxml;
pub(crate) mod host;
pub(crate) mod itself;
pub(crate) mod list;
pub(crate) mod native;
