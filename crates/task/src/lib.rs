//! Task waiting and question handling as a sans-IO state machine.

#![forbid(unsafe_code)]
