//! What an audit finds.

use std::fmt;

use super::Versions;
use crate::model::{ChainName, Family, Handle};

/// Something that iptables does not understand as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The table `filter` of which family.
    pub family: Family,
    /// In which chain; `None` for what belongs to the table.
    pub chain: Option<ChainName>,
    /// Which rule of the chain, from 1; `None` for the chain itself.
    pub number: Option<usize>,
    /// The handle of the rule or chain; 0 for others.
    pub handle: Handle,
    /// What it is, in nft's words.
    pub what: String,
    /// Who seems to have made it, and what tells so.
    pub owner: String,
    /// What goes wrong; at least one.
    pub harms: Vec<Wrong>,
    /// What to do about it.
    pub cure: String,
}

/// A harm, and the iptables versions that do it.
#[derive(Debug, Clone, PartialEq)]
pub struct Wrong {
    /// What goes wrong.
    pub harm: Harm,
    /// With which of the versions that the host may have.
    pub versions: Versions,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Harm {
    /// iptables prints another rule. What is saved and restored is that one.
    PrintedWrong {
        /// The rule that it prints, where it can be told.
        printed: Option<String>,
        /// In what it is another.
        lost: Vec<Lost>,
    },
    /// Listing the chain or the table fails, and saving saves nothing.
    Refused {
        /// The expression that iptables has no word for.
        expr: String,
    },
    /// Listing the chain or the table ends at this rule.
    Fails {
        /// iptables' error.
        error: &'static str,
    },
    /// Its bytes are no expressions that dockgate knows: what iptables makes of it can't be told.
    Unreadable,
    /// iptables does not list it, saves nothing of it, and takes it away when a saved text is restored.
    LostOnRestore,
    /// What iptables saves it does not restore.
    NotRestored,
    /// A jump to this chain is printed as the verdict of that name.
    TakenForVerdict,
    /// iptables (only up to 1.8.7) crashes when it lists or saves the table.
    Crashes,
    /// The table sleeps: no packet is asked, and iptables does not say so.
    Asleep,
    /// Docker does not put its jump to `DOCKER-USER` first, or anywhere, when it next starts: packets
    /// are let in that the chain was never asked about.
    JumpLost,
    /// Nothing leads to `DOCKER-USER`: its rules are asked about no packet.
    NotReached,
    /// It can accept packets before `DOCKER-USER` is asked, which would stop them.
    AcceptsBefore {
        /// The number of the jump in FORWARD.
        jump: usize,
    },
    /// Docker does not start.
    NoStart,
    /// Docker does not find its jump to `DOCKER-USER` behind this, and puts a second one.
    JumpAgain,
}

impl Harm {
    /// The word for it in JSON; these stay.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PrintedWrong { .. } => "printed-wrong",
            Self::Refused { .. } => "refused",
            Self::Fails { .. } => "fails",
            Self::Unreadable => "unreadable",
            Self::LostOnRestore => "lost-on-restore",
            Self::NotRestored => "not-restored",
            Self::TakenForVerdict => "taken-for-verdict",
            Self::Crashes => "crashes",
            Self::Asleep => "asleep",
            Self::JumpLost => "jump-lost",
            Self::NotReached => "not-reached",
            Self::AcceptsBefore { .. } => "accepts-before",
            Self::NoStart => "no-start",
            Self::JumpAgain => "jump-again",
        }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PrintedWrong { printed, lost } => {
                match printed {
                    Some(printed) => write!(f, "iptables prints `{printed}`, and so it is after save and restore")?,
                    None => f.write_str("iptables prints another rule, and so it is after save and restore")?,
                }
                lost.iter().enumerate().try_for_each(|(index, lost)| write!(f, "{} {lost}", if index == 0 { ":" } else { ";" }))
            }
            Self::Refused { expr } => write!(
                f,
                "iptables refuses to list the chain and the table (`{expr}` is incompatible); iptables-save saves nothing of it, with exit code 0"
            ),
            Self::Fails { error } => {
                write!(f, "iptables can't list the chain or the table, and iptables-save ends here: \"{error}\", exit code 3")
            }
            Self::Unreadable => f.write_str("dockgate can't read it, and can't tell what iptables makes of it"),
            Self::LostOnRestore => f.write_str("iptables neither lists nor saves it; iptables-restore takes it away with the table"),
            Self::NotRestored => f.write_str("iptables-restore refuses what iptables-save saves: the chain's name is none for it"),
            Self::TakenForVerdict => f.write_str("iptables prints a jump to it as the verdict of that name"),
            Self::Crashes => f.write_str("iptables crashes when it lists or saves the table"),
            Self::Asleep => f.write_str("no packet is asked; iptables lists the rules as if they worked"),
            Self::JumpLost => f.write_str("at its next start Docker gives up before it puts the jump to DOCKER-USER first: packets are let in without asking the chain"),
            Self::NotReached => f.write_str("no packet comes to DOCKER-USER: its rules stop nothing, and those of a policy neither"),
            Self::AcceptsBefore { jump } => {
                write!(f, "it can accept packets that DOCKER-USER would stop: the jump there comes later, as rule {jump}")
            }
            Self::NoStart => f.write_str("at its next start Docker fails: iptables can't make the FORWARD that it needs"),
            Self::JumpAgain => f.write_str("at its next start Docker does not find its jump to DOCKER-USER behind this rule, and puts a second one"),
        }
    }
}

/// In what a rule is another one after iptables has read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// `ip saddr @bad`
    #[error("the look-up in a set is left out")]
    Lookup,
    /// `tcp dport vmap @ports`, or another map
    #[error("the look-up in a map is left out")]
    Map,
    /// `tcp window 5`
    #[error("a test is left out")]
    Test,
    /// `ip saddr > 10.0.0.5`
    #[error("a comparison by size is taken for one address, one port or one number")]
    Comparison,
    /// `icmp type != echo-request`
    #[error("`!=` is taken for equal")]
    Negation,
    /// `ip saddr != 10.0.0.1 ip saddr != 10.0.0.2`
    #[error("of two tests of one field only the last is kept")]
    Twice,
    /// `meta mark & 0x0f ^ 0x01 == 5`
    #[error("a mask is left out")]
    Mask,
    /// Bytes of two fields, loaded at once.
    #[error("of two fields that are compared at once only the first is kept")]
    Wide,
    /// `log group 5 drop`
    #[error("of two targets only the last is kept")]
    Target,
    /// `ip ttl set 5`
    #[error("what the rule does is left out")]
    Action,
    /// `limit rate 7/second`
    #[error("the limit's rate is rounded")]
    Rate,
    /// `limit rate 5/second ip saddr 10.0.0.1`
    #[error("the limit counts packets that did not count before: iptables tests addresses first")]
    Order,
    /// `ip6 nexthdr tcp`
    #[error("a test of the hop limit appears, which nobody wrote")]
    Appears,
}
