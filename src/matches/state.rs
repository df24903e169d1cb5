use std::fmt;

use super::{
    tracking::{self, ALIAS, STATES, Tracking},
    words::{self, Words},
};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Protocol, Test},
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-m state`: the older name of `-m conntrack --ctstate`, with fewer states. For `-C` and `-D` the
/// two are different rules. Kernel: `net/netfilter/xt_conntrack.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    states: Test<u16>,
}

/// All but SNAT and DNAT.
const WORDS: &Words = STATES.split_at(5).0;

impl Extension for State {
    const NAME: &'static str = "state";
    const SUMMARY: &'static str = "the state of the packet's connection; `-m conntrack --ctstate` tests the same";
    const OPTIONS: &'static [OptionSpec] =
        &[opt("state", &["STATE[,…]"], "the packet is INVALID, NEW, RELATED, ESTABLISHED or UNTRACKED").negates()];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m state --state NEW -j DROP"),
        Example::ok("-m state --state established,REL -j ACCEPT", "-m state --state RELATED,ESTABLISHED -j ACCEPT"),
        Example::ok("-m state ! --state UNTRACKED,INVALID -j DROP", "-m state ! --state INVALID,UNTRACKED -j DROP"),
        Example::same("-m state --state NEW -m conntrack --ctstate NEW -j DROP"),
        Example::fails("-m state -j DROP", "needs `--state STATE[,…]`"),
        Example::fails("-m state --state DNAT -j DROP", "`DNAT` is not a state"),
        Example::fails("-m state --state NEW, -j DROP", "a word of the list is missing"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let given = args.next().ok_or_else(|| args.error("needs `--state STATE[,…]`"))?;
        Ok(Self { states: Test { negated: given.negated, value: words::parse(&given, WORDS, "a state")? } })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(tracking::NAME, tracking::REVISION, &self.tracking().to_xt(ALIAS));
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match(tracking::NAME, tracking::REVISION)?;
        let read = Tracking::from_xt(info, ALIAS, cursor.family())?;
        let state = Self { states: read.states.filter(|test| words::known(test.value, WORDS).is_some())? };
        (state.tracking() == read).then_some(state)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tracking().print(f, "", "state")
    }
}

impl State {
    fn tracking(&self) -> Tracking {
        Tracking { states: Some(self.states), ..Tracking::default() }
    }

    /// Does it match packets of known connections alone: RELATED, ESTABLISHED?
    pub fn is_known_alone(&self) -> bool {
        self.tracking().is_known_alone()
    }

    /// Does it match every first packet of a connection to that port, or none? `None` if it depends.
    pub fn is_for_new(&self, protocol: Protocol, port: u16) -> Option<bool> {
        self.tracking().is_for_new(protocol, port)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tracking().print(f, "--", "state")
    }
}
