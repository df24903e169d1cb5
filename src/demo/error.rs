use crate::{lab, netlink::NetlinkError};

/// Why there is no demonstration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The network could not be made, or a packet not be sent.
    #[error(transparent)]
    Lab(#[from] lab::Error),
    /// netlink itself.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The kernel did not take Docker's chains.
    #[error("can't make Docker's chains: `{line}`: {why}")]
    Chains {
        /// The line of `iptables-save` that was meant.
        line: String,
        /// Why.
        why: String,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Lab(error) => error.hint(),
            Self::Netlink(_) => None,
            Self::Chains { .. } => Some(
                "this kernel lacks a part of netfilter that Docker needs, or can't load its module here: nf_nat, xt_nat, \
                 xt_MASQUERADE, xt_addrtype, xt_conntrack",
            ),
        }
    }
}
