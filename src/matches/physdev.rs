use std::fmt;

use crate::{
    extension::{self, Cursor, Extension, Linearizer},
    model::{Interface, Test},
    syntax::{Args, Example, OptionSpec, SyntaxError, opt, readable},
};

/// `-m physdev`: the ports of a bridge that the packet passes; only with `br_netfilter`. Kernel:
/// `net/netfilter/xt_physdev.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Physdev {
    is_in: Option<Test<()>>,
    /// Also `+`, which is a test here: the kernel does not treat it as none.
    input: Option<Test<Interface>>,
    is_out: Option<Test<()>>,
    output: Option<Test<Interface>>,
    is_bridged: Option<Test<()>>,
}

const LEN: usize = 72;
/// `IFNAMSIZ`
const NAME_LEN: usize = 16;
const OP_IN: u8 = 1;
const OP_OUT: u8 = 2;
const OP_BRIDGED: u8 = 4;
const OP_ISIN: u8 = 8;
const OP_ISOUT: u8 = 16;

impl Extension for Physdev {
    const NAME: &'static str = "physdev";
    const SUMMARY: &'static str = "the ports of a bridge that the packet passes; only with br_netfilter";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("physdev-in", &["INTERFACE[+]"], "came in by this port of a bridge").negates(),
        opt("physdev-out", &["INTERFACE[+]"], "goes out by this port of a bridge").negates(),
        opt("physdev-is-in", &[], "came in by a port of a bridge").negates(),
        opt("physdev-is-out", &[], "goes out by a port of a bridge").negates(),
        opt("physdev-is-bridged", &[], "is bridged, not routed").negates(),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m physdev --physdev-in veth0 -j DROP"),
        Example::same("-m physdev ! --physdev-in + -j DROP"),
        Example::same("-m physdev --physdev-out fifteen-letters -j DROP"),
        Example::ok(
            "-m physdev --physdev-is-bridged --physdev-out veth+ --physdev-is-out --physdev-is-in -j DROP",
            "-m physdev --physdev-is-in --physdev-is-out --physdev-out veth+ --physdev-is-bridged -j DROP",
        ),
        Example::ok(
            "-m physdev ! --physdev-in a ! --physdev-out b ! --physdev-is-in ! --physdev-is-out ! --physdev-is-bridged -j DROP",
            "-m physdev ! --physdev-is-in ! --physdev-in a ! --physdev-is-out ! --physdev-out b ! --physdev-is-bridged -j DROP",
        ),
        Example::fails("-m physdev -j DROP", "needs an option, for example `--physdev-is-bridged`"),
        Example::fails("-m physdev --physdev-in sixteen-letters+ -j DROP", "an interface's name has 15 characters at most"),
        Example::fails("-m physdev --physdev-in '' -j DROP", "an interface's name can't be empty"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let mut physdev = Self::default();
        for given in args.by_ref() {
            let negated = given.negated;
            let port = || match Interface::new(given.text(0)) {
                Ok(value) => Ok(Some(Test { negated, value })),
                Err(error) => Err(given.error(error.to_string())),
            };
            let fact = Some(Test { negated, value: () });
            match given.name() {
                "physdev-in" => physdev.input = port()?,
                "physdev-out" => physdev.output = port()?,
                "physdev-is-in" => physdev.is_in = fact,
                "physdev-is-out" => physdev.is_out = fact,
                _ => physdev.is_bridged = fact,
            }
        }
        if physdev == Self::default() {
            return Err(args.error("needs an option, for example `--physdev-is-bridged`"));
        }
        Ok(physdev)
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<LEN>(Self::NAME, 0)?;
        let (inverted, matched) = (info[64], info[65]);
        let fact = |bit: u8| (matched & bit != 0).then_some(Test { negated: inverted & bit != 0, value: () });
        let port = |bit, at: usize| {
            let Test { negated, .. } = fact(bit)?;
            let value = Interface::new(extension::name(&info[at..at + NAME_LEN])?).ok()?;
            Some(Test { negated, value })
        };
        let physdev = Self {
            is_in: fact(OP_ISIN),
            input: port(OP_IN, 0),
            is_out: fact(OP_ISOUT),
            output: port(OP_OUT, 32),
            is_bridged: fact(OP_BRIDGED),
        };
        (physdev != Self::default() && physdev.to_xt() == *info).then_some(physdev)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PHYSDEV match {self}")
    }
}

impl Physdev {
    fn to_xt(self) -> [u8; LEN] {
        // struct xt_physdev_info: physindev[16], in_mask[16], physoutdev[16], out_mask[16], invert, bitmask
        let mut info = [0; LEN];
        for (test, at) in [(self.input, 0), (self.output, 32)] {
            if let Some(Test { value, .. }) = test {
                let name = value.as_bytes();
                info[at..at + name.len()].copy_from_slice(name);
                if value.is_prefix() {
                    info[at + name.len()] = b'+';
                }
                let compared = name.len() + usize::from(!value.is_prefix());
                info[at + NAME_LEN..][..compared].fill(0xff);
            }
        }
        let negated = |test: Option<Test<Interface>>| test.map(|test| test.negated);
        let fact = |test: Option<Test<()>>| test.map(|test| test.negated);
        for (negated, bit) in [
            (negated(self.input), OP_IN),
            (negated(self.output), OP_OUT),
            (fact(self.is_bridged), OP_BRIDGED),
            (fact(self.is_in), OP_ISIN),
            (fact(self.is_out), OP_ISOUT),
        ] {
            info[64] |= if negated == Some(true) { bit } else { 0 };
            info[65] |= if negated.is_some() { bit } else { 0 };
        }
        info
    }
}

impl fmt::Display for Physdev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blank = "";
        let mut option = |bang: &str, name: &str| write!(f, "{}{bang}--physdev-{name}", std::mem::replace(&mut blank, " "));
        if let Some(test) = &self.is_in {
            option(test.bang(), "is-in")?;
        }
        if let Some(test) = &self.input {
            option(test.bang(), &format!("in {}", readable(&test.value.to_string())))?;
        }
        if let Some(test) = &self.is_out {
            option(test.bang(), "is-out")?;
        }
        if let Some(test) = &self.output {
            option(test.bang(), &format!("out {}", readable(&test.value.to_string())))?;
        }
        if let Some(test) = &self.is_bridged {
            option(test.bang(), "is-bridged")?;
        }
        Ok(())
    }
}
