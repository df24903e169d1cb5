//! Tables, as Markdown and as HTML; and numbers as text.

use std::fmt::Write as _;

use crate::{Series, page::escaped, records::Record};

/// The first column is text, the others are numbers.
#[derive(Debug, Default)]
pub struct Table {
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A row for each series, and a column for each size that occurs.
    pub fn by_size<N>(series: &[Series<'_, N>], cell: impl Fn(&Record<N>) -> String) -> Self {
        let mut sizes: Vec<usize> = series.iter().flat_map(|(_, points)| points.iter().map(|point| point.size)).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let row = |(name, points): &Series<'_, N>| {
            let cells =
                sizes.iter().map(|size| points.iter().find(|point| point.size == *size).map_or_else(String::new, |point| cell(point)));
            std::iter::once((*name).to_owned()).chain(cells).collect()
        };
        let head = std::iter::once(String::new()).chain(sizes.iter().map(|size| count(*size as f64))).collect();
        Self { head, rows: series.iter().map(row).collect() }
    }

    /// For the README.
    pub fn markdown(&self) -> String {
        let rule = (0..self.head.len()).map(|column| if column == 0 { "---" } else { "--:" }).collect::<Vec<_>>().join("|");
        let mut text = format!("| {} |\n|{rule}|\n", self.head.join(" | "));
        self.rows.iter().for_each(|row| writeln!(text, "| {} |", row.join(" | ")).expect("a string takes everything"));
        text
    }

    /// For the page.
    pub fn html(&self) -> String {
        let row = |cells: &[String], tag: &str| {
            let cells: Vec<String> = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", code(cell))).collect();
            format!("<tr>{}</tr>\n", cells.concat())
        };
        let rows: String = self.rows.iter().map(|cells| row(cells, "td")).collect();
        format!("<table>\n{}{rows}</table>\n", row(&self.head, "th"))
    }
}

/// For the page; what stands between backquotes is code.
pub fn code(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts.map(|(index, part)| if index % 2 == 1 { format!("<code>{}</code>", escaped(part)) } else { escaped(part) }).collect()
}

/// `10,000`
pub fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Nanoseconds, in the unit that fits.
pub fn time(ns: f64) -> String {
    match ns {
        9.95e8.. => format!("{} s", digits(ns / 1e9)),
        9.95e5.. => format!("{} ms", digits(ns / 1e6)),
        1e4.. => format!("{} µs", digits(ns / 1e3)),
        _ => format!("{} ns", count(ns)),
    }
}

fn digits(value: f64) -> String {
    if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") }
}
