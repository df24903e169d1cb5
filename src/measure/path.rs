use std::io;

use crate::{
    apply::{ApplyError, Options, transact},
    compile::Compiled,
    lab::{self, Packet, Router},
    marks::OwnTable,
    message::{BaseChain, Batch},
    model::{ChainName, Counters, DOCKER_USER, Dialect, Family},
    netlink::{Netlink, NetlinkError, Outcome},
    plan::{self, Plan, PlanError, Step, ours},
    rule::{Parser, Rule},
    ruleset::{Entry, Ruleset, Which},
    save::SavedRule,
    syntax::split,
    uapi::{NF_ACCEPT, NF_DROP, NF_INET_FORWARD},
};

/// A host that packets go through: FORWARD, its jump, and an empty `DOCKER-USER`, for both families;
/// connection tracking is on.
#[derive(Debug)]
pub struct Path {
    router: Router,
    netlink: Netlink,
}

/// Why nothing can be measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such host.
    #[error(transparent)]
    Lab(#[from] lab::Error),
    /// The rules were refused.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A packet can't be sent.
    #[error("can't send a packet: {0}")]
    Send(#[from] io::Error),
}

impl From<NetlinkError> for Error {
    fn from(error: NetlinkError) -> Self {
        Self::Apply(error.into())
    }
}

impl From<PlanError> for Error {
    fn from(error: PlanError) -> Self {
        Self::Apply(error.into())
    }
}

impl Error {
    /// What to do about it: one sentence, lower case, no final period.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Lab(error) => error.hint(),
            Self::Apply(_) | Self::Send(_) => None,
        }
    }
}

/// Nothing leads to this chain; its one rule has the kernel track connections.
const TRACKING: &str = "TRACKING";

impl Path {
    /// Builds one, called `name` in errors; packets come in by the link `inward`, and go out by
    /// `docker0`.
    ///
    /// # Errors
    /// [`Error`] of the first step that failed.
    pub fn build(name: &str, inward: &str) -> Result<Self, Error> {
        let router = Router::build(name, inward)?;
        let netlink = router.netns().run(Netlink::open)??;
        let mut path = Self { router, netlink };
        let tracking = ChainName::for_iptables(TRACKING).expect("a plain name");
        for family in Family::BOTH {
            transact(&mut path.netlink, Options::default(), |netlink| {
                Ok(plan::new_chain(&Ruleset::read(netlink, family, Which::None)?, &ChainName::docker_user())?)
            })?;
            let rule = parse("-m conntrack --ctstate NEW -j RETURN", family);
            path.add_chain(family, &tracking, vec![rule], Dialect::Portable)?;
        }
        Ok(path)
    }

    /// The links and the namespace.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// The connection to its netfilter.
    pub fn netlink(&mut self) -> &mut Netlink {
        &mut self.netlink
    }

    /// Makes `DOCKER-USER` have these rules and no others, as that dialect writes them.
    ///
    /// # Errors
    /// [`Error::Apply`]
    pub fn fill(&mut self, family: Family, rules: Vec<Rule>, dialect: Dialect) -> Result<(), Error> {
        let chain = ChainName::docker_user();
        self.write(Step::Flush(family, chain.clone()), family, chain, rules, dialect)
    }

    /// Makes a further chain with these rules.
    ///
    /// # Errors
    /// [`Error::Apply`], also if there is one of that name.
    pub fn add_chain(&mut self, family: Family, chain: &ChainName, rules: Vec<Rule>, dialect: Dialect) -> Result<(), Error> {
        self.write(Step::NewChain(family, chain.clone()), family, chain.clone(), rules, dialect)
    }

    fn write(&mut self, first: Step, family: Family, chain: ChainName, rules: Vec<Rule>, dialect: Dialect) -> Result<(), Error> {
        let rules = rules.into_iter().map(|rule| SavedRule { rule, counters: Counters::default(), line: 0 }).collect();
        let options = Options { dialect: Some(dialect), ..Options::default() };
        let steps = vec![first, Step::Append { family, chain, rules }];
        let mut plan = Some(Plan { steps, against: None });
        transact(&mut self.netlink, options, |_| Ok(plan.take().unwrap_or_default()))?;
        Ok(())
    }

    /// Makes a policy hold here, on top of `DOCKER-USER`, written as beside iptables 1.8.10 and later: nobody
    /// has left a trace here of what is installed.
    ///
    /// # Errors
    /// [`Error::Apply`]
    pub fn apply(&mut self, compiled: &Compiled) -> Result<(), Error> {
        let options = Options { dialect: Some(Dialect::D), ..Options::default() };
        transact(&mut self.netlink, options, |netlink| {
            let mut plan = Plan::default();
            for family in Family::BOTH {
                let ruleset = Ruleset::read(netlink, family, Which::All)?;
                let desired = ours::Ours::desired(compiled, family);
                let own = OwnTable::read(netlink, family)?;
                ours::reconcile_marks(family, &own, desired.marks.as_ref(), &mut plan);
                ours::reconcile(&ruleset, &desired, &mut plan, &mut Vec::new())?;
            }
            Ok(plan)
        })?;
        Ok(())
    }

    /// What becomes of packets at the end of FORWARD, where no rule has decided.
    ///
    /// # Errors
    /// [`Error::Apply`]
    pub fn set_policy(&mut self, accepts: bool) -> Result<(), Error> {
        for family in Family::BOTH {
            let policy = if accepts { NF_ACCEPT } else { NF_DROP };
            let chain = BaseChain { name: "FORWARD", kind: "filter", hook: NF_INET_FORWARD, priority: 0, policy, counters: false };
            let mut batch = Batch::new(None);
            batch.new_base_chain(family, chain);
            let batch = batch.seal().map_err(|step| ApplyError::TooLong { step: step as usize })?;
            match self.netlink.commit(&batch)? {
                Outcome::Committed => {}
                Outcome::Outdated | Outcome::Refused(_) => return Err(ApplyError::Contended.into()),
            }
        }
        Ok(())
    }

    /// The rules of `DOCKER-USER`, with their counters.
    ///
    /// # Errors
    /// [`Error::Apply`]
    pub fn rules(&self, family: Family) -> Result<Vec<Entry>, Error> {
        let mut netlink = self.router.netns().run(Netlink::open)??;
        let ruleset = Ruleset::read(&mut netlink, family, Which::Of(&ChainName::docker_user()))?;
        Ok(ruleset.chain(DOCKER_USER).map(|chain| chain.rules().to_vec()).unwrap_or_default())
    }

    /// Sends a packet; does it come out?
    ///
    /// # Errors
    /// [`Error::Send`]
    pub fn passes(&self, packet: &Packet) -> Result<bool, Error> {
        Ok(self.router.passes(packet)?)
    }
}

/// A rule from words of our own.
fn parse(text: &str, family: Family) -> Rule {
    let mut words = Vec::new();
    let parsed = split(text, &mut words).and_then(|()| Parser::parse(&words, family));
    parsed.unwrap_or_else(|error| panic!("`{text}`: {error}")).rules.swap_remove(0)
}
