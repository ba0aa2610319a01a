//! VMX documents to and from libvirt domain XML.

#![forbid(unsafe_code)]
