use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, number, opt, ordered, parse_number},
};

/// `-j NFQUEUE`: hands the packet to a program in user space, which decides what becomes of it.
/// Kernel: `net/netfilter/xt_NFQUEUE.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nfqueue {
    first: u16,
    /// How many queues from there on share the packets, at least 1.
    count: u16,
    /// `NFQ_FLAG_…`
    flags: u16,
}

/// `NFQ_FLAG_BYPASS`
const BYPASS: u16 = 1;
/// `NFQ_FLAG_CPU_FANOUT`
const CPU_FANOUT: u16 = 2;

/// The last queue that `--queue-balance` takes; their number must fit 16 bits.
const LAST: u16 = u16::MAX - 1;

impl Extension for Nfqueue {
    const NAME: &'static str = "NFQUEUE";
    const SUMMARY: &'static str = "hands the packet to a program, which decides what becomes of it";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("queue-num", &["NUMBER"], "the queue, 0 to 65535; 0 if left out"),
        opt("queue-balance", &["LOW:HIGH"], "spreads connections over these queues; HIGH is at most 65534"),
        opt("queue-bypass", &[], "if no program listens, the packet is accepted instead of dropped"),
        opt("queue-cpu-fanout", &[], "spreads by the CPU that handles the packet, not by connection"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-j NFQUEUE", "-j NFQUEUE --queue-num 0"),
        Example::ok("-j NFQUEUE --queue-num 0x10", "-j NFQUEUE --queue-num 16"),
        Example::same("-j NFQUEUE --queue-num 65535"),
        Example::ok("-j NFQUEUE --queue-bypass", "-j NFQUEUE --queue-num 0 --queue-bypass"),
        Example::same("-j NFQUEUE --queue-balance 0:3"),
        Example::ok("-j NFQUEUE --queue-balance :4", "-j NFQUEUE --queue-balance 0:4"),
        Example::ok("-j NFQUEUE --queue-balance 4:", "-j NFQUEUE --queue-balance 4:65534"),
        Example::same("-j NFQUEUE --queue-balance 0:65534"),
        Example::ok(
            "-j NFQUEUE --queue-cpu-fanout --queue-bypass --queue-balance 0:6",
            "-j NFQUEUE --queue-balance 0:6 --queue-bypass --queue-cpu-fanout",
        ),
        Example::fails("-j NFQUEUE --queue-num 65536", "this must be a number from 0 to 65535"),
        Example::fails("-j NFQUEUE --queue-balance 4", "this must be two queues from 0 to 65534: 0:3"),
        Example::fails("-j NFQUEUE --queue-balance 0:65535", "this must be two queues from 0 to 65534: 0:3"),
        Example::fails("-j NFQUEUE --queue-balance 4:3", "the range runs backwards: 4 is more than 3"),
        Example::fails("-j NFQUEUE --queue-balance 4:4", "both ends are the same queue"),
        Example::fails("-j NFQUEUE --queue-num 1 --queue-balance 1:2", "`--queue-num` and `--queue-balance` can't stand together"),
        Example::fails("-j NFQUEUE --queue-num 1 --queue-cpu-fanout", "`--queue-cpu-fanout` needs `--queue-balance`"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let mut queues: Option<(Given<'_>, u16, u16)> = None;
        let (mut bypass, mut fanout) = (0, None);
        for given in args {
            let (first, count) = match given.name() {
                "queue-num" => (number(&given.values[0], u16::MAX.into())? as u16, 1),
                "queue-balance" => parse_balance(&given)?,
                "queue-bypass" => {
                    bypass = BYPASS;
                    continue;
                }
                _ => {
                    fanout = Some(given);
                    continue;
                }
            };
            if queues.is_some() {
                return Err(given.error_here("`--queue-num` and `--queue-balance` can't stand together"));
            }
            queues = Some((given, first, count));
        }
        let (first, count) = queues.map_or((0, 1), |(_, first, count)| (first, count));
        match fanout {
            Some(given) if count == 1 => Err(given.error_here("`--queue-cpu-fanout` needs `--queue-balance`")),
            fanout => Ok(Self { first, count, flags: bypass | if fanout.is_some() { CPU_FANOUT } else { 0 } }),
        }
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // struct xt_NFQ_info_v3: u16 queuenum, u16 queues_total, u16 flags
        let [a, b] = self.first.to_ne_bytes();
        let [c, d] = self.count.to_ne_bytes();
        let [e, f] = self.flags.to_ne_bytes();
        out.xt_target(Self::NAME, 3, &[a, b, c, d, e, f, 0, 0]);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let &[a, b, c, d, e, f, 0, 0] = cursor.take_target(Self::NAME, 3)? else { return None };
        let queue = Self { first: u16::from_ne_bytes([a, b]), count: u16::from_ne_bytes([c, d]), flags: u16::from_ne_bytes([e, f]) };
        let last = queue.count.checked_sub(1).and_then(|more| queue.first.checked_add(more))?;
        let valid = match queue.count {
            1 => queue.flags & !BYPASS == 0,
            _ => queue.flags & !(BYPASS | CPU_FANOUT) == 0 && last <= LAST,
        };
        valid.then_some(queue)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NFQUEUE ")?;
        self.print(f, "")
    }
}

impl Nfqueue {
    fn print(&self, f: &mut fmt::Formatter<'_>, before: &str) -> fmt::Result {
        match self.count {
            1 => write!(f, "{before}num {}", self.first)?,
            count => write!(f, "{before}balance {}:{}", self.first, self.first + (count - 1))?,
        }
        for (name, flag) in [("bypass", BYPASS), ("cpu-fanout", CPU_FANOUT)] {
            if self.flags & flag != 0 {
                write!(f, " {before}{name}")?;
            }
        }
        Ok(())
    }
}

/// The first queue, and how many there are.
fn parse_balance(given: &Given<'_>) -> Result<(u16, u16), SyntaxError> {
    let end = |text: &str, open: u16| match text {
        "" => Some(open),
        text => parse_number(text).and_then(|queue| u16::try_from(queue).ok()).filter(|&queue| queue <= LAST),
    };
    let ends = given.text(0).split_once(':').and_then(|(low, high)| Some((end(low, 0)?, end(high, LAST)?)));
    let (low, high) = ends.ok_or_else(|| given.error(format!("this must be two queues from 0 to {LAST}: 0:3")))?;
    let (low, high) = ordered(&given.values[0], low, high, ':')?;
    match high - low {
        0 => Err(given.error("both ends are the same queue").hint(format!("write `--queue-num {low}`"))),
        more => Ok((low, more + 1)),
    }
}

impl fmt::Display for Nfqueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, "--queue-")
    }
}
