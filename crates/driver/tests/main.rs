//! One program of all tests of connections to simulated hosts: linked once instead of 18 times.
//! `secrets.rs` is a program of its own, since loggers are the process's.

mod common;
mod conversions;
mod define;
mod devices;
mod events;
mod faults;
mod figures;
mod hosts;
mod inspect;
mod live_view;
mod migration;
mod network;
mod operations;
mod refusals;
mod round_trips;
mod sessions;
mod storage;
mod transfer;
mod vcenter;
mod watchers;
