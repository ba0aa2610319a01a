//! One test suite over the traits of virt-api, run against every backend.

#![forbid(unsafe_code)]
