//! The census against [`matches()`]: the indexes find exactly those whom a look at every line finds, unless the effort is
//! spent. The first tests compare the two over many questions; the others are the bounds and the way out.

use super::*;
use crate::exchange::event::Location;
use crate::exchange::ids::{SessionId, ShardId};
use crate::exchange::time::Tick;

/// A census of lines that bear these addresses and have these profiles.
fn census(lines: impl IntoIterator<Item = (String, Profile)>) -> (Census, Rack<Line>) {
    let mut census = Census::new(ahash::RandomState::with_seeds(1, 2, 3, 4));
    let mut rack = Rack::new(ShardId::new(0));
    for (address, profile) in lines {
        let handle = rack.insert_with(|_| {
            let mut line = Line::new(SessionId::mint(1), Tick::default(), false);
            line.address = Address::parse(&address);
            line.profile = Some(Box::new(profile));
            line
        });
        census.enter(handle.slot(), &rack);
    }
    (census, rack)
}

fn placed(lat: f64, lon: f64) -> Profile {
    Profile { location: Some(Location { lat, lon }), ..Profile::default() }
}

fn able(capabilities: &[&str]) -> Profile {
    Profile { capabilities: capabilities.iter().map(|&name| name.into()).collect(), ..Profile::default() }
}

fn near(lat: f64, lon: f64, radius_km: f64) -> Option<Near> {
    Some(Near { middle: Location { lat, lon }, radius_km })
}

/// Who is found, lowest first, and whether the search was given up.
fn found(census: &Census, lines: &Rack<Line>, query: &PresenceQuery) -> (Vec<u32>, bool) {
    let mut found = Vec::new();
    let gave_up = census.search(
        query,
        lines,
        |_| true,
        |slot| {
            found.push(slot);
            true
        },
    );
    found.sort_unstable();
    (found, gave_up)
}

fn expected(lines: &Rack<Line>, query: &PresenceQuery) -> Vec<u32> {
    let domain = |line: &Line| line.address.as_ref().map_or(String::new(), |address| address.domain().into());
    let matching = lines.iter().filter(|(_, line)| matches(query, &domain(line), line.profile.as_deref()));
    matching.map(|(handle, _)| handle.slot()).collect()
}

#[test]
fn the_index_finds_by_distance_exactly_what_the_formula_finds() {
    let (census, lines) = census((0..3000_u32).map(|n| {
        let lat = f64::from(n.wrapping_mul(2_654_435_761) % 20_000) / 100.0 - 100.0;
        let lon = f64::from(n.wrapping_mul(40_503) % 40_000) / 100.0 - 200.0;
        (format!("{n}@x.test"), placed(lat, lon))
    }));
    for (lat, lon, radius_km) in [
        (0.0, 0.0, 500.0),
        (47.0, 179.5, 900.0),
        (-60.0, -179.0, 3000.0),
        (10.0, -180.0, 300.0),
        (89.0, 0.0, 200.0),
        (10.0, 10.0, 1e6),
    ] {
        let query = PresenceQuery { near: near(lat, lon, radius_km), ..PresenceQuery::default() };
        let right = (expected(&lines, &query), false);
        assert_eq!(found(&census, &lines, &query), right, "{lat} {lon} {radius_km}");
    }
}

#[test]
fn the_indexes_together_find_exactly_those_who_match() {
    let (census, lines) = census((0..4000_u32).map(|n| {
        let names: Vec<_> = [(2, "chat"), (3, "code"), (500, "rare")].into_iter().collect();
        let names: Vec<_> = names.iter().filter(|(every, _)| n % every == 0).map(|(_, name)| *name).collect();
        let place = placed(f64::from(n % 90), f64::from(n % 7)).location;
        (format!("{n}@D-{}.test", n % 40), Profile { location: place, ..able(&names) })
    }));
    let domains = [None, Some("d-4.test"), Some("d-40.test")];
    let capabilities: [&[&str]; 6] =
        [&[], &["chat"], &["chat", "code"], &["code", "rare"], &["rare"], &["none"]];
    let circles = [None, near(40.0, 3.0, 400.0), near(0.0, 0.0, 1e6)];
    for domain in domains {
        for capabilities in capabilities {
            for near in circles {
                let capabilities = capabilities.iter().map(|&name| name.into()).collect();
                let query = PresenceQuery {
                    domain: domain.map(Into::into),
                    capabilities,
                    near,
                    limit: None,
                    asker: None,
                };
                let right = (expected(&lines, &query), false);
                assert_eq!(found(&census, &lines, &query), right, "{query:?}");
            }
        }
    }
}

#[test]
fn two_capabilities_that_nobody_has_both_of_are_searched_to_the_end() {
    let (census, lines) =
        census((0..200_000_u32).map(|n| (format!("{n}@x.test"), able(&[["chat", "video"][n as usize % 2]]))));
    let capabilities = vec!["chat".into(), "video".into()];
    let query = PresenceQuery { capabilities, ..PresenceQuery::default() };
    assert_eq!(found(&census, &lines, &query), (Vec::new(), false));
}

#[test]
fn a_search_that_looks_at_too_many_who_are_too_far_away_is_given_up() {
    let most = PRESENCE_STEPS_MAX / PRESENCE_LOOK_STEPS;
    for (lines, gives_up) in [(most, false), (most + 1, true)] {
        let (census, lines) = census((0..lines).map(|n| (format!("{n}@x.test"), placed(50.1, 8.1))));
        let query = PresenceQuery { near: near(50.9, 8.9, 5.0), ..PresenceQuery::default() };
        assert_eq!(found(&census, &lines, &query), (Vec::new(), gives_up));
    }
}

#[test]
fn who_left_is_found_by_no_index() {
    let profile = || Profile { location: placed(1.0, 1.0).location, ..able(&["chat"]) };
    let (mut census, lines) =
        census(["0@X.test", "1@x.TEST", "2@x.test"].map(|name| (name.into(), profile())));
    for slot in [0, 2, 1] {
        assert!(census.has(slot, &lines));
        census.leave(slot, &lines);
        assert!(!census.has(slot, &lines));
        let query = PresenceQuery { domain: Some("x.test".into()), ..PresenceQuery::default() };
        assert!(!found(&census, &lines, &query).0.contains(&slot));
    }
    assert!(census.is_empty() && census.domains.is_empty());
    assert!(census.capabilities.is_empty() && census.squares.is_empty());
}
