use std::fmt;

use super::{groups, marks};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Family, Test},
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-m realm`: the realm of the route that the packet takes (`ip route … realm`). Kernel:
/// `net/netfilter/xt_realm.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Realm {
    test: Test<marks::Mark>,
}

/// The realms' names.
const NAMES: &str = "/etc/iproute2/rt_realms";

impl Extension for Realm {
    const NAME: &'static str = "realm";
    const FAMILIES: &'static [Family] = &[Family::Ip];
    const SUMMARY: &'static str = "the realm of the packet's route";
    const OPTIONS: &'static [OptionSpec] = &[opt("realm", &["REALM[/MASK]"], "the realm, or some of its bits").negates()];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-m realm --realm 10 -j DROP", "-m realm --realm 0xa -j DROP"),
        Example::same("-m realm ! --realm 0x1/0x2a -j DROP"),
        Example::fails("-m realm -j DROP", "needs `--realm REALM`"),
        Example::fails("-m realm --realm no-such-realm -j DROP", "`no-such-realm` is neither a number nor a name"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let given = args.next().ok_or_else(|| args.error("needs `--realm REALM`"))?;
        Ok(Self { test: groups::parse(&given, NAMES)? })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // struct xt_realm_info: id, mask, invert
        out.xt_match(Self::NAME, 0, &marks::to_xt(self.test));
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        Some(Self { test: marks::from_xt(cursor.take_match(Self::NAME, 0)?)? })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}realm {}", self.test.bang(), self.test.value)
    }
}

impl fmt::Display for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--realm {}", self.test.bang(), self.test.value)
    }
}
