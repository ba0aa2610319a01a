//! Tests that go through everything that was generated.

mod round_trip;
mod samples;
mod versions;
mod xsd;
