//! Errors as people read them: what was tried, the word, the reason, the cure.

use std::{
    fmt::{self, Write as _},
    ops::Range,
};

use unicode_width::UnicodeWidthStr;

use super::{
    ExitCode,
    output::{Stream, put},
};
use crate::{
    apply::{ApplyError, RefusedStep},
    compile::{self, Compiled},
    model::Family,
    netlink::NetlinkError,
    plan::PlanError,
    policy::{Lines, Policy, Read},
    rule::{LinearizeError, Parser, Spans},
    save::LineError,
    syntax::{SyntaxError, split},
};

/// A command that failed: what to print, and the exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    code: ExitCode,
    text: String,
}

/// The lines that a change was made from, so that what is refused can be shown in them.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What stands before a line: a file's name, or the command.
    pub label: &'a str,
    /// Are lines numbered?
    pub numbered: bool,
    /// The lines.
    pub lines: &'a str,
    /// Of the command; a file's lines may be of either.
    pub family: Family,
}

impl Source<'_> {
    fn line(&self, index: usize) -> &str {
        self.lines.lines().nth(index).unwrap_or_default()
    }

    fn label(&self, index: usize) -> String {
        if self.numbered { format!("{}:{}", self.label, index + 1) } else { self.label.to_owned() }
    }
}

impl Failure {
    /// A failure without a place.
    pub fn new(code: ExitCode, message: impl AsRef<str>) -> Self {
        Self { code, text: format!("error: {}\n", message.as_ref()) }
    }

    /// The same with its cure.
    #[must_use]
    pub fn hint(mut self, hint: &str) -> Self {
        writeln!(self.text, "hint: {hint}").expect("a string takes everything");
        self
    }

    /// No failure, but another exit code than 0.
    pub fn silent(code: ExitCode) -> Self {
        Self { code, text: String::new() }
    }

    /// An error in words that are somebody else's.
    pub fn printed(code: ExitCode, text: String) -> Self {
        Self { code, text }
    }

    /// Is there nothing to say of it?
    pub fn is_silent(&self) -> bool {
        self.text.is_empty()
    }

    /// A change for a policy that was not made, at the rule that the kernel refused.
    pub fn refused(error: &ApplyError, policy: &Policy, compiled: &Compiled) -> Self {
        let rule = |line: Option<usize>| match line.and_then(|line| compiled.origin(line)) {
            Some(compile::Origin::Rule(index)) => policy.rules.get(index).map(|rule| format!("  {}  {rule}\n", policy.at(rule.place))),
            _ => None,
        };
        let refused = match error {
            ApplyError::Refused { refused, .. } => refused,
            ApplyError::Linearize { line, error, .. } => {
                let place = rule(*line).unwrap_or_default();
                let text = format!("error: a rule can't be written; nothing was changed\n{place}    {error}\n");
                return Self { code: ExitCode::Usage, text }.hint(&linearize_hint(error));
            }
            other => return Self::apply(&Source { label: "", numbered: false, lines: "", family: Family::Ip }, other),
        };
        let mut text = format!("error: {error}\n");
        let (mut hints, mut before) = (Vec::new(), None);
        for step in refused.iter().take(20) {
            // A rule of the policy may be several.
            let place = rule(step.line);
            if place != before {
                text += place.as_deref().unwrap_or_default();
                before = place;
            }
            writeln!(text, "    {}\n      {}", step.text, step.explained.reason).expect("a string takes everything");
            hints.extend(step.explained.hint.clone().filter(|hint| !hints.contains(hint)));
        }
        for hint in hints {
            writeln!(text, "hint: {hint}").expect("a string takes everything");
        }
        Self { code: ExitCode::Resource, text }
    }

    /// Its exit code.
    pub fn code(&self) -> ExitCode {
        self.code
    }

    /// Writes it to stderr.
    pub fn print(&self) {
        put(Stream::Err, &self.text);
    }

    /// Words that are wrong.
    pub fn syntax(source: &Source<'_>, errors: &[LineError]) -> Self {
        let mut text = match errors {
            [_] => "error: the words are wrong; nothing was changed\n".to_owned(),
            _ => format!("error: {} lines are wrong; nothing was changed\n", errors.len()),
        };
        for LineError { line, error } in errors {
            place(&mut text, &source.label(*line), source.line(*line), Some(error.span.clone()), &error.message);
            if let Some(hint) = &error.hint {
                writeln!(text, "hint: {hint}").expect("a string takes everything");
            }
        }
        Self { code: ExitCode::Usage, text }
    }

    /// A policy with errors or tests that fail, and its warnings; `None` if it is sound.
    pub fn policy(read: &Read) -> Option<Self> {
        let errors = read.problems.iter().filter(|problem| !problem.warning).count();
        let warnings = match read.problems.len() - errors {
            0 => String::new(),
            1 => ", and 1 warning".to_owned(),
            many => format!(", and {many} warnings"),
        };
        let mut text = match errors {
            0 => return None,
            // They are run only if nothing else is wrong.
            _ if !read.tried.is_empty() => {
                let fail = if errors == 1 { "fails" } else { "fail" };
                format!("error: {errors} of {} {fail}{warnings}\n", super::difference::number(read.tried.len(), "test"))
            }
            1 => format!("error: 1 mistake in the policy{warnings}\n"),
            many => format!("error: {many} mistakes in the policy{warnings}\n"),
        };
        problems(&mut text, read);
        Some(Self { code: ExitCode::Usage, text })
    }

    /// A wrong command line.
    pub fn usage(source: &Source<'_>, error: SyntaxError) -> Self {
        Self::syntax(source, &[LineError { line: 0, error }])
    }

    /// A change that was not made.
    pub fn apply(source: &Source<'_>, error: &ApplyError) -> Self {
        match error {
            ApplyError::Refused { refused, .. } => {
                let mut text = format!("error: {error}\n");
                let mut hints = Vec::new();
                for step in refused.iter().take(20) {
                    show_step(&mut text, source, step);
                    hints.extend(step.explained.hint.clone().filter(|hint| !hints.contains(hint)));
                }
                if refused.len() > 20 {
                    writeln!(text, "  … and {} more", refused.len() - 20).expect("a string takes everything");
                }
                for hint in hints {
                    writeln!(text, "hint: {hint}").expect("a string takes everything");
                }
                // iptables tells a chain that is not there from other refusals.
                let code = if refused.iter().all(|step| step.nowhere) { ExitCode::Usage } else { ExitCode::Resource };
                Self { code, text }
            }
            ApplyError::Plan(error) => plan(error, source.family),
            ApplyError::Netlink(error) => netlink(error),
            ApplyError::Linearize { line, error, .. } => linearize(source, *line, error),
            ApplyError::Contended => Self::new(ExitCode::Resource, error.to_string()).hint("try again when fewer programs change it"),
            ApplyError::TooLong { .. } => Self::new(ExitCode::Usage, error.to_string()),
        }
    }
}

impl fmt::Display for Failure {
    /// The lines that stderr gets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A rule that can't be written.
fn linearize(source: &Source<'_>, line: Option<usize>, error: &LinearizeError) -> Failure {
    let option;
    let word = match error {
        LinearizeError::NoSuchSet(name) | LinearizeError::OtherFamily(name) => name,
        LinearizeError::TooLong { option: name, .. } => {
            option = format!("--{name}");
            &option
        }
    };
    let mut text = "error: a rule can't be written; nothing was changed\n".to_owned();
    let index = line.unwrap_or_default();
    let mut words = Vec::new();
    let found = split(source.line(index), &mut words).ok().and_then(|()| words.iter().find(|one| one.text == *word));
    place(&mut text, &source.label(index), source.line(index), found.map(|word| word.span.clone()), &error.to_string());
    let failure = Failure { code: ExitCode::Usage, text };
    failure.hint(&linearize_hint(error))
}

fn linearize_hint(error: &LinearizeError) -> String {
    match error {
        LinearizeError::NoSuchSet(name) => format!("make it first: `ipset create {name} hash:net`"),
        LinearizeError::OtherFamily(_) => "ipset has `family inet` for IPv4 and `family inet6` for IPv6".to_owned(),
        LinearizeError::TooLong { .. } => "shorten it; or, if this host's iptables is 1.8.8 or later, say so: `--dialect 1.8.9`".to_owned(),
    }
}

/// netlink itself failed.
pub fn netlink(error: &NetlinkError) -> Failure {
    match error {
        NetlinkError::Denied => Failure::new(
            ExitCode::Resource,
            "no permission: netfilter answers only a process with CAP_NET_ADMIN; run it with sudo, \
             or give the program the capability: `setcap cap_net_admin+ep dockgate` (with it alone, policies can be \
             looked at, not changed)",
        ),
        other => Failure::new(ExitCode::Resource, other.to_string()),
    }
}

/// There is no plan for what was asked.
pub fn plan(error: &PlanError, family: Family) -> Failure {
    let command = family.command();
    let failure = Failure::new(ExitCode::Failure, error.to_string());
    match error {
        PlanError::NoChain { chain, .. } => failure.hint(&format!("make it with `dockgate {command} -N {chain}`")),
        PlanError::NotOurs { .. } => failure.hint(&format!("dockgate {command} -I DOCKER-USER …")),
        PlanError::Foreign { chain, handle, .. } => {
            failure.hint(&format!("`dockgate list` shows it; `dockgate {command} -D {chain} --handle {handle}` removes it"))
        }
        PlanError::NoNumber { chain, .. } => failure.hint(&format!("`dockgate {command} -L {chain} --line-numbers` shows them")),
        PlanError::NoHandle { .. } => failure.hint("`dockgate list` shows the handles"),
        _ => failure,
    }
}

fn show_step(text: &mut String, source: &Source<'_>, step: &RefusedStep) {
    let Some(index) = step.line else {
        writeln!(text, "  {}\n    {}", step.text, step.explained.reason).expect("a string takes everything");
        return;
    };
    let line = source.line(index);
    let span = step.origin.and_then(|origin| spans(line, source.family)?.of(origin));
    place(text, &source.label(index), line, span, &step.explained.reason);
}

/// Says the warnings of a sound policy.
pub fn warnings(read: &Read) {
    let mut text = match read.problems.len() {
        0 => return,
        1 => "warning: the policy holds, but this may not be meant\n".to_owned(),
        many => format!("warning: the policy holds, but {many} things may not be meant\n"),
    };
    problems(&mut text, read);
    put(Stream::Err, &text);
}

/// Each problem with its line, the carets and the cure.
fn problems(text: &mut String, read: &Read) {
    const MOST: usize = 50;
    // Where not all fit, the errors come first.
    let errors = !read.is_sound() && read.problems.len() > MOST;
    let wanted = read.problems.iter().filter(|problem| !errors || !problem.warning);
    let mut lines: Option<(usize, Lines<'_>)> = None;
    for problem in wanted.clone().take(MOST) {
        let file = &read.policy.files[problem.file];
        let lines = match &mut lines {
            Some((of, lines)) if *of == problem.file => lines,
            stale => &stale.insert((problem.file, Lines::new(&file.text))).1,
        };
        let message = if problem.warning { format!("warning: {}", problem.message) } else { problem.message.clone() };
        if problem.is_general() {
            writeln!(text, "  {}  {message}", file.name).expect("a string takes everything");
        } else {
            let (line, span) = problem.line(lines);
            place(text, &format!("{}:{}", file.name, line + 1), lines.text(line), Some(span), &message);
        }
        if let Some(hint) = &problem.hint {
            writeln!(text, "hint: {}", shown(hint)).expect("a string takes everything");
        }
    }
    let count = wanted.count();
    if count > MOST {
        writeln!(text, "  … and {} more", count - MOST).expect("a string takes everything");
    }
}

/// Where the parts of the rule on a line stand: it was parsed before, so it parses.
fn spans(line: &str, family: Family) -> Option<Spans> {
    let mut words = Vec::new();
    split(line, &mut words).ok()?;
    let begin = super::words::rule_begins(&words)?;
    let other = if family == Family::Ip { Family::Ip6 } else { Family::Ip };
    [family, other].into_iter().find_map(|family| Some(Parser::parse(words.get(begin..)?, family).ok()?.spans))
}

/// `label  line`, and under the span the carets and the message.
fn place(text: &mut String, label: &str, line: &str, span: Option<Range<usize>>, message: &str) {
    const WIDE: usize = 160;
    let span = span.map_or(0..line.len(), |span| span.start.min(line.len())..span.end.min(line.len()));
    let (start, end) = (floor(line, span.start), floor(line, span.end.max(span.start)));
    // Of a very long line only what is around the place.
    let from = if line.len() > WIDE && start > WIDE / 2 { floor(line, start - WIDE / 2) } else { 0 };
    let to = floor(line, (from + WIDE).max(end).min(line.len()));
    let (before, after) = (if from > 0 { "…" } else { "" }, if to < line.len() { "…" } else { "" });
    let indent = label.width() + 4 + before.width() + shown(&line[from..start]).width();
    let carets = shown(&line[start..end]).width().max(1);
    writeln!(text, "  {label}  {before}{}{after}", shown(&line[from..to])).expect("a string takes everything");
    writeln!(text, "{:indent$}{} {}", "", "^".repeat(carets), shown(message)).expect("a string takes everything");
}

/// As wide on a terminal as it counts, and without orders to the terminal.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c == '\t' { ' ' } else { c }).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn floor(line: &str, at: usize) -> usize {
    (0..=at).rev().find(|&at| line.is_char_boundary(at)).unwrap_or(0)
}

/// Writes data to stdout. What can't be written does not stop a command: at its end it is told, with
/// [`ExitCode::Unwritten`]. A reader that went away is no error.
///
/// # Errors
/// None; it is what most commands end with.
pub fn print(text: &str) -> Result<(), Failure> {
    put(Stream::Out, text);
    Ok(())
}

/// Says something on stderr that is no error; in one write, so that no other's line gets into it.
pub fn note(text: &str) {
    put(Stream::Err, &format!("note: {text}\n"));
}

/// Says on stderr that something is wrong though it was done; in one write.
pub fn warning(text: &str) {
    put(Stream::Err, &format!("warning: {text}\n"));
}
