//! One run of the simulation: a script drawn from a seed, played from the first connection to the last timer.
//!
//! What can be chosen is chosen here from the seed and nowhere else. A run that fails is played again with ever
//! fewer actions, to find a short list that breaks the same rule.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Once};

use crate::exchange::Limits;
use crate::exchange::cause::Cause;
use crate::exchange::event::{DrainOrder, Loss, WakeOutcome};
use crate::exchange::limits::SpawnPolicy;

use super::actions::{AGENT_COMMAND, Action, Step, Weather, choose, log_reader, log_service, resolve};
use super::client::{Heard, Want};
use super::denials;
use super::dice::Dice;
use super::judge::{Breach, Judge};
use super::report::Summary;
use super::twins::Twins;
use super::world::{Fact, World};

/// Time that every step takes, in ms: two timers that are set in different steps are due in different steps.
const STEP_MS: u64 = 17;
/// The grain in which silence is measured, in ms.
const LIVENESS_STEP_MS: u64 = 1000;
/// How many clients connect before anything else happens.
const CROWD: usize = 7;
/// How often the end may wait for the next deadline. Lines that are silent take one each, timers a few.
const LAST_DEADLINES_MAX: usize = 10_000;
/// One run in so many ends with a drain.
const DRAINED_PART: u64 = 4;
/// Over what time the idle lines go, in ms: some runs are short of it, and in some even a few lines have to hurry.
const SPREADS_MS: [u64; 4] = [100, 1_000, 4_000, 12_000];
/// When those who are sent away are to come back, in ms.
const RETRY_MS: u64 = 1_000;
/// How many try to read the log shortly before.
const LOG_READERS: usize = 6;
/// How soon after the beginning of a drain its limit is reached, in actions, if it is soon.
const HASTE: usize = 5;
/// How many times a failing list is played again to shorten it.
const SHRINKING_RUNS_MAX: usize = 4000;

/// Everything about a run that its seed decides, besides the actions.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// How many shards.
    pub shards: usize,
    /// Whether trunks are late.
    pub weather: Weather,
    /// Room in each trunk.
    pub capacity: usize,
    /// The limits of the exchange.
    pub limits: Arc<Limits>,
    /// Whether there are pools and sleeping agents. A guest (a line with calls that took an address of another
    /// shard) is served less evenly in a pool than on one shard, and calls that wait for its address reach it only
    /// when it goes home; so only runs without them can be compared once there is a guest.
    pub agents: bool,
    /// Whether some may not call some.
    pub denials: bool,
}

impl Scenario {
    /// The scenario of a seed.
    pub fn new(seed: u64, shards: Option<usize>, weather: Option<Weather>) -> Self {
        let mut dice = Dice::new(seed);
        let weather_drawn = dice.pick(&[Weather::Calm, Weather::Rough]);
        let shards_drawn = dice.pick(&[1, 2, 3, 8]);
        let limits = Limits {
            dial_max_attempts: dice.pick(&[None, None, None, Some(4)]),
            heartbeat_timeout_ms: dice.pick(&[60_000, 60_000, 15_000, 0]),
            calls_per_line_max: dice.pick(&[10_000, 10_000, 10_000, 3]),
            parties_per_line_max: dice.pick(&[256, 256, 2]),
            party_members_max: dice.pick(&[10_000, 10_000, 3]),
            spawn: SpawnPolicy::Listed(vec![AGENT_COMMAND.to_owned()]),
            ..Limits::default()
        };
        Self {
            seed,
            shards: shards.unwrap_or(shards_drawn),
            weather: weather.unwrap_or(weather_drawn),
            capacity: dice.pick(&[1, 4, 64]),
            limits: Arc::new(limits),
            agents: dice.chance(60),
            denials: dice.chance(30),
        }
    }

    /// Its actions.
    pub fn script(&self, events: usize) -> Vec<Action> {
        // Another stream than the scenario's own, so that a forced number of shards changes nothing here.
        let mut dice = Dice::new(self.seed ^ 0x5c21_17f0_a3d5_9e8b);
        let crowd = (0..CROWD.min(events)).map(|_| Action::Open { shard: dice.byte(), internal: false });
        let mut script: Vec<_> = crowd.collect();
        let rest = (script.len()..events).map(|_| choose(&mut dice, self.weather));
        script.extend(rest.map(|action| if self.agents { action } else { action.without_agents() }));
        if self.seed.is_multiple_of(DRAINED_PART) {
            if dice.chance(50) {
                // Whoever reads the log counts as idle; by chance there would hardly ever be one.
                let at = script.len() / 4 * 3;
                script.splice(at..at, std::array::from_fn::<_, LOG_READERS, _>(|_| log_reader(&mut dice)));
                script.splice(0..0, [Action::Open { shard: dice.byte(), internal: true }, log_service()]);
            }
            let at = script.len() / 4 * 3;
            let order = DrainOrder { spread_ms: dice.pick(&SPREADS_MS), retry_ms: RETRY_MS };
            script.insert(at, Action::Drain(order));
            match dice.below(3) {
                0 => script.push(Action::Stop),
                1 => script.insert(script.len().min(at + HASTE), Action::Stop),
                _ => {}
            }
        }
        script
    }

    /// The world in which it plays, with any number of shards.
    pub fn world(&self, shards: usize) -> World {
        let mut world = World::new(shards, self.capacity, &self.limits, &mut Dice::new(self.seed));
        if self.denials {
            world.rule(&denials::rulebook());
        }
        world
    }
}

/// A run that went wrong.
#[derive(Clone, Debug)]
pub struct Fault {
    /// At which action, counted from 0; the number of actions if it was in the end.
    pub at: usize,
    /// What.
    pub breach: Breach,
}

/// Plays a script. Panics of the core are faults like any other.
///
/// # Errors
/// The first rule that was broken.
pub fn play(scenario: &Scenario, script: &[Action], summary: &mut Summary) -> Result<(), Fault> {
    let at = Cell::new(0);
    let stage = || Run::new(scenario, summary).play(script, &at);
    guarded(stage).map_err(|breach| Fault { at: at.get(), breach })
}

/// Runs a stage; a panic of the core is a breach like any other, and is not printed.
///
/// # Errors
/// The rule that was broken.
pub(super) fn guarded(stage: impl FnOnce() -> Result<(), Breach>) -> Result<(), Breach> {
    silence_expected_panics();
    EXPECTING.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(stage));
    EXPECTING.set(false);
    result.unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(|&text| text.to_owned()));
        let place = LAST_PANIC.take();
        Err(Breach::new("the core does not panic", format!("{} at {place}", text.unwrap_or_default())))
    })
}

thread_local! {
    static EXPECTING: Cell<bool> = const { Cell::new(false) };
    static LAST_PANIC: Cell<String> = const { Cell::new(String::new()) };
}

/// A panic that becomes a fault is not also printed: shrinking would print hundreds.
fn silence_expected_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if EXPECTING.get() {
                LAST_PANIC.set(info.location().map(ToString::to_string).unwrap_or_default());
            } else {
                usual(info);
            }
        }));
    });
}

/// The shortest list that was found to break the same rule, with its fault.
pub fn shrink(scenario: &Scenario, script: &[Action], fault: Fault) -> (Vec<Action>, Fault) {
    let mut best = script[..script.len().min(fault.at + 1)].to_vec();
    let mut best_fault = fault;
    let mut runs = 0;
    let mut chunk = best.len().div_ceil(2);
    while chunk > 0 && runs < SHRINKING_RUNS_MAX {
        let mut at = 0;
        while at < best.len() && runs < SHRINKING_RUNS_MAX {
            let mut shorter = best.clone();
            shorter.drain(at..best.len().min(at + chunk));
            runs += 1;
            match play(scenario, &shorter, &mut Summary::default()) {
                Err(fault) if fault.breach.rule == best_fault.breach.rule => {
                    shorter.truncate(fault.at + 1);
                    (best, best_fault) = (shorter, fault);
                }
                Err(_) | Ok(()) => at += chunk,
            }
        }
        chunk /= 2;
    }
    (best, best_fault)
}

struct Run<'a> {
    scenario: &'a Scenario,
    summary: &'a mut Summary,
    world: World,
    judge: Judge,
    /// In calm weather: the same exchange on one shard, and the model.
    twins: Option<Twins>,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, summary: &'a mut Summary) -> Self {
        let mut world = scenario.world(scenario.shards);
        world.prompt = scenario.weather == Weather::Calm;
        let twins = (scenario.weather == Weather::Calm).then(|| Twins::new(scenario));
        Self { scenario, summary, world, judge: Judge::default(), twins }
    }

    fn play(mut self, script: &[Action], at: &Cell<usize>) -> Result<(), Breach> {
        for (number, &action) in script.iter().enumerate() {
            at.set(number);
            self.wait(self.pace(action))?;
            if let Some(step) = resolve(action, &self.world, number) {
                self.carry_out(&step)?;
            }
            self.summary.events += 1;
        }
        at.set(script.len());
        self.end()
    }

    /// How long a step takes. Lines that were last heard in the same second are cut in the same second, in an order
    /// that is left open; in calm weather, where that would end all comparing, they are kept apart.
    fn pace(&self, action: Action) -> u64 {
        match action {
            Action::Open { .. } | Action::Heartbeat { .. } | Action::EndWake { .. }
                if self.scenario.weather == Weather::Calm =>
            {
                LIVENESS_STEP_MS
            }
            _ => STEP_MS,
        }
    }

    fn carry_out(&mut self, step: &Step) -> Result<(), Breach> {
        match step {
            Step::Wait { millis } => self.wait(*millis)?,
            Step::Deadline => {
                if let Some(tick) = self.world.next_deadline() {
                    self.wait(tick.millis().saturating_sub(self.world.now().millis()) + 1)?;
                }
            }
            _ => {
                apply(&mut self.world, step);
                if let Some(twins) = &mut self.twins {
                    twins.apply(step);
                }
            }
        }
        self.look()?;
        self.compare()
    }

    fn compare(&mut self) -> Result<(), Breach> {
        let Some(twins) = &mut self.twins else { return Ok(()) };
        if self.scenario.agents && self.world.shards().iter().any(|shard| shard.counts().guests > 0) {
            twins.give_up();
        }
        twins.compare(&self.world)
    }

    /// Time passes, deadline by deadline.
    fn wait(&mut self, millis: u64) -> Result<(), Breach> {
        let until = self.world.now().plus_millis(millis);
        while let Some(tick) = self.world.next_deadline().filter(|&tick| tick <= until) {
            self.world.pass(tick);
            self.look()?;
        }
        self.world.pass(until);
        if let Some(twins) = &mut self.twins {
            twins.pass(until);
        }
        self.look()?;
        self.compare()
    }

    /// Looks at what has happened.
    fn look(&mut self) -> Result<(), Breach> {
        if self.scenario.weather == Weather::Calm {
            self.world.deliver_all();
        }
        let facts = std::mem::take(&mut self.world.facts);
        let cut = facts.iter().filter(|fact| matches!(fact, Fact::Heard(_, Heard::Closed(Cause::Timeout))));
        if cut.count() > 1 {
            // Who of those that have been silent for equally long goes first is left open.
            self.twins.iter_mut().for_each(Twins::give_up);
        }
        for fact in facts {
            self.summary.note(&fact);
            self.judge.note(&fact, &self.world)?;
            if let (Fact::Heard(client, Heard::Closed(cause)), Some(twins)) = (&fact, &mut self.twins) {
                twins.close(*client, *cause, &self.world)?;
            }
        }
        Ok(())
    }

    fn deliver_all(&mut self) -> Result<(), Breach> {
        self.world.deliver_all();
        self.look()
    }

    /// Lets everything come to its end: what is on its way, then the clients, then the timers.
    fn end(&mut self) -> Result<(), Breach> {
        if let Some(twins) = self.twins.take() {
            self.summary.note_twins(&twins);
        }
        self.deliver_all()?;
        for client in self.world.alive() {
            if self.world.clients[client].congested {
                self.world.congest(client);
            }
        }
        self.deliver_all()?;
        self.judge.judge_calm(&self.world)?;
        self.close_everybody();
        self.deliver_all()?;
        for nth in 0..self.world.wakes.len() {
            if !self.world.wakes[nth].over {
                self.world.end_wake(nth, WakeOutcome::Failed);
            }
        }
        self.deliver_all()?;
        for _ in 0..LAST_DEADLINES_MAX {
            let Some(tick) = self.world.next_deadline() else { break };
            self.world.pass(tick);
            self.deliver_all()?;
        }
        self.summary.note_trunks(&self.world.trunks);
        self.judge.judge_end(&self.world)
    }

    /// One way or the other, as the seed has it.
    fn close_everybody(&mut self) {
        match self.scenario.seed % 3 {
            0 => self.world.shut_down(),
            1 => {
                for client in self.world.alive() {
                    self.world.ask(client, Want::Unregister);
                }
            }
            _ => {
                for client in self.world.alive() {
                    self.world.lose(client, Loss::Closed);
                }
            }
        }
    }
}

/// Carries out a step that takes no time.
pub fn apply(world: &mut World, step: &Step) {
    match step {
        Step::Open { shard, internal } => drop(world.open(*shard, *internal)),
        Step::Drain(order) => world.drain(*order),
        Step::Stop => world.shut_down(),
        Step::Lose(client, loss) => world.lose(*client, *loss),
        Step::Congest(client) => world.congest(*client),
        Step::CutCall(call) => world.cut_call(*call),
        Step::CutLine(client) => world.cut_line(*client),
        Step::Ask(client, want) => world.ask(*client, want.clone()),
        Step::Deliver { nth, count } => world.deliver(*nth, *count),
        Step::EndWake { nth, outcome, agent } => {
            world.end_wake(*nth, *outcome);
            if let Some(registration) = agent
                && let Some(client) = world.open(*nth, false)
            {
                world.ask(client, Want::Register(registration.clone()));
            }
        }
        Step::Wait { .. } | Step::Deadline => {}
    }
}
