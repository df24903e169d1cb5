//! Policies on this host: what stands, apply, on trial, confirm, roll back, remove. Each is one
//! transaction for both families; before it, what stood is written to the [`History`].
//!
//! # On trial
//!
//! [`Host::try_out`] leaves the deployed policy as it is, puts the new one beside it in chains of its own,
//! and in front of the deployed one a rule that leads there (`-m mark --mark BIT/BIT -g DOCKTRIAL`). Packets
//! get that bit while an element of our own table lasts, which has a timeout ([`crate::marks::Trial`]). So
//! the kernel itself goes back, by its own clock, also if every process that knew of the trial is gone.
//!
//! ```standalone_crate
//! use dockgate::{compile, lab::{self, Userns}, live::{History, Host}, netlink::Netlink, policy::{File, Policy}};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     lab::enter(Userns::WhenNeeded)?; // Leave this out, and it works on the host.
//!     let text = "external = 'eth0'\ndefault = 'drop'\n[[rule]]\nallow = '443/tcp'\n";
//!     let read = Policy::parse(vec![File::new("web.toml", text)]);
//!     assert!(read.problems.is_empty());
//!     let web = compile::docker_user(&read.policy, "web", None);
//!
//!     let state = std::env::temp_dir().join(format!("dockgate-doc-{}", std::process::id()));
//!     let mut host = Host::new(Netlink::open()?, History::at(&state)?); // Or Host::open()?
//!     let done = host.apply(&web)?;
//!     assert!(!done.plan.is_empty());
//!     // Twice: there is nothing to do, and nothing is committed.
//!     assert!(host.apply(&web)?.plan.is_empty());
//!     host.rollback(1)?;
//!     assert!(host.status()?.iter().all(|status| status.identity.is_none()));
//!     std::fs::remove_dir_all(&state)?;
//!     Ok(())
//! }
//! ```

mod faults;
mod folder;
mod heal;
mod history;
mod site;
mod status;

pub use faults::Fault;
pub use history::{History, HistoryError, Record};
pub use status::{Status, Trial};

use heal::heal;
use site::{Site, is_read, read};

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use crate::{
    apply::{ApplyError, Options, transact},
    compile::{self, Compiled},
    marks::{NewTrial, OwnTable, Table, bit_above, id_bits, trial_bit, trial_time},
    matches::Match,
    model::{Family, Generation},
    netlink::{Netlink, NetlinkError},
    plan::{
        Plan, Step,
        ours::{Change, ChangeKind, Ours, reconcile, reconcile_marks},
        trial::{end_trial, gate, is_whole, try_out},
    },
    ruleset::{Ruleset, Which},
    save::SavedRule,
};

/// A host's `DOCKER-USER`, as far as policies go.
#[derive(Debug)]
pub struct Host {
    netlink: Netlink,
    history: History,
    options: Options,
    known: Option<Known>,
}

/// What was done, or would be.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// The transaction; empty if there was nothing to do.
    pub plan: Plan,
    /// What becomes of every rule of ours.
    pub changes: Vec<Change>,
    /// Of a trial: what it will have been when it is confirmed.
    pub confirmed: Option<Plan>,
    /// Was what stood before written to the history, so that [`Host::rollback`] leads back to it?
    pub recorded: bool,
    /// Was only a trial ended, or what was left of one taken away?
    pub trial_ended: bool,
}

impl Outcome {
    /// The steps that tell what becomes of the deployed policy.
    pub fn steps(&self) -> &[Step] {
        &self.confirmed.as_ref().unwrap_or(&self.plan).steps
    }
}

/// Why it was not done. The ruleset is as it was.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The transaction.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// What stood could not be written down, or read again.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// There is no policy on trial.
    #[error("no policy is on trial")]
    NoTrial,
    /// The policy on trial would use bits of the mark in which the deployed one tells its packets.
    #[error(
        "the deployed policy uses the bits {deployed:#x} of the packets' mark and this one {desired:#x}; the two can't stand side by side"
    )]
    OtherMark {
        /// The deployed policy's.
        deployed: u32,
        /// Those of the policy that was to be tried.
        desired: u32,
    },
    /// Only a part of what was on trial is there, or something else.
    #[error("what is on trial was changed by somebody")]
    Disturbed,
    /// The trial is over.
    #[error("the trial is over; what stood before it holds")]
    TooLate,
}

impl From<NetlinkError> for LiveError {
    fn from(error: NetlinkError) -> Self {
        Self::Apply(error.into())
    }
}

impl Outcome {
    /// The rules that become so.
    pub fn of(&self, kind: ChangeKind) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(move |change| change.kind == kind)
    }
}

impl Host {
    /// Opens the socket to netfilter, in the calling thread's network namespace, and the history of
    /// that namespace.
    ///
    /// # Errors
    /// [`LiveError`]
    pub fn open() -> Result<Self, LiveError> {
        let netlink = Netlink::open()?;
        let history = History::open(&netlink.namespace());
        Ok(Self::new(netlink, history))
    }

    /// The host that this socket leads to.
    pub fn new(netlink: Netlink, history: History) -> Self {
        Self { netlink, history, options: Options::default(), known: None }
    }

    /// How rules are written, and whether they are.
    pub fn set_options(&mut self, options: Options) {
        self.options = options;
    }

    /// The socket.
    pub fn netlink(&mut self) -> &mut Netlink {
        &mut self.netlink
    }

    /// What was there before each change.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Says by this what else is to be known of the history ([`History::set_say`]).
    pub fn set_say(&mut self, say: fn(&str)) {
        self.history.set_say(say);
    }

    /// What [`Host::apply`] would do.
    ///
    /// # Errors
    /// [`LiveError`]
    pub fn plan(&mut self, compiled: &Compiled) -> Result<Outcome, LiveError> {
        Ok(difference(&self.survey()?, &desired(compiled))?)
    }

    /// Makes the policy hold. A trial ends.
    ///
    /// # Errors
    /// [`LiveError`]
    pub fn apply(&mut self, compiled: &Compiled) -> Result<Outcome, LiveError> {
        let desired = desired(compiled);
        self.change("apply", |_| Ok(Cow::Borrowed(&desired)))
    }

    /// Takes everything of ours away.
    ///
    /// # Errors
    /// [`LiveError`]
    pub fn remove(&mut self) -> Result<Outcome, LiveError> {
        self.change("remove", |_| Ok(Default::default()))
    }

    /// Goes back to what was there before the last change, or `steps` changes ago. Where a trial goes on, or
    /// something of one is left, only that ends.
    ///
    /// # Errors
    /// [`HistoryError::NotSoMany`], [`LiveError`]
    pub fn rollback(&mut self, steps: usize) -> Result<Outcome, LiveError> {
        let standing = self.survey()?;
        if status::read(&standing).iter().any(|status| status.trial.is_some()) {
            return self.end_trial();
        }
        let history = self.history.clone();
        let locked = if self.options.dry_run { None } else { history.lock_if_there()? };
        let record = history.back(steps)?;
        let desired = record.before()?;
        let can_forget = |_: &[Standing; 2]| locked.as_ref().map_or(Ok(()), |locked| Ok(locked.check_removable()?));
        let outcome = self.commit(|_| Ok(Cow::Borrowed(&desired)), can_forget)?;
        if let Some(locked) = &locked {
            locked.forget(&record);
        }
        Ok(outcome)
    }

    /// Puts the policy on trial for so long, in milliseconds at best; the time begins with the commit.
    ///
    /// # Errors
    /// [`LiveError::OtherMark`], [`LiveError`]
    pub fn try_out(&mut self, compiled: &Compiled, length: Duration) -> Result<Outcome, LiveError> {
        let desired = desired(compiled);
        self.check_history()?;
        let (mut shown, mut failure) = (Outcome::default(), None);
        let known = self.known.as_ref();
        let plan = transact(&mut self.netlink, self.options, |netlink| {
            let standing = survey(netlink, known)?;
            shown = difference(&standing, &desired)?;
            let mut plan = Plan::default();
            for (standing, desired) in standing.iter().zip(&desired) {
                let bit = match bit_beside(&standing.ours(), desired, compiled.mark()) {
                    Ok(bit) => bit,
                    Err(error) => {
                        // An empty plan ends it; the failure is told below.
                        failure = Some(error);
                        return Ok(Plan::default());
                    }
                };
                let gate = compile::gate(&compiled.identity, standing.ruleset.family, bit);
                let trial = NewTrial { table: desired.marks.clone(), bit, length };
                try_out(&standing.ruleset, &standing.own, desired, &gate, trial, &mut plan)?;
                heal(&standing.ruleset, desired, &mut plan, &mut Vec::new())?;
            }
            Ok(plan)
        })?;
        match failure {
            Some(error) => Err(error),
            None => Ok(Outcome { plan, changes: shown.changes, confirmed: Some(shown.plan), ..Outcome::default() }),
        }
    }

    /// Makes the policy on trial hold for good. Rules that it has in common with the one before keep
    /// handle and counters.
    ///
    /// # Errors
    /// [`LiveError::NoTrial`], [`LiveError::TooLate`]
    pub fn confirm(&mut self) -> Result<Outcome, LiveError> {
        let trials: Vec<Trial> = self.status()?.into_iter().filter_map(|status| status.trial).collect();
        match trials.iter().map(|trial| trial.left).min() {
            None => return Err(LiveError::NoTrial),
            Some(_) if trials.iter().any(|trial| trial.disturbed) => return Err(LiveError::Disturbed),
            Some(Duration::ZERO) => return Err(LiveError::TooLate),
            Some(_) => {}
        }
        self.change("confirm", |standing| {
            let mut desired = <[Ours; 2]>::default();
            for (slot, standing) in desired.iter_mut().zip(standing) {
                *slot = Ours::on_trial(&standing.ruleset, &standing.own).ok_or(LiveError::NoTrial)?;
                if !is_whole(&standing.ruleset, &standing.own) {
                    return Err(LiveError::Disturbed);
                }
            }
            Ok(Cow::Owned(desired))
        })
    }

    /// How old the trial is that goes on, by the kernel's clock; `None` if none goes on.
    ///
    /// # Errors
    /// [`NetlinkError`]
    pub fn trial_age(&mut self) -> Result<Option<Duration>, NetlinkError> {
        let time = trial_time(&mut self.netlink, Family::Ip)?;
        Ok(time.map(|(length, left)| length.saturating_sub(left)))
    }

    /// Ends a trial: what stood before it holds.
    ///
    /// # Errors
    /// [`LiveError::NoTrial`]
    pub fn end_trial(&mut self) -> Result<Outcome, LiveError> {
        let (mut some, known) = (false, self.known.as_ref());
        let plan = transact(&mut self.netlink, self.options, |netlink| {
            let mut plan = Plan::default();
            for standing in &survey(netlink, known)? {
                let Standing { ruleset, own } = standing;
                some |= gate(ruleset).is_some() || own.trial.is_some();
                match standing.ours().identity() {
                    Some(_) => end_trial(ruleset, own, &mut plan),
                    // There was nothing before it.
                    None => {
                        reconcile_marks(ruleset.family, own, None, &mut plan);
                        reconcile(ruleset, &Ours::default(), &mut plan, &mut Vec::new())?;
                    }
                }
            }
            Ok(plan)
        })?;
        if some { Ok(Outcome { plan, trial_ended: true, ..Outcome::default() }) } else { Err(LiveError::NoTrial) }
    }

    /// What stands, IPv4 first.
    ///
    /// # Errors
    /// [`NetlinkError`]
    pub fn status(&mut self) -> Result<[Status; 2], NetlinkError> {
        let standing = self.survey()?;
        let site = Site::read(&mut self.netlink)?;
        let mut both = status::read(&standing);
        // What stands is known from the kernel, also where the history can't be read.
        let applied = if both.iter().any(|status| status.stands() || status.trial.is_some()) { None } else { self.applied() };
        faults::complete(&mut both, &standing, &site, applied);
        Ok(both)
    }

    /// When the policy was applied that should be deployed, by the history; `None` where it knows of none.
    fn applied(&self) -> Option<u64> {
        let last = self.history.records().ok()?.into_iter().find_map(Result::ok)?;
        matches!(last.what.as_str(), "apply" | "confirm").then_some(last.when)
    }

    /// Could what stands be written to the history, as a trial's confirmation will need?
    fn check_history(&mut self) -> Result<(), LiveError> {
        if !self.options.dry_run {
            let standing = self.survey()?;
            self.history.lock()?.check_writable(&standing.each_ref().map(Standing::ours))?;
        }
        Ok(())
    }

    /// One change, written to the history first.
    fn change<'d>(
        &mut self,
        what: &str,
        desired: impl FnMut(&[Standing; 2]) -> Result<Cow<'d, [Ours; 2]>, LiveError>,
    ) -> Result<Outcome, LiveError> {
        let (history, dry_run) = (self.history.clone(), self.options.dry_run);
        let (mut written, mut locked, mut of_trial) = (None, None, false);
        let done = self.commit(desired, |standing| {
            // Where nothing but a trial is taken away, there is nothing to go back to.
            of_trial = what == "remove" && standing.iter().all(|standing| standing.ours().is_empty());
            if !dry_run && !of_trial {
                // From the first attempt on: each change has its record, and they come in its order.
                let locked = match &locked {
                    Some(locked) => locked,
                    None => locked.insert(history.lock()?),
                };
                written = Some(locked.write(written, what, now(), &standing.each_ref().map(Standing::ours))?);
            }
            Ok(())
        });
        match (&done, written, locked) {
            (Err(_), Some(record), Some(locked)) => locked.drop_record(record),
            (Ok(_), Some(_), Some(locked)) => locked.trim(),
            _ => {}
        }
        done.map(|outcome| Outcome { recorded: written.is_some(), trial_ended: of_trial, ..outcome })
    }

    /// Plans and commits; `before` is called with what is to be changed.
    fn commit<'d>(
        &mut self,
        mut desired: impl FnMut(&[Standing; 2]) -> Result<Cow<'d, [Ours; 2]>, LiveError>,
        mut before: impl FnMut(&[Standing; 2]) -> Result<(), LiveError>,
    ) -> Result<Outcome, LiveError> {
        let (mut changes, mut failure) = (Vec::new(), None);
        let (known, mut wanted) = (self.known.take(), None);
        let plan = transact(&mut self.netlink, self.options, |netlink| {
            let standing = survey(netlink, known.as_ref())?;
            let outcome = desired(&standing).and_then(|desired| {
                wanted = Some(desired.each_ref().map(|ours| ours.marks.clone()));
                Ok(difference(&standing, &desired)?)
            });
            let outcome = outcome.and_then(|outcome| {
                if !outcome.plan.is_empty() {
                    before(&standing)?;
                }
                Ok(outcome)
            });
            match outcome {
                Ok(outcome) => {
                    changes = outcome.changes;
                    Ok(outcome.plan)
                }
                Err(LiveError::Apply(error)) => Err(error),
                // An empty plan ends it; the failure is told below.
                Err(error) => {
                    failure = Some(error);
                    Ok(Plan::default())
                }
            }
        })?;
        if let Some(error) = failure {
            return Err(error);
        }
        let before = plan.against.filter(|_| !self.options.dry_run && !plan.is_empty());
        self.known = match (before, wanted) {
            (Some(Generation(before)), Some(marks)) => Some(Known { generation: Generation(before.wrapping_add(1)), marks }),
            _ => known,
        };
        Ok(Outcome { plan, changes, ..Outcome::default() })
    }

    fn survey(&mut self) -> Result<[Standing; 2], NetlinkError> {
        survey(&mut self.netlink, self.known.as_ref())
    }
}

/// Our own tables as we left them: to read 100,000 senders takes longer than all the rest.
#[derive(Debug)]
struct Known {
    /// While it is this one, nobody has changed anything since.
    generation: Generation,
    marks: [Option<Table>; 2],
}

/// FORWARD, `DOCKER-USER`, our chains and our own table, of one family.
#[derive(Debug)]
struct Standing {
    ruleset: Ruleset,
    own: OwnTable,
}

impl Standing {
    fn ours(&self) -> Ours {
        Ours { marks: self.own.deployed.clone(), ..Ours::observe(&self.ruleset) }
    }
}

/// Of both families, all of it from one generation, which is that of the plan: if anything changes
/// meanwhile, the commit is refused.
fn survey(netlink: &mut Netlink, known: Option<&Known>) -> Result<[Standing; 2], NetlinkError> {
    netlink.snapshot("the ruleset", |netlink, generation| {
        let known = known.filter(|known| known.generation == generation);
        let mut read = |family| {
            let ruleset = read(netlink, generation, family, Which::Named(is_read))?;
            let own = match known {
                Some(known) => OwnTable { deployed: known.marks[family as usize].clone(), trial: None },
                None => OwnTable::read(netlink, family)?,
            };
            Ok(Standing { ruleset, own })
        };
        Ok([read(Family::Ip)?, read(Family::Ip6)?])
    })
}

fn difference(standing: &[Standing; 2], desired: &[Ours; 2]) -> Result<Outcome, ApplyError> {
    let mut outcome = Outcome::default();
    for (standing, desired) in standing.iter().zip(desired) {
        let Standing { ruleset, own } = standing;
        reconcile_marks(ruleset.family, own, desired.marks.as_ref(), &mut outcome.plan);
        reconcile(ruleset, desired, &mut outcome.plan, &mut outcome.changes)?;
        heal(ruleset, desired, &mut outcome.plan, &mut outcome.changes)?;
    }
    Ok(outcome)
}

fn desired(compiled: &Compiled) -> [Ours; 2] {
    Family::BOTH.map(|family| Ours::desired(compiled, family))
}

/// The bit that tells packets on trial, beside a deployed policy: that policy's own, as its jump may let in
/// only packets with bits of its mark.
fn bit_beside(deployed: &Ours, desired: &Ours, mark: u32) -> Result<u32, LiveError> {
    let of_jump = |jump: &SavedRule| {
        jump.rule.matches.iter().find_map(|one| match one {
            Match::Mark(mark) => Some(id_bits(mark.mask())),
            _ => None,
        })
    };
    let ids = deployed.jump.as_ref().and_then(of_jump).or_else(|| deployed.marks.as_ref().and_then(Table::id_bits));
    let bit = ids.map_or(trial_bit(mark), bit_above);
    let taken = if desired.marks.is_some() { id_bits(mark) } else { 0 };
    match ids {
        Some(ids) if bit == 0 || bit & taken != 0 => Err(LiveError::OtherMark { deployed: ids | bit, desired: mark }),
        _ => Ok(bit),
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
