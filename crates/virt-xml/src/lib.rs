//! libvirt's XML documents as plain types.

#![forbid(unsafe_code)]
