//! The daemon behind `esx+unix:///`: libvirt's remote protocol on one side, `esx-driver` on the other.
//!
//! A client's bytes go through [`virt_rpc`]; [`client`] moves them between socket, calls and streams. [`target`] makes
//! the name that a client opens a URI, [`hub`] opens it or shares a connection that is open already. [`console`] has
//! its text consoles from a concentrator. [`config`] is the file, [`server`] the limits and the end; its sockets are [`server::Socket`]s.
//!
//! Passwords come from the client (SASL PLAIN) or from files that the configuration names; neither they nor the
//! documents that travel show up in a log.

#![forbid(unsafe_code)]

pub mod client;
pub mod config;
pub mod console;
mod front;
pub mod hub;
pub mod server;
mod socket;
pub mod target;
mod tls;
