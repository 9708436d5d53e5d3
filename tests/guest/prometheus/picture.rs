//! A picture of the dashboard, drawn from Prometheus' answers to the dashboard's own queries.
//!
//! Titles, places, queries, legends and colours come from `dashboard.json`; it looks like Grafana and is not one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

/// One line of an answer: its labels, and what it was when.
pub(crate) struct Series {
    pub(crate) labels: BTreeMap<String, String>,
    /// Seconds since 1970, and values.
    pub(crate) points: Vec<(f64, f64)>,
}

/// What answers queries for the time of the picture.
pub(crate) trait Source {
    /// The query at the end of that time.
    fn instant(&self, query: &str) -> Vec<Series>;
    /// The query throughout that time.
    fn range(&self, query: &str) -> Vec<Series>;
    /// That time.
    fn time(&self) -> (f64, f64);
}

/// Pixels of a column and a row of Grafana's grid, and between panels.
const COLUMN: f64 = 50.0;
const ROW: f64 = 25.0;
const GAP: f64 = 4.0;
/// Height of a line of a legend.
const LINE: f64 = 15.0;

const PALETTE: [&str; 12] = [
    "#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#ffee52", "#37872d",
    "#fa6400", "#ca95e5", "#96d98d",
];

/// Seconds between two events that are shown apart: a query over an interval goes on showing its events.
const APART: f64 = 20.0;

fn colour(name: &str) -> &'static str {
    match name {
        "green" => "#37872d",
        "yellow" => "#e0b400",
        "orange" => "#e5731a",
        "red" => "#c4162a",
        _ => "#5a6270",
    }
}

/// Draws the rows of panels above `bottom`, in Grafana's units.
pub(crate) fn draw(dashboard: &Value, source: &impl Source, bottom: f64) -> String {
    let events = source.range(dashboard["annotations"]["list"][0]["expr"].as_str().unwrap());
    let mut events: Vec<f64> =
        events.iter().flat_map(|series| series.points.iter().map(|(at, _)| *at)).collect();
    events.sort_by(f64::total_cmp);
    let mut before = f64::NEG_INFINITY;
    events.retain(|at| at - std::mem::replace(&mut before, *at) > APART);
    let (width, height) = (24.0 * COLUMN, bottom * ROW);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"Inter, Helvetica, Arial, sans-serif\" font-size=\"11\" fill=\"#ccccdc\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#111217\"/>\n"
    );
    for panel in dashboard["panels"].as_array().unwrap() {
        let grid = |key: &str| panel["gridPos"][key].as_f64().unwrap();
        if grid("y") >= bottom {
            continue;
        }
        let (x, y) = (grid("x") * COLUMN + GAP / 2.0, grid("y") * ROW + GAP / 2.0);
        let frame = Frame { width: grid("w") * COLUMN - GAP, height: grid("h") * ROW - GAP };
        let title = escape(&panel["title"].as_str().unwrap().replace("$node", "node"));
        let _ = writeln!(out, "<g transform=\"translate({x:.0} {y:.0})\">");
        if panel["type"] == "row" {
            let _ = writeln!(
                out,
                "<text x=\"6\" y=\"16\" font-size=\"14\" font-weight=\"600\">{title}</text></g>"
            );
            continue;
        }
        frame.card(&mut out, &title);
        match panel["type"].as_str().unwrap() {
            "stat" => frame.stat(&mut out, panel, source, &title),
            "table" => frame.table(&mut out, panel, source),
            "state-timeline" => frame.states(&mut out, panel, source),
            _ => frame.lines(&mut out, panel, source, &events),
        }
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

/// Where the time axis lies in a panel.
struct Axis {
    from: f64,
    to: f64,
    left: f64,
    right: f64,
}

impl Axis {
    fn x(&self, at: f64) -> f64 {
        self.left + (at - self.from) / (self.to - self.from) * (self.right - self.left)
    }

    /// A label per minute.
    fn draw(&self, out: &mut String, y: f64) {
        for minute in (0u32..).take_while(|minute| self.from + f64::from(*minute) * 60.0 <= self.to) {
            let x = self.x(self.from + f64::from(minute) * 60.0);
            let _ = writeln!(
                out,
                "<text x=\"{x:.0}\" y=\"{y:.0}\" fill=\"#8e8e99\" font-size=\"10\" text-anchor=\"middle\">{minute}:00</text>"
            );
        }
    }
}

/// A panel, seen from its upper left corner.
struct Frame {
    width: f64,
    height: f64,
}

impl Frame {
    fn card(&self, out: &mut String, title: &str) {
        let Self { width, height } = self;
        let _ = writeln!(
            out,
            "<rect width=\"{width:.0}\" height=\"{height:.0}\" rx=\"3\" fill=\"#181b1f\" stroke=\"#2a2d33\"/>\
             <text x=\"9\" y=\"18\" font-size=\"12\" font-weight=\"600\">{title}</text>"
        );
    }

    /// One number on a ground that says whether it is good.
    fn stat(&self, out: &mut String, panel: &Value, source: &impl Source, title: &str) {
        let query = panel["targets"][0]["expr"].as_str().unwrap();
        let value = source.instant(query).first().map_or(f64::NAN, |series| series.points[0].1);
        let defaults = &panel["fieldConfig"]["defaults"];
        let steps = defaults["thresholds"]["steps"].as_array().unwrap();
        let reached = steps.iter().rfind(|step| step["value"].as_f64().is_none_or(|least| value >= least));
        let ground = colour(reached.unwrap()["color"].as_str().unwrap());
        let Self { width, height } = self;
        let text = number(value, defaults["unit"].as_str().unwrap_or_default());
        let _ = writeln!(
            out,
            "<rect width=\"{width:.0}\" height=\"{height:.0}\" rx=\"3\" fill=\"{ground}\"/>\
             <text x=\"9\" y=\"18\" fill=\"#fff\" font-size=\"12\" font-weight=\"600\">{title}</text>\
             <text x=\"{:.0}\" y=\"{:.0}\" fill=\"#fff\" font-size=\"28\" font-weight=\"600\" text-anchor=\"middle\">{text}</text>",
            width / 2.0,
            height / 2.0 + 20.0
        );
    }

    /// A line per set of labels, a column per query.
    fn table(&self, out: &mut String, panel: &Value, source: &impl Source) {
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap_or_default();
        let names = &panel["transformations"][1]["options"]["renameByName"];
        let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let targets = panel["targets"].as_array().unwrap();
        let mut head = vec![String::new()];
        let mut names_of_rows = BTreeSet::new();
        for (column, target) in targets.iter().enumerate() {
            let value = format!("Value #{}", target["refId"].as_str().unwrap());
            head.push(names[&value].as_str().unwrap_or(&value).to_owned());
            for series in source.instant(target["expr"].as_str().unwrap()) {
                let label: Vec<String> = series.labels.values().cloned().collect();
                let row = rows.entry(label.join(", ")).or_default();
                row.resize(targets.len(), String::new());
                row[column] = number(series.points[0].1, unit);
                names_of_rows.extend(series.labels.into_keys());
            }
        }
        head[0] = names_of_rows.into_iter().collect::<Vec<_>>().join(" or ");
        let rows = rows.into_iter().map(|(label, values)| [vec![label], values].concat());
        for (number, row) in std::iter::once(head).chain(rows).enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "a handful of lines")]
            let y = 42.0 + 20.0 * number as f64;
            let fill = if number == 0 { "#6e9fff" } else { "#ccccdc" };
            for (cell, share) in row.iter().zip([0.0, 0.46, 0.72]) {
                let x = 9.0 + share * self.width;
                let _ =
                    writeln!(out, "<text x=\"{x:.0}\" y=\"{y:.0}\" fill=\"{fill}\">{}</text>", escape(cell));
            }
        }
    }

    /// Bars whose colour is the state.
    fn states(&self, out: &mut String, panel: &Value, source: &impl Source) {
        let words = &panel["fieldConfig"]["defaults"]["mappings"][0]["options"];
        let all = all_series(panel, source);
        let (from, to) = source.time();
        let axis = Axis { from, to, left: 118.0, right: self.width - 12.0 };
        let bottom = self.height - 40.0;
        #[expect(clippy::cast_precision_loss, reason = "a handful of lines")]
        let row = ((bottom - 28.0) / all.len().max(1) as f64).min(40.0);
        let mut y = 28.0;
        for (legend, series) in &all {
            let _ = writeln!(
                out,
                "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>",
                axis.left - 6.0,
                y + row / 2.0 + 4.0,
                escape(legend)
            );
            for (state, begin, end) in stretches(&series.points, to) {
                let word = &words[format!("{state:.0}")];
                let (x, width) = (axis.x(begin), axis.x(end) - axis.x(begin));
                let text = word["text"].as_str().unwrap_or("?");
                let _ = writeln!(
                    out,
                    "<rect x=\"{x:.1}\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"{:.0}\" fill=\"{}\"/>",
                    row - 5.0,
                    colour(word["color"].as_str().unwrap_or_default())
                );
                if width > 40.0 {
                    let (x, y) = (x + width / 2.0, y + row / 2.0 + 2.0);
                    let _ = writeln!(
                        out,
                        "<text x=\"{x:.0}\" y=\"{y:.0}\" fill=\"#fff\" text-anchor=\"middle\">{text}</text>"
                    );
                }
            }
            y += row;
        }
        axis.draw(out, self.height - 24.0);
        let mut words: Vec<&Value> = words.as_object().into_iter().flat_map(|words| words.values()).collect();
        words.sort_by_key(|word| word["index"].as_u64());
        let entries: Vec<(&str, &str)> = words
            .iter()
            .map(|word| (word["text"].as_str().unwrap(), colour(word["color"].as_str().unwrap())))
            .collect();
        self.legend(out, &entries);
    }

    /// Curves over time; a dashed line where a server got worse.
    fn lines(&self, out: &mut String, panel: &Value, source: &impl Source, events: &[f64]) {
        let defaults = &panel["fieldConfig"]["defaults"];
        let unit = defaults["unit"].as_str().unwrap_or_default();
        let all = all_series(panel, source);
        let values = || all.iter().flat_map(|(_, series)| series.points.iter().map(|(_, value)| *value));
        let low = values().filter(|value| value.is_finite()).fold(0.0, f64::min).floor();
        // Where all is zero there is an axis nevertheless.
        let high = nice(values().filter(|value| value.is_finite()).fold(0.0, f64::max).max(1e-3));
        let entries: Vec<(&str, &str)> = all
            .iter()
            .zip(PALETTE.iter().cycle())
            .map(|((legend, _), colour)| (legend.as_str(), *colour))
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "a handful of lines")]
        let bottom = self.height - 24.0 - LINE * (self.legend_lines(&entries) as f64);
        let (top, left) = (30.0, 58.0);
        let (from, to) = source.time();
        let axis = Axis { from, to, left, right: self.width - 12.0 };
        let y = |value: f64| bottom - (value - low) / (high - low) * (bottom - top);
        for step in 0..=4 {
            let value = low + (high - low) * f64::from(step) / 4.0;
            let _ = writeln!(
                out,
                "<path d=\"M{left:.0} {0:.1}H{1:.0}\" stroke=\"#26282e\"/>\
                 <text x=\"{2:.0}\" y=\"{3:.0}\" fill=\"#8e8e99\" font-size=\"10\" text-anchor=\"end\">{4}</text>",
                y(value),
                axis.right,
                left - 6.0,
                y(value) + 3.0,
                number(value, unit)
            );
        }
        for event in events {
            let x = axis.x(*event);
            let _ = writeln!(
                out,
                "<path d=\"M{x:.1} {top:.0}V{bottom:.0}\" stroke=\"#f2495c\" stroke-dasharray=\"3 3\" opacity=\".8\"/>"
            );
        }
        for ((_, series), colour) in all.iter().zip(PALETTE.iter().cycle()) {
            let path = path(series, |at, value| (axis.x(at), y(value)));
            let _ =
                writeln!(out, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>");
        }
        axis.draw(out, bottom + 14.0);
        self.legend(out, &entries);
    }

    /// Where each entry of a legend stands: line, and pixels from the left.
    fn places(&self, entries: &[(&str, &str)]) -> Vec<(usize, f64)> {
        let (mut line, mut x) = (0, 10.0);
        let mut places = Vec::new();
        for (text, _) in entries {
            #[expect(clippy::cast_precision_loss, reason = "short texts")]
            let width = 26.0 + 5.7 * text.len() as f64;
            if x + width > self.width - 6.0 && x > 10.0 {
                (line, x) = (line + 1, 10.0);
            }
            places.push((line, x));
            x += width;
        }
        places
    }

    fn legend_lines(&self, entries: &[(&str, &str)]) -> usize {
        self.places(entries).last().map_or(0, |(line, _)| line + 1)
    }

    fn legend(&self, out: &mut String, entries: &[(&str, &str)]) {
        let lines = self.legend_lines(entries);
        for ((text, colour), (line, x)) in entries.iter().zip(self.places(entries)) {
            #[expect(clippy::cast_precision_loss, reason = "a handful of lines")]
            let y = self.height + 7.0 - LINE * (lines - line) as f64;
            let _ = writeln!(
                out,
                "<path d=\"M{x:.0} {:.0}h12\" stroke=\"{colour}\" stroke-width=\"3\"/>\
                 <text x=\"{:.0}\" y=\"{y:.0}\">{}</text>",
                y - 4.0,
                x + 16.0,
                escape(text)
            );
        }
    }
}

/// Everything that a panel shows over time, with its legend.
fn all_series(panel: &Value, source: &impl Source) -> Vec<(String, Series)> {
    let mut all = Vec::new();
    for target in panel["targets"].as_array().unwrap() {
        let legend = target["legendFormat"].as_str().unwrap_or_default();
        for series in source.range(target["expr"].as_str().unwrap()) {
            let text = series.labels.iter().fold(legend.to_owned(), |text, (name, value)| {
                text.replace(&format!("{{{{{name}}}}}"), value)
            });
            all.push((text, series));
        }
    }
    all
}

/// A curve, without the points that lie on a straight line with their neighbours.
fn path(series: &Series, place: impl Fn(f64, f64) -> (f64, f64)) -> String {
    let points = &series.points;
    let mut path = String::new();
    let mut pen = false;
    for (number, &(at, value)) in points.iter().enumerate() {
        if !value.is_finite() {
            pen = false;
            continue;
        }
        let same = |other: Option<&(f64, f64)>| other.is_some_and(|(_, other)| (other - value).abs() < 1e-12);
        if pen && same(points.get(number + 1)) && same(points.get(number - 1)) {
            continue;
        }
        let (x, y) = place(at, value);
        let _ = write!(path, "{}{x:.1} {y:.1}", if pen { "L" } else { "M" });
        pen = true;
    }
    path
}

/// Equal values in a row: the value, from when and until when.
fn stretches(points: &[(f64, f64)], end: f64) -> Vec<(f64, f64, f64)> {
    let mut found: Vec<(f64, f64, f64)> = Vec::new();
    for &(at, value) in points {
        match found.last_mut() {
            Some((last, _, until)) if (*last - value).abs() < 0.5 => *until = end,
            last => {
                if let Some((_, _, until)) = last {
                    *until = at;
                }
                found.push((value, at, end));
            }
        }
    }
    found
}

/// The end of an axis: a round number above the value, whose quarters are round as well.
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let ends = [1.0, 1.2, 1.6, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0].map(|step| step * power);
    ends.into_iter().find(|end| *end >= value).unwrap_or(12.0 * power)
}

/// A value as a person reads it.
fn number(value: f64, unit: &str) -> String {
    let rounded = |value: f64, behind: &str| {
        let digits = if value.abs() >= 100.0 || value.fract() == 0.0 {
            0
        } else if value.abs() >= 10.0 {
            1
        } else {
            2
        };
        format!("{value:.digits$}{behind}")
    };
    let scaled = |steps: &[(f64, &str)]| {
        let step = steps.iter().find(|(least, _)| value.abs() >= *least).or(steps.last());
        step.map_or_else(String::new, |(least, behind)| rounded(value / least, behind))
    };
    match unit {
        "s" => scaled(&[
            (31_557_600.0, " years"),
            (86400.0, " days"),
            (3600.0, " h"),
            (60.0, " min"),
            (1.0, " s"),
            (0.001, " ms"),
        ]),
        "percentunit" => rounded(value * 100.0, " %"),
        "reqps" | "cps" | "pps" => rounded(value, " /s"),
        "Bps" => scaled(&[(1e6, " MB/s"), (1e3, " kB/s"), (1.0, " B/s")]),
        "bytes" => scaled(&[(1_048_576.0, " MiB"), (1024.0, " KiB"), (1.0, " B")]),
        _ => rounded(value, ""),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
