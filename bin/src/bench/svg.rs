//! Line charts as inline SVG, without a library.

use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 36.0;
const TOP: f64 = 14.0;
const RIGHT: f64 = 12.0;
/// Colours that are told apart by those who do not see all of them.
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/// One line of a chart.
pub struct Line<'a> {
    /// What it shows.
    pub name: &'a str,
    /// Its points; missing values leave a gap.
    pub points: Vec<(f64, Option<f64>)>,
}

/// A chart from zero up.
pub fn chart(title: &str, across: &str, up: &str, lines: &[Line<'_>]) -> String {
    let xs = || lines.iter().flat_map(|line| line.points.iter().map(|(x, _)| *x));
    let ys = || lines.iter().flat_map(|line| line.points.iter().filter_map(|(_, y)| *y));
    let (low, high) = (xs().fold(f64::MAX, f64::min), xs().fold(f64::MIN, f64::max));
    let top = nice(ys().fold(0.0, f64::max));
    let mut out = String::new();
    let _ = write!(
        out,
        "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escape(title),
        escape(title)
    );
    if !(low.is_finite() && high > low && top > 0.0) {
        let _ =
            write!(out, "<text x=\"{LEFT}\" y=\"100\">nothing was measured</text></svg></figure>");
        return out;
    }
    let x = |value: f64| LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - BOTTOM - TOP);
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let _ = write!(
            out,
            "<line class=\"g\" x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{:.1}\" y2=\"{:.1}\"/><text class=\"e\" x=\"{:.0}\" y=\"{:.1}\">{}</text>",
            WIDTH - RIGHT,
            y(value),
            y(value),
            LEFT - 6.0,
            y(value) + 4.0,
            crate::units::shown(value)
        );
        let value = low + (high - low) * f64::from(step) / 4.0;
        let _ = write!(
            out,
            "<text class=\"m\" x=\"{:.1}\" y=\"{:.0}\">{}</text>",
            x(value),
            HEIGHT - BOTTOM + 16.0,
            crate::units::shown(value)
        );
    }
    let _ = write!(
        out,
        "<text class=\"m\" x=\"{:.0}\" y=\"{:.0}\">{}</text><text x=\"4\" y=\"11\">{}</text>",
        f64::midpoint(LEFT, WIDTH),
        HEIGHT - 3.0,
        escape(across),
        escape(up)
    );
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let mut path = String::new();
        let mut pen_down = false;
        for (at, value) in &line.points {
            let Some(value) = value else {
                pen_down = false;
                continue;
            };
            let verb = if pen_down { 'L' } else { 'M' };
            let _ = write!(path, "{verb}{:.1} {:.1}", x(*at), y(*value));
            pen_down = true;
        }
        let _ = write!(out, "<path stroke=\"{colour}\" d=\"{path}\"/>");
    }
    out.push_str("</svg><p>");
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let _ = write!(out, "<span style=\"color:{colour}\">&#9644;</span> {} ", escape(line.name));
    }
    out.push_str("</p></figure>");
    out
}

/// A round number not below this one.
fn nice(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 5.0, 8.0, 10.0];
    steps.iter().map(|step| step * power).find(|round| *round >= value).unwrap_or(value)
}

/// Text as HTML has it.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_its_lines_and_gaps() {
        let line =
            Line { name: "a<b", points: vec![(0.0, Some(1.0)), (1.0, None), (2.0, Some(3.0))] };
        let svg = chart("rate", "seconds", "Gbit/s", &[line]);
        assert_eq!(svg.matches("<path").count(), 1);
        assert_eq!(svg.matches('M').count(), 2, "a gap lifts the pen");
        assert!(svg.contains("a&lt;b") && svg.ends_with("</figure>"));
        assert!(chart("t", "x", "y", &[]).contains("nothing was measured"));
    }

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, round) in [(7.1, 8.0), (0.023, 0.04), (1.0, 1.0), (410.0, 500.0)] {
            assert!((nice(value) - round).abs() < 1e-9, "{value}");
        }
    }
}
