//! Ladders: who said what when, for one address or one call that an operator watches.
//!
//! An operator orders a [`Watch`]; every shard is given the [`WatchList`] and hands over a [`Step`] for each frame that concerns
//! one of its subjects, without waiting for anybody: what there is no room for is counted and lost. The [`Ladders`] keep the
//! last of each watch, and a [`Picture`] of them can be drawn. What parties say to each other is not copied unless the operator
//! may see it and has asked.

mod filter;
mod ladders;
mod mermaid;
mod picture;
mod sketch;
mod svg;
mod watch;

#[cfg(test)]
mod tests;

pub use filter::{Admitted, Filter};
pub use ladders::{LadderDesk, Ladders, Publish, STEPS_MAX, WATCHES_MAX, WatchError, WatchId, WatchView};
pub use picture::{Picture, Rung};
pub use sketch::Sketch;
pub use svg::SVG_STYLE;
pub use watch::{Step, StepSink, Subject, Watch, WatchList, Way, step_channel};
