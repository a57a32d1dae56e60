//! The program `systemx`.
fn main() {}
