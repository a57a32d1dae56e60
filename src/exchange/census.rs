//! The census: indexes over the registered lines of a shard, for PRESENCE (spec section 16).
//!
//! By domain, by capability and by place, so that a question costs what it finds and not what is there
//! (design.md, D9). Every list can lose any member in constant time; lines remember their seats.

use std::collections::{BTreeMap, HashMap};

use compact_str::CompactString;
use indexmap::IndexSet;

use super::event::{Location, Near, PresenceQuery, Profile};
use super::line::CensusSeats;

/// Radius of the earth in km, as the spec has it.
const EARTH_KM: f64 = 6371.0;
/// Length of a degree of latitude in km, rounded down so that a search never looks at too few cells.
const DEGREE_KM: f64 = 111.0;
/// Circles that reach farther than this many degrees, or nearer to a pole than latitude 80, are not searched by
/// windows of squares: the window would hold most of the globe.
const REACH_DEGREES_MAX: f64 = 30.0;
const LATITUDE_MAX: f64 = 80.0;

type Slots = IndexSet<u32, ahash::RandomState>;

/// The indexes of one shard. Lines are named by their slots.
#[derive(Debug)]
pub struct Census {
    everyone: Vec<u32>,
    domains: HashMap<CompactString, Vec<u32>, ahash::RandomState>,
    capabilities: HashMap<CompactString, Slots, ahash::RandomState>,
    /// Lines by the degree square they are in; `ODD` holds those whose place is nowhere on the globe.
    squares: BTreeMap<Square, Slots>,
    located: usize,
    hasher: ahash::RandomState,
}

type Square = (i16, i16);
const ODD: Square = (i16::MAX, i16::MAX);

/// A list whose seat numbers had to change because a member left: who sits there now.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// The line that was moved.
    pub slot: u32,
    /// Its new seat.
    pub seat: u32,
}

/// The seat changes that a departure caused.
#[derive(Clone, Copy, Default, Debug)]
pub struct Departure {
    /// In the list of everyone.
    pub everyone: Option<Moved>,
    /// In the list of the domain.
    pub domain: Option<Moved>,
}

/// The index with the fewest candidates for a question.
enum Candidates<'a> {
    List(&'a [u32]),
    Set(&'a Slots),
    Squares(Near),
    None,
}

impl Census {
    /// An empty census that hashes with `hasher`.
    pub fn new(hasher: ahash::RandomState) -> Self {
        Self {
            everyone: Vec::new(),
            domains: HashMap::with_hasher(hasher.clone()),
            capabilities: HashMap::with_hasher(hasher.clone()),
            squares: BTreeMap::new(),
            located: 0,
            hasher,
        }
    }

    /// How many lines are registered.
    pub fn len(&self) -> usize {
        self.everyone.len()
    }

    /// Whether no line is registered.
    pub fn is_empty(&self) -> bool {
        self.everyone.is_empty()
    }

    /// Enters a line. Gives the seats that the line must remember.
    pub fn enter(&mut self, slot: u32, domain: &str, profile: Option<&Profile>) -> CensusSeats {
        let everyone = push(&mut self.everyone, slot);
        let key = lower(domain);
        let domain = push(self.domains.entry(key).or_default(), slot);
        self.enter_profile(slot, profile);
        CensusSeats { everyone, domain }
    }

    /// Takes a line out. Others may have been given new seats.
    pub fn leave(
        &mut self,
        slot: u32,
        seats: CensusSeats,
        domain: &str,
        profile: Option<&Profile>,
    ) -> Departure {
        self.leave_profile(slot, profile);
        let everyone = swap_out(&mut self.everyone, seats.everyone);
        let key = lower(domain);
        let mut moved = None;
        if let Some(list) = self.domains.get_mut(&key) {
            moved = swap_out(list, seats.domain);
            if list.is_empty() {
                self.domains.remove(&key);
            }
        }
        Departure { everyone, domain: moved }
    }

    /// Whether a line sits where it thinks it sits. For checks only.
    pub fn is_seated(&self, slot: u32, seats: CensusSeats, domain: &str) -> bool {
        let sits = |list: &[u32], seat: u32| list.get(seat as usize) == Some(&slot);
        let domain = self.domains.get(&lower(domain)).map_or(&[][..], Vec::as_slice);
        sits(&self.everyone, seats.everyone) && sits(domain, seats.domain)
    }

    /// Enters what can be searched for besides the domain.
    pub fn enter_profile(&mut self, slot: u32, profile: Option<&Profile>) {
        let Some(profile) = profile else { return };
        for capability in &profile.capabilities {
            let slots = self.capabilities.entry(capability.clone());
            slots.or_insert_with(|| Slots::with_hasher(self.hasher.clone())).insert(slot);
        }
        if let Some(place) = profile.location {
            let slots = self.squares.entry(square(place));
            slots.or_insert_with(|| Slots::with_hasher(self.hasher.clone())).insert(slot);
            self.located += 1;
        }
    }

    /// Takes out what can be searched for besides the domain.
    pub fn leave_profile(&mut self, slot: u32, profile: Option<&Profile>) {
        let Some(profile) = profile else { return };
        for capability in &profile.capabilities {
            let Some(slots) = self.capabilities.get_mut(capability) else { continue };
            slots.swap_remove(&slot);
            if slots.is_empty() {
                self.capabilities.remove(capability);
            }
        }
        let Some(place) = profile.location.map(square) else { return };
        if let Some(slots) = self.squares.get_mut(&place) {
            slots.swap_remove(&slot);
            self.located -= 1;
            if slots.is_empty() {
                self.squares.remove(&place);
            }
        }
    }

    /// Shows candidates for a question to `visit` until it says `false`: the members of the smallest index that
    /// the question touches. Each still has to be tested with [`matches()`].
    pub fn candidates(&self, query: &PresenceQuery, mut visit: impl FnMut(u32) -> bool) {
        match self.smallest(query) {
            Candidates::None => {}
            Candidates::List(slots) => drop(slots.iter().all(|&slot| visit(slot))),
            Candidates::Set(slots) => drop(slots.iter().all(|&slot| visit(slot))),
            Candidates::Squares(near) => self.around(near, visit),
        }
    }

    fn smallest(&self, query: &PresenceQuery) -> Candidates<'_> {
        let mut best = Candidates::List(&self.everyone);
        let mut size = self.everyone.len();
        if let Some(domain) = &query.domain {
            let Some(list) = self.domains.get(domain) else { return Candidates::None };
            (size, best) = (list.len(), Candidates::List(list));
        }
        for capability in &query.capabilities {
            let Some(slots) = self.capabilities.get(capability) else { return Candidates::None };
            if slots.len() < size {
                (size, best) = (slots.len(), Candidates::Set(slots));
            }
        }
        match query.near {
            Some(near) if self.located <= size || !is_wide(near) => Candidates::Squares(near),
            _ => best,
        }
    }

    /// Everybody in the squares that the circle touches, and those who are nowhere on the globe.
    fn around(&self, near: Near, mut visit: impl FnMut(u32) -> bool) {
        let whole = is_wide(near);
        let (rows, columns) = window(near);
        let keys: Vec<Square> = if whole {
            self.squares.keys().copied().collect()
        } else {
            let rows = rows.flat_map(|row| self.squares.range((row, i16::MIN)..=(row, i16::MAX)));
            let inside = rows.map(|(&key, _)| key).filter(|&(_, column)| columns.contains(column));
            inside.chain(self.squares.contains_key(&ODD).then_some(ODD)).collect()
        };
        let slots = keys.iter().filter_map(|key| self.squares.get(key)).flatten();
        for &slot in slots {
            if !visit(slot) {
                return;
            }
        }
    }
}

/// Whether a line with this domain and profile is what the question asks for (spec section 16).
pub fn matches(query: &PresenceQuery, domain: &str, profile: Option<&Profile>) -> bool {
    let domain_fits = query.domain.as_ref().is_none_or(|wanted| *wanted == lower(domain));
    domain_fits && has_all(&query.capabilities, profile) && is_near(query.near, profile)
}

fn has_all(wanted: &[CompactString], profile: Option<&Profile>) -> bool {
    let offered = profile.map_or(&[][..], |profile| &profile.capabilities);
    wanted.iter().all(|capability| offered.contains(capability))
}

fn is_near(near: Option<Near>, profile: Option<&Profile>) -> bool {
    let Some(near) = near else { return true };
    profile
        .and_then(|profile| profile.location)
        .is_some_and(|place| distance_km(near.middle, place) <= near.radius_km)
}

/// The haversine distance.
fn distance_km(a: Location, b: Location) -> f64 {
    let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
    let h = half(b.lat - a.lat) + a.lat.to_radians().cos() * b.lat.to_radians().cos() * half(b.lon - a.lon);
    2.0 * EARTH_KM * h.sqrt().min(1.0).asin()
}

/// Domains are compared without regard to case.
pub fn lower(text: &str) -> CompactString {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        CompactString::new(text)
    } else {
        CompactString::from(text.to_lowercase())
    }
}

fn on_globe(place: Location) -> bool {
    place.lat.abs() <= 90.0 && place.lon.abs() <= 180.0
}

fn square(place: Location) -> Square {
    if on_globe(place) { (place.lat.floor() as i16, place.lon.floor() as i16) } else { ODD }
}

/// Whether a circle is so large, or so near a pole, that a window of squares would not pay.
fn is_wide(near: Near) -> bool {
    let reach = near.radius_km / DEGREE_KM;
    reach.is_nan()
        || reach >= REACH_DEGREES_MAX
        || !on_globe(near.middle)
        || near.middle.lat.abs() + reach > LATITUDE_MAX
}

/// Columns of squares, possibly across the date line.
struct Columns {
    from: i16,
    to: i16,
}

impl Columns {
    fn contains(&self, column: i16) -> bool {
        [column - 360, column, column + 360].iter().any(|column| (self.from..=self.to).contains(column))
    }
}

fn window(near: Near) -> (std::ops::RangeInclusive<i16>, Columns) {
    let reach = near.radius_km / DEGREE_KM;
    let Location { lat, lon } = near.middle;
    let narrowest = (lat.abs() + reach).min(LATITUDE_MAX).to_radians().cos();
    let (rows, columns) = (reach, reach / narrowest);
    let rows = (lat - rows).floor() as i16..=(lat + rows).floor() as i16;
    (rows, Columns { from: (lon - columns).floor() as i16, to: (lon + columns).floor() as i16 })
}

fn push(list: &mut Vec<u32>, slot: u32) -> u32 {
    list.push(slot);
    (list.len() - 1) as u32
}

fn swap_out(list: &mut Vec<u32>, seat: u32) -> Option<Moved> {
    list.swap_remove(seat as usize);
    list.get(seat as usize).map(|&slot| Moved { slot, seat })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census() -> Census {
        Census::new(ahash::RandomState::with_seeds(1, 2, 3, 4))
    }

    fn placed(lat: f64, lon: f64) -> Profile {
        Profile { location: Some(Location { lat, lon }), ..Profile::default() }
    }

    fn found(census: &Census, query: &PresenceQuery, profiles: &[Profile]) -> Vec<u32> {
        let mut found = Vec::new();
        census.candidates(query, |slot| {
            if matches(query, "x.test", Some(&profiles[slot as usize])) {
                found.push(slot);
            }
            true
        });
        found.sort_unstable();
        found
    }

    #[test]
    fn the_index_finds_by_distance_exactly_what_the_formula_finds() {
        let mut census = census();
        let profiles: Vec<_> = (0..3000_u32)
            .map(|n| {
                let lat = f64::from(n.wrapping_mul(2_654_435_761) % 20_000) / 100.0 - 100.0;
                let lon = f64::from(n.wrapping_mul(40_503) % 40_000) / 100.0 - 200.0;
                placed(lat, lon)
            })
            .collect();
        for (slot, profile) in profiles.iter().enumerate() {
            census.enter(slot as u32, "x.test", Some(profile));
        }
        for (lat, lon, radius_km) in [
            (0.0, 0.0, 500.0),
            (47.0, 179.5, 900.0),
            (-60.0, -179.0, 3000.0),
            (89.0, 0.0, 200.0),
            (10.0, 10.0, 1e6),
        ] {
            let near = Near { middle: Location { lat, lon }, radius_km };
            let query = PresenceQuery { near: Some(near), ..PresenceQuery::default() };
            let expected: Vec<u32> = (0..profiles.len() as u32)
                .filter(|&slot| is_near(query.near, Some(&profiles[slot as usize])))
                .collect();
            assert_eq!(found(&census, &query, &profiles), expected, "{lat} {lon} {radius_km}");
        }
    }

    #[test]
    fn who_left_is_found_by_no_index() {
        let mut census = census();
        let profile = Profile { capabilities: ["chat".into()].into(), ..placed(1.0, 1.0) };
        let mut seats: Vec<_> = (0..3).map(|slot| census.enter(slot, "X.test", Some(&profile))).collect();
        let departure = census.leave(0, seats[0], "x.TEST", Some(&profile));
        let moved = departure.everyone.expect("the last one took the seat");
        assert_eq!((moved.slot, moved.seat), (2, 0));
        seats[2] = CensusSeats { everyone: 0, domain: 0 };
        census.leave(2, seats[2], "x.test", Some(&profile));
        census.leave(1, CensusSeats { everyone: 0, domain: 0 }, "x.test", Some(&profile));
        assert!(census.is_empty() && census.domains.is_empty());
        assert!(census.capabilities.is_empty() && census.squares.is_empty());
    }

    #[test]
    fn distances_are_those_of_the_haversine_formula() {
        let berlin = Location { lat: 52.52, lon: 13.405 };
        let paris = Location { lat: 48.8566, lon: 2.3522 };
        assert!((distance_km(berlin, paris) - 878.0).abs() < 2.0);
    }
}
