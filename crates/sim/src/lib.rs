//! A simulated VMware ESX host or vCenter, for tests and demonstrations.

#![forbid(unsafe_code)]
