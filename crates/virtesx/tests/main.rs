//! One program of all tests of the built program: linked once instead of 10 times.

mod arguments;
mod common;
mod console;
mod devices;
mod export;
mod host;
mod migrate;
mod program;
mod questions;
mod secrets;
mod stream_vmdk;
mod trust;
