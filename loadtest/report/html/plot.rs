//! A plot as SVG: axes, lines, marks, and what a pointer reads off it.
//!
//! Each plot is drawn twice, for wide and for narrow screens, because text in a scaled drawing shrinks with it; the style
//! shows one. Lines differ by dashes as well as colour. Without script a pointer shows the titles of the readings.

use std::fmt::Write as _;

use super::markup::escape;
use super::scale::Scale;
use crate::report::units;

const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 40.0;
/// The width of a letter beside an axis.
const LABEL_X: f64 = 6.5;
/// Half the side of a mark.
const MARK: f64 = 5.0;

/// A drawing's measures and the class that decides where it is shown.
struct Canvas {
    class: &'static str,
    width: f64,
    height: f64,
    marks_x: usize,
}

/// One axis.
pub struct Axis {
    /// From values to places.
    pub scale: Scale,
    /// Values with what is written beside them.
    pub marks: Vec<(f64, String)>,
    /// What it measures.
    pub label: String,
}

/// One line of a plot.
pub struct Series {
    /// What it is.
    pub name: String,
    /// Its points, ascending; a gap where there is none.
    pub points: Vec<Option<(f64, f64)>>,
    /// Whether the room below is tinted.
    pub filled: bool,
}

/// What a pointer reads at a place of the x axis.
pub struct Reading {
    /// Where.
    pub x: f64,
    /// What.
    pub text: String,
}

/// A plot and all that is said about it.
pub struct Plot {
    /// Distinguishes it on the page.
    pub id: &'static str,
    /// Its heading.
    pub title: String,
    /// What it shows, in words.
    pub description: String,
    /// Height of the wide drawing.
    pub height: f64,
    /// Values from left to right.
    pub x: Axis,
    /// Values from bottom to top.
    pub y: Axis,
    /// The lines, at most six.
    pub series: Vec<Series>,
    /// Places on the x axis that something happened at, and what such a mark means.
    pub marks: Option<(String, Vec<f64>)>,
    /// Ascending.
    pub readings: Vec<Reading>,
}

impl Plot {
    /// The plot with its heading, legend and both drawings.
    pub fn html(&self) -> String {
        let wide = Canvas { class: "wide", width: 960.0, height: self.height, marks_x: usize::MAX };
        let narrow = Canvas { class: "narrow", width: 380.0, height: self.height.min(260.0), marks_x: 6 };
        format!(
            r#"<figure class="plot"><figcaption><h3>{}</h3>{}</figcaption>{}{}<p class="reading" aria-hidden="true"></p></figure>"#,
            escape(&self.title),
            self.legend(),
            self.svg(&wide),
            self.svg(&narrow)
        )
    }

    fn legend(&self) -> String {
        let mut html = String::from(r#"<ul class="legend">"#);
        for (index, series) in self.series.iter().enumerate() {
            let name = escape(&series.name);
            let _ = write!(
                html,
                r#"<li><svg class="sample" viewBox="0 0 28 10" aria-hidden="true"><path class="line s{index}" d="M0 5H28"/></svg>{name}</li>"#
            );
        }
        if let Some((name, places)) = self.marks.as_ref().filter(|(_, places)| !places.is_empty()) {
            let sample = r#"<svg class="sample" viewBox="0 0 28 10" aria-hidden="true"><path class="mark" d="M9 10L14 0L19 10Z"/></svg>"#;
            let _ = write!(html, "<li>{sample}{} ({})</li>", escape(name), places.len());
        }
        html + "</ul>"
    }

    fn svg(&self, canvas: &Canvas) -> String {
        let Canvas { class, width, height, .. } = canvas;
        let key = format!("{}-{class}", self.id);
        let mut svg = format!(
            r#"<svg class="drawing {class}" viewBox="0 0 {width} {height}" role="img" aria-labelledby="{key}-t {key}-d"><title id="{key}-t">{}</title><desc id="{key}-d">{}</desc>"#,
            escape(&self.title),
            escape(&self.description)
        );
        self.draw_axes(&mut svg, canvas);
        for (index, series) in self.series.iter().enumerate() {
            self.draw_series(&mut svg, canvas, index, series);
        }
        self.draw_marks(&mut svg, canvas);
        self.draw_readings(&mut svg, canvas);
        svg + "</svg>"
    }

    fn at_x(&self, canvas: &Canvas, value: f64) -> f64 {
        LEFT + self.x.scale.place(value) * (canvas.width - LEFT - RIGHT)
    }

    fn at_y(&self, canvas: &Canvas, value: f64) -> f64 {
        canvas.height - BOTTOM - self.y.scale.place(value) * (canvas.height - TOP - BOTTOM)
    }

    fn draw_axes(&self, svg: &mut String, canvas: &Canvas) {
        let (right, bottom) = (canvas.width - RIGHT, canvas.height - BOTTOM);
        for (value, label) in &self.y.marks {
            let y = self.at_y(canvas, *value);
            let (label, below) = (escape(&units::mark(label)), y + 4.0);
            let _ = write!(
                svg,
                r#"<path class="grid" d="M{LEFT} {y:.1}H{right}"/><text x="{:.0}" y="{below:.1}" text-anchor="end">{label}</text>"#,
                LEFT - 8.0
            );
        }
        // Every mark on a wide drawing; on a narrow one as many as there is room for.
        let every = self.x.marks.len().div_ceil(canvas.marks_x).max(1);
        for (value, label) in self.x.marks.iter().step_by(every) {
            let (x, label, under) = (self.at_x(canvas, *value), units::mark(label), bottom + 16.0);
            // A long one at the end would stand out of the drawing, and out of a printed page.
            let stands_out = x + LABEL_X * label.chars().count() as f64 / 2.0 > canvas.width;
            let label = escape(&label);
            let (at, anchor) = if stands_out { (canvas.width, "end") } else { (x, "middle") };
            let _ = write!(
                svg,
                r#"<path class="grid" d="M{x:.1} {TOP}V{bottom}"/><text x="{at:.1}" y="{under}" text-anchor="{anchor}">{label}</text>"#
            );
        }
        let (middle, under) = (f64::midpoint(LEFT, right), canvas.height - 6.0);
        let _ = write!(
            svg,
            r#"<path class="axis" d="M{LEFT} {bottom}H{right}"/><text class="label" x="{middle}" y="{under}" text-anchor="middle">{}</text>"#,
            escape(&self.x.label)
        );
    }

    fn draw_series(&self, svg: &mut String, canvas: &Canvas, index: usize, series: &Series) {
        let bottom = canvas.height - BOTTOM;
        for run in series.points.split(Option::is_none) {
            let points: Vec<(f64, f64)> = run.iter().flatten().copied().collect();
            let (Some(first), Some(last)) = (points.first(), points.last()) else { continue };
            let mut path = String::new();
            for (number, (x, y)) in points.iter().enumerate() {
                let verb = if number == 0 { 'M' } else { 'L' };
                let _ = write!(path, "{verb}{:.1} {:.1}", self.at_x(canvas, *x), self.at_y(canvas, *y));
            }
            // A single point has no length; with a round cap this is a dot.
            let path = if points.len() == 1 { path + "h0.1" } else { path };
            if series.filled {
                let (from, to) = (self.at_x(canvas, first.0), self.at_x(canvas, last.0));
                let _ = write!(
                    svg,
                    r#"<path class="fill s{index}" d="{path}L{to:.1} {bottom}L{from:.1} {bottom}Z"/>"#
                );
            }
            let _ = write!(svg, r#"<path class="line s{index}" d="{path}"/>"#);
        }
    }

    fn draw_marks(&self, svg: &mut String, canvas: &Canvas) {
        let bottom = canvas.height - BOTTOM;
        for place in self.marks.iter().flat_map(|(_, places)| places) {
            let (x, top) = (self.at_x(canvas, *place), bottom - 2.0 * MARK);
            let (left, right) = (x - MARK, x + MARK);
            let _ = write!(
                svg,
                r#"<path class="mark" d="M{left:.1} {bottom}L{x:.1} {top}L{right:.1} {bottom}Z"/>"#
            );
        }
    }

    /// Each reading answers from half-way to the one before to half-way to the next.
    fn draw_readings(&self, svg: &mut String, canvas: &Canvas) {
        let places: Vec<f64> = self.readings.iter().map(|reading| self.at_x(canvas, reading.x)).collect();
        let (right, height) = (canvas.width - RIGHT, canvas.height - TOP - BOTTOM);
        let _ = write!(svg, r#"<path class="cursor" d="M0 {TOP}v{height}" visibility="hidden"/>"#);
        for (index, reading) in self.readings.iter().enumerate() {
            let x = places[index];
            let from = if index == 0 { LEFT } else { f64::midpoint(places[index - 1], x) };
            let to = places.get(index + 1).map_or(right, |next| f64::midpoint(x, *next));
            let (width, text) = ((to - from).max(0.0), escape(&reading.text));
            let _ = write!(
                svg,
                r#"<rect class="hit" data-x="{x:.1}" x="{from:.1}" y="{TOP}" width="{width:.1}" height="{height}"><title>{text}</title></rect>"#
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<Option<(f64, f64)>>) -> Plot {
        let axis = || Axis {
            scale: Scale::Linear { low: 0.0, high: 10.0 },
            marks: vec![(0.0, "0".into()), (10.0, "10 <".into())],
            label: "x".into(),
        };
        let readings = [2.0, 4.0].map(|x| Reading { x, text: format!("at {x}") }).into();
        let series = vec![Series { name: "a & b".into(), points, filled: false }];
        let marks = Some(("errors".to_owned(), vec![5.0]));
        Plot {
            id: "p",
            title: "T".into(),
            description: "D".into(),
            height: 300.0,
            x: axis(),
            y: axis(),
            series,
            marks,
            readings,
        }
    }

    #[test]
    fn the_ends_of_the_scales_are_the_corners_of_the_frame() {
        let html = plot(vec![Some((0.0, 0.0)), Some((10.0, 10.0))]).html();
        assert!(html.contains(r#"d="M62.0 260.0L946.0 10.0""#), "the wide one: {html}");
        assert!(html.contains(r#"d="M62.0 220.0L366.0 10.0""#), "the narrow one: {html}");
    }

    #[test]
    fn a_gap_breaks_the_line_and_a_single_point_is_a_dot() {
        let html = plot(vec![Some((0.0, 0.0)), Some((1.0, 1.0)), None, Some((3.0, 1.0))]).html();
        let drawn = html.split(r#"class="drawing wide""#).nth(1).and_then(|rest| rest.split("</svg>").next());
        assert_eq!(drawn.map(|svg| svg.matches(r#"class="line s0""#).count()), Some(2));
        assert!(html.contains("h0.1"));
    }

    #[test]
    fn readings_share_the_room_between_them() {
        let html = plot(Vec::new()).html();
        // 2 lies at 238.8 and 4 at 415.6: the border is at 327.2.
        assert!(html.contains(r#"data-x="238.8" x="62.0" y="10" width="265.2""#), "{html}");
        assert!(html.contains(r#"data-x="415.6" x="327.2" y="10" width="618.8""#), "{html}");
    }

    #[test]
    fn a_long_label_at_the_end_stays_inside() {
        let mut plot = plot(Vec::new());
        assert!(!plot.html().contains(r#"text-anchor="end">10 &lt;</text><path class="axis""#));
        plot.x.marks[1].1 = "99.9999 %".into();
        assert!(plot.html().contains(r#"x="960.0" y="276" text-anchor="end">99.9999 %<"#), "{}", plot.html());
    }

    #[test]
    fn a_drawing_has_a_title_a_description_and_no_raw_text() {
        let html = plot(Vec::new()).html();
        assert_eq!(html.matches(r#"role="img" aria-labelledby="p-"#).count(), 2);
        assert!(html.contains("a &amp; b") && html.contains("10 &lt;") && html.contains("errors (1)"));
    }
}
