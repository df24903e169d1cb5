//! What of the host, besides the rules, decides whether `DOCKER-USER` is asked.

use super::{Fault, Host, faults::hindrances};
use crate::{
    compile::{self, Compiled, is_ours},
    docker::{self, Interfaces, Jump, Nat, Served},
    model::{ChainName, DOCKER_USER, Family, Generation, TABLE},
    netlink::{Netlink, NetlinkError},
    ruleset::{Ruleset, Which},
    uapi::NFT_TABLE_F_DORMANT,
};

/// What of the host decides whether `DOCKER-USER` is asked at all, in its order of families.
#[derive(Debug, Clone, Default)]
pub(super) struct Site {
    /// `None`: this process may not look.
    pub(super) legacy: [Option<bool>; 2],
    pub(super) asleep: [bool; 2],
    pub(super) interfaces: Interfaces,
    pub(super) nat: [Nat; 2],
    served: Vec<Served>,
}

impl Site {
    pub(super) fn read(netlink: &mut Netlink) -> Result<Self, NetlinkError> {
        let mut site = Self { interfaces: Interfaces::read(), ..Self::default() };
        for family in Family::BOTH {
            site.legacy[family as usize] = docker::legacy(family).ok();
            site.asleep[family as usize] = netlink.table_flags(family, TABLE)?.unwrap_or_default() & NFT_TABLE_F_DORMANT != 0;
        }
        // Where there is no way out of the host, nobody comes in either, and there is no need to look further.
        if site.interfaces.names.iter().any(|name| name != "lo") {
            site.served = docker::served();
        }
        for family in Family::BOTH {
            if site.served.iter().any(|served| served.family() == family) {
                site.nat[family as usize] = Nat::read(netlink, family)?;
            }
        }
        Ok(site)
    }
}

impl Site {
    /// The ports that are served to others than the host itself without being forwarded.
    pub(super) fn proxied(&self, family: Family) -> Vec<Served> {
        let open =
            |served: &&Served| served.family() == family && !served.host.is_loopback() && !self.nat[family as usize].translates(served);
        let mut ports: Vec<Served> = self.served.iter().filter(open).cloned().collect();
        ports.sort_by(|a, b| (a.port, &a.protocol, a.host).cmp(&(b.port, &b.protocol, b.host)));
        ports
    }
}

impl Host {
    /// What of the host keeps what stands from being in force, or with `desired` that policy once it is
    /// applied; IPv4 first. It reads only as much as it needs, which [`Host::status`] does not.
    ///
    /// # Errors
    /// [`NetlinkError`]
    pub fn hindrances(&mut self, desired: Option<&Compiled>) -> Result<Vec<(Family, Fault)>, NetlinkError> {
        let site = Site::read(self.netlink())?;
        let mut found = Vec::new();
        for family in Family::BOTH {
            let (few, names) = ([ChainName::forward(), ChainName::docker_user(), compile::root()], Which::Named(is_read));
            // Who may reach a port is told by all rules; that there is a jump, and to what, by few.
            let which = if site.proxied(family).is_empty() { Which::These(&few) } else { names };
            let ruleset = self.netlink().snapshot("the ruleset", |netlink, generation| read(netlink, generation, family, which))?;
            let faults = hindrances(&ruleset, &site, desired);
            found.extend(faults.into_iter().map(|fault| (family, fault)));
        }
        Ok(found)
    }
}

/// The chains whose rules are read: FORWARD, `DOCKER-USER`, and ours.
pub(super) fn is_read(name: &ChainName) -> bool {
    is_ours(name) || matches!(name.as_str(), DOCKER_USER | "FORWARD")
}

/// Reads these chains' rules; those of all chains where something stands in front of the jump to
/// `DOCKER-USER`, which may lead to any.
pub(super) fn read(netlink: &mut Netlink, generation: Generation, family: Family, which: Which<'_>) -> Result<Ruleset, NetlinkError> {
    let ruleset = Ruleset::read_at(netlink, generation, family, which, false)?;
    match docker::jump(&ruleset) {
        Jump::At(_) => Ruleset::read_at(netlink, generation, family, Which::All, false),
        _ => Ok(ruleset),
    }
}
