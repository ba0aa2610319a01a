//! A simulated VMware ESX host or vCenter, for tests and demonstrations.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), esx_sim::Error> {
//! use esx_sim::{PowerState, Simulator};
//!
//! let host = Simulator::builder().vms(10).start().await?;
//! assert!(host.uri().starts_with("esx://user@127.0.0.1:"));
//!
//! // Something happens on the host.
//! host.model().change(|model| {
//!     let machine = model.machine("vm-00001").expect("one of the ten");
//!     model.set_power_state(&machine, PowerState::PoweredOn)
//! });
//! assert!(host.journal().is_empty()); // nobody has called yet
//! host.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! It is written from the API's documentation and shares no code with our client, only the schema and its codec. It
//! has an inventory with machines of every difficult kind, sessions, the property collector with paging and updates,
//! the search index, views, and datastore files over HTTP. Operations are tasks that end at once, take their time, or are
//! pushed on by a test ([`Model::hold_tasks`]); machines ask questions, by themselves or when told ([`Model::ask`]).
//!
//! Start at [`Simulator::builder`]; [`model`] is the same without sockets. It serves loopback addresses only, unless told
//! otherwise: the password is no secret.

#![forbid(unsafe_code)]

mod fault_plan;
pub mod model;
mod server;
mod simulator;

pub use fault_plan::{FAULT_GRAMMAR, FaultPlan, FaultPlanError};
pub use model::{FileContent, Model, PowerState, Preset, TaskState};
pub use server::{Arrival, BodyChange, JournalEntry, Reaction, TransferStats};
pub use simulator::{Builder, Error, ModelHandle, Running, Simulator};
