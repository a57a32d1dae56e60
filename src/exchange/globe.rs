//! Places on the globe: distances, and the degree squares by which the census finds what is near.
//!
//! Arithmetic only; who is where is the census's business. The invariant: every place within a circle is in one of the
//! squares of the circle's window, or in [`ODD`], which holds those whose place is nowhere on the globe.

use std::ops::RangeInclusive;

use super::event::{Location, Near};

/// Radius of the earth in km, as the spec has it.
const EARTH_KM: f64 = 6371.0;
/// Length of a degree of latitude in km, rounded down so that a search never looks at too few cells.
const DEGREE_KM: f64 = 111.0;
/// Circles that reach farther than this many degrees, or nearer to a pole than latitude 80, are not searched by
/// windows of squares: the window would hold most of the globe.
const REACH_DEGREES_MAX: f64 = 30.0;
const LATITUDE_MAX: f64 = 80.0;

/// A square of one degree by its south-western corner: latitude, longitude.
pub type Square = (i16, i16);
/// The square of those whose place is nowhere on the globe.
pub const ODD: Square = (i16::MAX, i16::MAX);

/// Whether a place is within a circle.
pub fn is_near(near: Near, place: Location) -> bool {
    distance_km(near.middle, place) <= near.radius_km
}

/// The haversine distance.
fn distance_km(a: Location, b: Location) -> f64 {
    let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
    let h = half(b.lat - a.lat) + a.lat.to_radians().cos() * b.lat.to_radians().cos() * half(b.lon - a.lon);
    2.0 * EARTH_KM * h.sqrt().min(1.0).asin()
}

fn on_globe(place: Location) -> bool {
    place.lat.abs() <= 90.0 && place.lon.abs() <= 180.0
}

/// The square that a place is in.
pub fn square(place: Location) -> Square {
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

/// Ranges of squares, in the order of their corners, that hold everything within a circle; some hold more. No square
/// is in two of them.
pub fn window(near: Near) -> impl Iterator<Item = RangeInclusive<Square>> {
    let whole = is_wide(near).then_some((i16::MIN, i16::MIN)..=ODD);
    let rows = if whole.is_none() { narrow_window(near) } else { Vec::new() };
    whole.into_iter().chain(rows)
}

fn narrow_window(near: Near) -> Vec<RangeInclusive<Square>> {
    let reach = near.radius_km / DEGREE_KM;
    let Location { lat, lon } = near.middle;
    let narrowest = (lat.abs() + reach).min(LATITUDE_MAX).to_radians().cos();
    let (rows, columns) = (reach, reach / narrowest);
    let rows = (lat - rows).floor() as i16..=(lat + rows).floor() as i16;
    let (from, to) = ((lon - columns).floor() as i16, (lon + columns).floor() as i16);
    // Squares lie between -180 and 180, with 180 itself for those exactly on the date line; a window may cross it.
    let parts = if to - from >= 360 { vec![(-180, 180)] } else { around_the_date_line(from, to) };
    let in_row = |row: i16| parts.clone().into_iter().map(move |(from, to)| (row, from)..=(row, to));
    rows.flat_map(in_row).chain([ODD..=ODD]).collect()
}

/// The columns of a window by the numbers that squares have: 180 and -180 are the same meridian.
fn around_the_date_line(from: i16, to: i16) -> Vec<(i16, i16)> {
    let turned = [-360, 0, 360].map(|turn| ((from + turn).max(-180), (to + turn).min(180)));
    let mut parts: Vec<_> = turned.into_iter().filter(|(from, to)| from <= to).collect();
    parts.sort_unstable();
    parts.dedup_by(|later, earlier| {
        let meets = later.0 <= earlier.1;
        earlier.1 = if meets { earlier.1.max(later.1) } else { earlier.1 };
        meets
    });
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_haversine_formula() {
        let berlin = Location { lat: 52.52, lon: 13.405 };
        let paris = Location { lat: 48.8566, lon: 2.3522 };
        assert!((distance_km(berlin, paris) - 878.0).abs() < 2.0);
    }

    #[test]
    fn no_square_is_searched_twice() {
        for (lat, lon, radius_km) in
            [(0.0, 179.9, 300.0), (50.0, -180.0, 1.0), (49.0, 0.0, 3300.0), (0.0, 0.0, 1e6)]
        {
            let window: Vec<_> = window(Near { middle: Location { lat, lon }, radius_km }).collect();
            for (n, range) in window.iter().enumerate() {
                let apart = |other: &RangeInclusive<Square>| {
                    other.end() < range.start() || range.end() < other.start()
                };
                assert!(window[n + 1..].iter().all(apart), "{lat} {lon} {radius_km}: {range:?}");
            }
        }
    }
}
