//! One program of all tests of the daemon and its clients: linked once instead of 7 times.

mod common;
mod conformance;
mod console;
mod daemon;
mod network;
mod process;
mod streams;
mod threads;
