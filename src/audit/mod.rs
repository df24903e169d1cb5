//! What others have put into `filter` that iptables does not understand as it is: prints wrongly,
//! refuses, loses between save and restore, or that makes Docker lose its jump to `DOCKER-USER`.
//!
//! [`audit`] is pure: from what stands in the table to a list of [`Finding`]s. Of rules that dockgate or
//! iptables wrote only those are among them that the host's iptables is too old to read.
//!
//! Which iptables that is its rules tell. Where they leave several possible, each harm says with which of
//! them it comes.
//!
//! ```standalone_crate
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use dockgate::{audit, lab::{self, Userns}, model::Family, netlink::Netlink};
//!
//! lab::enter(Userns::WhenNeeded)?;
//! let mut netlink = Netlink::open()?;
//! let table = audit::Table::read(&mut netlink, Family::Ip)?;
//! for finding in audit::audit(&table) {
//!     println!("{}: {}", finding.what, finding.cure);
//! }
//! # assert!(audit::audit(&table).is_empty());
//! # Ok(())
//! # }
//! ```

mod chains;
mod cure;
mod finding;
mod jump;
mod owner;
mod reading;
mod rewrite;
mod version;

pub use finding::{Finding, Harm, Lost, Wrong};
pub use reading::{Seen, read};
pub use version::{Version, Versions};

use owner::Signs;

use crate::{
    docker::{self, Jump},
    expr::{self, Expr},
    extension::{Context, Sets},
    model::{ChainName, DOCKER_USER, Dialect, Family, Handle},
    netlink::{Netlink, NetlinkError},
    notation::{self, NativeSet},
    rule::{self, Reading},
    ruleset::{self, Chain, Contents, Entry, Ruleset, Which},
};

/// All that stands in the table `filter` of one family, and who reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Chains and rules, with their expressions as they came.
    pub ruleset: Ruleset,
    /// Sets, maps, objects, flowtables.
    pub contents: Contents,
    /// Which iptables the host may have, as far as its rules tell ([`ruleset::evidence`]).
    pub versions: Versions,
}

impl Table {
    /// Reads it: each rule once, and all of it from one generation.
    ///
    /// # Errors
    /// [`NetlinkError`]
    pub fn read(netlink: &mut Netlink, family: Family) -> Result<Self, NetlinkError> {
        netlink.snapshot(format_args!("the table `{family} filter`"), |netlink, generation| {
            let ruleset = Ruleset::read_at(netlink, generation, family, Which::All, true)?;
            let contents = Contents::read(netlink, family)?;
            let versions = ruleset::evidence(netlink)?.into();
            Ok(Self { ruleset, contents, versions })
        })
    }
}

/// What is found, in the order of the table: its own, then chain by chain.
pub fn audit(table: &Table) -> Vec<Finding> {
    let Table { ruleset, contents, versions } = table;
    let look = Look { family: ruleset.family, ipsets: &ruleset.sets, sets: &contents.sets, versions: *versions };
    let mut findings = chains::of_table(ruleset.family, contents, *versions);
    findings.extend(jump::of_jump(ruleset, *versions));
    look.at_chains(&ruleset.chains, &mut findings);
    findings
}

/// What shows in a part of a ruleset that was read for something else: chains without their rules,
/// rules without the sets of nf_tables. Enough to warn of, not to be sure of the rest.
pub fn glance(ruleset: &Ruleset) -> Vec<Finding> {
    let mut findings = Vec::new();
    Look::briefly(ruleset.family, &ruleset.sets).at_chains(&ruleset.chains, &mut findings);
    findings
}

/// The same of rules of one chain.
pub fn glance_at_rules(family: Family, chain: &ChainName, rules: &[Entry]) -> Vec<Finding> {
    Look::briefly(family, Sets::NONE).at_rules(chain, rules).collect()
}

/// What is needed to understand a rule.
#[derive(Clone, Copy)]
struct Look<'t> {
    family: Family,
    ipsets: &'t Sets,
    sets: &'t [NativeSet],
    versions: Versions,
}

impl<'t> Look<'t> {
    fn briefly(family: Family, ipsets: &'t Sets) -> Self {
        Self { family, ipsets, sets: &[], versions: Version::Later.into() }
    }

    fn at_chains(self, chains: &[Chain], findings: &mut Vec<Finding>) {
        for chain in chains {
            let of_chain = chains::of_chain(self.family, chain, self.versions);
            // iptables does not look into base chains that are none of its own.
            let ignored = chain.hook.is_some() && of_chain.is_some();
            findings.extend(of_chain);
            if !ignored {
                findings.extend(self.at_rules(&chain.name, chain.rules()));
            }
        }
    }

    fn at_rules(self, chain: &ChainName, rules: &[Entry]) -> impl Iterator<Item = Finding> {
        // Docker asks for its jump with `-C`, which has to understand the rules up to it.
        let up_to = match docker::jump_among(rules) {
            Jump::At(number) if *chain == ChainName::forward() => number,
            _ => 0,
        };
        let numbered = rules.iter().enumerate();
        numbered.filter_map(move |(index, entry)| self.at_rule(chain, index + 1, entry, index < up_to))
    }

    fn at_rule(self, chain: &ChainName, number: usize, entry: &Entry, before_jump: bool) -> Option<Finding> {
        // What reads back proved is printed as it is, but for a version that reads less.
        if entry.rule().is_some() && !self.versions.includes(Version::Old) {
            return None;
        }
        let raw = entry.raw.as_deref()?;
        let userdata = entry.userdata.as_deref();
        let mut exprs = Vec::new();
        let readable = expr::read_all(raw, &mut exprs).is_ok();
        let (mut wrongs, mut seen) = (Wrongs::default(), Seen::default());
        for version in self.versions.iter() {
            let one = read(&exprs, self.family, version);
            let mut harms = self.harms(chain, &one, userdata);
            harms.extend((before_jump && one.error.is_some()).then_some(Harm::JumpAgain));
            harms.extend((!readable).then_some(Harm::Unreadable));
            if !harms.is_empty() {
                // What the newest makes of it tells best what to write instead.
                seen = one;
            }
            harms.into_iter().for_each(|harm| wrongs.add(harm, version));
        }
        if wrongs.0.is_empty() {
            return None;
        }
        let what = notation::rule(self.family, raw, notation::comment(userdata), self.sets);
        let unknown = exprs.iter().find(|expr| matches!(expr, Expr::Unknown(_))).map(Expr::name);
        let never = seen.incompatible.as_deref().or(unknown);
        let signs = Signs { chain: Some(chain.as_str()), text: &what, userdata, never };
        let (owner, cure) = match entry.rule() {
            Some(rule) => (owner::of_newer(chain, signs), cure::of_newer(self.family, chain, number, entry.handle, rule)),
            None => (owner::guess(signs), cure::of_rule(self.family, chain, entry.handle, &seen, &what)),
        };
        Some(Finding {
            family: self.family,
            chain: Some(chain.clone()),
            number: Some(number),
            handle: entry.handle,
            what,
            owner,
            harms: wrongs.0,
            cure,
        })
    }

    fn harms(self, chain: &ChainName, seen: &Seen, userdata: Option<&[u8]>) -> Vec<Harm> {
        let mut harms = Vec::new();
        match (&seen.incompatible, seen.error) {
            (Some(expr), _) => harms.push(Harm::Refused { expr: expr.clone() }),
            (None, Some(error)) => harms.push(Harm::Fails { error }),
            (None, None) if seen.lost.is_empty() => {}
            (None, None) => harms.push(Harm::PrintedWrong { printed: self.printed(chain, seen, userdata), lost: seen.lost.clone() }),
        }
        // dockerd lists this chain when it starts, and gives up where that fails.
        let unread = seen.incompatible.is_some() || seen.error.is_some();
        harms.extend((unread && chain.as_str() == DOCKER_USER).then_some(Harm::JumpLost));
        harms
    }

    /// The rule that iptables prints, as far as dockgate can read it.
    fn printed(self, chain: &ChainName, seen: &Seen, userdata: Option<&[u8]>) -> Option<String> {
        let context = Context { family: self.family, dialect: Dialect::D, sets: self.ipsets };
        match rule::Reader::default().read(&seen.list, userdata, context).0 {
            Reading::Rule(rule) => Some(format!("-A {chain} {rule}").trim_end().to_owned()),
            Reading::Foreign => None,
        }
    }
}

/// Harms, each once, with all versions that do it.
#[derive(Default)]
struct Wrongs(Vec<Wrong>);

impl Wrongs {
    fn add(&mut self, harm: Harm, version: Version) {
        match self.0.iter_mut().find(|wrong| wrong.harm == harm) {
            Some(wrong) => wrong.versions.add(version),
            None => self.0.push(Wrong { harm, versions: version.into() }),
        }
    }
}

/// A finding that belongs to the table.
fn of_contents(family: Family, what: String, harm: Harm, versions: Versions, cure: String) -> Finding {
    let owner = owner::guess(Signs { text: &what, ..Signs::default() });
    let harms = vec![Wrong { harm, versions }];
    Finding { family, chain: None, number: None, handle: Handle(0), what, owner, harms, cure }
}
