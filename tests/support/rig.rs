//! A real exchange on a port of its own, in this process. Two shards unless asked otherwise, because most mistakes
//! need two. It stops in order when it is dropped, so each scenario tests the stop as well.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Value, json};
use systemx::config::{Config, RawFlags};
use systemx::console::Report;
use systemx::console::ladder::LadderDesk;
use systemx::console::readiness::Readiness;
use systemx::exchange::address::home;
use systemx::exchange::ids::ShardId;
use systemx::shell::operator::{Running, start};
use systemx::store::Sinks;

use super::Phone;

/// What differs from the defaults in every scenario that does not say otherwise.
const BASE: [(&str, &str); 5] = [
    ("host", "127.0.0.1"),
    ("port", "0"),
    ("admin", "127.0.0.1:0"),
    ("shards", "2"),
    ("dial_max_attempts", "0"),
];

/// An exchange under test.
pub struct Rig {
    running: Option<Running>,
    address: SocketAddr,
}

impl Rig {
    /// With two shards and the defaults.
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// With these settings, named as in a TOML file.
    pub fn with(overrides: &[(&'static str, &str)]) -> Self {
        let values: BTreeMap<&'static str, String> =
            BASE.iter().chain(overrides).map(|(name, value)| (*name, (*value).to_owned())).collect();
        let flags = RawFlags { values, config_file: None };
        let (config, _) =
            Config::load(flags, std::iter::empty(), None, None).expect("the settings are right");
        let running = start(&config, None).expect("the exchange starts");
        Self { address: running.address(), running: Some(running) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its admin listener listens.
    pub fn admin(&self) -> SocketAddr {
        self.running.as_ref().and_then(Running::admin_address).expect("it runs, with an admin listener")
    }

    /// What must be up.
    pub fn readiness(&self) -> Readiness {
        self.running.as_ref().map(Running::readiness).cloned().unwrap_or_default()
    }

    /// A client that is connected and nothing more.
    pub fn phone(&self) -> Phone {
        Phone::connect(self.address)
    }

    /// A client that holds `address`.
    pub fn registered(&self, address: &str) -> Phone {
        self.registered_with(address, json!({}))
    }

    /// A client that holds `address`, with more fields in its REGISTER.
    pub fn registered_with(&self, address: &str, fields: Value) -> Phone {
        let mut phone = self.phone();
        phone.register_with(address, fields);
        phone
    }

    /// What is watched.
    pub fn ladders(&self) -> &LadderDesk {
        self.running.as_ref().map(Running::ladders).expect("it runs until it is stopped")
    }

    /// What each shard last said about itself.
    pub fn reports(&self) -> Vec<Report> {
        self.running.as_ref().map(Running::reports).unwrap_or_default()
    }

    /// How it stands with those who keep call records.
    pub fn sinks(&self) -> Sinks {
        self.running.as_ref().map(|running| running.recorder().sinks()).unwrap_or_default()
    }

    /// Stops it now and waits until it has stopped.
    pub fn stop(mut self) {
        self.running.take().expect("it runs until it is stopped").stop();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

/// An address that begins with `name` and belongs to this shard of an exchange of so many.
pub fn address_on(shard: usize, shards: usize, name: &str) -> String {
    (0..)
        .map(|number| format!("{name}{number}@homes.test"))
        .find(|address| home(address, shards) == ShardId::new(shard))
        .expect("some number leads to each shard")
}
