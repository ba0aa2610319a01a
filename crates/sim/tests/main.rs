//! One program of all tests of the simulated host over HTTP: linked once instead of 4 times.

mod common;
mod folder;
mod program;
mod soap;
mod tls;
