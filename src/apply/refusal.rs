//! From an errno and an offset to words.

use std::io;

use crate::{
    extension::{Context, Refused},
    message::{Refusal, SealedBatch},
    model::Family,
    plan::{At, Plan, Step},
    rule::{Origin, Rule},
    targets::Target,
};

/// A step that the kernel did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedStep {
    /// Its number in the plan; `None` if the transaction as a whole was refused.
    pub step: Option<usize>,
    /// The step as the command that would do it.
    pub text: String,
    /// The line it came from.
    pub line: Option<usize>,
    /// The part of the rule that is meant.
    pub origin: Option<Origin>,
    /// Is it a jump to a chain that is not there?
    pub nowhere: bool,
    /// Why.
    pub errno: i32,
    /// Why, in words, and what to do.
    pub explained: Explained,
}

/// A reason and its cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Why, with the errno's name.
    pub reason: String,
    /// What to do.
    pub hint: Option<String>,
}

/// The steps that were refused. An error that the kernel finds only when it looks at the whole table
/// is reported for the culprit and for every later step: of those only the first is kept.
pub(super) fn trace<'c>(
    refusals: &[Refusal],
    batch: &SealedBatch,
    plan: &Plan,
    context: impl Fn(Family) -> Context<'c>,
) -> Vec<RefusedStep> {
    let mut out = Vec::new();
    let mut whole_table_seen = false;
    for refusal in refusals {
        let step = batch.step(refusal.seq);
        if refusal.offset.is_none() && std::mem::replace(&mut whole_table_seen, true) {
            continue;
        }
        let Some((number, at)) = step.and_then(|number| Some((number, plan.at(number as usize)?))) else {
            let reason = format!("{} ({})", io::Error::from_raw_os_error(refusal.errno), name(refusal.errno));
            let explained = Explained { reason, hint: None };
            let text = "the transaction".to_owned();
            out.push(RefusedStep { step: None, text, line: None, origin: None, nowhere: false, errno: refusal.errno, explained });
            continue;
        };
        let index = refusal.offset.and_then(|offset| batch.expression_at(number, offset));
        let origin = at.rule().zip(index).and_then(|((rule, _), index)| {
            let uncommented = at.chain().is_some_and(|chain| super::aside(chain, rule).is_some());
            rule.origin(context(at.step().family()), uncommented, index)
        });
        let jumps = at.rule().is_some_and(|(rule, _)| matches!(rule.target, Some(Target::Jump(_) | Target::Goto(_))));
        out.push(RefusedStep {
            step: Some(number as usize),
            text: at.to_string(),
            line: at.rule().and_then(|(_, line)| line),
            origin,
            nowhere: jumps && origin == Some(Origin::Target) && refusal.errno == libc::ENOENT,
            errno: refusal.errno,
            explained: explain(at, origin, refusal),
        });
    }
    out
}

const BUILTIN: &str = "nothing can jump to a built-in chain";

const NOT_HERE: (&str, &str) =
    ("the kernel does not take this here", "it may not fit the protocol (`-p`) or the chain; the kernel's log (dmesg) often says more");

fn explain(at: At<'_>, origin: Option<Origin>, refusal: &Refusal) -> Explained {
    let errno = refusal.errno;
    let with = |reason: String, hint: &str| Explained {
        reason: format!("{reason} ({})", name(errno)),
        hint: (!hint.is_empty()).then(|| hint.to_owned()),
    };
    if let Some(text) = &refusal.text {
        return with(text.clone(), "");
    }
    let rule = at.rule().map(|(rule, _)| rule);
    let target = rule.and_then(|rule| rule.target.as_ref());
    let own = match origin {
        Some(Origin::Match(index)) => rule.and_then(|rule| rule.matches.get(index)).and_then(|one| one.refused(errno)),
        Some(Origin::Target) => target.and_then(|one| one.refused(errno)),
        _ => None,
    };
    if let Some(Refused { reason, hint }) = own {
        return with(reason, &hint);
    }
    match (at.step(), origin, errno) {
        (_, Some(Origin::Match(index)), libc::ENOENT) => {
            let name = rule.and_then(|rule| rule.matches.get(index)).map_or("", |one| one.name());
            with(
                format!("this kernel has no match `{name}`"),
                &format!(
                    "CONFIG_{} or CONFIG_NFT_COMPAT is not built, or its module can't be loaded here",
                    config(name, at.step().family())
                ),
            )
        }
        (_, Some(Origin::Target), libc::ENOENT) => match target {
            // Nobody has made it yet; if somebody had, it would be as below.
            Some(Target::Jump(chain) | Target::Goto(chain)) if chain.is_builtin() => with(BUILTIN.into(), ""),
            Some(Target::Jump(chain) | Target::Goto(chain)) => {
                with(format!("there is no chain `{chain}`"), &format!("make it first: `-N {chain}`"))
            }
            target => {
                let name = target.map_or("", Target::name);
                with(
                    format!("this kernel has no target `{name}`"),
                    &format!("{} is not built, or its module can't be loaded here", target_config(name, at.step().family())),
                )
            }
        },
        (_, Some(Origin::Target), libc::EOPNOTSUPP) => with(BUILTIN.into(), ""),
        (_, Some(_), libc::EINVAL) => with(NOT_HERE.0.into(), NOT_HERE.1),
        (Step::Rule(_) | Step::Append { .. }, None, libc::EINVAL) => match (rule.and_then(not_forwarded), target.and_then(Target::hooks)) {
            (Some((name, hint)), _) => with(format!("the kernel takes no `-m {name}` in a chain that packets reach from FORWARD"), hint),
            (None, Some(hooks)) => with("the kernel does not take this rule for all packets that reach its chain".into(), hooks),
            (None, None) => with(
                "the kernel does not take this rule in a chain that packets reach from FORWARD".into(),
                "some matches and targets work only for the host's own packets (INPUT, OUTPUT)",
            ),
        },
        (Step::Rule(_) | Step::Append { .. }, _, libc::EMLINK | libc::ELOOP) => with("the jump makes a loop".into(), ""),
        (Step::NewChain(_, chain), _, libc::EEXIST) => with(format!("chain `{chain}` exists already"), ""),
        (Step::DeleteChain(_, chain), _, libc::EBUSY) => with(format!("`{chain}` has rules, or a jump leads to it"), "remove those first"),
        (Step::Table(_) | Step::Forward(_), _, libc::EOPNOTSUPP) => {
            with("this kernel has no nf_tables for this family".into(), "CONFIG_NF_TABLES is not built, or its module can't be loaded here")
        }
        _ => with(io::Error::from_raw_os_error(errno).to_string().split(" (os error").next().unwrap_or_default().to_owned(), ""),
    }
}

/// What the kernel's configuration calls a match, behind `CONFIG_`.
///
/// Source: `net/netfilter/Kconfig`, `net/ipv4/netfilter/Kconfig`, `net/ipv6/netfilter/Kconfig`.
fn config(name: &str, family: Family) -> String {
    match (name, family) {
        ("tcp" | "udp" | "icmp" | "icmp6", _) => "NETFILTER_XTABLES".into(),
        ("set", _) => "NETFILTER_XT_SET".into(),
        ("ttl", _) => "NETFILTER_XT_MATCH_HL".into(),
        ("tos", _) => "NETFILTER_XT_MATCH_DSCP".into(),
        ("hbh" | "dst", _) => "IP6_NF_MATCH_OPTS".into(),
        ("ah", Family::Ip) => "IP_NF_MATCH_AH".into(),
        ("ah" | "eui64" | "frag" | "ipv6header" | "mh" | "rt" | "srh", _) => format!("IP6_NF_MATCH_{}", name.to_uppercase()),
        _ => format!("NETFILTER_XT_MATCH_{}", name.to_uppercase()),
    }
}

/// The rule's match that the kernel takes only elsewhere, and what to do instead.
fn not_forwarded(rule: &Rule) -> Option<(&'static str, &'static str)> {
    rule.matches.iter().find_map(|one| Some((one.name(), one.not_forwarded()?)))
}

/// The kernel's option that builds a target. Source: `net/netfilter/Kconfig`, `net/ipv4/netfilter/Kconfig`,
/// `net/ipv6/netfilter/Kconfig`.
fn target_config(name: &str, family: Family) -> String {
    match (name, family) {
        ("REJECT" | "SYNPROXY", Family::Ip) => format!("CONFIG_IP_NF_TARGET_{name}"),
        ("REJECT" | "SYNPROXY", Family::Ip6) => format!("CONFIG_IP6_NF_TARGET_{name}"),
        ("MARK" | "CONNMARK" | "SET", _) => format!("CONFIG_NETFILTER_XT_{name}"),
        _ => format!("CONFIG_NETFILTER_XT_TARGET_{name}"),
    }
}

/// An errno's name as `errno.h` has it, as far as netfilter uses it.
fn name(errno: i32) -> String {
    let known = match errno {
        libc::EPERM => "EPERM",
        libc::ENOENT => "ENOENT",
        libc::E2BIG => "E2BIG",
        libc::EAGAIN => "EAGAIN",
        libc::ENOMEM => "ENOMEM",
        libc::EACCES => "EACCES",
        libc::EBUSY => "EBUSY",
        libc::EEXIST => "EEXIST",
        libc::ENOTDIR => "ENOTDIR",
        libc::EINVAL => "EINVAL",
        libc::EMFILE => "EMFILE",
        libc::EFBIG => "EFBIG",
        libc::ENOSPC => "ENOSPC",
        libc::EMLINK => "EMLINK",
        libc::ERANGE => "ERANGE",
        libc::ELOOP => "ELOOP",
        libc::ENODATA => "ENODATA",
        libc::EOVERFLOW => "EOVERFLOW",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        libc::EPROTONOSUPPORT => "EPROTONOSUPPORT",
        libc::EAFNOSUPPORT => "EAFNOSUPPORT",
        libc::ERESTART => "ERESTART",
        other => return format!("errno {other}"),
    };
    known.to_owned()
}
