//! Plots as SVG.

use std::error::Error;

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::table::count;

/// What can't be drawn says why.
pub type Drawn<T> = Result<T, Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Told apart also by those who see few colours (Okabe and Ito).
const COLOURS: [RGBColor; 14] = [
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
    RGBColor(240, 180, 0),
    RGBColor(0, 90, 60),
    RGBColor(150, 190, 60),
    RGBColor(120, 0, 90),
];
const FONT: &str = "sans-serif";

/// A line in a plot.
#[derive(Debug)]
pub struct Line<'a> {
    pub name: &'a str,
    pub points: Vec<Point>,
}

#[derive(Debug, Clone, Copy)]
pub struct Point {
    pub size: f64,
    pub value: f64,
    /// Ends of the thin upright line.
    pub low: f64,
    pub high: f64,
}

impl Point {
    pub fn new(size: usize, [low, value, high]: [f64; 3]) -> Self {
        Self { size: size as f64, value, low, high }
    }
}

/// What is along them; both are logarithmic.
#[derive(Debug, Clone, Copy)]
pub struct Axes<'a> {
    pub across: &'a str,
    pub up: &'a str,
    /// What is less is drawn there.
    pub least: f64,
    pub text: fn(f64) -> String,
}

/// One line for each series, over the number of rules.
pub fn lines(lines: &[Line<'_>], axes: Axes<'_>) -> Drawn<String> {
    let Axes { across, up, least, text } = axes;
    let points = || lines.iter().flat_map(|line| line.points.iter()).filter(|point| point.size > 0.0);
    let widest = points().map(|point| point.size).fold(10.0, f64::max);
    let narrowest = points().map(|point| point.size).fold(widest, f64::min);
    let highest = points().map(|point| point.high).fold(least * 2.0, f64::max);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (1040, 520)).into_drawing_area();
        root.fill(&WHITE)?;
        let (left, right) = root.split_horizontally(700);
        let mut chart = ChartBuilder::on(&left)
            .margin(14)
            .x_label_area_size(48)
            .y_label_area_size(74)
            .build_cartesian_2d((narrowest / 1.3..widest * 1.3).log_scale(), (least..highest * 1.6).log_scale())?;
        chart
            .configure_mesh()
            .x_labels(6)
            .x_desc(across)
            .y_desc(up)
            .x_label_formatter(&|x| count(*x))
            .y_label_formatter(&|y| text(*y))
            .axis_desc_style((FONT, 15))
            .label_style((FONT, 13))
            .light_line_style(RGBColor(242, 242, 242))
            .bold_line_style(RGBColor(215, 215, 215))
            .draw()?;
        let mut ends: Vec<(&Point, &str, RGBColor)> = Vec::new();
        for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
            let points: Vec<&Point> = line.points.iter().filter(|point| point.size > 0.0).collect();
            let at = |value: f64| value.max(least);
            let width = if line.name.trim_start_matches('`').starts_with("dockgate") { 4 } else { 2 };
            chart.draw_series(
                points
                    .iter()
                    .map(|point| PathElement::new(vec![(point.size, at(point.low)), (point.size, at(point.high))], colour.stroke_width(1))),
            )?;
            let middle: Vec<(f64, f64)> = points.iter().map(|point| (point.size, at(point.value))).collect();
            chart.draw_series(LineSeries::new(middle.iter().copied(), colour.stroke_width(width)))?;
            chart.draw_series(middle.iter().map(|&point| Circle::new(point, 3, colour.filled())))?;
            if let Some(last) = points.last() {
                ends.push((last, line.name, *colour));
            }
        }
        ends.sort_by(|a, b| b.0.value.total_cmp(&a.0.value));
        legend(&right, &ends, widest, text)?;
        root.present()?;
    }
    Ok(svg)
}

/// The series from above to below as they end at the right, with what they come to there.
fn legend(area: &Area<'_>, ends: &[(&Point, &str, RGBColor)], widest: f64, text: fn(f64) -> String) -> Drawn<()> {
    area.draw(&Text::new(format!("at {}:", count(widest)), (10, 20), (FONT, 14).into_font()))?;
    for (index, (last, name, colour)) in ends.iter().enumerate() {
        let y = 52 + 34 * index as i32;
        let elsewhere = if last.size < widest { format!(" at {}", count(last.size)) } else { String::new() };
        area.draw(&PathElement::new(vec![(10, y), (34, y)], colour.stroke_width(4)))?;
        area.draw(&Text::new(name.replace('`', ""), (42, y - 14), (FONT, 14).into_font()))?;
        area.draw(&Text::new(text(last.value) + &elsewhere, (42, y + 2), (FONT, 13).into_font().color(&RGBColor(90, 90, 90))))?;
    }
    Ok(())
}

/// A bar for each name, and beside it one of another kind.
pub fn bars(rows: &[(String, [Option<f64>; 2])], kinds: [&str; 2], text: fn(f64) -> String) -> Drawn<String> {
    const ROW: i32 = 30;
    let most = rows.iter().flat_map(|(_, values)| values).flatten().copied().fold(1.0, f64::max);
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
        for (index, (name, values)) in rows.iter().enumerate() {
            let y = 42 + ROW * index as i32;
            let right = (FONT, 14).into_font().into_text_style(&root).pos(Pos::new(HPos::Right, VPos::Top));
            root.draw(&Text::new(name.clone(), (label - 10, y + 3), right))?;
            for (number, (value, colour)) in values.iter().zip(COLOURS).enumerate() {
                let Some(value) = value else { continue };
                let top = y + 13 * number as i32;
                let end = label + (value.max(0.0) / most * width) as i32 + 1;
                root.draw(&Rectangle::new([(label, top), (end, top + 11)], colour.filled()))?;
                root.draw(&Text::new(text(*value), (end + 6, top), (FONT, 11).into_font()))?;
            }
        }
        root.present()?;
    }
    Ok(svg)
}
