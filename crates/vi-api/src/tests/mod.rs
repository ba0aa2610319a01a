//! Tests that go through everything that was generated.

mod hosts;
mod mini;
mod round_trip;
pub(crate) mod samples;
mod versions;
mod xsd;
