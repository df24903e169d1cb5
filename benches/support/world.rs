//! A ruleset as Docker leaves it, in a network namespace of its own.

use std::error::Error;

use dockgate::{
    apply::{Options, transact},
    lab::{self, Userns},
    message::{Batch, Request, SealedBatch},
    model::{ChainName, DOCKER_USER, Family},
    netlink::{Netlink, Outcome},
    plan,
    rule::Rule,
    ruleset::{Ruleset, Which},
};

use super::workload;

/// What a benchmark that can't go on says.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The table `filter` with FORWARD, its jump, and `DOCKER-USER`.
#[derive(Debug)]
pub struct World {
    /// The connection that the ruleset is prepared and checked with.
    pub netlink: Netlink,
}

impl World {
    /// Leaves the namespace that the process was started in; to be called before its first thread.
    /// As root no user namespace is made: there `SO_SNDBUFFORCE` is refused, and transactions are
    /// kept to `net.core.wmem_max`.
    pub fn enter() -> Result<Self> {
        lab::enter(Userns::WhenNeeded)?;
        let mut netlink = Netlink::open()?;
        transact(&mut netlink, Options::default(), |netlink| {
            let observed = Ruleset::read(netlink, Family::Ip, Which::None)?;
            Ok(plan::new_chain(&observed, &ChainName::docker_user())?)
        })?;
        Ok(Self { netlink })
    }

    /// Empties `DOCKER-USER`, and waits until the kernel has freed what was in it.
    pub fn empty(&mut self) -> Result<()> {
        if self.count()? > 0 {
            let mut batch = Batch::new(None);
            batch.flush_chain(Family::Ip, &ChainName::docker_user());
            self.commit(batch)?;
        }
        self.settle()
    }

    /// Waits until what was removed is freed. The kernel does that behind the back, at the cost of
    /// who comes next; a socket that is closed waits for it (`nft_rcv_nl_event`).
    pub fn settle(&mut self) -> Result<()> {
        self.netlink = Netlink::open()?;
        Ok(())
    }

    /// Makes `DOCKER-USER` have these rules and no others.
    pub fn fill(&mut self, rules: &[Rule]) -> Result<()> {
        self.empty()?;
        if rules.is_empty() {
            return Ok(());
        }
        self.replay(&batch(rules))
    }

    /// Commits what has to go well.
    pub fn commit(&mut self, batch: Batch) -> Result<()> {
        self.replay(&batch.seal().map_err(|step| format!("step {step} is too long"))?)
    }

    /// Sends a transaction that was written before; all has to go well.
    pub fn replay(&mut self, batch: &SealedBatch) -> Result<()> {
        match self.netlink.commit(batch)? {
            Outcome::Committed => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    }

    /// How many rules `DOCKER-USER` has, as the kernel counts.
    pub fn count(&mut self) -> Result<usize> {
        let ruleset = Ruleset::read(&mut self.netlink, Family::Ip, Which::None)?;
        let chain = ruleset.chain(DOCKER_USER).ok_or("DOCKER-USER is gone")?;
        // The jump in FORWARD is counted too.
        Ok((chain.uses as usize).saturating_sub(1))
    }

    /// Has `DOCKER-USER` these rules and no others? They are read back.
    pub fn holds(&mut self, rules: &[Rule]) -> Result<bool> {
        let name = ChainName::docker_user();
        let ruleset = Ruleset::read(&mut self.netlink, Family::Ip, Which::Of(&name))?;
        let entries = ruleset.chain(DOCKER_USER).map(|chain| chain.rules()).unwrap_or_default();
        Ok(entries.iter().map(|entry| entry.rule()).eq(rules.iter().map(Some)))
    }

    /// Reads the rules of `DOCKER-USER` off the wire and drops them: what a dump costs at least.
    pub fn dump(&mut self) -> Result<usize> {
        let request = Request::rules(Family::Ip, &ChainName::docker_user());
        Ok(self.netlink.dump(&request, |count: &mut usize, _| *count += 1)?)
    }
}

/// The transaction that appends the rules to `DOCKER-USER`, whatever the ruleset's generation: it
/// can be sent again and again.
pub fn batch(rules: &[Rule]) -> SealedBatch {
    let chain = ChainName::docker_user();
    let mut batch = Batch::new(None);
    rules.iter().for_each(|rule| workload::append(&mut batch, &chain, rule, workload::CONTEXT));
    batch.seal().expect("rules are short")
}
