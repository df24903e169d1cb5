//! What this host makes of rules in `DOCKER-USER`, said before and after they are written.

use super::{ExitCode, audit::warn, faults::accepts, report};
use crate::{
    audit::{self, Finding},
    docker::{self, Guarded, Jump},
    model::{ChainName, Family},
    netlink::{Netlink, NetlinkError},
    ruleset::{Ruleset, Which},
};
use report::Failure;

/// Refuses a host whose Docker filters with legacy iptables.
///
/// # Errors
/// With the reason.
pub fn refuse_legacy(family: Family) -> Result<(), Failure> {
    // Who may not look writes all the same: `say_unknown_legacy`.
    if !docker::legacy(family).unwrap_or_default() {
        return Ok(());
    }
    let message = format!(
        "legacy {} filters on this host; what dockgate writes goes to nf_tables, and no packet would ever be asked",
        family.command()
    );
    Err(Failure::new(ExitCode::Unsupported, message)
        .hint("let Docker use iptables-nft: `update-alternatives --config iptables`, then restart Docker and remove the legacy rules"))
}

/// That it could not be found out whether legacy iptables filters.
pub const LEGACY_UNKNOWN: &str = "whether legacy iptables filters here could not be seen, as only root may look; run it with sudo";

/// Says it where a policy would otherwise be taken to be in force.
pub fn say_unknown_legacy() {
    if Family::BOTH.into_iter().any(|family| docker::legacy(family).is_err()) {
        report::note(LEGACY_UNKNOWN);
    }
}

/// Says what keeps rules from working, where something does; and of what was `seen` before the write
/// or stands in FORWARD what iptables does not understand. The change is made: that this can't be found out is
/// no error.
pub fn notes(netlink: &mut Netlink, families: &[Family], mut seen: Vec<Finding>) {
    let mut all = || {
        for &family in families {
            look(netlink, family, seen.extract_if(.., |one| one.family == family).collect())?;
        }
        docker::nftables_backend(netlink)
    };
    match all() {
        Ok(true) if !families.is_empty() => say_nftables_backend(),
        Ok(_) => {}
        Err(error) => unknown(&error),
    }
}

fn look(netlink: &mut Netlink, family: Family, mut seen: Vec<Finding>) -> Result<(), NetlinkError> {
    let (jump, forward) = docker::jump_now(netlink, family)?;
    seen.extend(audit::glance_at_rules(family, &ChainName::forward(), &forward));
    warn(family, &seen);
    match jump {
        Jump::Missing => report::note(&format!(
            "no packet reaches DOCKER-USER: the FORWARD chain of `{family} filter` does not lead to it; Docker puts the jump there when it starts"
        )),
        Jump::At(number) => {
            let ruleset = Ruleset::read(netlink, family, Which::All)?;
            if let Some(culprit) = docker::in_front(&ruleset, &Guarded::of(&ruleset), docker::known_pass(&ruleset)) {
                report::note(&format!(
                    "in FORWARD of `{family} filter` the jump to DOCKER-USER is rule {number}: {} before it is asked",
                    accepts(&culprit)
                ));
            }
        }
        Jump::NoChain | Jump::First => {}
    }
    Ok(())
}

/// Says of both families what stands in FORWARD that iptables does not understand, and which backend Docker uses.
pub fn glance(netlink: &mut Netlink) {
    let mut seen = || -> Result<bool, NetlinkError> {
        for family in Family::BOTH {
            let (_, forward) = docker::jump_now(netlink, family)?;
            warn(family, &audit::glance_at_rules(family, &ChainName::forward(), &forward));
        }
        docker::nftables_backend(netlink)
    };
    match seen() {
        Ok(true) => say_nftables_backend(),
        Ok(false) => {}
        Err(error) => unknown(&error),
    }
}

fn unknown(error: &NetlinkError) {
    report::note(&format!("the change was made; what becomes of it on this host could not be found out: {error}"));
}

/// With Docker's nftables backend, what holds and what does not.
pub fn say_nftables_backend() {
    report::note(
        "Docker uses its nftables backend here: what DOCKER-USER drops is dropped, but its ACCEPT is not final; Docker's own table is asked as well",
    );
}
