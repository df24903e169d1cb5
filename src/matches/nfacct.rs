use std::fmt;

use crate::{
    extension::{self, Cursor, Extension, Linearizer, Refused},
    syntax::{Args, Example, OptionSpec, SyntaxError, opt, quote},
};

/// `-m nfacct`: counts the packet in an accounting object, and matches always; if the object has a
/// quota, only when that is used up. Kernel: `net/netfilter/xt_nfacct.c`.
///
/// The object is made before the rule (`nfacct add NAME`), and stays when the rule goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nfacct {
    /// One to [`NAME_MAX`] bytes, no line end.
    name: String,
}

const LEN: usize = 40;
/// `NFACCT_NAME_MAX` less the NUL.
const NAME_MAX: usize = 31;

impl Extension for Nfacct {
    const NAME: &'static str = "nfacct";
    const SUMMARY: &'static str = "counts the packet in an accounting object";
    const OPTIONS: &'static [OptionSpec] = &[opt("nfacct-name", &["NAME"], "the object, made by `nfacct add NAME`")];
    const EXAMPLES: &'static [Example] = &[
        // Two blanks, as iptables prints it.
        Example::ok("-m nfacct --nfacct-name web -j DROP", "-m nfacct --nfacct-name  web -j DROP"),
        Example::ok("-m nfacct --nfacct-name \"all of it\" -j DROP", "-m nfacct --nfacct-name  \"all of it\" -j DROP"),
        Example::fails("-m nfacct -j DROP", "needs `--nfacct-name`"),
        Example::fails("-m nfacct --nfacct-name '' -j DROP", "an object's name has 1 to 31 bytes, this has 0"),
        Example::fails("-m nfacct --nfacct-name a-name-of-thirty-two-letters.... -j DROP", "an object's name has 1 to 31 bytes, this has 32"),
        Example::fails("-m nfacct --nfacct-name 'a\nb' -j DROP", "an object's name has no line end here"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let given = args.next().ok_or_else(|| args.error("needs `--nfacct-name`").hint("`nfacct list` shows those there are"))?;
        match given.text(0) {
            name if !(1..=NAME_MAX).contains(&name.len()) => {
                Err(given.error(format!("an object's name has 1 to {NAME_MAX} bytes, this has {}", name.len())))
            }
            name if name.contains('\n') => Err(given.error("an object's name has no line end here")),
            name => Ok(Self { name: name.to_owned() }),
        }
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 1, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<LEN>(Self::NAME, 1)?;
        let name = extension::name(info).filter(|name| (1..=NAME_MAX).contains(&name.len()) && !name.contains('\n'))?;
        Some(Self { name: name.to_owned() }).filter(|own| own.to_xt() == *info)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nfacct-name  {}", quote(&self.name))
    }

    fn refused(&self, errno: i32) -> Option<Refused> {
        (errno == libc::ENOENT).then(|| Refused {
            reason: format!("there is no accounting object `{}`, or this kernel has no match `nfacct`", self.name),
            hint: format!("make it first: `nfacct add {}`; the match is CONFIG_NETFILTER_XT_MATCH_NFACCT", quote(&self.name)),
        })
    }
}

impl Nfacct {
    fn to_xt(&self) -> [u8; LEN] {
        // struct xt_nfacct_match_info_v1: char name[32], pointer
        let mut info = [0; LEN];
        info[..self.name.len()].copy_from_slice(self.name.as_bytes());
        info
    }
}

impl fmt::Display for Nfacct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--nfacct-name  {}", quote(&self.name))
    }
}
