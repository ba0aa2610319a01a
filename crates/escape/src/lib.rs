//! The name escaping schemes of VMware hosts, datastore paths and /folder URLs.

#![forbid(unsafe_code)]
