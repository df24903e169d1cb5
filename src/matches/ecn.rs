use std::fmt;

use super::ports::space;
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Protocol, Test},
    syntax::{Args, Example, OptionSpec, SyntaxError, number, opt},
};

/// `-m ecn`: the signs of congestion (ECN) in the network header, and in TCP's. Kernel:
/// `net/netfilter/xt_ecn.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ecn {
    /// TCP's ECE flag. One of the three is tested.
    ece: Option<Test<()>>,
    /// TCP's CWR flag.
    cwr: Option<Test<()>>,
    /// The two bits of the network header.
    ip: Option<Test<u8>>,
}

const MATCH_IP: u8 = 1;
const MATCH_ECE: u8 = 0x10;
const MATCH_CWR: u8 = 0x20;

impl Extension for Ecn {
    const NAME: &'static str = "ecn";
    const SUMMARY: &'static str = "the signs of congestion (ECN) in the packet's headers";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("ecn-tcp-cwr", &[], "TCP's flag CWR is set").negates(),
        opt("ecn-tcp-ece", &[], "TCP's flag ECE is set").negates(),
        opt("ecn-ip-ect", &["0..3"], "the two bits of the network header: 0 not capable, 1 and 2 capable, 3 congestion").negates(),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-p tcp -m ecn --ecn-tcp-cwr -j DROP"),
        Example::ok(
            "-p tcp -m ecn ! --ecn-tcp-cwr --ecn-ip-ect 2 --ecn-tcp-ece -j DROP",
            "-p tcp -m ecn --ecn-tcp-ece ! --ecn-tcp-cwr --ecn-ip-ect 2 -j DROP",
        ),
        Example::same("-m ecn ! --ecn-ip-ect 0 -j DROP"),
        Example::same("-p tcp -m ecn ! --ecn-tcp-ece ! --ecn-ip-ect 3 -j DROP"),
        Example::fails("-p tcp -m ecn -j DROP", "needs `--ecn-tcp-cwr`, `--ecn-tcp-ece` or `--ecn-ip-ect NUMBER`"),
        Example::fails("-m ecn --ecn-tcp-ece -j DROP", "needs `-p tcp`"),
        Example::fails("-m ecn --ecn-ip-ect 4 -j DROP", "this must be a number from 0 to 3"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let mut ecn = Self::default();
        for given in args.by_ref() {
            let negated = given.negated;
            match given.name() {
                "ecn-tcp-cwr" => ecn.cwr = Some(Test { negated, value: () }),
                "ecn-tcp-ece" => ecn.ece = Some(Test { negated, value: () }),
                _ => ecn.ip = Some(Test { negated, value: number(&given.values[0], 3)? as u8 }),
            }
        }
        if ecn == Self::default() {
            return Err(args.error("needs `--ecn-tcp-cwr`, `--ecn-tcp-ece` or `--ecn-ip-ect NUMBER`"));
        }
        if ecn.needs_tcp() {
            args.needs_protocol(&[Protocol::TCP])?;
        }
        Ok(ecn)
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<8>(Self::NAME, 0)?;
        let &[operation, invert, value, ..] = info;
        let flag = |bit| (operation & bit != 0).then_some(Test { negated: invert & bit != 0, value: () });
        let ip = flag(MATCH_IP).filter(|_| value <= 3).map(|test| Test { negated: test.negated, value });
        let ecn = Self { ece: flag(MATCH_ECE), cwr: flag(MATCH_CWR), ip };
        let allowed = ecn != Self::default() && (!ecn.needs_tcp() || cursor.is_protocol(Protocol::TCP));
        (allowed && ecn.to_xt() == *info).then_some(ecn)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inverted = |negated: bool| if negated { "!" } else { "" };
        f.write_str("ECN match")?;
        for (test, name) in self.flags() {
            test.map_or(Ok(()), |test| write!(f, " {}{name}", inverted(test.negated)))?;
        }
        self.ip.map_or(Ok(()), |test| write!(f, " {}ECT={}", inverted(test.negated), test.value))
    }
}

impl Ecn {
    fn needs_tcp(&self) -> bool {
        self.ece.is_some() || self.cwr.is_some()
    }

    fn flags(&self) -> [(Option<Test<()>>, &'static str); 2] {
        [(self.ece, "ECE"), (self.cwr, "CWR")]
    }

    fn to_xt(self) -> [u8; 8] {
        // struct xt_ecn_info: operation, invert, ip_ect, proto.tcp.ect (unused)
        let ip = self.ip.map(|test| test.negated);
        let negations = [(ip, MATCH_IP), (self.ece.map(|test| test.negated), MATCH_ECE), (self.cwr.map(|test| test.negated), MATCH_CWR)];
        let (mut operation, mut invert) = (0, 0);
        for (negated, bit) in negations {
            operation |= if negated.is_some() { bit } else { 0 };
            invert |= if negated == Some(true) { bit } else { 0 };
        }
        [operation, invert, self.ip.map_or(0, |test| test.value), 0, 0, 0, 0, 0]
    }
}

impl fmt::Display for Ecn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (test, name) in self.flags() {
            if let Some(test) = test {
                space(f, &mut first)?;
                write!(f, "{}--ecn-tcp-{}", test.bang(), name.to_ascii_lowercase())?;
            }
        }
        if let Some(test) = &self.ip {
            space(f, &mut first)?;
            write!(f, "{}--ecn-ip-ect {}", test.bang(), test.value)?;
        }
        Ok(())
    }
}
