//! The one integration binary.
//!
//! - `sim`: the whole exchange in one thread, tormented from a seed.

mod sim;
