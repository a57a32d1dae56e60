//! PRESENCE: who is there (spec section 16).
//!
//! Each shard searches its own census; the asker's shard gathers. Meanwhile the asker is not read, so that its
//! answers keep the order of its questions, and one line cannot have many questions under way.

use std::sync::Arc;

use crate::exchange::cause::Cause;
use crate::exchange::census::matches;
use crate::exchange::effect::{Notice, Outbox, PresenceEntry};
use crate::exchange::event::{PresenceQuery, Verb};
use crate::exchange::ids::{LineId, ShardId};
use crate::exchange::limits::PRESENCE_BYTES_MAX;
use crate::exchange::line::{Asking, Pauses};
use crate::exchange::signal::{Found, Signal};
use crate::exchange::time::Moment;

use super::Shard;

impl Shard {
    pub(super) fn ask_presence(
        &mut self,
        now: Moment,
        line: LineId,
        mut query: PresenceQuery,
        out: &mut Outbox<'_>,
    ) {
        if !self.is_registered(line) {
            return self.refuse(line, Verb::Presence, Cause::NotRegistered, out);
        }
        let most = self.limits.presence_limit;
        let limit = query.limit.map_or(most, |limit| most.min(limit as usize));
        query.limit = Some(limit as u32);
        query.asker = self.restricted_asker(line);
        let found = self.search(line, &query);
        if let Some(entry) = self.lines.get_mut(line.0) {
            entry.business_mut().asking =
                Some(Asking { missing: self.shards, limit, found: Found::default() });
        }
        if self.shards > 1 {
            self.pause(line, Pauses::PRESENCE, out);
            // The others need not find more than is still wanted; asked for nothing, they say whether there is more.
            query.limit = Some((limit - found.entries.len()) as u32);
            let query = Arc::new(query);
            let here = self.id;
            for shard in (0..self.shards).map(ShardId::new).filter(|&shard| shard != here) {
                self.send(shard, Signal::PresenceAsked { asker: line, query: query.clone() }, out);
            }
        }
        self.on_presence_found(now, line, found, out);
    }

    pub(super) fn on_presence_asked(&mut self, asker: LineId, query: &PresenceQuery, out: &mut Outbox<'_>) {
        let found = Box::new(self.search(asker, query));
        self.send(asker.shard(), Signal::PresenceFound { asker, found }, out);
    }

    pub(super) fn on_presence_found(
        &mut self,
        now: Moment,
        line: LineId,
        found: Found,
        out: &mut Outbox<'_>,
    ) {
        let Some(business) = self.lines.get_mut(line.0).and_then(|line| line.business.as_mut()) else {
            return;
        };
        let Some(asking) = business.asking.as_mut() else { return };
        asking.found.add(found, asking.limit);
        asking.missing -= 1;
        if asking.missing > 0 {
            return;
        }
        let Some(Asking { mut found, .. }) = business.asking.take() else { return };
        found.cut();
        out.notify(line, Notice::Presence { entries: found.entries, truncated: found.truncated });
        if let Some(entry) = self.lines.get_mut(line.0) {
            entry.drop_empty_business();
        }
        self.unpause(now, line, Pauses::PRESENCE, out);
        self.go_home_if_idle(line, out);
    }

    /// What this shard knows; at most as much as the query's limit allows.
    fn search(&self, asker: LineId, query: &PresenceQuery) -> Found {
        let limit = query.limit.map_or(usize::MAX, |limit| limit as usize);
        let mut found = Found::default();
        let dialler = query.asker.as_ref().and_then(|asker| self.dialler(asker.as_str()));
        let may_see = |slot| dialler.as_ref().is_none_or(|dialler| self.may_see(dialler, slot));
        let gave_up = self.census.search(query, &self.lines, may_see, |slot| {
            let Some((handle, line)) = self.lines.at(slot) else { return true };
            let Some(address) = &line.address else { return true };
            let profile = line.profile.as_deref();
            debug_assert!(matches(query, address.domain(), profile), "{address} was not asked for");
            if LineId(handle) == asker {
                return true;
            }
            if found.entries.len() >= limit {
                found.truncated = true;
                return false;
            }
            let metadata = profile.and_then(|profile| profile.metadata.clone());
            found.entries.push(PresenceEntry { address: address.clone(), status: line.shown(), metadata });
            true
        });
        found.truncated |= gave_up;
        found
    }
}

impl Found {
    /// Takes over what another shard has found, as far as there is room. What does not fit goes at once, so that not
    /// that of all shards has to be dropped in the end.
    fn add(&mut self, other: Self, limit: usize) {
        let room = limit - self.entries.len();
        self.truncated |= other.truncated || other.entries.len() > room;
        self.entries.extend(other.entries.into_iter().take(room));
    }

    /// Cuts to the limit on bytes.
    fn cut(&mut self) {
        let mut bytes = 0_usize;
        let fits = self.entries.iter().take_while(|entry| {
            bytes +=
                entry.address.as_str().len() + entry.metadata.as_ref().map_or(0, |metadata| metadata.len());
            bytes <= PRESENCE_BYTES_MAX
        });
        let keep = fits.count();
        self.truncated |= keep < self.entries.len();
        self.entries.truncate(keep);
    }
}
