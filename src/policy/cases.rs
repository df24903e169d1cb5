//! The tests of a policy, run on its values.

use super::{Action, Block, By, Expected, Fate, Meaning, PacketTest, Policy, PolicyRule, Ports, Problem, Read, Unknown, Unless};
use crate::model::{Family, Interface};

/// A test that was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// How it went.
    pub outcome: Outcome,
    /// What the policy says of its packet.
    pub meaning: Meaning,
}

/// How a test went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As it was expected, whatever its packet does not say.
    Passed,
    /// Not as it was expected.
    Failed,
    /// It depends on this, which its packet does not say.
    Unclear(Unless),
    /// It depends on this line of iptables.
    Undecided(Unless),
}

/// For so many tests it is said on which line of which list the sender stands.
const LOOKED_UP: usize = 5;

impl Read {
    /// Runs the tests of a sound policy: [`Read::tried`] has them all, in order, and what failed comes to the
    /// problems. A policy that is not sound means nothing yet, and its tests are not run; nor are they run twice.
    pub fn run_tests(&mut self) {
        if !self.is_sound() || !self.tried.is_empty() {
            return;
        }
        let mut look_ups = 0..LOOKED_UP;
        for test in &self.policy.tests {
            let meaning = self.policy.verdict(&test.packet);
            let outcome = outcome(&meaning, test.expect);
            self.problems.extend(problem(&self.policy, test, &meaning, outcome, &mut look_ups));
            self.tried.push(Tried { outcome, meaning });
        }
        self.problems.sort_by_key(|problem| (problem.file, problem.span.start));
    }
}

fn outcome(meaning: &Meaning, expect: Expected) -> Outcome {
    let is = Expected::from(meaning.verdict) == expect;
    let other = |unless: &&Unless| unless.verdict.is_none_or(|verdict| (Expected::from(verdict) == expect) != is);
    let mut others = meaning.unless.iter().filter(other).copied().peekable();
    match others.peek().copied() {
        None if is => Outcome::Passed,
        None => Outcome::Failed,
        // What the packet can say is said first.
        Some(first) => match others.find(|unless| unless.because != Unknown::Line) {
            Some(unless) => Outcome::Unclear(unless),
            None => Outcome::Undecided(first),
        },
    }
}

fn problem(policy: &Policy, test: &PacketTest, meaning: &Meaning, outcome: Outcome, look_ups: &mut impl Iterator) -> Option<Problem> {
    let at = |message: String| Problem::new(test.place.file, test.expect_at.clone(), format!("{}{message}", title(test)));
    let rule = |unless: Unless| {
        let rule = &policy.rules[unless.rule];
        format!("`{}` at {}", rule.short(), policy.at(rule.place))
    };
    let becomes = becomes(meaning.verdict);
    Some(match outcome {
        Outcome::Passed => return None,
        Outcome::Failed => {
            let message = format!("expected {}, but this packet {becomes}", test.expect.word());
            at(message).hint(reason(policy, test, meaning, look_ups.next().is_some()))
        }
        Outcome::Unclear(unless) => {
            let (key, like) = asked(&policy.rules[unless.rule], test.packet.family(), unless.because);
            at(format!("this depends on `{key}`, which the packet does not say"))
                .hint(format!("{} asks for it, else the packet {becomes}; add to the packet what is meant, like {like}", rule(unless)))
        }
        Outcome::Undecided(unless) => {
            let problem = at(format!("this can't be decided here: {} is iptables' own words, and may match", rule(unless)));
            Problem { warning: true, ..problem.hint(format!("if it does not, the packet {becomes}")) }
        }
    })
}

/// What a rule asks for that a packet does not say: the key, and what the rule would match.
fn asked(rule: &PolicyRule, family: Family, because: Unknown) -> (&'static str, String) {
    let line = match &rule.action {
        Action::Raw(lines) => lines.iter().find(|(of, _)| *of == family).map(|(_, line)| &line.base),
        _ => None,
    };
    match because {
        Unknown::Outward => {
            let of_line = || line?.out_interface.filter(|test| !test.negated).map(|test| test.value);
            ("out", format!("out = \"{}\"", rule.outward.first().copied().or_else(of_line).map_or("docker0".to_owned(), one_of)))
        }
        Unknown::To => {
            let address = rule.to.as_ref().and_then(|to| to.addresses.of(family).first()).map(|block| block.ends().0.to_string());
            ("to", format!("to = \"{}\"", address.unwrap_or_else(|| "192.0.2.1".to_owned())))
        }
        _ => {
            let of_line = || line?.protocol.filter(|test| !test.negated).map(|test| test.value);
            let like = match (rule.ports.first().copied(), of_line()) {
                (Some(Ports { protocol, range: Some(range) }), _) => format!("to_port = \"{}/{protocol}\"", range.first),
                (Some(Ports { protocol, range: None }), _) | (None, Some(protocol)) => format!("protocol = \"{protocol}\""),
                _ => "to_port = \"443/tcp\"".to_owned(),
            };
            ("to_port", like)
        }
    }
}

/// An interface that bears this name, or begins so.
fn one_of(name: Interface) -> String {
    let text = name.to_string();
    if name.is_prefix() { text.trim_end_matches('+').to_owned() + "0" } else { text }
}

/// The name that the file gives it.
fn title(test: &PacketTest) -> String {
    if test.name.starts_with("the test at line ") { String::new() } else { format!("\"{}\": ", test.name) }
}

/// What decides, and where.
fn reason(policy: &Policy, test: &PacketTest, meaning: &Meaning, look_up: bool) -> String {
    match meaning.decided_by {
        By::Known => "it belongs to a known connection: such packets pass before all rules".to_owned(),
        By::Default => format!("no rule decides, so `default = \"{}\"` does", policy.default.word()),
        By::Nothing => format!("no rule decides, and `{}` is not external: Docker is left to decide", test.packet.inward),
        By::Rule(index) => {
            let rule = &policy.rules[index];
            let listed = rule.from.as_ref().filter(|_| look_up).and_then(|from| policy.listed(from, &Block::of(test.packet.from)));
            let listed = listed.map_or_else(String::new, |list| format!(": {} is in {list}", test.packet.from));
            format!("`{}` at {} decides{listed}", rule.short(), policy.at(rule.place))
        }
    }
}

fn becomes(verdict: Fate) -> &'static str {
    match verdict {
        Fate::Allow | Fate::Accept => "passes",
        Fate::Drop => "is dropped",
        Fate::Reject => "is rejected",
    }
}

impl Expected {
    /// As the file has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
            Self::Reject => "reject",
        }
    }
}

impl From<Fate> for Expected {
    fn from(fate: Fate) -> Self {
        match fate {
            Fate::Allow | Fate::Accept => Self::Pass,
            Fate::Drop => Self::Drop,
            Fate::Reject => Self::Reject,
        }
    }
}
