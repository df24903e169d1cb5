//! What a rule can do to a packet, as far as the way to `DOCKER-USER` depends on it.

use crate::{
    attr,
    expr::{self, Cmp, CmpOp, Expr, Immediate, Meta, Unknown, Verdict},
    matches::Match,
    model::{Interface, Test},
    rule::Rule,
    ruleset::Entry,
    targets::Target,
    uapi::*,
};

/// A rule: which packets it is for, and what it can do to them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Act<'r> {
    pub(super) effect: Effect<'r>,
    /// The test of the interface that the packet came in by.
    pub(super) inward: Option<Test<Interface>>,
    /// Is it for packets of known connections alone?
    pub(super) known_alone: bool,
    /// Is it for all packets?
    pub(super) always: bool,
}

/// What becomes of the packets that a rule is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Effect<'r> {
    /// The next rule is asked.
    GoesOn,
    /// The packet is dropped or rejected.
    Stops,
    /// The packet passes this hook.
    Accepts,
    /// The rule behind the jump that led here is asked; in a base chain its policy decides.
    Returns,
    /// That chain is asked, then the next rule.
    Jump(&'r str),
    /// That chain is asked, and then as with [`Effect::Returns`].
    Goto(&'r str),
    /// Nobody can tell here; it may pass, or be stopped.
    Unknown,
}

impl<'r> Act<'r> {
    pub(super) fn of(entry: &'r Entry) -> Self {
        match (entry.rule(), &entry.raw) {
            (Some(rule), _) => Self::of_rule(rule),
            (None, Some(raw)) => Self::of_expressions(raw).unwrap_or(Self::UNKNOWN),
            (None, None) => Self::UNKNOWN,
        }
    }

    const UNKNOWN: Self = Self { effect: Effect::Unknown, inward: None, known_alone: false, always: false };

    pub(super) fn of_rule(rule: &'r Rule) -> Self {
        let known = |one: &Match| match one {
            Match::Conntrack(test) => test.is_known_alone(),
            Match::State(test) => test.is_known_alone(),
            _ => false,
        };
        let says_nothing = |one: &Match| matches!(one, Match::Comment(_));
        Self {
            effect: Effect::of(rule.target.as_ref()),
            inward: rule.base.in_interface,
            known_alone: rule.matches.iter().any(known),
            always: rule.base.is_empty() && rule.matches.iter().all(says_nothing),
        }
    }

    /// Of a rule that is none of iptables': its expressions tell what it can do at most.
    fn of_expressions(raw: &'r [u8]) -> Option<Self> {
        let mut exprs = Vec::new();
        expr::read_all(raw, &mut exprs).ok()?;
        let mut act = Self { effect: Effect::GoesOn, inward: None, known_alone: false, always: true };
        for (index, expr) in exprs.iter().enumerate() {
            let behind = &exprs[index + 1..];
            let effect = match expr {
                Expr::Immediate(Immediate::Verdict(verdict)) => Effect::of_verdict(*verdict),
                Expr::Target(xt) => Effect::of_xt(xt.name),
                Expr::Unknown(unknown) => Effect::of_unknown(unknown),
                _ => Effect::GoesOn,
            };
            if act.effect != Effect::Unknown && effect != Effect::GoesOn {
                act.effect = effect;
            }
            act.always &= matches!(expr, Expr::Immediate(_) | Expr::Target(_) | Expr::Counter(_) | Expr::Log(_));
            match expr {
                Expr::Meta(meta) => act.inward = act.inward.or_else(|| inward(meta, behind)),
                Expr::Unknown(unknown) => act.known_alone |= is_known_alone(unknown, behind),
                _ => {}
            }
        }
        Some(act)
    }
}

impl<'r> Effect<'r> {
    fn of(target: Option<&'r Target>) -> Self {
        match target {
            None => Self::GoesOn,
            Some(Target::Accept) => Self::Accepts,
            Some(Target::Drop | Target::Reject(_)) => Self::Stops,
            Some(Target::Return) => Self::Returns,
            Some(Target::Jump(to)) => Self::Jump(to.as_str()),
            Some(Target::Goto(to)) => Self::Goto(to.as_str()),
            Some(target) => Self::of_xt(target.name()),
        }
    }

    fn of_verdict(verdict: Verdict<'r>) -> Self {
        match verdict {
            Verdict::Accept => Self::Accepts,
            Verdict::Drop => Self::Stops,
            Verdict::Return => Self::Returns,
            Verdict::Continue => Self::GoesOn,
            Verdict::Jump(to) => Self::Jump(to),
            Verdict::Goto(to) => Self::Goto(to),
        }
    }

    /// xt targets by whether the next rule is asked (`XT_CONTINUE`), `net/netfilter/xt_*.c`. NFQUEUE leaves
    /// the verdict to a program; SYNPROXY answers in the server's place.
    fn of_xt(name: &str) -> Self {
        const GOES_ON: [&str; 16] = [
            "AUDIT",
            "CLASSIFY",
            "CONNMARK",
            "CONNSECMARK",
            "HMARK",
            "IDLETIMER",
            "LED",
            "LOG",
            "MARK",
            "NFLOG",
            "RATEEST",
            "SECMARK",
            "SET",
            "TCPMSS",
            "TEE",
            "TRACE",
        ];
        match name {
            "REJECT" => Self::Stops,
            name if GOES_ON.contains(&name) => Self::GoesOn,
            _ => Self::Unknown,
        }
    }

    /// Of an expression that dockgate does not read. A look-up in a map can give any verdict.
    fn of_unknown(unknown: &Unknown<'_>) -> Self {
        const GOES_ON: [&str; 18] = [
            "byteorder",
            "connlimit",
            "ct",
            "dynset",
            "exthdr",
            "fib",
            "flow_offload",
            "hash",
            "last",
            "limit",
            "log",
            "numgen",
            "objref",
            "osf",
            "quota",
            "rt",
            "socket",
            "xfrm",
        ];
        let register = |data| attr::table::<6>(data).ok().map(|table| table[NFTA_LOOKUP_DREG as usize].and_then(attr::be32));
        match unknown.name {
            "reject" => Self::Stops,
            "lookup" if register(unknown.data).is_some_and(|register| register != Some(NFT_REG_VERDICT)) => Self::GoesOn,
            name if GOES_ON.contains(&name) => Self::GoesOn,
            _ => Self::Unknown,
        }
    }
}

/// `iifname "eth0"`, `iifname != "eth*"`
fn inward(meta: &Meta, behind: &[Expr<'_>]) -> Option<Test<Interface>> {
    let Some(Expr::Cmp(Cmp { sreg, op: op @ (CmpOp::Eq | CmpOp::Neq), value })) = behind.first() else { return None };
    if meta.key != NFT_META_IIFNAME || *sreg != meta.dreg {
        return None;
    }
    let whole = value.iter().position(|byte| *byte == 0);
    let value = whole.map_or_else(|| Interface::prefix(value), |end| Interface::exact(&value[..end]))?;
    Some(Test { negated: *op == CmpOp::Neq, value })
}

/// `ct state established,related`
fn is_known_alone(unknown: &Unknown<'_>, behind: &[Expr<'_>]) -> bool {
    let key = |data| attr::table::<5>(data).ok()?[NFTA_CT_KEY as usize].and_then(attr::be32);
    let [Expr::Bitwise(bits), Expr::Cmp(cmp), ..] = behind else { return false };
    let known = NF_CT_STATE_ESTABLISHED | NF_CT_STATE_RELATED;
    let mask = <[u8; 4]>::try_from(bits.mask).map(u32::from_ne_bytes);
    let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    let state = unknown.name == "ct" && key(unknown.data) == Some(NFT_CT_STATE);
    state && mask.is_ok_and(|mask| mask & !known == 0) && is_zero(bits.xor) && cmp.op == CmpOp::Neq && is_zero(cmp.value)
}
