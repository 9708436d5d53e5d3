//! The report: Markdown that reads well on a terminal too.

use std::fmt::Write;

use super::contender::{ALL, OURS};
use super::measure::{Measure, Results};
use super::targets::{best, targets};
use super::traffic::BY_HAND;

/// What the rows mean, and what is not comparable.
const NOTES: &str = include_str!("notes.md");

/// What there is nothing to say about.
const NOTHING: &str = "–";

/// Tells all that was measured.
pub fn report(results: &Results, heading: &str) -> String {
    let (path, life): (Vec<Measure>, Vec<Measure>) =
        Measure::ALL.into_iter().partition(|measure| measure.is_of_the_data_path());
    let mut text = format!("# Benchmarks\n\n{heading}\n\n## Medians\n\n");
    text += &table(&medians(results, &life));
    text += "\n## The data path\n\n";
    text += &table(&medians(results, &path));
    text += "\n## Figures to reach\n\n";
    text += &table(&promises(results));
    text += "\n## Who took part\n\n";
    for contender in ALL {
        let _ = writeln!(text, "- **{}**: {}", contender.name, contender.settings);
    }
    let _ = writeln!(text, "\n{}", NOTES.trim_end());
    for note in results.notes() {
        let _ = writeln!(text, "- {note}");
    }
    text += "\n## Every measurement\n\n";
    text + &table(&details(results))
}

/// Everybody of whom any of `measures` is known, in the order of the report.
fn names(results: &Results, measures: &[Measure]) -> Vec<&'static str> {
    let all = [BY_HAND].into_iter().chain(ALL.iter().map(|contender| contender.name));
    all.filter(|who| measures.iter().any(|&measure| results.median(who, measure).is_some())).collect()
}

fn medians(results: &Results, measures: &[Measure]) -> Vec<Vec<String>> {
    let names = names(results, measures);
    let head = ["median"].iter().chain(&names).chain(&["better than the best peer"]);
    let mut rows: Vec<Vec<String>> = vec![head.map(|&name| name.to_owned()).collect()];
    for &measure in measures {
        let show = |value| measure.unit().show(value);
        let cells = names.iter().map(|who| results.median(who, measure).map_or(NOTHING.to_owned(), show));
        let advantage = advantage(results, measure).unwrap_or(NOTHING.to_owned());
        rows.push([measure.title().to_owned()].into_iter().chain(cells).chain([advantage]).collect());
    }
    rows
}

/// How many times better ours is than the best peer, at whatever settings.
fn advantage(results: &Results, measure: Measure) -> Option<String> {
    let (_, theirs) = best(results, measure, |_| true).filter(|_| measure.is_a_contest())?;
    let ours = results.median(OURS, measure)?;
    let (less, more) = if measure.more_is_better() { (theirs, ours) } else { (ours, theirs) };
    match more / less {
        times if times.is_finite() => Some(format!("{times:.2} x")),
        // Either it never happens to any peer, or it does not happen to us at all.
        _ => (more.is_infinite() && less.is_finite()).then(|| "only ours".to_owned()),
    }
}

fn promises(results: &Results) -> Vec<Vec<String>> {
    let mut rows = vec![["who", "what", "measured", "bound", "", "kept"].map(str::to_owned).to_vec()];
    for target in targets(results) {
        let show = |value| target.measure.unit().show(value);
        let limit = if target.measure.more_is_better() { "at least" } else { "at most" };
        rows.push(vec![
            target.who.to_owned(),
            target.measure.title().to_owned(),
            show(target.measured),
            format!("{limit} {}", show(target.bound)),
            target.because.clone(),
            if target.is_kept() { "yes" } else { "**no**" }.to_owned(),
        ]);
    }
    rows
}

fn details(results: &Results) -> Vec<Vec<String>> {
    let mut rows = vec![["what", "who", "median", "least", "most", "times"].map(str::to_owned).to_vec()];
    for measure in Measure::ALL {
        for who in names(results, &[measure]) {
            let Some(series) = results.get(who, measure) else { continue };
            let [median, least, most] =
                [series.median(), series.least(), series.most()].map(|value| measure.unit().show(value));
            let (what, times) = (measure.title().to_owned(), series.count().to_string());
            rows.push(vec![what, who.to_owned(), median, least, most, times]);
        }
    }
    rows
}

/// Rows as a table, the first of them its head, padded so that columns align.
fn table(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text += "|\n";
        if number == 0 {
            for width in &widths {
                let _ = write!(text, "|{:-<1$}", "", width + 2);
            }
            text += "|\n";
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align() {
        let rows = [["a", "bb"], ["ccc", "–"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "| a   | bb |\n|-----|----|\n| ccc | –  |\n");
    }
}
