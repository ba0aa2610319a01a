//! Read, edit and write VMX files without losing a byte.

#![forbid(unsafe_code)]
