//! Target extensions, one file each, as the matches; and the verdicts, which need no file.
//!
//! To add one: its file, and its line in the list below.

use std::fmt;

mod bits;
mod elsewhere;
mod prefix;

pub use elsewhere::{ELSEWHERE, Elsewhere, Place, elsewhere};

use crate::{
    expr::{Expr, Immediate, Item, Verdict},
    extension::{Cursor, Extension, Linearizer, Listed, Refused},
    model::ChainName,
    syntax::Args,
};

macro_rules! target_extensions {
    ($($module:ident::$name:ident,)*) => {
        $(mod $module; pub use $module::$name;)*

        /// What a rule does with the packet.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Target {
            /// `-j ACCEPT`
            Accept,
            /// `-j DROP`
            Drop,
            /// `-j RETURN`
            Return,
            /// `-j CHAIN`
            Jump(ChainName),
            /// `-g CHAIN`
            Goto(ChainName),
            $(#[doc = concat!("`-j ", stringify!($module), "`, in capitals")] $name($name),)*
        }

        /// All target extensions, by name.
        pub static ALL: &[Listed<Target>] = &[
            $(Listed::of::<$name>(|args: &mut Args<'_>| $name::parse(args).map(Target::$name)),)*
        ];

        impl Target {
            /// The word after `-j` or `-g`.
            pub fn name(&self) -> &str {
                match self {
                    Self::Accept => "ACCEPT",
                    Self::Drop => "DROP",
                    Self::Return => "RETURN",
                    Self::Jump(chain) | Self::Goto(chain) => chain.as_str(),
                    $(Self::$name(_) => $name::NAME,)*
                }
            }

            /// The bits of the packet's mark that may be others afterwards. What a chain of somebody else does
            /// is not known.
            pub fn marks(&self) -> u32 {
                match self {
                    Self::Mark(mark) => mark.bits(),
                    Self::Connmark(_) | Self::Hmark(_) | Self::Jump(_) | Self::Goto(_) => u32::MAX,
                    _ => 0,
                }
            }

            /// Writes its expressions.
            pub fn linearize(&self, out: &mut Linearizer<'_, '_>) {
                let verdict = match self {
                    Self::Accept => Verdict::Accept,
                    Self::Drop => Verdict::Drop,
                    Self::Return => Verdict::Return,
                    Self::Jump(chain) => Verdict::Jump(chain.as_str()),
                    Self::Goto(chain) => Verdict::Goto(chain.as_str()),
                    $(Self::$name(one) => return one.linearize(out),)*
                };
                out.push(Expr::Immediate(Immediate::Verdict(verdict)));
            }

            /// Reads the target that begins here, if one does.
            pub fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
                if let Some(Item::Verdict(verdict)) = cursor.peek() {
                    cursor.advance();
                    return Self::from_verdict(verdict);
                }
                $(if $name::FAMILIES.contains(&cursor.family()) {
                    let mut own = cursor.clone();
                    if let Some(one) = $name::delinearize(&mut own) {
                        *cursor = own;
                        return Some(Self::$name(one));
                    }
                })*
                None
            }

            /// The names of all target extensions that claim what begins here: never more than one.
            pub fn claims(cursor: &Cursor<'_, '_>) -> Vec<&'static str> {
                let mut names = Vec::new();
                $(if $name::delinearize(&mut cursor.clone()).is_some() { names.push($name::NAME); })*
                names
            }

            /// [`Extension::refused`]
            pub fn refused(&self, errno: i32) -> Option<Refused> {
                match self {
                    $(Self::$name(one) => one.refused(errno),)*
                    _ => None,
                }
            }

            /// [`Extension::HOOKS`]
            pub fn hooks(&self) -> Option<&'static str> {
                match self {
                    $(Self::$name(_) => $name::HOOKS,)*
                    _ => None,
                }
            }

            /// What `iptables -n -L` prints for it behind the matches.
            ///
            /// # Errors
            /// Those of the formatter.
            pub fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name(one) => one.list(f),)*
                    _ => { let _ = f; Ok(()) }
                }
            }
        }

        impl fmt::Display for Target {
            /// The options in the save form, without `-j NAME`.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name(one) => one.fmt(f),)*
                    _ => { let _ = f; Ok(()) }
                }
            }
        }
    };
}

target_extensions! {
    audit::Audit,
    classify::Classify,
    connmark::Connmark,
    hmark::Hmark,
    idletimer::Idletimer,
    led::Led,
    log::Log,
    mark::Mark,
    nflog::Nflog,
    nfqueue::Nfqueue,
    rateest::Rateest,
    reject::Reject,
    set::Set,
    synproxy::Synproxy,
    tcpmss::Tcpmss,
    tee::Tee,
    trace::Trace,
}

/// Is it a target of iptables, in whatever table or family? Then it is never a chain to jump to.
pub fn is_target(name: &str) -> bool {
    elsewhere(name).is_some() || ALL.iter().any(|one| one.name == name)
}

impl Target {
    fn from_verdict(verdict: Verdict<'_>) -> Option<Self> {
        Some(match verdict {
            Verdict::Accept => Self::Accept,
            Verdict::Drop => Self::Drop,
            Verdict::Return => Self::Return,
            // What `-j` would take for something else is no rule of iptables.
            Verdict::Jump(chain) if is_target(chain) => return None,
            Verdict::Jump(chain) => Self::Jump(ChainName::for_iptables(chain).ok()?),
            Verdict::Goto(chain) => Self::Goto(ChainName::for_iptables(chain).ok()?),
            Verdict::Continue => return None,
        })
    }
}
