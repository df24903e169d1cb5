use std::fmt;

use super::{groups, marks::Mark};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Test,
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-m devgroup`: the groups of the interfaces that the packet passes (`ip link set … group`).
/// Kernel: `net/netfilter/xt_devgroup.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Devgroup {
    /// Of the interface that the packet came in by. One of the two is there.
    source: Option<Test<Mark>>,
    /// Of the interface that it goes out by.
    destination: Option<Test<Mark>>,
}

/// The groups' names.
const NAMES: &str = "/etc/iproute2/group";
const MATCH_SRC: u32 = 1;
const INVERT_SRC: u32 = 2;
const MATCH_DST: u32 = 4;
const INVERT_DST: u32 = 8;

impl Extension for Devgroup {
    const NAME: &'static str = "devgroup";
    const SUMMARY: &'static str = "the groups of the interfaces that the packet passes";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("src-group", &["GROUP[/MASK]"], "the group of the interface that it came in by, or some of its bits").negates(),
        opt("dst-group", &["GROUP[/MASK]"], "the group of the interface that it goes out by, or some of its bits").negates(),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-m devgroup --src-group 10 -j DROP", "-m devgroup --src-group 0xa -j DROP"),
        Example::ok("-m devgroup ! --dst-group 0x10/0xF0 -j DROP", "-m devgroup ! --dst-group 0x10/0xf0 -j DROP"),
        Example::ok(
            "-m devgroup --dst-group 1 ! --src-group 2 -j DROP",
            "-m devgroup ! --src-group 0x2 --dst-group 0x1 -j DROP",
        ),
        Example::same("-m devgroup --src-group 0x0/0x0 -j DROP"),
        Example::fails("-m devgroup -j DROP", "needs `--src-group` or `--dst-group`"),
        Example::fails("-m devgroup --src-group no-such-group -j DROP", "`no-such-group` is neither a number nor a name"),
        Example::fails("-m devgroup --src-group 1/x -j DROP", "this must be a number, or a number and a mask: 0x10, 0x10/0xf0"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let mut devgroup = Self::default();
        for given in args.by_ref() {
            let test = Some(groups::parse(&given, NAMES)?);
            match given.name() {
                "src-group" => devgroup.source = test,
                _ => devgroup.destination = test,
            }
        }
        if devgroup == Self::default() {
            return Err(args.error("needs `--src-group` or `--dst-group`"));
        }
        Ok(devgroup)
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<24>(Self::NAME, 0)?;
        let &[a, b, c, d, ..] = info;
        let flags = u32::from_ne_bytes([a, b, c, d]);
        let test = |at: usize, there: u32, invert: u32| {
            let &[a, b, c, d, e, f, g, h] = info[at..].first_chunk()?;
            let value = Mark { value: u32::from_ne_bytes([a, b, c, d]), mask: u32::from_ne_bytes([e, f, g, h]) };
            (flags & there != 0).then_some(Test { negated: flags & invert != 0, value })
        };
        let devgroup = Self { source: test(4, MATCH_SRC, INVERT_SRC), destination: test(12, MATCH_DST, INVERT_DST) };
        (devgroup != Self::default() && devgroup.to_xt() == *info).then_some(devgroup)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, "")
    }
}

impl Devgroup {
    fn to_xt(self) -> [u8; 24] {
        // struct xt_devgroup_info: flags, src_group, src_mask, dst_group, dst_mask
        let mut info = [0; 24];
        let mut flags = 0;
        for (at, test, there, invert) in [(4, self.source, MATCH_SRC, INVERT_SRC), (12, self.destination, MATCH_DST, INVERT_DST)] {
            if let Some(Test { negated, value }) = test {
                flags |= there | if negated { invert } else { 0 };
                info[at..at + 4].copy_from_slice(&value.value.to_ne_bytes());
                info[at + 4..at + 8].copy_from_slice(&value.mask.to_ne_bytes());
            }
        }
        info[..4].copy_from_slice(&u32::to_ne_bytes(flags));
        info
    }

    fn print(&self, f: &mut fmt::Formatter<'_>, dashes: &str) -> fmt::Result {
        let mut blank = "";
        for (test, name) in [(&self.source, "src-group"), (&self.destination, "dst-group")] {
            if let Some(test) = test {
                write!(f, "{blank}{}{dashes}{name} {}", test.bang(), test.value)?;
                blank = " ";
            }
        }
        Ok(())
    }
}

impl fmt::Display for Devgroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, "--")
    }
}
