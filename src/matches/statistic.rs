use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, number, opt},
};

/// `-m statistic`: some of the packets, by chance or by counting. Kernel:
/// `net/netfilter/xt_statistic.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistic {
    negated: bool,
    mode: Mode,
}

/// Which packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Each with this probability, in parts of [`WHOLE`].
    Random(u32),
    /// One of so many; after the rule is added, that with this number comes first, counted from 0.
    Nth { every: u32, packet: u32 },
}

/// The probability of what is certain.
const WHOLE: u32 = 0x8000_0000;
const RANDOM: u16 = 0;
const NTH: u16 = 1;

impl Extension for Statistic {
    const NAME: &'static str = "statistic";
    const SUMMARY: &'static str = "some of the packets, by chance or by counting";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("mode", &["MODE"], "random, with --probability; or nth, with --every and --packet"),
        opt("probability", &["0..1"], "how probably a packet matches").negates(),
        opt("every", &["NUMBER"], "one of so many packets matches").negates(),
        opt("packet", &["NUMBER"], "the first that does, counted from 0"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-m statistic --mode random --probability 0.5 -j DROP", "-m statistic --mode random --probability 0.50000000000 -j DROP"),
        Example::ok("-m statistic ! --probability .1 --mode random -j DROP", "-m statistic --mode random ! --probability 0.10000000009 -j DROP"),
        Example::ok("-m statistic --mode random --probability 1 -j DROP", "-m statistic --mode random --probability 1.00000000000 -j DROP"),
        Example::same("-m statistic --mode nth --every 3 --packet 1 -j DROP"),
        Example::ok("-m statistic --packet 0 ! --every 0x10 --mode nth -j DROP", "-m statistic --mode nth ! --every 16 --packet 0 -j DROP"),
        Example::same("-m statistic --mode nth --every 4294967295 --packet 4294967294 -j DROP"),
        Example::fails("-m statistic --probability 0.5 -j DROP", "needs `--mode random` or `--mode nth`"),
        Example::fails("-m statistic --mode often -j DROP", "`often` is neither `random` nor `nth`"),
        Example::fails("-m statistic --mode random -j DROP", "mode `random` needs `--probability` and nothing else"),
        Example::fails("-m statistic --mode nth --every 3 -j DROP", "mode `nth` needs `--every` and `--packet` and nothing else"),
        Example::fails("-m statistic --mode random --probability 1.1 -j DROP", "this must be a number from 0 to 1"),
        Example::fails("-m statistic --mode nth --every 0 --packet 0 -j DROP", "this must be a number from 1 to 4294967295"),
        Example::fails("-m statistic --mode nth --every 3 --packet 3 -j DROP", "of every 3 packets the last has the number 2"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let (mut mode, mut probability, mut every, mut packet) = (None, None, None, None);
        for given in args.by_ref() {
            match given.name() {
                "mode" => mode = Some(given),
                "probability" => probability = Some((given.negated, parse_probability(&given)?)),
                "every" => every = Some((given.negated, parse_every(&given)?)),
                _ => packet = Some((number(&given.values[0], u32::MAX.into())? as u32, given)),
            }
        }
        let mode = mode.ok_or_else(|| args.error("needs `--mode random` or `--mode nth`"))?;
        match (mode.text(0), probability, every, packet) {
            ("random", Some((negated, probability)), None, None) => Ok(Self { negated, mode: Mode::Random(probability) }),
            ("nth", None, Some((negated, every)), Some((packet, given))) => match packet < every {
                true => Ok(Self { negated, mode: Mode::Nth { every, packet } }),
                false => Err(given.error(format!("of every {every} packets the last has the number {}", every - 1))),
            },
            ("random", ..) => Err(mode.error("mode `random` needs `--probability` and nothing else")),
            ("nth", ..) => Err(mode.error("mode `nth` needs `--every` and `--packet` and nothing else")),
            (other, ..) => Err(mode.error(format!("`{other}` is neither `random` nor `nth`"))),
        }
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<24>(Self::NAME, 0)?;
        let &[a, b, c, d, e, f, g, h, i, j, k, l, ..] = info;
        let first = u32::from_ne_bytes([e, f, g, h]);
        let mode = match u16::from_ne_bytes([a, b]) {
            RANDOM if first <= WHOLE => Mode::Random(first),
            NTH => Mode::Nth { every: first.checked_add(1)?, packet: u32::from_ne_bytes([i, j, k, l]) },
            _ => return None,
        };
        if matches!(mode, Mode::Nth { every, packet } if packet >= every) {
            return None;
        }
        let statistic = Self { negated: u16::from_ne_bytes([c, d]) == 1, mode };
        (statistic.to_xt() == *info).then_some(statistic)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("statistic ")?;
        self.print(f, "")
    }
}

impl Statistic {
    fn to_xt(self) -> [u8; 24] {
        // struct xt_statistic_info: u16 mode, u16 flags, u32 probability or every - 1, packet, count,
        // then what is the kernel's own and dumped as 0. iptables fills in the count in both modes.
        let (mode, first, second) = match self.mode {
            Mode::Random(probability) => (RANDOM, probability, 0),
            Mode::Nth { every, packet } => (NTH, every - 1, packet),
        };
        let mut info = [0; 24];
        info[..2].copy_from_slice(&mode.to_ne_bytes());
        info[2..4].copy_from_slice(&u16::from(self.negated).to_ne_bytes());
        info[4..8].copy_from_slice(&first.to_ne_bytes());
        info[8..12].copy_from_slice(&second.to_ne_bytes());
        info[12..16].copy_from_slice(&(first - second).to_ne_bytes());
        info
    }

    fn print(&self, f: &mut fmt::Formatter<'_>, dashes: &str) -> fmt::Result {
        let bang = if self.negated { "! " } else { "" };
        match self.mode {
            Mode::Random(probability) => {
                let probability = f64::from(probability) / f64::from(WHOLE);
                write!(f, "{dashes}mode random {bang}{dashes}probability {probability:.11}")
            }
            Mode::Nth { every, packet } => {
                write!(f, "{dashes}mode nth {bang}{dashes}every {every}")?;
                if packet != 0 || !dashes.is_empty() { write!(f, " {dashes}packet {packet}") } else { Ok(()) }
            }
        }
    }
}

fn parse_probability(given: &Given<'_>) -> Result<u32, SyntaxError> {
    let probability = given.text(0).parse::<f64>().ok().filter(|one| (0.0..=1.0).contains(one));
    let probability = probability.ok_or_else(|| given.error("this must be a number from 0 to 1"))?;
    Ok((probability * f64::from(WHOLE)).round() as u32)
}

fn parse_every(given: &Given<'_>) -> Result<u32, SyntaxError> {
    match number(&given.values[0], u32::MAX.into()) {
        Ok(every @ 1..) => Ok(every as u32),
        _ => Err(given.error(format!("this must be a number from 1 to {}", u32::MAX))),
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, "--")
    }
}
