//! What an operator is shown: what is there, once, in pages that are bounded, and nothing changes by looking.

use super::rig::{broadcaster, pooled, registration, wakeable};
use super::*;
use crate::exchange::address::home;
use crate::exchange::survey::{CallState, LOOKS_MAX, LineFilter, LineSight, PAGE_LEN_MAX};

/// All pages of all shards, one after the other.
fn lines(rig: &Rig, filter: &LineFilter) -> Vec<LineSight> {
    let mut all = Vec::new();
    for shard in &rig.shards {
        let mut from = Some(0);
        while let Some(cursor) = from {
            let page = shard.survey_lines(filter, cursor);
            assert!(page.entries.len() <= PAGE_LEN_MAX);
            assert!(page.next.is_none_or(|next| next > cursor), "a page leads on");
            all.extend(page.entries.into_iter().map(|(_, sight)| sight));
            from = page.next;
        }
    }
    all
}

fn names(sights: &[LineSight]) -> Vec<&str> {
    let mut names: Vec<_> =
        sights.iter().filter_map(|sight| Some(sight.address.as_ref()?.as_str())).collect();
    names.sort_unstable();
    names
}

fn filter(prefix: Option<&str>, domain: Option<&str>) -> LineFilter {
    LineFilter { prefix: prefix.map(Into::into), domain: domain.map(Into::into) }
}

#[test]
fn lines_are_found_by_prefix_and_by_domain() {
    each(|rig| {
        rig.crowd(&[ALICE, BOB, "alfred@y.test", "alma@Y.TEST"]);
        rig.phone();
        assert_eq!(names(&lines(rig, &filter(None, None))).len(), 4);
        assert_eq!(names(&lines(rig, &filter(Some("al"), None))), ["alfred@y.test", ALICE, "alma@Y.TEST"]);
        assert_eq!(names(&lines(rig, &filter(None, Some("y.Test")))), ["alfred@y.test", "alma@Y.TEST"]);
        assert_eq!(names(&lines(rig, &filter(Some("alf"), Some("y.test")))), ["alfred@y.test"]);
        assert!(lines(rig, &filter(None, Some("nowhere.test"))).is_empty());
    });
}

#[test]
fn a_page_is_bounded_in_entries_and_in_looks_and_together_they_show_everybody_once() {
    let mut rig = Rig::new(1, crate::exchange::Limits::default());
    let count = LOOKS_MAX + PAGE_LEN_MAX + 7;
    for number in 0..count {
        let line = rig.shards[0].open_line(rig.now, false).expect("there is room");
        let registration = Box::new(registration(&format!("n{number}@x.test")));
        let request = crate::exchange::event::Request::Register(registration);
        let mut out = crate::exchange::Outbox::default();
        rig.shards[0].handle(rig.now, crate::exchange::Event::Request { line, request }, &mut out);
    }
    let all = lines(&rig, &LineFilter::default());
    assert_eq!(all.len(), count);
    let mut found = names(&all);
    found.dedup();
    assert_eq!(found.len(), count);
    // Nobody fits, so that only the looks end the page.
    let page = rig.shards[0].survey_lines(&filter(Some("zz"), None), 0);
    assert_eq!((page.entries.len(), page.next), (0, Some(LOOKS_MAX as u32)));
    let rest = rig.shards[0].survey_lines(&filter(Some("zz"), None), LOOKS_MAX as u32);
    assert_eq!((rest.entries.len(), rest.next), (0, None));
}

#[test]
fn a_line_is_shown_as_it_is() {
    each(|rig| {
        let a = rig.registered_as(wakeable(registration(ALICE)));
        let b = rig.registered(BOB);
        rig.connect(a, b, BOB);
        rig.join(a, ROOM);
        let line = rig.line(a);
        let sight = rig.shards[line.shard().index()].survey_line(line).expect("it is there");
        assert_eq!((sight.calls, sight.seats, sight.can_be_woken, sight.is_tie), (1, 1, true, false));
        assert_eq!(sight.status, crate::exchange::event::Status::Busy);
        assert_eq!(sight.since, crate::exchange::Tick::from_millis(1_000_000));
        let (calls, count) = rig.shards[line.shard().index()].survey_calls_of(line);
        assert_eq!((calls, count), (vec![rig.call(1)], 1));
    });
}

#[test]
fn who_holds_an_address_is_known_at_its_home() {
    each(|rig| {
        let shards = rig.shards.len();
        let at_home =
            |rig: &Rig, address: &str| rig.shards[home(address, shards).index()].survey_holders(address);
        rig.registered(ALICE);
        assert_eq!((at_home(rig, ALICE).lines.len(), at_home(rig, ALICE).is_asleep), (1, false));
        let b = rig.registered_as(wakeable(registration(BOB)));
        rig.ask(b, crate::exchange::event::Request::Unregister);
        assert_eq!((at_home(rig, BOB).lines.len(), at_home(rig, BOB).is_asleep), (0, true));
        let caller = rig.registered(CAROL);
        rig.dial(caller, BOB);
        assert_eq!((at_home(rig, BOB).waiting_calls, at_home(rig, BOB).wakes), (1, 1));
        for _ in 0..3 {
            rig.registered_as(pooled(POOL, 3, None));
        }
        assert_eq!(at_home(rig, POOL).count, 3);
        assert_eq!(at_home(rig, EVE).count, 0);
    });
}

#[test]
fn a_call_is_shown_once_with_how_far_it_is() {
    each(|rig| {
        let (a, b, c) = (rig.registered(ALICE), rig.registered(BOB), rig.registered(CAROL));
        let host = rig.registered_as(broadcaster(HALL, None));
        let call = rig.connect(a, b, BOB);
        rig.say(a, call, "four");
        rig.dial(c, HALL);
        rig.heard(host);
        let found: Vec<_> = rig
            .shards
            .iter()
            .flat_map(|shard| shard.survey_calls(0).entries)
            .map(|(_, sight)| sight)
            .collect();
        assert_eq!(found.len(), 2);
        let up = found.iter().find(|sight| sight.call == rig.call(call)).expect("it is there");
        assert_eq!((up.from.as_str(), up.to.as_str(), up.state), (ALICE, BOB, CallState::Connected));
        assert_eq!((up.traffic.to_callee.messages, up.traffic.to_callee.bytes), (1, 4));
        let session = found.iter().find(|sight| sight.state == CallState::Broadcast).expect("it is there");
        assert_eq!((session.from.as_str(), session.listeners), (HALL, 1));
        let places: Vec<_> = rig.shards.iter().filter_map(|s| s.survey_call(rig.call(call))).collect();
        assert_eq!(places.iter().collect::<Vec<_>>(), [up]);
    });
}

#[test]
fn parties_and_links_are_shown_where_they_live() {
    each(|rig| {
        let (a, b) = (rig.registered(ALICE), rig.registered(BOB));
        rig.join(a, ROOM);
        rig.join(b, ROOM);
        let tie = rig.tie("far.test", &["*@far.test", "*@farther.test"]);
        rig.dial(a, "x@far.test");
        rig.heard(tie);
        let parties: Vec<_> = rig
            .shards
            .iter()
            .flat_map(|shard| shard.survey_parties(0).entries)
            .map(|(_, sight)| sight)
            .collect();
        assert_eq!(parties.len(), 1);
        assert_eq!((parties[0].name.as_str(), parties[0].members, parties[0].host), (ROOM, 2, None));
        let links: Vec<_> = rig.shards.iter().flat_map(|shard| shard.survey_links()).collect();
        assert_eq!(links.len(), 1);
        assert_eq!((&*links[0].domain, links[0].routes, links[0].calls_out), ("far.test", 2, 1));
    });
}
