use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Family, Protocol},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, opt},
};

/// `-j REJECT`: drops the packet and answers with an ICMP error or a TCP reset.
/// Kernel: `net/ipv4/netfilter/ipt_REJECT.c`, `net/ipv6/netfilter/ip6t_REJECT.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject {
    answer: &'static Answer,
}

/// One way to answer.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    family: Family,
    /// `IPT_…` or `IP6T_…`
    number: u8,
    name: &'static str,
    alias: &'static str,
}

const fn v4(number: u8, name: &'static str, alias: &'static str) -> Answer {
    Answer { family: Family::Ip, number, name, alias }
}

const fn v6(number: u8, name: &'static str, alias: &'static str) -> Answer {
    Answer { family: Family::Ip6, number, name, alias }
}

/// All answers that iptables can name, by number in each family.
static ANSWERS: &[Answer] = &[
    v4(0, "icmp-net-unreachable", "net-unreach"),
    v4(1, "icmp-host-unreachable", "host-unreach"),
    v4(2, "icmp-proto-unreachable", "proto-unreach"),
    v4(3, "icmp-port-unreachable", "port-unreach"),
    v4(5, "icmp-net-prohibited", "net-prohib"),
    v4(6, "icmp-host-prohibited", "host-prohib"),
    v4(7, TCP_RESET, "tcp-rst"),
    v4(8, "icmp-admin-prohibited", "admin-prohib"),
    v6(0, "icmp6-no-route", "no-route"),
    v6(1, "icmp6-adm-prohibited", "adm-prohibited"),
    v6(3, "icmp6-addr-unreachable", "addr-unreach"),
    v6(4, "icmp6-port-unreachable", "port-unreach"),
    v6(6, TCP_RESET, TCP_RESET),
    v6(7, "icmp6-policy-fail", "policy-fail"),
    v6(8, "icmp6-reject-route", "reject-route"),
];

const TCP_RESET: &str = "tcp-reset";

/// The alias, in both families, of the answer that is given without an option.
const DEFAULT: &str = "port-unreach";

impl Extension for Reject {
    const NAME: &'static str = "REJECT";
    const SUMMARY: &'static str = "drops the packet and tells its sender";
    const OPTIONS: &'static [OptionSpec] =
        &[opt("reject-with", &["TYPE"], "the answer: tcp-reset (with `-p tcp`) or an ICMP type; port unreachable if left out")];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-j REJECT", "-j REJECT --reject-with icmp-port-unreachable").ip(),
        Example::ok("-j REJECT", "-j REJECT --reject-with icmp6-port-unreachable").ip6(),
        Example::same("-p tcp -j REJECT --reject-with tcp-reset"),
        Example::same("-j REJECT --reject-with icmp-net-unreachable").ip(),
        Example::same("-j REJECT --reject-with icmp-host-unreachable").ip(),
        Example::same("-j REJECT --reject-with icmp-proto-unreachable").ip(),
        Example::same("-j REJECT --reject-with icmp-net-prohibited").ip(),
        Example::same("-j REJECT --reject-with icmp-host-prohibited").ip(),
        Example::same("-j REJECT --reject-with icmp-admin-prohibited").ip(),
        Example::ok("-j REJECT --reject-with admin-prohib", "-j REJECT --reject-with icmp-admin-prohibited").ip(),
        Example::ok("-p tcp -j REJECT --reject-with tcp-rst", "-p tcp -j REJECT --reject-with tcp-reset").ip(),
        Example::ok("-j REJECT --reject-with ICMP-Host-Proh", "-j REJECT --reject-with icmp-host-prohibited").ip(),
        Example::ok("-j REJECT --reject-with icmp", "-j REJECT --reject-with icmp-net-unreachable").ip(),
        Example::same("-j REJECT --reject-with icmp6-no-route").ip6(),
        Example::same("-j REJECT --reject-with icmp6-adm-prohibited").ip6(),
        Example::same("-j REJECT --reject-with icmp6-addr-unreachable").ip6(),
        Example::same("-j REJECT --reject-with icmp6-policy-fail").ip6(),
        Example::same("-j REJECT --reject-with icmp6-reject-route").ip6(),
        Example::ok("-j REJECT --reject-with no-route", "-j REJECT --reject-with icmp6-no-route").ip6(),
        Example::fails("-j REJECT --reject-with tcp-reset", "needs `-p tcp`"),
        Example::fails("! -p tcp -j REJECT --reject-with tcp-reset", "needs `-p tcp`"),
        Example::fails("-j REJECT --reject-with icmp6-no-route", "iptables has no answer `icmp6-no-route`").ip(),
        Example::fails("-j REJECT --reject-with icmp-net-prohibited", "ip6tables has no answer `icmp-net-prohibited`").ip6(),
        Example::fails("-j REJECT --reject-with ''", "here should be the answer"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let family = args.family();
        let Some(given) = args.next() else {
            let answer = find(family, |answer| answer.alias == DEFAULT);
            return answer.map(|answer| Self { answer }).ok_or_else(|| args.error("needs `--reject-with TYPE`"));
        };
        let answer = parse_answer(&given, family)?;
        if answer.name == TCP_RESET {
            args.needs_protocol(&[Protocol::TCP])?;
        }
        Ok(Self { answer })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_target(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let family = cursor.family();
        let info = cursor.take_target(Self::NAME, 0)?;
        let answer = find(family, |answer| Self { answer }.to_xt() == *info)?;
        (answer.name != TCP_RESET || cursor.is_protocol(Protocol::TCP)).then_some(Self { answer })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reject-with {}", self.answer.name)
    }
}

impl Reject {
    fn to_xt(self) -> [u8; 8] {
        // struct ipt_reject_info, struct ip6t_reject_info: with
        let mut info = [0; 8];
        info[..4].copy_from_slice(&u32::from(self.answer.number).to_ne_bytes());
        info
    }
}

/// The first answer of that family that `is` knows.
fn find(family: Family, is: impl Fn(&'static Answer) -> bool) -> Option<&'static Answer> {
    ANSWERS.iter().filter(|answer| answer.family == family).find(|answer| is(answer))
}

/// As iptables finds it: the first whose name or alias begins so, capitals or not.
fn parse_answer(given: &Given<'_>, family: Family) -> Result<&'static Answer, SyntaxError> {
    let text = given.text(0);
    let begins = |name: &str| name.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
    let found = find(family, |answer| begins(answer.name) || begins(answer.alias)).filter(|_| !text.is_empty());
    found.ok_or_else(|| {
        let names: Vec<_> = ANSWERS.iter().filter(|answer| answer.family == family).map(|answer| answer.name).collect();
        let error = match text {
            "" => given.error("here should be the answer"),
            _ => given.error(format!("{} has no answer `{text}`", family.command())),
        };
        error.hint(format!("they are {}", names.join(", ")))
    })
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--reject-with {}", self.answer.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_have_the_default_answer() {
        for family in Family::BOTH {
            assert!(find(family, |answer| answer.alias == DEFAULT).is_some());
        }
    }
}
