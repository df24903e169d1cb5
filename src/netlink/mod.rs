//! The only socket: sends batches and requests, gives back answers. Moves bytes.
//!
//! neli owns the file descriptor; libc does what it lacks. What the answers mean is known one layer
//! down.

mod error;
mod sequence;
mod socket;

pub use error::NetlinkError;

use std::fmt;

use sequence::{Sequence, Told};
use socket::Socket;

use crate::{
    attr::{Attrs, be32, string},
    message::{Message, Messages, Refusal, Request, SealedBatch},
    model::{ChainName, Family, Generation},
    uapi::*,
};

/// A connection to netfilter in the network namespace of the thread that opened it.
///
/// Kept open it is much cheaper than one for each change: closing it after a deletion waits for an
/// RCU grace period (about 8 ms), which a process that only deletes cannot avoid.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    seq: u32,
}

/// Requests are numbered from here, batches from 1: an answer to one is never taken for the other's.
const FIRST_REQUEST: u32 = 0x8000_0000;

/// How often a dump is begun again when the ruleset changed while it ran.
const DUMP_ATTEMPTS: u32 = 64;

/// How often what belongs together is read again because the ruleset changed meanwhile.
const SNAPSHOT_ATTEMPTS: u32 = 64;

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is in the kernel (for a trial: would be).
    Committed,
    /// The ruleset is no longer the one the batch was made for; nothing was done.
    Outdated,
    /// Some messages were refused; nothing was done.
    Refused(Vec<Refusal>),
}

impl Netlink {
    /// Opens a connection.
    ///
    /// # Errors
    /// [`NetlinkError::Io`]. Whether it may be used turns out with the first request.
    pub fn open() -> Result<Self, NetlinkError> {
        Ok(Self { socket: Socket::open()?, seq: FIRST_REQUEST })
    }

    /// What tells the network namespace of this connection from others, as long as the machine runs;
    /// `netns` where the kernel (before 5.14) does not say.
    pub fn namespace(&self) -> String {
        self.socket.namespace().map_or_else(|_| "netns".to_owned(), |cookie| format!("netns-{cookie}"))
    }

    /// Sends a transaction in one `sendmsg` and waits for the proof of what became of it.
    ///
    /// # Errors
    /// [`NetlinkError`] where nothing was sent or the answer can't be had; that of a commit whose
    /// acknowledgement was lost is found out by the generation.
    pub fn commit(&mut self, batch: &SealedBatch) -> Result<Outcome, NetlinkError> {
        if batch.steps() == 0 {
            return Ok(Outcome::Committed);
        }
        if tracing::enabled!(tracing::Level::TRACE) {
            batch.describe().iter().for_each(|line| tracing::trace!("{line}"));
        }
        self.socket.send(batch.as_bytes(), "the transaction")?;
        // `sendmsg` runs the whole transaction; the answers are there when it returns.
        let mut refusals = Vec::new();
        let (mut proved, mut lost) = (false, false);
        loop {
            let bytes = match self.socket.receive_now() {
                Ok(Some(bytes)) => bytes,
                Ok(None) => break,
                Err(error) if error.is_lost_answer() => {
                    lost = true;
                    continue;
                }
                Err(error) => return Err(error),
            };
            for message in Messages::new(bytes) {
                let message = message.map_err(|_| NetlinkError::Malformed("the transaction".into()))?;
                match (message.kind, message.errno()) {
                    (NLMSG_ERROR, 0) => proved |= message.seq == batch.proof(),
                    (NLMSG_ERROR, _) => refusals.push(message.refusal()),
                    _ => {}
                }
            }
        }
        self.judge(batch, refusals, proved, lost)
    }

    fn judge(&mut self, batch: &SealedBatch, refusals: Vec<Refusal>, proved: bool, lost: bool) -> Result<Outcome, NetlinkError> {
        let of_whole = |errno| refusals.iter().any(|refusal| SealedBatch::is_begin(refusal.seq) && refusal.errno == errno);
        if of_whole(libc::ERESTART) {
            return Ok(Outcome::Outdated);
        }
        if refusals.iter().any(|refusal| refusal.errno == libc::EPERM) {
            return Err(NetlinkError::Denied);
        }
        if !refusals.is_empty() {
            return Ok(Outcome::Refused(refusals));
        }
        if !batch.commits() || proved {
            return Ok(Outcome::Committed);
        }
        // No refusal and no proof: the buffer overflowed, or the kernel dropped the batch.
        let now = self.generation()?;
        match batch.against() {
            Some(before) if now.0 == before.0.wrapping_add(1) => Ok(Outcome::Committed),
            Some(before) if now == before => Err(NetlinkError::Dropped),
            _ => Err(NetlinkError::Unproved { lost }),
        }
    }

    /// The present generation.
    ///
    /// # Errors
    /// [`NetlinkError`]
    pub fn generation(&mut self) -> Result<Generation, NetlinkError> {
        let request = Request::generation();
        let mut generation = None;
        self.ask(&request, |message| {
            if message.is_nftables(NFT_MSG_NEWGEN) {
                generation = message.generation();
            }
            generation.is_some()
        })?;
        generation.map(Generation).ok_or(NetlinkError::Malformed(request.what))
    }

    /// Reads what belongs together from one generation: `read` is called with the present one, and again
    /// if it is another afterwards. So is a refusal taken that comes while the ruleset changes: who asks
    /// for the elements of a set that is just being replaced is told that there is no such set. If nothing
    /// changed, the refusal stands.
    ///
    /// # Errors
    /// Those of `read`; [`NetlinkError::Busy`], about `what`, if the ruleset kept changing.
    pub fn snapshot<T>(
        &mut self,
        what: impl fmt::Display,
        mut read: impl FnMut(&mut Self, Generation) -> Result<T, NetlinkError>,
    ) -> Result<T, NetlinkError> {
        let mut generation = self.generation()?;
        for _ in 0..SNAPSHOT_ATTEMPTS {
            let outcome = read(self, generation);
            let torn = matches!(outcome, Err(NetlinkError::Torn(_)));
            if !torn && !matches!(outcome, Ok(_) | Err(NetlinkError::Refused { .. })) {
                return outcome;
            }
            let now = self.generation()?;
            if now == generation && !torn {
                return outcome;
            }
            tracing::debug!(%what, "the ruleset changed while it was read");
            generation = now;
        }
        Err(NetlinkError::Busy(what.to_string()))
    }

    /// Asks for all of something. `each` is called with every message and what was gathered so far;
    /// if the ruleset changes meanwhile (`NLM_F_DUMP_INTR`), or rules come twice or not at all, it begins again with a new `T`.
    ///
    /// # Errors
    /// [`NetlinkError::Busy`] if it kept changing.
    pub fn dump<T: Default>(&mut self, request: &Request, mut each: impl FnMut(&mut T, Message<'_>)) -> Result<T, NetlinkError> {
        for _ in 0..DUMP_ATTEMPTS {
            let mut gathered = T::default();
            match self.dump_once(request, |message| each(&mut gathered, message)) {
                Ok(true) => return Ok(gathered),
                Ok(false) => tracing::debug!(what = request.what, "the ruleset changed during the dump"),
                Err(error) if error.is_lost_answer() => {}
                Err(error) => return Err(error),
            }
        }
        Err(NetlinkError::Busy(request.what.clone()))
    }

    /// False if the dump was interrupted by a change, or is not whole ([`Sequence`]).
    fn dump_once(&mut self, request: &Request, mut each: impl FnMut(Message<'_>)) -> Result<bool, NetlinkError> {
        debug_assert!(request.dump);
        let (mut whole, mut sequence) = (true, Sequence::default());
        let mut done = false;
        let seq = self.send(request)?;
        while !done {
            for message in Messages::new(self.socket.receive(&request.what)?) {
                let message = message.map_err(|_| NetlinkError::Malformed(request.what.clone()))?;
                if message.seq != seq {
                    continue;
                }
                whole &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.kind {
                    NLMSG_DONE | NLMSG_ERROR => {
                        done = true;
                        match message.errno() {
                            0 => {}
                            libc::EINTR | libc::EAGAIN => whole = false,
                            errno => return Err(NetlinkError::refused(&request.what, errno)),
                        }
                    }
                    _ => match sequence.take(message) {
                        Told::Next => each(message),
                        Told::Again => {}
                        Told::Torn => whole = false,
                    },
                }
            }
        }
        Ok(whole)
    }

    /// Asks for one thing; `each` says when it has what it wants.
    fn ask(&mut self, request: &Request, mut each: impl FnMut(Message<'_>) -> bool) -> Result<(), NetlinkError> {
        let seq = self.send(request)?;
        loop {
            for message in Messages::new(self.socket.receive(&request.what)?) {
                let message = message.map_err(|_| NetlinkError::Malformed(request.what.clone()))?;
                if message.seq != seq {
                    continue;
                }
                match message.kind {
                    NLMSG_ERROR if message.errno() != 0 => return Err(NetlinkError::refused(&request.what, message.errno())),
                    NLMSG_ERROR => return Ok(()),
                    _ if each(message) => return Ok(()),
                    _ => {}
                }
            }
        }
    }

    fn send(&mut self, request: &Request) -> Result<u32, NetlinkError> {
        self.seq = self.seq.wrapping_add(1) | FIRST_REQUEST;
        let mut buf = request.buf.clone();
        buf[8..12].copy_from_slice(&self.seq.to_ne_bytes());
        self.socket.send(&buf, &request.what)?;
        Ok(self.seq)
    }

    /// Is there a table of that name?
    ///
    /// # Errors
    /// [`NetlinkError`]
    pub fn has_table(&mut self, family: Family, name: &str) -> Result<bool, NetlinkError> {
        Ok(self.table_flags(family, name)?.is_some())
    }

    /// The flags of the table of that name (`NFT_TABLE_F_…`); `None` if there is none.
    ///
    /// # Errors
    /// [`NetlinkError`]
    pub fn table_flags(&mut self, family: Family, name: &str) -> Result<Option<u32>, NetlinkError> {
        let mut flags = 0;
        let asked = self.ask(&Request::table(family, name), |message| {
            let found = Attrs::new(message.attributes()).flatten().find(|attr| attr.kind == NFTA_TABLE_FLAGS);
            flags = found.and_then(|attr| be32(attr.payload)).unwrap_or_default();
            message.is_nftables(NFT_MSG_NEWTABLE)
        });
        Self::if_there(asked, Some(flags))
    }

    /// Is there a chain of that name in `filter`?
    ///
    /// # Errors
    /// [`NetlinkError`]
    pub fn has_chain(&mut self, family: Family, chain: &ChainName) -> Result<bool, NetlinkError> {
        let asked = self.ask(&Request::chain(family, chain), |message| message.is_nftables(NFT_MSG_NEWCHAIN));
        Ok(Self::if_there(asked, Some(()))?.is_some())
    }

    /// The number of the ipset of that name and the family of what it holds (`NFPROTO_…`, 0 for
    /// any); `None` if there is none (or the kernel has no ipset).
    ///
    /// # Errors
    /// [`NetlinkError`]
    pub fn set_by_name(&mut self, name: &str) -> Result<Option<(u16, u8)>, NetlinkError> {
        let (mut index, mut family) = (None, 0);
        let asked = self.ask(&Request::set_by_name(name), |message| {
            for attr in Attrs::new(message.attributes()).flatten() {
                match attr.kind {
                    IPSET_ATTR_INDEX => index = attr.payload.try_into().ok().map(u16::from_be_bytes),
                    IPSET_ATTR_FAMILY => family = attr.payload.first().copied().unwrap_or_default(),
                    _ => {}
                }
            }
            false
        });
        Self::if_there(asked, index.map(|index| (index, family)))
    }

    /// The name of the ipset with that number; `None` if there is none.
    ///
    /// # Errors
    /// [`NetlinkError`]
    pub fn set_name(&mut self, index: u16) -> Result<Option<String>, NetlinkError> {
        let mut name = None;
        let asked = self.ask(&Request::set_by_index(index), |message| {
            let mut attrs = Attrs::new(message.attributes()).flatten();
            let found = attrs.find(|attr| attr.kind == IPSET_ATTR_SETNAME).and_then(|attr| string(attr.payload));
            name = name.take().or(found.map(str::to_owned));
            false
        });
        Self::if_there(asked, name)
    }

    fn if_there<T>(asked: Result<(), NetlinkError>, found: Option<T>) -> Result<Option<T>, NetlinkError> {
        match asked {
            Ok(()) => Ok(found),
            Err(NetlinkError::Refused { errno: libc::ENOENT | libc::EINVAL, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
