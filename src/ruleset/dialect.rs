//! Which iptables the host has, told from the rules that it wrote.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher},
    ops::ControlFlow,
};

use super::parse;
use crate::{
    attr::{Attr, Attrs, Writer, be32, string},
    expr::Expr,
    extension::{Context, Sets},
    message::{Message, Request},
    model::{ChainName, Dialect, Family, TABLE},
    netlink::{Netlink, NetlinkError},
    rule::{Reader, Reading, Rule},
    uapi::*,
};

/// What rules tell of the iptables that wrote them.
///
/// Only rules tell. Counters of base chains do not: every version makes them, `iptables -P` and
/// `iptables-restore` as well, and dockerd runs `iptables -P FORWARD DROP` itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Bit `set` is 1 where a rule was found that just the dialects of `set` write so.
    found: u8,
}

/// Some of [`WRITERS`], a bit for each.
type DialectSet = u8;

/// The dialects that iptables itself writes, the oldest first.
const WRITERS: [Dialect; 3] = [Dialect::A, Dialect::B, Dialect::D];

/// What every iptables writes alike tells nothing.
const ALL: DialectSet = 0b111;
const ONLY_OLDEST: DialectSet = 0b001;

impl Evidence {
    /// What one rule tells by its expressions (content of `NFTA_RULE_EXPRESSIONS`, as dumped) in a chain that
    /// may be one of Docker's own: there nobody else writes.
    pub fn of_rule(list: &[u8], family: Family, dockers: bool) -> Self {
        let mut evidence = Self::default();
        evidence.add(Judge::default().writers(list, family, dockers));
        evidence
    }

    fn add(&mut self, set: DialectSet) {
        if set != 0 && set != ALL {
            self.found |= 1 << set;
        }
    }

    fn has(self, set: DialectSet) -> bool {
        self.found & 1 << set != 0
    }

    /// The dialects that go with all that was found. Where rules contradict each other (an iptables
    /// was upgraded, or there are several), those that go with the oldest.
    fn possible(self) -> DialectSet {
        let sets = || (1..ALL).filter(|&set| self.has(set));
        let common = sets().fold(ALL, |common, set| common & set);
        if common != 0 {
            return common;
        }
        // Of each rule the newest iptables that can have written it: one as old as the oldest of these is here.
        let newest = |set: DialectSet| set.ilog2();
        let oldest = sets().map(newest).min();
        sets().filter(|&set| Some(newest(set)) == oldest).fold(ALL, |common, set| common & set)
    }

    /// The dialects that the host's iptables may write, the oldest first: all where nothing tells.
    pub fn writers(self) -> impl Iterator<Item = Dialect> {
        let possible = self.possible();
        (0..).zip(WRITERS).filter(move |(bit, _)| possible & 1 << bit != 0).map(|(_, dialect)| dialect)
    }

    /// The dialect to write: the oldest possible one. Where that may be the oldest of all but need not,
    /// and where nothing tells, [`Dialect::Portable`].
    pub fn dialect(self) -> Dialect {
        match self.possible() {
            ONLY_OLDEST => Dialect::A,
            set if set & ONLY_OLDEST != 0 => Dialect::Portable,
            set => WRITERS[set.trailing_zeros() as usize],
        }
    }

    /// Does all that was found go with one iptables alone?
    fn is_one(self) -> bool {
        self.possible().is_power_of_two()
    }

    /// Can no further rule change the answer?
    fn is_final(self) -> bool {
        self.has(ONLY_OLDEST)
    }
}

/// So many rules, or jumps to it, make a chain long. Of such a chain no more is read.
const LONG: u32 = 16;

/// A chain of Docker's own: what it says comes from the iptables that dockerd runs.
#[derive(Debug)]
struct TellingChain {
    family: Family,
    table: &'static str,
    name: ChainName,
    /// How many rules it has, and jumps to it.
    uses: u32,
}

/// Reads what tells which iptables the host has: rules of Docker's chains in the
/// tables `filter` and `nat` of both families, since `iptables` and `ip6tables` are one program.
///
/// Short chains are read first, and whole. Long ones are looked into only while it is still open which
/// iptables it is, and only at their beginning, where the oldest rules are: a change must not take longer
/// for all that Docker and others have there.
///
/// # Errors
/// [`NetlinkError`]
pub fn evidence(netlink: &mut Netlink) -> Result<Evidence, NetlinkError> {
    let mut chains = Vec::new();
    for family in Family::BOTH {
        let found = |found: &mut Vec<TellingChain>, message: Message<'_>| found.extend(TellingChain::read(message, family));
        chains.extend(netlink.dump(&Request::chains(family), found)?);
    }
    chains.sort_by_key(|chain| chain.uses);
    let (mut evidence, mut judge) = (Evidence::default(), Judge::default());
    for chain in chains {
        if evidence.is_final() || (chain.is_long() && evidence.is_one()) {
            break;
        }
        evidence = chain.evidence(netlink, evidence, &mut judge)?;
    }
    Ok(evidence)
}

impl TellingChain {
    fn read(message: Message<'_>, family: Family) -> Option<Self> {
        if !message.is_nftables(NFT_MSG_NEWCHAIN) {
            return None;
        }
        let (mut table, mut name, mut uses) = (None, None, 0);
        for Attr { kind, payload } in Attrs::new(message.attributes()).flatten() {
            match kind {
                NFTA_CHAIN_TABLE => table = string(payload),
                NFTA_CHAIN_NAME => name = string(payload),
                NFTA_CHAIN_USE => uses = be32(payload).unwrap_or_default(),
                _ => {}
            }
        }
        let table = [TABLE, "nat"].into_iter().find(|known| table == Some(known))?;
        let name = ChainName::from_kernel(name?).ok()?;
        // Elsewhere anybody writes: a container with another iptables of its own, too.
        (name.is_dockers() && uses > 0).then_some(Self { family, table, name, uses })
    }

    fn is_long(&self) -> bool {
        self.uses > LONG
    }

    /// What its rules tell besides what is `known`.
    fn evidence(&self, netlink: &mut Netlink, known: Evidence, judge: &mut Judge) -> Result<Evidence, NetlinkError> {
        let request = Request::rules_of(self.family, self.table, &self.name);
        let mut tells = |message: Message<'_>| {
            let list = parse::expressions_alone(message);
            list.map_or(0, |list| judge.writers(list, self.family, self.name.is_dockers()))
        };
        let read = if self.is_long() {
            let (mut all, mut left) = (known, LONG);
            let some = netlink.dump_some(&request, |message| {
                all.add(tells(message));
                left -= 1;
                if left == 0 || all.is_one() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            some.map(|_| all)
        } else {
            let found = netlink.dump(&request, |found: &mut Evidence, message| found.add(tells(message)));
            found.map(|found| Evidence { found: known.found | found.found })
        };
        match read {
            // Removed since the chains were read; or a rule is too long for the beginning of a dump.
            Err(NetlinkError::Refused { errno: libc::ENOENT | libc::EMSGSIZE, .. }) => Ok(known),
            other => other,
        }
    }
}

/// Says of rules which iptables can have written them.
#[derive(Debug, Default)]
struct Judge {
    reader: Reader,
    written: Vec<u8>,
    /// The rule before: while it is kept, musl does not give its memory back and ask for as much again, which
    /// takes longer than all the rest.
    last: Option<Rule>,
    /// The shapes of rules that were judged, and by whom such rules are written: Docker writes a few, again and again.
    known: Vec<(u64, DialectSet)>,
}

impl Judge {
    /// The dialects in which iptables writes just these expressions. None for what nft, or another program, can
    /// have written as well: that is what has no xt extension, but in Docker's own chains.
    fn writers(&mut self, list: &[u8], family: Family, dockers: bool) -> DialectSet {
        let (mut xt, mut ends_in_target) = (false, false);
        let mut shape = DefaultHasher::new();
        (family, dockers).hash(&mut shape);
        for element in Attrs::new(list) {
            let Ok(expr) = element.and_then(|element| Expr::read(element.payload)) else { return 0 };
            ends_in_target = matches!(expr, Expr::Target(_));
            xt |= ends_in_target || matches!(expr, Expr::Match(_));
            hash_shape(&expr, &mut shape);
        }
        if !xt && !dockers {
            return 0;
        }
        let shape = shape.finish();
        if let Some((_, set)) = self.known.iter().find(|(known, _)| *known == shape) {
            return *set;
        }
        let set = self.judge(list, family, ends_in_target);
        self.known.push((shape, set));
        set
    }

    fn judge(&mut self, list: &[u8], family: Family, ends_in_target: bool) -> DialectSet {
        // An xt target is the same in all dialects, and some of `nat` can't be read.
        let tests = if ends_in_target { without_last(list) } else { list };
        let context = Context { family, dialect: Dialect::Portable, sets: Sets::NONE };
        let (Reading::Rule(rule), Some(counters)) = self.reader.read(tests, None, context) else { return 0 };
        let rule = self.last.insert(rule);
        let written = &mut self.written;
        let mut writes = |dialect| {
            written.clear();
            let done = rule.linearize(Context { dialect, ..context }, counters, &mut Writer::as_dumped(written));
            done.is_ok() && written == tests
        };
        (0..).zip(WRITERS).filter(|(_, dialect)| writes(*dialect)).fold(0, |set, (bit, _)| set | 1 << bit)
    }
}

/// All that tells which iptables writes the expression: not the addresses, ports and names that a rule compares
/// with.
fn hash_shape(expr: &Expr<'_>, shape: &mut impl Hasher) {
    expr.name().hash(shape);
    match expr {
        Expr::Payload(load) => load.hash(shape),
        Expr::Meta(meta) => meta.hash(shape),
        Expr::Cmp(cmp) => (cmp.op, cmp.value.len()).hash(shape),
        Expr::Target(xt) => (xt.name, xt.revision).hash(shape),
        Expr::Counter(_) => {}
        Expr::MetaSet(set) => set.hash(shape),
        Expr::Bitwise(bits) => bits.hash(shape),
        Expr::Range(range) => range.hash(shape),
        Expr::Immediate(verdict) => verdict.hash(shape),
        Expr::Limit(limit) => limit.hash(shape),
        Expr::Log(log) => log.hash(shape),
        Expr::Match(xt) => xt.hash(shape),
        Expr::Unknown(unknown) => unknown.hash(shape),
    }
}

/// The list less its last element.
fn without_last(list: &[u8]) -> &[u8] {
    let last = Attrs::new(list).flatten().last().map_or(0, |attr| (attr.payload.len() + 4).next_multiple_of(4));
    &list[..list.len().saturating_sub(last)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: DialectSet = 0b001;
    const B: DialectSet = 0b010;
    const D: DialectSet = 0b100;

    fn found(sets: &[DialectSet]) -> Evidence {
        let mut evidence = Evidence::default();
        sets.iter().for_each(|&set| evidence.add(set));
        evidence
    }

    #[test]
    fn the_oldest_iptables_that_fits_is_taken() {
        use Dialect::Portable;
        for (sets, dialect, possible) in [
            (&[][..], Portable, A | B | D),
            (&[A | B | D], Portable, A | B | D),
            (&[A], Dialect::A, A),
            (&[B], Dialect::B, B),
            (&[D], Dialect::D, D),
            (&[A | B], Portable, A | B),
            (&[B | D], Dialect::B, B | D),
            (&[A | B, B | D], Dialect::B, B),
            (&[A | B, A], Dialect::A, A),
            (&[B | D, D, A | B | D], Dialect::D, D),
            // Several have written here.
            (&[A, B], Dialect::A, A),
            (&[A, D], Dialect::A, A),
            (&[A, B | D], Dialect::A, A),
            (&[B, D], Dialect::B, B),
            (&[A | B, D], Portable, A | B),
            (&[A | B, B | D, D], Portable, A | B),
            (&[A | B, B, D], Dialect::B, B),
        ] {
            // In whatever order.
            for evidence in
                [found(sets), sets.iter().rev().fold(Evidence::default(), |sum, &set| Evidence { found: sum.found | found(&[set]).found })]
            {
                assert_eq!((evidence.dialect(), evidence.possible()), (dialect, possible), "{sets:?}");
                assert_eq!(evidence.writers().count() as u32, possible.count_ones());
            }
        }
    }
}
