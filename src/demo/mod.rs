//! What `dockgate demo` shows: a Docker host of a [`Topology`] with the chains of a real engine, the
//! steps, and what became of their packets. Who runs the commands of a step is the caller's business.
//!
//! ```no_run
//! use dockgate::{demo::{Demo, STEPS}, lab::{self, Userns}};
//!
//! lab::enter(Userns::WhenNeeded)?;                 // first thing in `main`: no threads yet
//! let mut demo = Demo::build()?;
//! let report = demo.observe(&STEPS[0])?;           // Docker alone
//! assert!(report.results.iter().all(|result| result.is_expected()));
//! # Ok::<(), dockgate::demo::Error>(())
//! ```

mod chains;
mod error;
mod steps;

pub use chains::{PUBLISHED, text as chains, write as write_chains};
pub use error::Error;
pub use steps::{Attempt, Place, STEPS, Step};

use std::{panic, thread, time::Duration};

use crate::{
    lab::{self, Netns, Outcome, TcpResponder, Topology, tcp_answers},
    model::{ChainName, DOCKER_USER, Family},
    netlink::Netlink,
    ruleset::{Chain, Ruleset, Which},
};

/// How long to wait for an answer that is to come: it comes in less than a millisecond, but the
/// machine may be busy.
const ANSWER: Duration = Duration::from_secs(3);

/// How long to wait for an answer that is not to come.
const SILENCE: Duration = Duration::from_millis(150);

/// A Docker host and those around it. All is gone when this is dropped.
#[derive(Debug)]
pub struct Demo {
    /// Threads in the namespaces, so dropped before them.
    _servers: Vec<TcpResponder>,
    netlink: Netlink,
    topology: Topology,
}

/// What became of the packets of a step.
#[derive(Debug, Clone)]
pub struct Report {
    /// In the order of the attempts.
    pub results: Vec<Tried>,
    /// `DOCKER-USER` afterwards; its rules have counted these packets alone.
    pub chain: Option<Chain>,
}

/// What became of one attempt.
#[derive(Debug, Clone, Copy)]
pub struct Tried {
    /// Who tried what.
    pub attempt: Attempt,
    /// What became of it.
    pub outcome: Outcome,
}

impl Tried {
    /// Is that what was expected?
    pub fn is_expected(&self) -> bool {
        self.outcome == self.attempt.expected
    }
}

impl Demo {
    /// Builds it. The process must be root, best of a namespace of its own ([`lab::enter`]).
    ///
    /// # Errors
    /// [`Error`] of the first thing that failed; what was made before is gone then.
    pub fn build() -> Result<Self, Error> {
        let topology = Topology::build()?;
        for netns in [&topology.client, &topology.container, &topology.lan] {
            // An answer that was dropped is not to be sent again into the next step's counters.
            netns.sysctl("ipv4/tcp_synack_retries", "0")?;
        }
        for &family in topology.families() {
            let bits = if family == Family::Ip { 24 } else { 64 };
            topology.host.links()?.add_address("ext0", Place::Host(steps::SECOND).address(family), bits)?;
            for last in steps::CLIENTS {
                topology.add_client(Place::Client(last).address(family))?;
            }
        }
        let mut servers = vec![topology.container.run(|| TcpResponder::bind(80))??];
        servers.push(topology.lan.run(|| TcpResponder::bind(steps::LANS))??);
        for port in steps::STRANGERS {
            servers.push(topology.client.run(|| TcpResponder::bind(port))??);
        }
        let mut netlink = topology.host.run(Netlink::open)??;
        write_chains(&mut netlink, topology.families())?;
        Ok(Self { _servers: servers, netlink, topology })
    }

    /// The families that there are.
    pub fn families(&self) -> &'static [Family] {
        self.topology.families()
    }

    /// Where the commands of the steps are to run.
    pub fn host(&self) -> &Netns {
        &self.topology.host
    }

    /// Sends the packets of a step whose commands have run, all at the same time.
    ///
    /// # Errors
    /// [`Error::Lab`] if one could not be sent; [`Error::Netlink`] if the chain can't be read.
    pub fn observe(&mut self, step: &Step) -> Result<Report, Error> {
        let before = self.chain(step.family)?;
        let topology = &self.topology;
        let results = thread::scope(|scope| {
            let start = |attempt: &Attempt| {
                let attempt = *attempt;
                let thread = thread::Builder::new().name("attempt".to_owned());
                thread.spawn_scoped(scope, move || send(topology, attempt, step.family))
            };
            // First all are started, then all are waited for.
            let threads: Vec<_> = step.attempts.iter().map(start).collect();
            let wait = |thread: std::io::Result<thread::ScopedJoinHandle<'_, _>>| match thread {
                Ok(thread) => thread.join().unwrap_or_else(|payload| panic::resume_unwind(payload)),
                Err(source) => Err(lab::Error::System { tried: "start a thread".to_owned(), source }),
            };
            threads.into_iter().map(wait).collect::<Result<Vec<_>, _>>()
        })?;
        let mut chain = self.chain(step.family)?;
        for entry in chain.iter_mut().filter_map(|chain| chain.rules.as_mut()).flatten() {
            let earlier = before.iter().flat_map(Chain::rules).find(|earlier| earlier.handle == entry.handle);
            if let (Some(now), Some(then)) = (&mut entry.counters, earlier.and_then(|earlier| earlier.counters)) {
                now.packets = now.packets.saturating_sub(then.packets);
                now.bytes = now.bytes.saturating_sub(then.bytes);
            }
        }
        Ok(Report { results, chain })
    }

    /// `DOCKER-USER` as it is.
    fn chain(&mut self, family: Family) -> Result<Option<Chain>, Error> {
        let ruleset = Ruleset::read(&mut self.netlink, family, Which::Of(&ChainName::docker_user()))?;
        Ok(ruleset.chains.into_iter().find(|chain| chain.name.as_str() == DOCKER_USER))
    }
}

fn send(topology: &Topology, attempt: Attempt, family: Family) -> Result<Tried, lab::Error> {
    let timeout = if attempt.expected == Outcome::Passed { ANSWER } else { SILENCE };
    let from = attempt.from.address(family);
    let outcome = topology.netns(attempt.from.party()).run(|| tcp_answers(from, attempt.endpoint(family), timeout))??;
    Ok(Tried { attempt, outcome })
}
