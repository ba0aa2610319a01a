//! VMware's serial port proxy protocol without I/O: both ends, and the table of a concentrator.
//!
//! A machine whose serial port has a network backing with a proxy URI dials that proxy and speaks telnet with
//! VMware's option 232: it says who it is, asks to be served, and when it moves to another host, shows there the secret
//! that the proxy gave it before, so that its console goes on without a byte lost.
//!
//! ```
//! use std::time::Duration;
//! use esx_vspc::{Concentrator, Config, Machine, MachineConfig, MachineEvent, Output, Status};
//!
//! let mut table = Concentrator::new(Config::default(), Box::new(|bytes| { bytes.fill(7); true }));
//! let mut machine = Machine::dial(MachineConfig {
//!     service_uri: "virtesx?port=1".to_owned(),
//!     uuid: "50 1e a0 b1 c2 d3 e4 f5-06 17 28 39 4a 5b 6c 7d".to_owned(),
//!     ..MachineConfig::default()
//! });
//! let now = Duration::ZERO;
//! let connection = table.accepted(now, [127, 0, 0, 1].into(), false)?;
//! // A wire without a network: until neither has anything to say.
//! loop {
//!     let (to_machine, to_table) = (table.take_output(connection, 4096), machine.take_output());
//!     if to_machine.is_empty() && to_table.is_empty() {
//!         break;
//!     }
//!     machine.receive(&to_machine)?;
//!     table.received(now, connection, &to_table);
//! }
//! assert_eq!(machine.next_event(), Some(MachineEvent::Accepted));
//! let port = table.ports().next().unwrap();
//! assert_eq!(port.key.to_string(), "501ea0b1-c2d3-e4f5-0617-28394a5b6c7d#1");
//! assert_eq!(port.status, Status::Up);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Concentrator`] is the proxy's side, for any number of machines and clients; [`Machine`] is a machine's end, for tests
//! and the simulator. [`telnet`] and [`message`] are the wire, [`uri`] the texts of a port's configuration. Nothing in
//! the protocol proves who a machine is: [`Output::Verify`] is where that is asked of somebody who knows.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod concentrator;
mod direct;
pub mod identity;
mod limits;
mod link;
mod machine;
pub mod message;
mod options;
mod port;
pub mod telnet;
pub mod uri;

pub use concentrator::{
    Concentrator, Config, ConnectionId, Note, Output, Random, Refusal, Verified,
};
pub use direct::Direct;
pub use identity::{MachineId, PortKey};
pub use limits::{Limits, Timeouts};
pub use link::{Claim, TlsUpgrade, Violation};
pub use machine::{Machine, MachineConfig, MachineEvent};
pub use message::{Direction, Message, UuidKind};
pub use port::{AttachError, ClientEvent, ClientId, Detached, Mode, PortInfo, Status};
