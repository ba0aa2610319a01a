//! One program of all tests of requests to a simulated host: linked once instead of 8 times.
//! `transport_logs.rs` is a program of its own, since loggers are the process's.

mod download;
mod lease;
mod server_facts;
mod tasks;
mod transport;
mod transport_proxy;
mod transport_support;
mod transport_tls;
mod upload;
