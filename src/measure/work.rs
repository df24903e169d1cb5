use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{Error, Path, stranger};
use crate::{
    apply::{Options, transact},
    lab::{Packet, Router},
    model::{Address, ChainName, Counters, Family, Test},
    plan,
    rule::Rule,
    ruleset::{Ruleset, Which},
    targets::Target,
};

/// What it takes to change and to ask a chain, by an open connection: medians.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// One more rule: read the chains, plan, commit.
    pub append: Duration,
    /// Is the last rule there?
    pub check: Duration,
}

/// So many are as good as more.
const MOST: usize = 100;

/// Rules in a row that each drop one address.
pub fn block_list(family: Family, count: usize) -> Vec<Rule> {
    (0..count).map(|index| drop_from(family, index)).collect()
}

/// A packet from whom no [`block_list`] names.
pub fn elsewhere(family: Family) -> Packet {
    Packet::udp((stranger(family, usize::MAX / 2), 40_000).into(), (Router::receiver(family), 8080).into())
}

fn drop_from(family: Family, index: usize) -> Rule {
    let mut rule = Rule { target: Some(Target::Drop), ..Rule::default() };
    rule.base.source = Some(Test::is(match stranger(family, index) {
        IpAddr::V4(sender) => Address::v4(sender.into(), u32::MAX),
        IpAddr::V6(sender) => Address::v6(sender.into(), u128::MAX),
    }));
    rule
}

/// Appends and asks again and again, for so long in all; the chain then has some rules more.
///
/// # Errors
/// [`Error::Apply`]
pub fn work(path: &mut Path, family: Family, time: Duration) -> Result<Work, Error> {
    let chain = ChainName::docker_user();
    let rule = drop_from(family, usize::MAX / 4);
    let mut append = || -> Result<(), Error> {
        transact(path.netlink(), Options::default(), |netlink| {
            let observed = Ruleset::read(netlink, family, Which::None)?;
            Ok(plan::append(&observed, &chain, vec![rule.clone()], Counters::default())?)
        })?;
        Ok(())
    };
    let append = median(time / 2, &mut append)?;
    let rules = [rule.clone()];
    let mut check = || -> Result<(), Error> {
        let observed = Ruleset::read(path.netlink(), family, Which::Like(&chain, &rules))?;
        Ok(plan::check(&observed, &chain, &rules)?)
    };
    let check = median(time / 2, &mut check)?;
    Ok(Work { append, check })
}

fn median(time: Duration, work: &mut dyn FnMut() -> Result<(), Error>) -> Result<Duration, Error> {
    let mut taken = Vec::new();
    let begun = Instant::now();
    while taken.is_empty() || (begun.elapsed() < time && taken.len() < MOST) {
        let begin = Instant::now();
        work()?;
        taken.push(begin.elapsed());
    }
    taken.sort_unstable();
    Ok(taken[taken.len() / 2])
}
