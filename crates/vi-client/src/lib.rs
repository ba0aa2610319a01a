//! An asynchronous client of the VMware VI API over HTTP and TLS.

#![forbid(unsafe_code)]
