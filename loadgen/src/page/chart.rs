//! Lines over an axis, as SVG.
//!
//! Owns geometry, ticks and the order of colours. What the numbers are is the caller's, who says how each axis labels
//! them. Colours are the style sheet's, so that a page is read in the dark too.

use std::fmt::Write as _;

use super::escaped;

/// The drawing's size and the room around its lines, in units of its own.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 42.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 34.0;
/// Ticks that an axis aims at.
const TICKS: f64 = 5.0;
/// Beyond so many points a line has no dots: they would touch.
const DOTS_MAX: usize = 120;
/// Colours that the style sheet has. More lines than that begin with the first again.
const COLOURS: usize = 6;
/// Room above the lines for the names of marks, in two rows: those that follow each other may be close.
const MARKS: f64 = 30.0;
const MARK_STEP: f64 = 14.0;

/// How an axis places its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// From 0.
    Linear,
    /// By the powers of ten; what is not positive has no place.
    Log,
}

/// One axis.
pub(super) struct Axis {
    pub(super) scale: Scale,
    pub(super) label: fn(f64) -> String,
}

/// One line of a chart.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// A place on the horizontal axis that has a name.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) at: f64,
    pub(super) name: String,
    /// Its name stands before it, which is where what it ends is.
    pub(super) ends: bool,
}

/// Where values of an axis lie between 0 and 1.
struct Range {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Range {
    fn new(scale: Scale, values: impl Iterator<Item = f64> + Clone) -> Self {
        let high = values.clone().fold(f64::MIN, f64::max);
        match scale {
            Scale::Linear => Self { scale, low: 0.0, high: if high > 0.0 { high * 1.04 } else { 1.0 } },
            Scale::Log => {
                let low = values.filter(|&value| value > 0.0).fold(f64::MAX, f64::min);
                if low > high {
                    return Self { scale, low: 1.0, high: 10.0 };
                }
                let (low, high) = (10_f64.powf(low.log10().floor()), 10_f64.powf(high.log10().ceil()));
                Self { scale, low, high: if high > low { high } else { low * 10.0 } }
            }
        }
    }

    fn place(&self, value: f64) -> Option<f64> {
        match self.scale {
            Scale::Linear => Some((value - self.low) / (self.high - self.low)),
            Scale::Log if value > 0.0 => Some((value / self.low).log10() / (self.high / self.low).log10()),
            Scale::Log => None,
        }
    }

    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let rough = (self.high - self.low) / TICKS;
                let power = 10_f64.powf(rough.log10().floor());
                let nice = [1.0, 2.0, 2.5, 5.0].into_iter().find(|nice| nice * power >= rough).unwrap_or(10.0);
                let step = nice * power;
                (0..=(self.high / step) as u32).map(|at| f64::from(at) * step).collect()
            }
            Scale::Log => {
                let powers = (self.high / self.low).log10().round() as i32;
                (0..=powers).map(|power| self.low * 10_f64.powi(power)).collect()
            }
        }
    }
}

/// A chart with its heading and legend. A line without a point has no place in either, and keeps its colour, so that charts
/// beside each other have one colour for one thing.
pub(super) fn chart(title: &str, x: &Axis, y: &Axis, lines: &[Line], marks: &[Mark]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    // Charts beside each other have the same marks, and so the same length.
    let across = Range::new(x.scale, points().map(|&(x, _)| x).chain(marks.iter().map(|mark| mark.at)));
    let up = Range::new(y.scale, points().map(|&(_, y)| y));
    let room = if marks.is_empty() { TOP } else { TOP + MARKS };
    let left = |value| across.place(value).map(|at| LEFT + at * (WIDTH - LEFT - RIGHT));
    let top = |value| up.place(value).map(|at| HEIGHT - BOTTOM - at * (HEIGHT - room - BOTTOM));
    let (floor, end) = (HEIGHT - BOTTOM, WIDTH - RIGHT);

    let mut svg = String::new();
    let mut put = |words: std::fmt::Arguments<'_>| {
        svg.write_fmt(words).expect("a String takes everything");
        svg.push('\n');
    };
    for tick in up.ticks() {
        let Some(at) = top(tick) else { continue };
        let label = escaped(&(y.label)(tick));
        put(format_args!(r#"<line class="grid" x1="{LEFT}" x2="{end}" y1="{at:.1}" y2="{at:.1}"/>"#));
        put(format_args!(r#"<text class="up" x="{:.1}" y="{:.1}">{label}</text>"#, LEFT - 8.0, at + 4.0));
    }
    for tick in across.ticks() {
        let Some(at) = left(tick) else { continue };
        let label = escaped(&(x.label)(tick));
        put(format_args!(r#"<line class="grid" x1="{at:.1}" x2="{at:.1}" y1="{room}" y2="{floor}"/>"#));
        put(format_args!(r#"<text class="across" x="{at:.1}" y="{:.1}">{label}</text>"#, floor + 20.0));
    }
    for (number, Mark { at, name, ends }) in marks.iter().enumerate() {
        let Some(at) = left(*at).filter(|at| *at < end) else { continue };
        let (class, beside) = if *ends { ("marked end", at - 4.0) } else { ("marked", at + 4.0) };
        let below = TOP + 2.0 + MARK_STEP * (number % 2) as f64;
        put(format_args!(r#"<line class="mark" x1="{at:.1}" x2="{at:.1}" y1="{TOP}" y2="{floor}"/>"#));
        put(format_args!(r#"<text class="{class}" x="{beside:.1}" y="{below:.1}">{}</text>"#, escaped(name)));
    }
    let drawn = || lines.iter().enumerate().filter(|(_, line)| !line.points.is_empty());
    for (number, line) in drawn() {
        let number = number % COLOURS;
        let placed = line.points.iter().filter_map(|&(x, y)| Some((left(x)?, top(y)?, x, y)));
        let placed: Vec<_> = placed.collect();
        let path: Vec<String> = placed.iter().map(|(x, y, ..)| format!("{x:.1},{y:.1}")).collect();
        put(format_args!(r#"<polyline class="line c{number}" points="{}"/>"#, path.join(" ")));
        for (left, top, at, value) in placed.iter().filter(|_| placed.len() <= DOTS_MAX) {
            let said = format!("{}: {} at {}", line.name, (y.label)(*value), (x.label)(*at));
            put(format_args!(
                r#"<circle class="dot c{number}" cx="{left:.1}" cy="{top:.1}" r="2.5"><title>{}</title></circle>"#,
                escaped(&said)
            ));
        }
    }
    let legend = drawn().map(|(number, line)| {
        let (number, name) = (number % COLOURS, escaped(&line.name));
        format!("<span class=\"key\"><i class=\"c{number}\"></i>{name}</span>")
    });
    format!(
        "<section>\n<h2>{title}</h2>\n<p class=\"legend\">{}</p>\n\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n{svg}</svg>\n</section>\n",
        legend.collect::<String>(),
        title = escaped(title),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_a_few_round_ticks() {
        check(Scale::Linear, &[0.0, 9.7], &[0.0, 2.5, 5.0, 7.5, 10.0]);
        check(Scale::Linear, &[2_000.0], &[0.0, 500.0, 1_000.0, 1_500.0, 2_000.0]);
        check(Scale::Linear, &[0.0], &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        check(Scale::Linear, &[], &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        check(Scale::Log, &[180.0, 25_000.0], &[100.0, 1_000.0, 10_000.0, 100_000.0]);
        check(Scale::Log, &[0.0, 100.0], &[100.0, 1_000.0]);
        check(Scale::Log, &[0.0], &[1.0, 10.0]);
    }

    #[test]
    fn a_chart_is_as_long_as_its_marks() {
        let axis = || Axis { scale: Scale::Linear, label: |value| value.to_string() };
        let line = Line { name: "in".to_owned(), points: vec![(0.5, 1.0)] };
        let mark = |at: f64, name: &str| Mark { at, name: name.to_owned(), ends: false };
        let drawn = chart("t", &axis(), &axis(), &[line], &[mark(0.0, "opening"), mark(9.0, "talk")]);
        assert!(drawn.contains(">opening</text>") && drawn.contains(">talk</text>"), "{drawn}");
    }

    fn check(scale: Scale, values: &[f64], expected: &[f64]) {
        let range = Range::new(scale, values.iter().copied());
        let ticks: Vec<f64> = range.ticks().iter().map(|tick| (tick * 1e6).round() / 1e6).collect();
        assert_eq!(ticks, expected, "{values:?}");
        for value in values.iter().filter(|value| scale == Scale::Linear || **value > 0.0) {
            assert!((0.0..=1.0).contains(&range.place(*value).expect("it has a place")), "{value}");
        }
    }
}
