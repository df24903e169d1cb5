use std::fmt;

use crate::{
    extension::{self, Cursor, Extension, Linearizer},
    syntax::{Args, Example, OptionSpec, SyntaxError, opt, quote},
};

/// `-m helper`: which connection tracking helper expected the packet's connection: `ftp`, `sip`, ….
/// Kernel: `net/netfilter/xt_helper.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helper {
    negated: bool,
    /// At most 29 bytes, no NUL. Empty: any helper.
    name: String,
}

/// Of `name` in the struct, with the NUL.
const LEN: usize = 30;

impl Extension for Helper {
    const NAME: &'static str = "helper";
    const SUMMARY: &'static str = "which helper of connection tracking expected the connection";
    const OPTIONS: &'static [OptionSpec] =
        &[opt("helper", &["NAME"], "the helper: ftp, sip, …, with its port where that is another (ftp-2121); \"\" is any").negates()];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m helper --helper ftp -j ACCEPT"),
        Example::same("-m helper ! --helper ftp-2121 -j DROP"),
        Example::same(r#"-m helper --helper "" -j RETURN"#),
        Example::same(r#"-p tcp -m helper --helper "Q.931" -j ACCEPT"#),
        Example::fails("-m helper -j DROP", "needs `--helper NAME`"),
        Example::fails("-m helper --helper abcdefghijklmnopqrstuvwxyz1234 -j DROP", "a helper's name has 29 bytes at most, this has 30"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let given = args.next().ok_or_else(|| args.error("needs `--helper NAME`"))?;
        let name = given.text(0);
        if name.len() >= LEN {
            return Err(given.error(format!("a helper's name has {} bytes at most, this has {}", LEN - 1, name.len())));
        }
        if name.contains('\0') {
            return Err(given.error("a name can't hold a NUL"));
        }
        Ok(Self { negated: given.negated, name: name.to_owned() })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<40>(Self::NAME, 0)?;
        let (&[a, b, c, d], rest) = info.split_first_chunk()?;
        let name = extension::name(&rest[..LEN])?.to_owned();
        let helper = Self { negated: u32::from_ne_bytes([a, b, c, d]) == 1, name };
        (helper.name.len() < LEN && helper.to_xt() == *info).then_some(helper)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "helper match {}\"{}\"", if self.negated { "! " } else { "" }, self.name)
    }
}

impl Helper {
    fn to_xt(&self) -> [u8; 40] {
        // struct xt_helper_info: int invert, char name[30]
        let mut info = [0; 40];
        info[..4].copy_from_slice(&u32::from(self.negated).to_ne_bytes());
        info[4..4 + self.name.len()].copy_from_slice(self.name.as_bytes());
        info
    }
}

impl fmt::Display for Helper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--helper {}", if self.negated { "! " } else { "" }, quote(&self.name))
    }
}
