//! The model without sockets.
