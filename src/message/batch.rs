use super::{kind, reply::Messages, write};
use crate::{
    attr::{Attr, Attrs, Writer},
    expr,
    model::{ChainName, Family, Generation, Handle, TABLE},
    uapi::*,
};

/// Where a rule goes in its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Behind all others.
    Last,
    /// Before all others.
    First,
    /// Before the rule with that handle.
    Before(Handle),
    /// Behind the rule with that handle.
    After(Handle),
    /// Instead of the rule with that handle, which it keeps.
    Replacing(Handle),
}

/// A chain that the kernel's hooks enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseChain<'a> {
    /// Its name.
    pub name: &'a str,
    /// `filter` or `nat`.
    pub kind: &'a str,
    /// `NF_INET_…`
    pub hook: u32,
    /// Lower comes earlier.
    pub priority: i32,
    /// `NF_ACCEPT` or `NF_DROP`.
    pub policy: i32,
    /// Does it count what meets the policy, as with iptables 1.8.10 and later?
    pub counters: bool,
}

/// A transaction in the making: every message is a step, numbered from 0, and its sequence number
/// tells it from the others in the kernel's answer.
#[derive(Debug)]
pub struct Batch {
    buf: Vec<u8>,
    steps: u32,
    against: Option<Generation>,
    pub(super) table: &'static str,
    /// Where the last step's message begins: it asks for the acknowledgement.
    last: usize,
    overflowed: Option<u32>,
}

/// The sequence number of `BATCH_BEGIN`; step 0 has the next.
const BEGIN: u32 = 1;

impl Batch {
    /// The longest comment, in bytes.
    pub const COMMENT: usize = NFT_USERDATA_MAXLEN - 3;

    /// Begins a transaction on the ruleset as it was at `against`; without one, on whatever it is.
    pub fn new(against: Option<Generation>) -> Self {
        Self::with_buffer(against, Vec::with_capacity(4096))
    }

    /// The same in a buffer that was used before; what it holds is dropped.
    pub fn with_buffer(against: Option<Generation>, mut buf: Vec<u8>) -> Self {
        buf.clear();
        write(&mut buf, NFNL_MSG_BATCH_BEGIN, 0, BEGIN, 0, NFNL_SUBSYS_NFTABLES, |w| {
            if let Some(Generation(id)) = against {
                w.be32(NFNL_BATCH_GENID, id);
            }
        });
        Self { buf, steps: 0, against, table: TABLE, last: 0, overflowed: None }
    }

    /// The number of steps so far.
    pub(super) fn len(&self) -> u32 {
        self.steps
    }

    /// Nothing to do?
    pub fn is_empty(&self) -> bool {
        self.steps == 0
    }

    pub(super) fn step(&mut self, number: u16, flags: u16, family: Family, fill: impl FnOnce(&mut Writer<'_>)) -> u32 {
        let step = self.steps;
        self.last = self.buf.len();
        self.steps += 1;
        let seq = BEGIN + 1 + step;
        if write(&mut self.buf, kind(NFNL_SUBSYS_NFTABLES, number), flags, seq, family.nfproto(), 0, fill) {
            self.overflowed.get_or_insert(step);
        }
        step
    }

    /// The steps from here on are about that table, not about `filter`.
    pub fn set_table(&mut self, name: &'static str) {
        self.table = name;
    }

    /// Makes the table; no error if it is there.
    pub fn new_table(&mut self, family: Family) -> u32 {
        let table = self.table;
        self.step(NFT_MSG_NEWTABLE, NLM_F_CREATE, family, |w| w.string(NFTA_TABLE_NAME, table))
    }

    /// Makes `FORWARD` as iptables makes it: hook forward, priority 0, policy accept; with counters
    /// as 1.8.10 and later do.
    pub fn new_forward_chain(&mut self, family: Family, counters: bool) -> u32 {
        let forward = BaseChain { name: "FORWARD", kind: "filter", hook: NF_INET_FORWARD, priority: 0, policy: NF_ACCEPT, counters };
        self.new_base_chain(family, forward)
    }

    /// Makes a chain that a hook enters; one that is there gets the policy.
    pub fn new_base_chain(&mut self, family: Family, chain: BaseChain<'_>) -> u32 {
        let table = self.table;
        self.step(NFT_MSG_NEWCHAIN, NLM_F_CREATE, family, |w| {
            w.string(NFTA_CHAIN_TABLE, table);
            w.string(NFTA_CHAIN_NAME, chain.name);
            w.nest(NFTA_CHAIN_HOOK, |w| {
                w.be32(NFTA_HOOK_HOOKNUM, chain.hook);
                w.be32(NFTA_HOOK_PRIORITY, chain.priority as u32);
            });
            w.be32(NFTA_CHAIN_POLICY, chain.policy as u32);
            if chain.counters {
                w.nest(NFTA_CHAIN_COUNTERS, |w| {
                    w.be64(NFTA_COUNTER_BYTES, 0);
                    w.be64(NFTA_COUNTER_PACKETS, 0);
                });
            }
            w.string(NFTA_CHAIN_TYPE, chain.kind);
        })
    }

    /// Makes a user chain; refused (`EEXIST`) if it is there.
    pub fn new_chain(&mut self, family: Family, chain: &ChainName) -> u32 {
        let table = self.table;
        self.step(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, family, |w| {
            w.string(NFTA_CHAIN_TABLE, table);
            w.string(NFTA_CHAIN_NAME, chain.as_str());
        })
    }

    /// Removes a chain; refused (`EBUSY`) while it has rules or a jump leads to it.
    pub fn delete_chain(&mut self, family: Family, chain: &ChainName) -> u32 {
        let table = self.table;
        self.step(NFT_MSG_DELCHAIN, 0, family, |w| {
            w.string(NFTA_CHAIN_TABLE, table);
            w.string(NFTA_CHAIN_NAME, chain.as_str());
        })
    }

    /// Gives the chain with that handle another name.
    pub fn rename_chain(&mut self, family: Family, handle: Handle, to: &ChainName) -> u32 {
        let table = self.table;
        self.step(NFT_MSG_NEWCHAIN, 0, family, |w| {
            w.string(NFTA_CHAIN_TABLE, table);
            w.be64(NFTA_CHAIN_HANDLE, handle.0);
            w.string(NFTA_CHAIN_NAME, to.as_str());
        })
    }

    /// Adds a rule. `expressions` writes the content of `NFTA_RULE_EXPRESSIONS`; `compat` is the
    /// protocol that xt extensions check against, and whether it is negated.
    pub fn rule(
        &mut self,
        family: Family,
        chain: &ChainName,
        place: Place,
        compat: (u8, bool),
        expressions: impl FnOnce(&mut Writer<'_>),
    ) -> u32 {
        self.commented_rule(family, chain, place, compat, None, expressions)
    }

    /// The same with a comment of up to [`Batch::COMMENT`] bytes in the user data: no packet is asked
    /// about it, and iptables shows it as `-m comment` behind the other matches. Source: `udata.h` of libnftnl.
    pub fn commented_rule(
        &mut self,
        family: Family,
        chain: &ChainName,
        place: Place,
        compat: (u8, bool),
        comment: Option<&str>,
        expressions: impl FnOnce(&mut Writer<'_>),
    ) -> u32 {
        let flags = match place {
            Place::Last | Place::After(_) => NLM_F_CREATE | NLM_F_APPEND,
            Place::First | Place::Before(_) => NLM_F_CREATE,
            Place::Replacing(_) => NLM_F_CREATE | NLM_F_REPLACE,
        };
        let table = self.table;
        self.step(NFT_MSG_NEWRULE, flags, family, |w| {
            w.string(NFTA_RULE_TABLE, table);
            w.string(NFTA_RULE_CHAIN, chain.as_str());
            match place {
                Place::Before(handle) | Place::After(handle) => w.be64(NFTA_RULE_POSITION, handle.0),
                Place::Replacing(handle) => w.be64(NFTA_RULE_HANDLE, handle.0),
                Place::Last | Place::First => {}
            }
            w.nest(NFTA_RULE_EXPRESSIONS, expressions);
            let (protocol, negated) = compat;
            w.nest(NFTA_RULE_COMPAT, |w| {
                w.be32(NFTA_RULE_COMPAT_PROTO, protocol.into());
                w.be32(NFTA_RULE_COMPAT_FLAGS, if negated { NFT_RULE_COMPAT_F_INV } else { 0 });
            });
            if let Some(comment) = comment {
                let mut data = [0; NFT_USERDATA_MAXLEN];
                data[1] = comment.len() as u8 + 1;
                data[2..][..comment.len()].copy_from_slice(comment.as_bytes());
                w.bytes(NFTA_RULE_USERDATA, &data[..comment.len() + 3]);
            }
        })
    }

    /// Removes the rule with that handle.
    pub fn delete_rule(&mut self, family: Family, chain: &ChainName, handle: Handle) -> u32 {
        let table = self.table;
        self.step(NFT_MSG_DELRULE, 0, family, |w| {
            w.string(NFTA_RULE_TABLE, table);
            w.string(NFTA_RULE_CHAIN, chain.as_str());
            w.be64(NFTA_RULE_HANDLE, handle.0);
        })
    }

    /// Removes all rules of a chain.
    pub fn flush_chain(&mut self, family: Family, chain: &ChainName) -> u32 {
        let table = self.table;
        self.step(NFT_MSG_DELRULE, 0, family, |w| {
            w.string(NFTA_RULE_TABLE, table);
            w.string(NFTA_RULE_CHAIN, chain.as_str());
        })
    }

    /// Ends it: what the kernel gets commits as a whole or not at all.
    ///
    /// # Errors
    /// The step whose message holds more than a netlink attribute can (64 KiB).
    pub fn seal(self) -> Result<SealedBatch, u32> {
        self.finish(true)
    }

    /// Ends it for a trial: every message is checked, nothing is committed. Source:
    /// `nfnetlink_rcv_batch` aborts a batch without `BATCH_END`.
    ///
    /// # Errors
    /// As [`Batch::seal`].
    pub fn seal_dry(self) -> Result<SealedBatch, u32> {
        self.finish(false)
    }

    fn finish(mut self, commits: bool) -> Result<SealedBatch, u32> {
        if let Some(step) = self.overflowed {
            return Err(step);
        }
        if commits {
            // Silence proves nothing; the acknowledgement of the last message is delivered after
            // the commit. One for each message would overflow the receive buffer.
            if self.steps > 0 {
                let at = self.last + 6;
                let flags = u16::from_ne_bytes([self.buf[at], self.buf[at + 1]]) | NLM_F_ACK;
                self.buf[at..at + 2].copy_from_slice(&flags.to_ne_bytes());
            }
            let seq = BEGIN + 1 + self.steps;
            write(&mut self.buf, NFNL_MSG_BATCH_END, 0, seq, 0, NFNL_SUBSYS_NFTABLES, |_| {});
        }
        Ok(SealedBatch { buf: self.buf, steps: self.steps, against: self.against, commits })
    }
}

/// A transaction as it is sent: the bytes of one `sendmsg`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedBatch {
    buf: Vec<u8>,
    steps: u32,
    against: Option<Generation>,
    commits: bool,
}

impl SealedBatch {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.buf
    }

    /// The buffer, to be used again.
    pub fn into_buffer(self) -> Vec<u8> {
        self.buf
    }

    /// The number of steps.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// The generation it was made for.
    pub fn against(&self) -> Option<Generation> {
        self.against
    }

    /// False for a trial.
    pub fn commits(&self) -> bool {
        self.commits
    }

    /// The step with that sequence number; `None` for the beginning and the end.
    pub fn step(&self, seq: u32) -> Option<u32> {
        seq.checked_sub(BEGIN + 1).filter(|&step| step < self.steps)
    }

    /// Is this the sequence number of the batch's beginning, on which the kernel reports what is
    /// wrong with the whole?
    pub fn is_begin(seq: u32) -> bool {
        seq == BEGIN
    }

    /// The sequence number whose acknowledgement proves the commit.
    pub fn proof(&self) -> u32 {
        BEGIN + self.steps
    }

    /// A line for each message: its number, its expressions in libnftnl's notation, its bytes.
    pub fn describe(&self) -> Vec<String> {
        let line = |message: super::Message<'_>| {
            let list = Attrs::new(message.attributes()).flatten().find(|attr| attr.kind == NFTA_RULE_EXPRESSIONS);
            let mut exprs = Vec::new();
            if let Some(list) = list.filter(|_| message.is_nftables(NFT_MSG_NEWRULE)) {
                // A list that we wrote can be read; if not, its bytes are shown all the same.
                let _ = expr::read_all(list.payload, &mut exprs);
            }
            let exprs: String = exprs.iter().map(|expr| format!("{expr} ")).collect();
            let hex: String = message.payload.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("message {:#06x} seq {} flags {:#x} {exprs}{hex}", message.kind, message.seq, message.flags)
        };
        Messages::new(&self.buf).flatten().map(line).collect()
    }

    /// The index of the expression at `offset` bytes from the beginning of that step's message, as
    /// extended acknowledgements give it.
    pub fn expression_at(&self, step: u32, offset: u32) -> Option<usize> {
        let offset = offset as usize;
        let message = Messages::new(&self.buf).flatten().find(|message| self.step(message.seq) == Some(step))?;
        let mut at = NLMSG_HDRLEN + NFGENMSG_LEN;
        for attr in Attrs::new(message.attributes()) {
            let Attr { kind, payload } = attr.ok()?;
            let end = at + (4 + payload.len()).next_multiple_of(4);
            if kind == NFTA_RULE_EXPRESSIONS && (at..end).contains(&offset) {
                let mut inner = at + 4;
                for (index, element) in Attrs::new(payload).enumerate() {
                    inner += (4 + element.ok()?.payload.len()).next_multiple_of(4);
                    if offset < inner {
                        return Some(index);
                    }
                }
            }
            at = end;
        }
        None
    }
}
