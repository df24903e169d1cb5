use std::fmt;

use super::{
    host::Host,
    tracking::{self, STATES, STATUSES, Tracking},
    words,
};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Protocol, Test},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, opt, ordered, parse_number, port_range},
};

/// `-m conntrack`: what connection tracking knows of the packet. Kernel:
/// `net/netfilter/xt_conntrack.c`.
#[derive(Debug, Clone, PartialEq)]
pub struct Conntrack {
    tracking: Box<Tracking>,
}

impl Extension for Conntrack {
    const NAME: &'static str = "conntrack";
    const SUMMARY: &'static str = "what connection tracking knows of the packet";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("ctstate", &["STATE[,…]"], "the packet is INVALID, NEW, RELATED, ESTABLISHED, UNTRACKED, SNAT or DNAT").negates(),
        opt("ctproto", &["PROTOCOL"], "the connection's protocol").negates(),
        opt("ctorigsrc", &["ADDRESS[/MASK]"], "the source, as the first packet had it").negates(),
        opt("ctorigdst", &["ADDRESS[/MASK]"], "the destination, as the first packet had it: before DNAT").negates(),
        opt("ctreplsrc", &["ADDRESS[/MASK]"], "the source of the replies: the destination behind DNAT").negates(),
        opt("ctrepldst", &["ADDRESS[/MASK]"], "the destination of the replies: the source behind SNAT").negates(),
        opt("ctorigsrcport", &["PORT[:PORT]"], "the source port, as the first packet had it").negates(),
        opt("ctorigdstport", &["PORT[:PORT]"], "the destination port, as the first packet had it: the published port").negates(),
        opt("ctreplsrcport", &["PORT[:PORT]"], "the source port of the replies: the container's port").negates(),
        opt("ctrepldstport", &["PORT[:PORT]"], "the destination port of the replies").negates(),
        opt("ctstatus", &["STATUS[,…]"], "the connection is EXPECTED, SEEN_REPLY, ASSURED, CONFIRMED or NONE of these").negates(),
        opt("ctexpire", &["SECONDS[:SECONDS]"], "the connection will be forgotten after so long without a packet").negates(),
        opt("ctdir", &["ORIGINAL|REPLY"], "the packet goes the way of the first one, or the other way"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
        Example::ok("-m conntrack --ctstate established,rel -j ACCEPT", "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
        Example::ok(
            "-m conntrack ! --ctstate DNAT,SNAT,UNTRACKED,NEW,INVALID -j DROP",
            "-m conntrack ! --ctstate INVALID,NEW,UNTRACKED,SNAT,DNAT -j DROP",
        ),
        Example::ok("-m conntrack ! --ctproto tcp -j DROP", "-m conntrack ! --ctproto 6 -j DROP"),
        Example::same("-p tcp -m conntrack --ctorigdst 203.0.113.7 --ctorigdstport 8080 --ctdir ORIGINAL -j DROP").ip(),
        Example::same("-p tcp -m conntrack --ctorigdst 2001:db8::7 --ctorigdstport 8080 --ctdir ORIGINAL -j DROP").ip6(),
        Example::ok(
            "-m conntrack ! --ctorigsrc 10.1.2.3/8 --ctrepldst 10.0.0.1/32 -j DROP",
            "-m conntrack ! --ctorigsrc 10.1.2.3/8 --ctrepldst 10.0.0.1 -j DROP",
        )
        .ip(),
        Example::ok(
            "-m conntrack --ctreplsrc 172.17.0.0/255.255.0.0 ! --ctorigdst 0.0.0.5/255.0.0.255 -j DROP",
            "-m conntrack ! --ctorigdst 0.0.0.5/255.0.0.255 --ctreplsrc 172.17.0.0/16 -j DROP",
        )
        .ip(),
        Example::ok(
            "-m conntrack ! --ctreplsrc fd00::/ffff:: --ctrepldst ::1/128 --ctorigsrc 2001:db8::5/ffff::ff -j DROP",
            "-m conntrack --ctorigsrc 2001:db8::5/ffff::ff ! --ctreplsrc fd00::/16 --ctrepldst ::1 -j DROP",
        )
        .ip6(),
        Example::ok(
            "-m conntrack --ctrepldstport 1024: ! --ctreplsrcport :80 --ctorigsrcport ssh:23 -j DROP",
            "-m conntrack --ctorigsrcport 22:23 ! --ctreplsrcport 0:80 --ctrepldstport 1024:65535 -j DROP",
        ),
        Example::ok("-m conntrack ! --ctstatus confirmed,EXPECTED -j DROP", "-m conntrack ! --ctstatus EXPECTED,CONFIRMED -j DROP"),
        Example::same("-m conntrack --ctstatus NONE -j DROP"),
        Example::ok("-m conntrack --ctexpire 0x3c: -j DROP", "-m conntrack --ctexpire 60:4294967295 -j DROP"),
        Example::ok("-m conntrack ! --ctexpire 5:5 -j DROP", "-m conntrack ! --ctexpire 5 -j DROP"),
        Example::ok("-m conntrack --ctdir reply -j DROP", "-m conntrack --ctdir REPLY -j DROP"),
        Example::fails("-m conntrack -j DROP", "needs an option, for example `--ctstate NEW`"),
        Example::fails("-m conntrack --ctstate NEW,OLD -j DROP", "`OLD` is not a state"),
        Example::fails("-m conntrack --ctproto 0 -j DROP", "no connection has this protocol"),
        Example::fails("-m conntrack ! --ctproto all -j DROP", "every connection has another protocol than this"),
        Example::fails("-m conntrack --ctorigdst example.org -j DROP", "`example.org` is not an IPv4 address").ip(),
        Example::fails("-m conntrack --ctorigdst 10/8 -j DROP", "`10` is not an IPv6 address").ip6(),
        Example::fails("-m conntrack --ctorigdst 10.0.0.0/33 -j DROP", "after the slash comes a mask, or a number from 0 to 32").ip(),
        Example::fails("-m conntrack --ctorigdstport 90:80 -j DROP", "the range runs backwards: 90 is more than 80"),
        Example::fails("-m conntrack --ctorigdstport 010 -j DROP", "a port is written here without a zero in front"),
        Example::fails("-m conntrack --ctexpire 9:5 -j DROP", "the range runs backwards: 9 is more than 5"),
        Example::fails("-m conntrack --ctexpire soon -j DROP", "this must be a number of seconds, or two with a colon between"),
        Example::fails("-m conntrack ! --ctdir REPLY -j DROP", "`--ctdir` can't be negated"),
        Example::fails("-m conntrack --ctdir BACK -j DROP", "a direction is ORIGINAL or REPLY"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let family = args.family();
        let mut tracking = Tracking::default();
        for given in args.by_ref() {
            let (negated, word) = (given.negated, &given.values[0]);
            let host = || Host::parse(word, family).map(|value| Some(Test { negated, value }));
            let ports = || parse_ports(&given).map(|value| Some(Test { negated, value }));
            match given.name() {
                "ctstate" => tracking.states = Some(Test { negated, value: words::parse(&given, STATES, "a state")? }),
                "ctproto" => tracking.protocol = Some(Test { negated, value: parse_protocol(&given)? }),
                "ctorigsrc" => tracking.hosts[0] = host()?,
                "ctorigdst" => tracking.hosts[1] = host()?,
                "ctreplsrc" => tracking.hosts[2] = host()?,
                "ctrepldst" => tracking.hosts[3] = host()?,
                "ctorigsrcport" => tracking.ports[0] = ports()?,
                "ctorigdstport" => tracking.ports[1] = ports()?,
                "ctreplsrcport" => tracking.ports[2] = ports()?,
                "ctrepldstport" => tracking.ports[3] = ports()?,
                "ctstatus" => tracking.statuses = Some(Test { negated, value: words::parse(&given, STATUSES, "a status")? }),
                "ctexpire" => tracking.expires = Some(Test { negated, value: parse_seconds(&given)? }),
                _ if word.text.eq_ignore_ascii_case("ORIGINAL") => tracking.reply = Some(false),
                _ if word.text.eq_ignore_ascii_case("REPLY") => tracking.reply = Some(true),
                _ => return Err(given.error("a direction is ORIGINAL or REPLY")),
            }
        }
        if tracking == Tracking::default() {
            return Err(args.error("needs an option, for example `--ctstate NEW`"));
        }
        Ok(Self { tracking: Box::new(tracking) })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(tracking::NAME, tracking::REVISION, &self.tracking.to_xt(0));
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match(tracking::NAME, tracking::REVISION)?;
        let tracking = Tracking::from_xt(info, 0, cursor.family())?;
        Some(Self { tracking: Box::new(tracking) })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tracking.print(f, "", "ctstate")
    }
}

fn parse_protocol(given: &Given<'_>) -> Result<Protocol, SyntaxError> {
    let protocol = Protocol::parse(given.text(0)).map_err(|error| given.error(error.to_string()))?;
    protocol.ok_or_else(|| match given.negated {
        true => given.error("every connection has another protocol than this"),
        false => given.error("no connection has this protocol"),
    })
}

/// Ports here are decimal whatever they begin with, unlike those of `-m tcp`.
fn parse_ports(given: &Given<'_>) -> Result<(u16, u16), SyntaxError> {
    let zero = |text: &str| text.len() > 1 && text.starts_with('0');
    if given.text(0).split(':').any(zero) {
        return Err(given.error("a port is written here without a zero in front"));
    }
    port_range(&given.values[0])
}

fn parse_seconds(given: &Given<'_>) -> Result<(u32, u32), SyntaxError> {
    let read = |text: &str| parse_number(text).and_then(|seconds| u32::try_from(seconds).ok());
    let range = match given.text(0).split_once(':') {
        Some((low, high)) => (
            if low.is_empty() { Some(0) } else { read(low) },
            if high.is_empty() { Some(u32::MAX) } else { read(high) },
        ),
        None => (read(given.text(0)), read(given.text(0))),
    };
    let (Some(low), Some(high)) = range else {
        return Err(given.error("this must be a number of seconds, or two with a colon between"));
    };
    ordered(&given.values[0], low, high, ':')
}

impl Conntrack {
    /// Does it match packets of known connections alone: RELATED, ESTABLISHED?
    pub fn is_known_alone(&self) -> bool {
        self.tracking.is_known_alone()
    }

    /// Does it match every first packet of a connection to that port, or none? `None` if it depends.
    pub fn is_for_new(&self, protocol: Protocol, port: u16) -> Option<bool> {
        self.tracking.is_for_new(protocol, port)
    }
}

impl fmt::Display for Conntrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tracking.print(f, "--", "ctstate")
    }
}
