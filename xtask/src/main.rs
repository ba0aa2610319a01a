//! What maintainers run: code generation and checks.

#![forbid(unsafe_code)]

fn main() {}
