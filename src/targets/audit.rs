use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-j AUDIT`: tells the audit daemon of the packet; the next rule is then tried. Kernel:
/// `net/netfilter/xt_AUDIT.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audit {
    /// Place in [`TYPES`].
    becomes: u8,
}

/// What the record says becomes of the packet, by number (`XT_AUDIT_TYPE_…`). The kernel itself does
/// nothing with it.
const TYPES: [&str; 3] = ["accept", "drop", "reject"];

impl Extension for Audit {
    const NAME: &'static str = "AUDIT";
    const SUMMARY: &'static str = "records the packet for auditd and goes on to the next rule";
    const OPTIONS: &'static [OptionSpec] = &[opt("type", &["TYPE"], "what the record says: accept, drop or reject; it decides nothing")];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-j AUDIT --type accept"),
        Example::ok("-j AUDIT --type DROP", "-j AUDIT --type drop"),
        Example::same("-j AUDIT --type reject"),
        Example::fails("-j AUDIT", "needs `--type TYPE`"),
        Example::fails("-j AUDIT --type log", "`log` is none of accept, drop, reject"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let given = args.next().ok_or_else(|| args.error("needs `--type TYPE`"))?;
        let place = TYPES.iter().position(|name| name.eq_ignore_ascii_case(given.text(0)));
        let place = place.ok_or_else(|| given.error(format!("`{}` is none of {}", given.text(0), TYPES.join(", "))))?;
        Ok(Self { becomes: place as u8 })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // struct xt_audit_info: u8 type
        out.xt_target(Self::NAME, 0, &[self.becomes, 0, 0, 0, 0, 0, 0, 0]);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let &[becomes @ 0..=2, 0, 0, 0, 0, 0, 0, 0] = cursor.take_target(Self::NAME, 0)? else { return None };
        Some(Self { becomes })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AUDIT {}", TYPES[usize::from(self.becomes)])
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--type {}", TYPES[usize::from(self.becomes)])
    }
}
