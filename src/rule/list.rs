//! What `iptables -n -L` prints, line by line. Source: iptables `xshared.c` (`print_header`,
//! `print_rule_details`, `print_fragment`, `print_ifaces`, `print_ipv4_addresses`), `nft-ipv4.c`.

use std::fmt::{self, Display, Write};

use super::{Rule, write_options};
use crate::{
    model::{Address, Counters, Family, Ip6Text, Protocol, Test},
    targets::Target,
};

/// How a chain is listed. Always in numbers, as with `-n`; no line has its end.
///
/// Protocols have the names that iptables 1.8.11 prints; 1.8.9 with `-n` has their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Listing {
    /// `-v`: with counters and interfaces.
    pub verbose: bool,
    /// `-x`: counters in full; else from 100 000 on in thousands (`K`), millions (`M`), `G` and `T`.
    pub exact: bool,
    /// `--line-numbers`
    pub line_numbers: bool,
}

/// What the first line says of a chain besides its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<'a> {
    /// Entered by the kernel.
    Base {
        /// `ACCEPT` or `DROP`
        policy: &'a str,
        /// What has met the policy.
        counters: Counters,
    },
    /// Entered from so many rules.
    User {
        /// Rules that jump or go there.
        references: u32,
    },
}

impl Listing {
    /// The first line: `Chain DOCKER-USER (1 references)`.
    ///
    /// # Errors
    /// Those of the formatter.
    pub fn header(&self, f: &mut impl Write, chain: &str, standing: Standing<'_>) -> fmt::Result {
        match standing {
            Standing::Base { policy, counters: Counters { packets, bytes } } if self.verbose => {
                let (packets, bytes) = (self.count(packets), self.count(bytes));
                write!(f, "Chain {chain} (policy {policy} {packets} packets, {bytes} bytes)")
            }
            Standing::Base { policy, .. } => write!(f, "Chain {chain} (policy {policy})"),
            Standing::User { references } => write!(f, "Chain {chain} ({references} references)"),
        }
    }

    /// The second line: the names of the columns.
    ///
    /// # Errors
    /// Those of the formatter.
    pub fn columns(&self, f: &mut impl Write) -> fmt::Result {
        if self.line_numbers {
            f.write_str("num  ")?;
        }
        match (self.verbose, self.exact) {
            (true, false) => f.write_str(" pkts bytes ")?,
            (true, true) => f.write_str("    pkts      bytes ")?,
            (false, _) => {}
        }
        f.write_str("target     prot opt")?;
        if self.verbose {
            f.write_str(" in     out    ")?;
        }
        f.write_str(" source               destination         ")
    }

    /// The line of the rule with that number (from 1).
    ///
    /// # Errors
    /// Those of the formatter.
    pub fn line(&self, f: &mut impl Write, family: Family, number: usize, counters: Counters, rule: &Rule) -> fmt::Result {
        if self.line_numbers {
            write!(f, "{number:<4} ")?;
        }
        if self.verbose {
            let width = if self.exact { 8 } else { 5 };
            write!(f, "{:>width$} {:>width$} ", self.count(counters.packets), self.count(counters.bytes))?;
        }
        left(f, 9, rule.target.as_ref().map_or("", Target::name))?;
        rule.list(family, self.verbose, f)
    }

    fn count(&self, number: u64) -> String {
        if self.exact || number <= 99_999 {
            return number.to_string();
        }
        let mut number = number;
        for unit in ["K", "M", "G"] {
            number = number.saturating_add(500) / 1000;
            if number <= 9_999 {
                return format!("{number}{unit}");
            }
        }
        format!("{}T", (number + 500) / 1000)
    }
}

impl Rule {
    /// The columns from `prot` on, with the interfaces if `verbose`.
    ///
    /// # Errors
    /// Those of the formatter.
    pub fn list(&self, family: Family, verbose: bool, f: &mut impl Write) -> fmt::Result {
        let base = &self.base;
        f.write_char(sign(&base.protocol))?;
        left(f, 4, base.protocol.map_or("all".into(), |test: Test<Protocol>| test.value.to_string()))?;
        f.write_str(match base.fragment {
            None => "-- ",
            Some(Test { negated: false, .. }) => "-f ",
            Some(Test { negated: true, .. }) => "!f ",
        })?;
        if verbose {
            f.write_char(' ')?;
            for interface in [&base.in_interface, &base.out_interface] {
                left(f, 6, interface.map_or("*".into(), |test| format!("{}{}", if test.negated { "!" } else { "" }, test.value)))?;
            }
        }
        for address in [&base.source, &base.destination] {
            f.write_char(sign(address))?;
            left(f, 19, Place(address.map(|test| test.value), family))?;
        }
        if let Some(Target::Goto(_)) = self.target {
            f.write_str("[goto] ")?;
        }
        for one in &self.matches {
            match one.listed_apart() {
                true => write_options(f, &ListOf(|f| one.list(f)))?,
                false => write!(f, "{}", ListOf(|f| one.list(f)))?,
            }
        }
        self.target.iter().try_for_each(|target| write_options(f, &ListOf(|f| target.list(f))))
    }
}

/// The text, filled up with blanks to `width` bytes, and a blank.
fn left(f: &mut impl Write, width: usize, text: impl Display) -> fmt::Result {
    let text = text.to_string();
    write!(f, "{text}{:blanks$} ", "", blanks = width.saturating_sub(text.len()))
}

fn sign<T>(test: &Option<Test<T>>) -> char {
    match test {
        Some(Test { negated: true, .. }) => '!',
        _ => ' ',
    }
}

struct ListOf<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result>(F);

impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> Display for ListOf<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

/// An address, without its mask if that is all ones; all addresses if there is none.
struct Place(Option<Address>, Family);

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (None, Family::Ip) => f.write_str("0.0.0.0/0"),
            (None, Family::Ip6) => f.write_str("::/0"),
            (Some(address), _) => match (address, address.prefix_len()) {
                (Address::V4 { addr, .. }, Some(32)) => addr.fmt(f),
                (Address::V6 { addr, .. }, Some(128)) => Ip6Text(addr).fmt(f),
                _ => address.fmt(f),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{rule::Parser, syntax::split};

    const PLAIN: Listing = Listing { verbose: false, exact: false, line_numbers: false };
    const VERBOSE: Listing = Listing { verbose: true, ..PLAIN };
    const FULL: Listing = Listing { verbose: true, exact: true, line_numbers: true };

    fn text(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
        let mut out = String::new();
        write(&mut out).unwrap();
        out
    }

    /// The rule as the third of its chain.
    fn line(listing: Listing, family: Family, rule: &str) -> String {
        let mut words = Vec::new();
        split(rule, &mut words).unwrap();
        let parsed = Parser::parse(&words, family).unwrap();
        text(|out| listing.line(out, family, 3, parsed.counters.unwrap_or_default(), &parsed.rules[0]))
    }

    // All expected lines: iptables 1.8.9 -n -L, -n -v -L, -n -v -x --line-numbers -L, with the
    // protocol's number replaced by its name.

    #[test]
    fn chains_have_their_policy_or_references() {
        let counters = Counters { packets: 123_456, bytes: 7 };
        let base = Standing::Base { policy: "DROP", counters };
        for (listing, standing, expected) in [
            (PLAIN, base, "Chain X (policy DROP)"),
            (VERBOSE, base, "Chain X (policy DROP 123K packets, 7 bytes)"),
            (FULL, base, "Chain X (policy DROP 123456 packets, 7 bytes)"),
            (FULL, Standing::User { references: 1 }, "Chain X (1 references)"),
        ] {
            assert_eq!(text(|out| listing.header(out, "X", standing)), expected);
        }
    }

    #[test]
    fn columns_have_names() {
        let short = Listing { line_numbers: true, ..VERBOSE };
        for (listing, expected) in [
            (PLAIN, "target     prot opt source               destination         "),
            (VERBOSE, " pkts bytes target     prot opt in     out     source               destination         "),
            (short, "num   pkts bytes target     prot opt in     out     source               destination         "),
            (FULL, "num      pkts      bytes target     prot opt in     out     source               destination         "),
        ] {
            assert_eq!(text(|out| listing.columns(out)), expected);
        }
    }

    #[test]
    fn rules_are_listed() {
        use Family::{Ip, Ip6};
        for (listing, family, rule, expected) in [
            (PLAIN, Ip, "", "           all  --  0.0.0.0/0            0.0.0.0/0           "),
            (
                PLAIN,
                Ip,
                "-s 1.2.3.4 -f ! -d 1.2.3.0/255.0.255.0 -g FOO",
                "FOO        all  -f  1.2.3.4             !1.0.3.0/255.0.255.0 [goto] ",
            ),
            (PLAIN, Ip, "-p tcp --dport 80 -g FOO", "FOO        tcp  --  0.0.0.0/0            0.0.0.0/0           [goto]  tcp dpt:80"),
            (PLAIN, Ip6, "-s ::1.2.3.4 ! -d fe80::/10 -j DROP", "DROP       all  --  ::1.2.3.4           !fe80::/10           "),
            (PLAIN, Ip6, "-p mh -j DOCKER-USER", "DOCKER-USER  mobility-header --  ::/0                 ::/0                "),
            (
                VERBOSE,
                Ip,
                "! -f ! -s 1.2.3.4 ! -p tcp ! -i averylongname+ -c 100000 99999999 -j FOO",
                " 100K  100M FOO       !tcp  !f  !averylongname+ *      !1.2.3.4              0.0.0.0/0           ",
            ),
            (
                VERBOSE,
                Ip,
                "-p tcp -m comment --comment 'a b' -c 123456789 1234567890123456789 -j REJECT",
                " 123M 1234568T REJECT     tcp  --  *      *       0.0.0.0/0            0.0.0.0/0            \
                 /* a b */ reject-with icmp-port-unreachable",
            ),
            (
                FULL,
                Ip6,
                "! -o + -p 200 -c 123456789 100000",
                "3    123456789   100000            200  --  *      !+      ::/0                 ::/0                ",
            ),
        ] {
            assert_eq!(line(listing, family, rule), expected, "{rule}");
        }
    }

    #[test]
    fn counters_are_shortened() {
        for (number, expected) in [
            (99_999, "99999"),
            (100_499, "100K"),
            (9_999_499, "9999K"),
            (9_999_500, "10M"),
            (9_999_499_499, "9999M"),
            // Rounded twice.
            (9_999_499_999, "10G"),
            (9_999_499_999_999, "10T"),
            (u64::MAX, "18446744T"),
        ] {
            assert_eq!(VERBOSE.count(number), expected);
        }
    }
}
