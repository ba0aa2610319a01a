//! libvirt's remote protocol without I/O.
//!
//! Bytes come in, packets, calls and replies go out; sockets, tasks and clocks belong to the caller. With a
//! [`virt_api::Driver`] this is all that a server needs so that virsh, virt-manager, python3-libvirt and go-libvirt
//! can use the driver; `virtesxd` is one.
//!
//! ```
//! use virt_rpc::frame::FrameDecoder;
//! use virt_rpc::procedure::call;
//!
//! // A client's call, as it arrives in two pieces.
//! let bytes = virt_rpc::client::call::<call::DomainLookupByName>(7, &("web01".to_owned(),))?.to_bytes()?;
//! let mut decoder = FrameDecoder::default();
//! decoder.push(&bytes[..30]);
//! assert_eq!(decoder.next_packet(), Ok(None));
//! decoder.push(&bytes[30..]);
//! let packet = decoder.next_packet().unwrap().unwrap();
//! assert_eq!((packet.header.procedure, packet.header.serial), (23, 7));
//! # Ok::<(), virt_rpc::xdr::XdrError>(())
//! ```
//!
//! [`procedure`] is the table of calls, [`session`] the server's half of a connection, [`dispatch`] the way to the
//! driver, [`remote`] a driver at the client's end. Written from an interface description (numbers, names, layouts); no file of libvirt was used.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod client;
pub mod dispatch;
pub mod error;
pub mod frame;
pub mod keepalive;
pub mod procedure;
pub mod remote;
pub mod session;
pub mod types;
pub mod xdr;
