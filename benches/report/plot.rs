//! Plots as SVG.

use std::error::Error;

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use dockgate::measure::Cost;

use crate::records::Record;

type Drawn = Result<String, Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Told apart also by those who see few colours (Okabe and Ito).
const COLOURS: [RGBColor; 10] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(160, 110, 0),
    RGBColor(120, 120, 120),
    RGBColor(90, 60, 160),
    RGBColor(190, 0, 60),
    RGBColor(0, 0, 0),
];
const FONT: &str = "sans-serif";
/// Below this is nothing that can be told from no cost.
const LEAST: f64 = 5.0;

/// One line for each series: what they add, in ns, over the number of rules; both logarithmic.
pub fn lines(series: &[(&str, Vec<&Record<Cost>>)], across: &str) -> Drawn {
    let points = || series.iter().flat_map(|(_, points)| points.iter().copied()).filter(|point| point.size > 0);
    let widest = points().map(|point| point.size).max().unwrap_or(10).max(10) as f64;
    let highest = points().map(|point| point.found.high).fold(100.0, f64::max);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (1040, 520)).into_drawing_area();
        root.fill(&WHITE)?;
        let (left, right) = root.split_horizontally(700);
        let mut chart = ChartBuilder::on(&left)
            .margin(14)
            .x_label_area_size(48)
            .y_label_area_size(74)
            .build_cartesian_2d((1.0..widest * 1.3).log_scale(), (LEAST..highest * 1.6).log_scale())?;
        chart
            .configure_mesh()
            .x_desc(across)
            .y_desc("more than without rules, per packet")
            .x_label_formatter(&|x| count(*x))
            .y_label_formatter(&|y| time(*y))
            .axis_desc_style((FONT, 15))
            .label_style((FONT, 13))
            .light_line_style(RGBColor(242, 242, 242))
            .bold_line_style(RGBColor(215, 215, 215))
            .draw()?;
        let mut ends: Vec<(f64, &str, RGBColor)> = Vec::new();
        for ((name, points), colour) in series.iter().zip(COLOURS.iter().cycle()) {
            let points: Vec<&&Record<Cost>> = points.iter().filter(|point| point.size > 0).collect();
            let at = |value: f64| value.max(LEAST);
            let width = if name.starts_with("dockgate") { 4 } else { 2 };
            // Half of all pairs lie within.
            chart.draw_series(points.iter().map(|point| {
                let x = point.size as f64;
                PathElement::new(vec![(x, at(point.found.low)), (x, at(point.found.high))], colour.stroke_width(1))
            }))?;
            let middle: Vec<(f64, f64)> = points.iter().map(|point| (point.size as f64, at(point.found.added))).collect();
            chart.draw_series(LineSeries::new(middle.iter().copied(), colour.stroke_width(width)))?;
            chart.draw_series(middle.iter().map(|&point| Circle::new(point, 3, colour.filled())))?;
            if let Some(last) = points.last() {
                ends.push((last.found.added, name, *colour));
            }
        }
        ends.sort_by(|a, b| b.0.total_cmp(&a.0));
        legend(&right, &ends, &format!("at {}:", count(widest)))?;
        root.present()?;
    }
    Ok(svg)
}

/// The series from above to below as they end at the right, with what they come to there.
fn legend(area: &Area<'_>, ends: &[(f64, &str, RGBColor)], title: &str) -> Result<(), Box<dyn Error>> {
    area.draw(&Text::new(title.to_owned(), (10, 20), (FONT, 14).into_font()))?;
    for (index, (value, name, colour)) in ends.iter().enumerate() {
        let y = 52 + 34 * index as i32;
        area.draw(&PathElement::new(vec![(10, y), (34, y)], colour.stroke_width(4)))?;
        area.draw(&Text::new((*name).to_owned(), (42, y - 14), (FONT, 14).into_font()))?;
        area.draw(&Text::new(format!("+{}", time(*value)), (42, y + 2), (FONT, 13).into_font().color(&RGBColor(90, 90, 90))))?;
    }
    Ok(())
}

/// A bar for each name: nanoseconds, and beside it those of another kind.
pub fn bars(rows: &[(String, f64, Option<f64>)], kinds: [&str; 2]) -> Drawn {
    const ROW: i32 = 30;
    let most = rows.iter().flat_map(|(_, one, other)| [Some(*one), *other]).flatten().fold(1.0, f64::max);
    let (label, width) = (330, 560.0);
    let height = ROW * rows.len() as i32 + 60;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (1040, height as u32)).into_drawing_area();
        root.fill(&WHITE)?;
        for (index, (kind, colour)) in kinds.iter().zip(COLOURS).enumerate() {
            let x = label + 250 * index as i32;
            root.draw(&Rectangle::new([(x, 12), (x + 14, 24)], colour.filled()))?;
            root.draw(&Text::new((*kind).to_owned(), (x + 22, 10), (FONT, 14).into_font()))?;
        }
        for (index, (name, one, other)) in rows.iter().enumerate() {
            let y = 42 + ROW * index as i32;
            let right = (FONT, 14).into_font().into_text_style(&root).pos(Pos::new(HPos::Right, VPos::Top));
            root.draw(&Text::new(name.clone(), (label - 10, y + 3), right))?;
            for (number, (value, colour)) in [Some(*one), *other].into_iter().zip(COLOURS).enumerate() {
                let Some(value) = value else { continue };
                let top = y + 13 * number as i32;
                let end = label + (value.max(0.0) / most * width) as i32 + 1;
                root.draw(&Rectangle::new([(label, top), (end, top + 11)], colour.filled()))?;
                root.draw(&Text::new(format!("{value:.1} ns"), (end + 6, top), (FONT, 11).into_font()))?;
            }
        }
        root.present()?;
    }
    Ok(svg)
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
        1e6.. => format!("{} ms", digits(ns / 1e6)),
        1e4.. => format!("{} µs", digits(ns / 1e3)),
        _ => format!("{} ns", count(ns)),
    }
}

fn digits(value: f64) -> String {
    if value < 10.0 && value.fract() > 0.05 { format!("{value:.1}") } else { format!("{value:.0}") }
}
