//! libvirt's driver model as object-safe Rust traits.

#![forbid(unsafe_code)]
