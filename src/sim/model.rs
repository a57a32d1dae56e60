//! stub
use super::actions::Step; use super::run::Scenario; use crate::exchange::Tick;
/// stub
#[derive(Debug)] pub struct Twins { /// x
pub predicted: u64 }
impl Twins { /// x
pub fn new(_: &Scenario) -> Self { Self{predicted:0} } /// x
pub fn apply(&mut self, _: &Step) {} /// x
pub fn pass(&mut self, _: Tick) {} /// x
pub fn is_undecided(&self) -> bool { false } }
