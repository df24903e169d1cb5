use std::{
    env,
    io::{self, IsTerminal as _},
};

use anstyle::Style;

/// What the reader's end of standard output can show.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) colour: bool,
    pub(super) unicode: bool,
}

impl Look {
    pub(super) fn of_stdout() -> Self {
        let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let terminal = io::stdout().is_terminal() && set("TERM").is_none_or(|term| term != "dumb");
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default().to_ascii_uppercase();
        Self { colour: terminal && set("NO_COLOR").is_none(), unicode: locale.contains("UTF-8") || locale.contains("UTF8") }
    }

    pub(super) fn style(self, style: Style) -> Style {
        if self.colour { style } else { Style::new() }
    }

    /// The text in characters that the locale has.
    pub(super) fn text(self, text: &str) -> String {
        match self.unicode {
            true => text.to_owned(),
            false => text.replace('→', "->").replace('✓', "ok").replace('✗', "!!").replace('…', "..."),
        }
    }
}
