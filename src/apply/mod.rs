//! Plans to the kernel: encode, commit, and if the ruleset changed meanwhile, plan anew. What is
//! refused is traced back to the step, the part of the rule, and the reason.

mod refusal;

pub use refusal::{Explained, RefusedStep};

use crate::{
    attr::Writer as AttrWriter,
    compile::{Identity, is_ours},
    expr::copy_zeroed,
    extension::{Context, Sets},
    marks,
    message::{Batch, Place, SealedBatch},
    model::{ChainName, Counters, Dialect, Family, TABLE},
    netlink::{Netlink, NetlinkError, Outcome},
    plan::{Plan, PlanError, Step},
    rule::{LinearizeError, Rule},
    ruleset::{Ruleset, detect_dialect},
};

/// How often a plan is made anew because somebody else changed the ruleset meanwhile.
pub const ATTEMPTS: u32 = 100;

/// Why a change was not made. The ruleset is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// There is no way to do what was asked for.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Some steps were refused.
    #[error("the kernel refused {} of {steps} changes; nothing was changed", refused.len())]
    Refused {
        /// Those.
        refused: Vec<RefusedStep>,
        /// Of how many.
        steps: usize,
    },
    /// The ruleset changed at every attempt.
    #[error("the ruleset was changed by others {ATTEMPTS} times while this was tried; nothing was changed")]
    Contended,
    /// A rule holds more than a netlink attribute can.
    #[error("the rule is too long for the kernel")]
    TooLong {
        /// Its step.
        step: usize,
    },
    /// A rule can't be written.
    #[error("{error}")]
    Linearize {
        /// Its step.
        step: usize,
        /// The line it came from.
        line: Option<usize>,
        /// Why.
        error: LinearizeError,
    },
    /// netlink itself.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

/// How rules are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// This dialect; `None` for that of the host's own iptables.
    pub dialect: Option<Dialect>,
    /// Have the kernel check everything, and change nothing.
    pub dry_run: bool,
}

/// Makes a plan, and commits it on the very ruleset that it was made on: if that changed meanwhile,
/// `plan` is called again.
///
/// # Errors
/// [`ApplyError`]; with any but a lost acknowledgement ([`NetlinkError::Unproved`]) the ruleset is
/// as it was.
pub fn transact(
    netlink: &mut Netlink,
    options: Options,
    mut plan: impl FnMut(&mut Netlink) -> Result<Plan, ApplyError>,
) -> Result<Plan, ApplyError> {
    let mut writer = Writer::default();
    for attempt in 0..ATTEMPTS {
        let plan = plan(netlink)?;
        if plan.is_empty() {
            return Ok(plan);
        }
        let batch = writer.encode(netlink, &plan, options)?;
        let genid = plan.against.map(|generation| generation.0);
        let span = tracing::info_span!("commit", genid, messages = plan.messages(), dry_run = options.dry_run).entered();
        if tracing::enabled!(tracing::Level::DEBUG) {
            plan.to_string().lines().for_each(|step| tracing::debug!("{step}"));
        }
        match netlink.commit(&batch)? {
            Outcome::Committed => {
                tracing::info!(attempt, "the ruleset was changed");
                return Ok(plan);
            }
            Outcome::Outdated => tracing::warn!(attempt, "the ruleset was changed by somebody else meanwhile; planning anew"),
            Outcome::Refused(refusals) => {
                let contexts = |family| writer.context(family);
                return Err(ApplyError::Refused { refused: refusal::trace(&refusals, &batch, &plan, contexts), steps: plan.messages() });
            }
        }
        drop(span);
        writer.buffer = batch.into_buffer();
    }
    Err(ApplyError::Contended)
}

/// Encodes plans; keeps what it found out about the host, and its buffer.
#[derive(Debug, Default)]
struct Writer {
    dialects: [Option<Dialect>; 2],
    sets: Sets,
    buffer: Vec<u8>,
}

impl Writer {
    fn context(&self, family: Family) -> Context<'_> {
        let dialect = self.dialects[family as usize].unwrap_or(Dialect::Portable);
        Context { family, dialect, sets: &self.sets }
    }

    fn encode(&mut self, netlink: &mut Netlink, plan: &Plan, options: Options) -> Result<SealedBatch, ApplyError> {
        for family in Family::BOTH {
            if self.dialects[family as usize].is_none() && self.dialect_matters(plan, family) {
                self.dialects[family as usize] = Some(match options.dialect {
                    Some(dialect) => dialect,
                    None => host_dialect(netlink, family)?,
                });
            }
        }
        loop {
            match self.try_encode(plan, options.dry_run) {
                Err(ApplyError::Linearize { step, error: LinearizeError::NoSuchSet(name), .. }) => {
                    let index = self.find_set(netlink, plan, step, &name)?;
                    self.sets.push(index, name);
                }
                other => return other,
            }
        }
    }

    /// Does the plan write anything for that family that is not the same in all dialects? Most single
    /// rules are, and the host need not be asked.
    fn dialect_matters(&self, plan: &Plan, family: Family) -> bool {
        const FEW: usize = 8;
        let encoded = |chain: &ChainName, rule: &Rule, dialect| {
            let (context, mut buf) = (Context { dialect, ..self.context(family) }, Vec::new());
            linearize(chain, rule, context, Counters::default(), &mut AttrWriter::new(&mut buf)).ok().map(|()| buf)
        };
        let differs = |chain: &ChainName, rule: &Rule| {
            let first = encoded(chain, rule, Dialect::Portable);
            first.is_none() || Dialect::ALL.into_iter().any(|dialect| encoded(chain, rule, dialect) != first)
        };
        // To look at each of many takes longer than to ask.
        let mut looked_at = 0;
        let mut matters = |chain: &ChainName, rule: &Rule| {
            looked_at += 1;
            looked_at > FEW || differs(chain, rule)
        };
        plan.steps.iter().filter(|step| step.family() == family).any(|step| match step {
            Step::Forward(_) => true,
            Step::Rule(add) => matters(&add.chain, &add.rule),
            Step::Append { chain, rules, .. } => rules.iter().any(|saved| matters(chain, &saved.rule)),
            _ => false,
        })
    }

    /// The number of an ipset that a rule names, whose family must be the rule's: the kernel takes
    /// another, which then never matches.
    fn find_set(&self, netlink: &mut Netlink, plan: &Plan, step: usize, name: &str) -> Result<u16, ApplyError> {
        let at = plan.at(step);
        let family = at.map(|at| at.step().family());
        let error = match netlink.set_by_name(name)? {
            None => LinearizeError::NoSuchSet(name.to_owned()),
            Some((_, of)) if of != 0 && family.is_some_and(|family| family.nfproto() != of) => LinearizeError::OtherFamily(name.to_owned()),
            Some((index, _)) => return Ok(index),
        };
        Err(ApplyError::Linearize { step, line: at.and_then(|at| at.rule()?.1), error })
    }

    fn try_encode(&mut self, plan: &Plan, dry_run: bool) -> Result<SealedBatch, ApplyError> {
        let mut batch = Batch::with_buffer(plan.against, std::mem::take(&mut self.buffer));
        for step in &plan.steps {
            match step {
                Step::Table(family) => batch.new_table(*family),
                Step::Forward(family) => {
                    let counters = self.context(*family).dialect == Dialect::D;
                    batch.new_forward_chain(*family, counters)
                }
                Step::NewChain(family, chain) => batch.new_chain(*family, chain),
                Step::DeleteChain(family, chain) => batch.delete_chain(*family, chain),
                Step::RenameChain { family, handle, to, .. } => batch.rename_chain(*family, *handle, to),
                Step::DeleteRule { family, chain, handle } => batch.delete_rule(*family, chain, *handle),
                Step::Flush(family, chain) => batch.flush_chain(*family, chain),
                Step::NewMarks(..) | Step::DeleteMarks(_) | Step::Elements(..) | Step::NewTrial(..) | Step::EndTrial(..) => {
                    batch.set_table(marks::TABLE);
                    match step {
                        Step::NewMarks(family, table) => table.write(*family, &mut batch),
                        Step::Elements(family, difference) => difference.write(*family, &mut batch),
                        Step::NewTrial(family, trial) => trial.write(*family, &mut batch),
                        Step::EndTrial(family, trial) => trial.write(*family, &mut batch),
                        _ => {
                            batch.delete_table(step.family());
                        }
                    }
                    batch.set_table(TABLE);
                    continue;
                }
                Step::Zero { family, chain, handle, raw, compat } => {
                    batch.rule(*family, chain, Place::Replacing(*handle), *compat, |w| copy_zeroed(raw, w))
                }
                Step::Rule(add) => self.add(&mut batch, (add.family, &add.chain, add.place), &add.rule, add.counters)?,
                Step::Append { family, chain, rules } => {
                    for saved in rules {
                        self.add(&mut batch, (*family, chain, Place::Last), &saved.rule, saved.counters)?;
                    }
                    continue;
                }
            };
        }
        let sealed = if dry_run { batch.seal_dry() } else { batch.seal() };
        sealed.map_err(|step| ApplyError::TooLong { step: step as usize })
    }

    fn add(&self, batch: &mut Batch, to: (Family, &ChainName, Place), rule: &Rule, counters: Counters) -> Result<u32, ApplyError> {
        let (family, chain, place) = to;
        let context = self.context(family);
        let mut result = Ok(());
        let comment = aside(chain, rule);
        let step = batch.commented_rule(family, chain, place, rule.compat(), comment, |w| {
            result = linearize(chain, rule, context, counters, w);
        });
        result.map(|()| step).map_err(|error| ApplyError::Linearize { step: step as usize, line: None, error })
    }
}

/// The comment that goes to the user data, where no packet pays for it (`xt_comment` takes as long as
/// any match of xtables): that of a policy's rules. By hand, rules are written as iptables does.
fn aside<'r>(chain: &ChainName, rule: &'r Rule) -> Option<&'r str> {
    let ours = is_ours(chain) || Identity::of(rule).is_some();
    rule.last_comment().filter(|comment| ours && comment.len() <= Batch::COMMENT)
}

/// Writes the rule's expressions, without those of a comment that goes [`aside`].
fn linearize(
    chain: &ChainName,
    rule: &Rule,
    context: Context<'_>,
    counters: Counters,
    w: &mut AttrWriter<'_>,
) -> Result<(), LinearizeError> {
    match aside(chain, rule) {
        Some(_) => rule.linearize_uncommented(context, counters, w),
        None => rule.linearize(context, counters, w),
    }
}

/// What the host's own iptables writes; it is the same for both families, and may have left its
/// traces in one alone.
///
/// # Errors
/// [`NetlinkError`]
pub fn host_dialect(netlink: &mut Netlink, family: Family) -> Result<Dialect, NetlinkError> {
    let mut dialect = Dialect::Portable;
    for family in [family, if family == Family::Ip { Family::Ip6 } else { Family::Ip }] {
        let ruleset = Ruleset::read(netlink, family, crate::ruleset::Which::None)?;
        dialect = detect_dialect(netlink, &ruleset)?;
        if dialect != Dialect::Portable {
            break;
        }
    }
    tracing::debug!(?dialect, "the dialect to write");
    Ok(dialect)
}
