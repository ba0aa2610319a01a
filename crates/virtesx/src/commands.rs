//! The commands, one file per group.

pub(crate) mod card;
pub(crate) mod cpu;
pub(crate) mod define;
pub(crate) mod device;
pub(crate) mod disk;
pub(crate) mod domain;
pub(crate) mod dumpxml;
pub(crate) mod event;
pub(crate) mod figures;
pub(crate) mod guest;
pub(crate) mod host;
pub(crate) mod itself;
pub(crate) mod list;
pub(crate) mod memory;
pub(crate) mod migrate;
pub(crate) mod naming;
pub(crate) mod native;
pub(crate) mod pin;
mod plain;
pub(crate) mod power;
pub(crate) mod question;
pub(crate) mod screenshot;
pub(crate) mod snapshot;
pub(crate) mod snapshot_list;
pub(crate) mod vmx;
