//! A virsh-like program for VMware ESX hosts and vCenter.

#![forbid(unsafe_code)]

fn main() {}
