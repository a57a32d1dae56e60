//! What a run finds: counts and times of the workers, their sum, the server's figures, and what is shown meanwhile.
//!
//! Nothing here knows a scenario or a socket of the load.

pub mod ledger;
pub mod machine;
pub mod open_loop;
pub mod probe;
pub mod procfs;
pub mod progress;
pub mod tally;
pub mod trend;
