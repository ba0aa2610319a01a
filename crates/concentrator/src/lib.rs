//! A serial port concentrator for VMware machines: server, and client of its consoles.
//!
//! [`Server`] listens for machines, whose serial ports name it as their proxy, and for those who want their consoles. All
//! decisions are [`esx_vspc::Concentrator`]'s; here are sockets, TLS, clocks and files. [`Client`] is the other end of
//! its second listener.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use esx_concentrator::{Address, Client, MachineListener, Server, Settings};
//!
//! let server = Server::start(
//!     Settings {
//!         machines: vec![MachineListener { address: "192.0.2.7:13370".parse()?, tls: false }],
//!         clients: vec![Address::Unix("/run/virtesx/vspc.sock".into())],
//!         allow: vec!["192.0.2.0/24".parse()?],
//!         ..Settings::default()
//!     },
//!     None,
//! )
//! .await?;
//! let ports = Client::connect(&server.client_addresses()[0], None).await?.list().await?;
//! # drop(ports); Ok(()) }
//! ```
//!
//! Nothing in the protocol proves who a machine is. Let only its hosts in ([`Settings::allow`]), have them check our
//! certificate, and check what machines say with a [`Verifier`]. See `docs/console.md`.

#![forbid(unsafe_code)]

mod access;
mod address;
mod client;
mod control;
mod direct;
mod error;
mod server;
mod tls;

pub use access::{Access, Events};
pub use address::{Address, AddressError, Network};
pub use client::{Client, Console, ConsoleEvent, ConsoleReader, ConsoleWriter, Port};
pub use direct::connect_direct;
pub use error::{Error, Result};
pub use esx_vspc::{Claim, Config, Direction, Mode, PortKey, Status, TlsUpgrade, Verified};
pub use server::{MachineListener, Server, Settings, Verifier};
pub use tls::Identity;
