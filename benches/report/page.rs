//! The page, and its text.

use std::fmt::Write as _;

use crate::{
    Section,
    table::{Table, code},
};

/// Something that was measured.
#[derive(Debug, Default)]
pub struct Part {
    pub title: String,
    pub svg: Option<String>,
    pub table: Option<Table>,
}

const HEAD: &str = "<!doctype html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">
<title>What rules cost</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }
h1 { font-size: 1.7em; margin-top: 2.5em } h2 { font-size: 1.2em; margin: 2em 0 .3em }
svg { max-width: 100%; height: auto } p { max-width: 46em }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .85em; margin: .5em 0 1em }
th, td { padding: .2em .8em; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap }
th:first-child, td:first-child { text-align: left; padding-left: 0 }
nav a { margin-right: 1.2em }
</style></head><body>
";

/// All of it in one file.
pub fn html(sections: &[Section]) -> String {
    let mut page = HEAD.to_owned();
    let links = sections.iter().enumerate().map(|(index, section)| format!("<a href=\"#part{index}\">{}</a>", section.title));
    page += &format!("<nav>{}</nav>\n", links.collect::<String>());
    for (index, Section { title, method, machine, parts }) in sections.iter().enumerate() {
        write!(page, "<h1 id=\"part{index}\">{title}</h1>\n<p>{}.</p>\n{method}", escaped(machine)).expect("a string takes everything");
        for Part { title, svg, table } in parts {
            let svg = svg.as_deref().unwrap_or_default();
            let table = table.as_ref().map(|table| format!("<div class=\"wide\">{}</div>", table.html())).unwrap_or_default();
            writeln!(page, "<h2>{}</h2>\n{svg}\n{table}", code(title)).expect("a string takes everything");
        }
    }
    page + "</body></html>\n"
}

/// The tables of a section.
pub fn markdown(section: &Section) -> String {
    let mut text = format!("\n### {}\n\n{}.\n", section.title, section.machine);
    for Part { title, table, .. } in &section.parts {
        if let Some(table) = table {
            write!(text, "\n{title}:\n\n{}", table.markdown()).expect("a string takes everything");
        }
    }
    text
}

pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
