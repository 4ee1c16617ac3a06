//! Charts as SVG, drawn on the server: readable without scripts, in print and, through title, description and
//! the table beside them, without seeing them. Colours come from the stylesheet.

use askama::Template;
use askama::filters::HtmlSafe;

/// The canvas, in its own units; the page scales it. Text in it has 11 of them.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 170.0;
/// Room for the numbers on the left, and for the heights below.
const LEFT: f64 = 72.0;
const BOTTOM: f64 = 22.0;
const TOP: f64 = 10.0;
const RIGHT: f64 = 8.0;

/// How values are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// What goes on between the points too: a price, a duration.
    Line,
    /// What was counted.
    Bar,
}

/// What is drawn.
pub(crate) struct Series {
    /// Unique on the page, for the links between drawing and description.
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    pub(crate) shape: Shape,
    /// Where each value belongs, in words, and the value; nothing where there is none.
    pub(crate) points: Vec<(String, Option<f64>)>,
    /// How a value is written, with its unit.
    pub(crate) write: fn(f64) -> String,
}

struct Tick {
    y: String,
    text_y: String,
    label: String,
}

struct Mark {
    x: String,
    y: String,
    width: String,
    height: String,
    title: String,
}

/// A drawing with its words.
#[derive(Template)]
#[template(path = "chart.html")]
pub(crate) struct Chart {
    key: &'static str,
    title: &'static str,
    description: String,
    ticks: Vec<Tick>,
    bars: Vec<Mark>,
    dots: Vec<Mark>,
    line: String,
    first: String,
    last: String,
}

impl HtmlSafe for Chart {}

impl Chart {
    pub(crate) fn new(series: Series) -> Self {
        let Series { key, title, shape, points, write } = series;
        let values: Vec<f64> =
            points.iter().filter_map(|(_, value)| *value).filter(|v| v.is_finite()).collect();
        let top = ceiling(values.iter().copied().fold(0.0, f64::max));
        let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - (value / top).clamp(0.0, 1.0));
        let step = (WIDTH - LEFT - RIGHT) / points.len().max(1) as f64;
        let (mut bars, mut dots, mut line, mut pen_down) = (Vec::new(), Vec::new(), String::new(), false);
        for (at, (place, value)) in points.iter().enumerate() {
            let Some(value) = value.filter(|value| value.is_finite()) else {
                pen_down = false;
                continue;
            };
            let left = LEFT + step * at as f64;
            let mark = |x: f64, width: f64| Mark {
                x: unit(x),
                y: unit(y(value)),
                width: unit(width),
                height: unit(HEIGHT - BOTTOM - y(value)),
                title: format!("{place}: {}", write(value)),
            };
            match shape {
                Shape::Bar => bars.push(mark(left + step * 0.1, step * 0.8)),
                Shape::Line => {
                    let x = left + step / 2.0;
                    line.push_str(if pen_down { " L" } else { " M" });
                    line.push_str(&format!("{} {}", unit(x), unit(y(value))));
                    pen_down = true;
                    dots.push(mark(x, 0.0));
                }
            }
        }
        let ticks = [0.0, top / 2.0, top].map(|value| Tick {
            y: unit(y(value)),
            text_y: unit(y(value) + 4.0),
            label: write(value),
        });
        let place =
            |point: Option<&(String, Option<f64>)>| point.map(|(place, _)| place.clone()).unwrap_or_default();
        Self {
            key,
            title,
            description: describe(&values, write),
            ticks: ticks.into(),
            bars,
            dots,
            line: line.trim_start().into(),
            first: place(points.first()),
            last: if points.len() > 1 { place(points.last()) } else { String::new() },
        }
    }
}

/// The values in a sentence.
fn describe(values: &[f64], write: fn(f64) -> String) -> String {
    let Some(last) = values.last() else { return "There are no values yet.".into() };
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = values.iter().copied().fold(0.0, f64::max);
    format!("Lowest {}, highest {}, newest {}.", write(lowest), write(highest), write(*last))
}

/// The next of 1, 2, 5, 10, 20 … that is not below a value, so that the numbers beside the lines are round.
fn ceiling(highest: f64) -> f64 {
    if !highest.is_finite() || highest <= 0.0 {
        return 1.0;
    }
    let magnitude = 10_f64.powf(highest.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * magnitude);
    steps.into_iter().find(|step| *step >= highest).unwrap_or(highest)
}

fn unit(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn series(shape: Shape, points: Vec<(String, Option<f64>)>) -> Series {
        Series { key: "k", title: "Title", shape, points, write: |value| format!("{value:.1} s") }
    }
    fn numbered(values: &[Option<f64>]) -> Vec<(String, Option<f64>)> {
        values.iter().enumerate().map(|(at, value)| (format!("block {at}"), *value)).collect()
    }

    #[test]
    fn a_line_breaks_where_there_is_no_value() {
        let chart = Chart::new(series(Shape::Line, numbered(&[Some(1.0), Some(2.0), None, Some(4.0)])));
        assert_eq!(chart.line.matches('M').count(), 2);
        assert_eq!(chart.line.matches('L').count(), 1);
        assert_eq!(chart.dots.len(), 3);
        assert_eq!(chart.description, "Lowest 1.0 s, highest 4.0 s, newest 4.0 s.");
    }

    #[test]
    fn bars_stand_on_the_ground_and_inside_the_canvas() {
        let chart = Chart::new(series(Shape::Bar, numbered(&[Some(0.0), Some(3.0), Some(5.0)])));
        for bar in &chart.bars {
            let [x, y, width, height] =
                [&bar.x, &bar.y, &bar.width, &bar.height].map(|n| n.parse::<f64>().unwrap());
            assert!((y + height - (HEIGHT - BOTTOM)).abs() < 0.11, "{y} {height}");
            assert!(x >= LEFT && x + width <= WIDTH && y >= TOP);
        }
        assert_eq!(chart.bars.first().unwrap().height, "0.0");
    }

    #[test]
    fn nothing_and_nonsense_draw_an_empty_chart() {
        for values in [vec![], vec![None], vec![Some(f64::NAN), Some(f64::INFINITY)]] {
            let chart = Chart::new(series(Shape::Bar, numbered(&values)));
            assert!(chart.bars.is_empty());
            assert_eq!(chart.description, "There are no values yet.");
            assert!(!chart.render().unwrap().contains("NaN"));
        }
    }

    #[test]
    fn the_scale_ends_at_a_round_number() {
        for (highest, top) in [(0.0, 1.0), (0.3, 0.5), (1.0, 1.0), (1.1, 2.0), (42.0, 50.0), (1e9, 1e9)] {
            assert!((ceiling(highest) - top).abs() < top * 1e-9, "{highest}: {}", ceiling(highest));
        }
    }

    #[test]
    fn words_from_elsewhere_are_no_markup() {
        let text = Chart::new(series(Shape::Bar, vec![("<b>".into(), Some(1.0))])).render().unwrap();
        assert!(!text.contains("<b>") && text.contains("role=\"img\"") && text.contains("<desc"), "{text}");
    }
}
