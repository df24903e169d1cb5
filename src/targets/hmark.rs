use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Address, Family},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, number, opt},
};

/// `-j HMARK`: sets the packet's mark to a hash of its addresses, ports, …, so that connections are
/// spread; the next rule is then tried. Kernel: `net/netfilter/xt_HMARK.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hmark {
    hash: Box<Hash>,
}

/// What is hashed, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Hash {
    source: Option<Prefix>,
    destination: Option<Prefix>,
    /// In the order of [`NUMBERS`].
    numbers: [Option<u32>; NUMBERS.len()],
    /// Hashes the addresses and ports that the connection began with.
    conntrack: bool,
}

/// How many bits of an address count.
///
/// Of IPv4's mask the struct has twelve bytes more. iptables fills them with ones if the address was
/// named by `--hmark-tuple`, else with zeros; the kernel ignores them, and so does `==`.
#[derive(Debug, Clone, Copy)]
struct Prefix {
    bits: u8,
    filled: bool,
}

/// An option that is a number, and where it goes.
struct Number {
    name: &'static str,
    /// `XT_HMARK_…`
    flag: u32,
    at: usize,
    kind: Kind,
    /// To how many hexadecimal digits it is filled up; 0 for a decimal number.
    digits: usize,
}

enum Kind {
    /// 16 bits in network order.
    Port,
    /// 32 bits in network order.
    Spi,
    Short,
    Long,
}

const fn hex(name: &'static str, flag: u32, at: usize, kind: Kind, digits: usize) -> Number {
    Number { name, flag, at, kind, digits }
}

/// In the order in which they are printed.
static NUMBERS: [Number; 10] = [
    hex("sport-mask", 1 << 6, 32, Kind::Port, 4),
    hex("dport-mask", 1 << 7, 34, Kind::Port, 4),
    hex("spi-mask", 1 << 3, 32, Kind::Spi, 8),
    hex("sport", 1 << 4, 36, Kind::Port, 4),
    hex("dport", 1 << 5, 38, Kind::Port, 4),
    hex("spi", 1 << 2, 36, Kind::Spi, 8),
    hex("proto-mask", 1 << 8, 44, Kind::Short, 2),
    hex("rnd", 1 << 9, 48, Kind::Long, 8),
    hex("mod", 1 << 10, 52, Kind::Long, 0),
    hex("offset", 1 << 11, 56, Kind::Long, 0),
];

/// Places in [`NUMBERS`].
const SPORT_MASK: usize = 0;
const DPORT_MASK: usize = 1;
const SPI_MASK: usize = 2;
const PROTO_MASK: usize = 6;
const RND: usize = 7;
const MOD: usize = 8;
const OFFSET: usize = 9;

/// `XT_HMARK_SADDR_MASK`, `XT_HMARK_DADDR_MASK`, `XT_HMARK_CT`
const SOURCE: u32 = 1;
const DESTINATION: u32 = 1 << 1;
const CONNTRACK: u32 = 1 << 12;

const LEN: usize = 64;

impl Extension for Hmark {
    const NAME: &'static str = "HMARK";
    const SUMMARY: &'static str = "sets the packet's mark to a hash of its addresses, ports, …";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("hmark-tuple", &["PART[,…]"], "what is hashed: src, dst, sport, dport, spi, proto; ct: as the connection began"),
        opt("hmark-mod", &["NUMBER"], "the mark is the hash modulo that, 1 to 4294967295"),
        opt("hmark-offset", &["NUMBER"], "and then that is added"),
        opt("hmark-rnd", &["NUMBER"], "what the hash begins with"),
        opt("hmark-src-prefix", &["BITS"], "only the first bits of the source address"),
        opt("hmark-dst-prefix", &["BITS"], "only the first bits of the destination address"),
        opt("hmark-sport-mask", &["BITS"], "only these bits of the source port"),
        opt("hmark-dport-mask", &["BITS"], "only these bits of the destination port"),
        opt("hmark-spi-mask", &["BITS"], "only these bits of the SPI of ESP or AH"),
        opt("hmark-sport", &["BITS"], "with these bits of the source port set"),
        opt("hmark-dport", &["BITS"], "with these bits of the destination port set"),
        opt("hmark-spi", &["BITS"], "with these bits of the SPI set"),
        opt("hmark-proto-mask", &["BITS"], "only these bits of the protocol's number"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::ok(
            "-j HMARK --hmark-tuple src,dst,sport,dport,proto,ct --hmark-mod 10 --hmark-offset 100 --hmark-rnd 0xfeedcafe",
            "-j HMARK --hmark-src-prefix 32 --hmark-dst-prefix 32 --hmark-sport-mask 0xffff --hmark-dport-mask 0xffff \
             --hmark-proto-mask 0xffff --hmark-rnd 0xfeedcafe --hmark-mod 10 --hmark-offset 100 --hmark-tuple ct",
        )
        .ip(),
        Example::ok(
            "-j HMARK --hmark-rnd 1 --hmark-mod 4 --hmark-src-prefix 24 --hmark-dst-prefix 255.255.0.0",
            "-j HMARK --hmark-src-prefix 24 --hmark-dst-prefix 16 --hmark-rnd 0x00000001 --hmark-mod 4",
        )
        .ip(),
        Example::same("-j HMARK --hmark-src-prefix 64 --hmark-dst-prefix 0 --hmark-rnd 0x00000001 --hmark-mod 4").ip6(),
        Example::ok(
            "-j HMARK --hmark-tuple SP,dp,c --hmark-mod 1 --hmark-rnd 0",
            "-j HMARK --hmark-sport-mask 0xffff --hmark-dport-mask 0xffff --hmark-rnd 0x00000000 --hmark-mod 1 --hmark-tuple ct",
        ),
        Example::ok(
            "-j HMARK --hmark-tuple spi --hmark-mod 4294967295 --hmark-rnd 0",
            "-j HMARK --hmark-spi-mask 0xffffffff --hmark-rnd 0x00000000 --hmark-mod 4294967295",
        ),
        Example::same(
            "-j HMARK --hmark-sport-mask 0x0f00 --hmark-dport-mask 0x00ff --hmark-sport 0x1234 --hmark-dport 0x0005 \
             --hmark-rnd 0x00000001 --hmark-mod 4",
        ),
        Example::same("-j HMARK --hmark-spi-mask 0x0000000f --hmark-spi 0x12345678 --hmark-proto-mask 0x06 --hmark-rnd 0x00000001 --hmark-mod 4"),
        Example::fails("-j HMARK --hmark-tuple src --hmark-rnd 1", "needs `--hmark-mod NUMBER`"),
        Example::fails("-j HMARK --hmark-tuple src --hmark-mod 4", "needs `--hmark-rnd NUMBER`"),
        Example::fails("-j HMARK --hmark-rnd 1 --hmark-mod 4 --hmark-offset 1", "needs `--hmark-tuple PART[,…]`, or some of its parts as options"),
        Example::fails("-j HMARK --hmark-tuple src,port --hmark-rnd 1 --hmark-mod 4", "`port` is none of ct, src, dst, sport, dport, proto, spi"),
        Example::fails("-j HMARK --hmark-tuple src --hmark-src-prefix 8 --hmark-rnd 1 --hmark-mod 4", "the source address is there twice"),
        Example::fails("-j HMARK --hmark-tuple spi,sport --hmark-rnd 1 --hmark-mod 4", "SPI and ports can't be masked together"),
        Example::fails("-j HMARK --hmark-spi 1 --hmark-dport 1 --hmark-rnd 1 --hmark-mod 4", "bits of SPI and ports can't be set together"),
        Example::fails("-j HMARK --hmark-src-prefix 33 --hmark-rnd 1 --hmark-mod 4", "this must be a number of bits from 0 to 32").ip(),
        Example::fails("-j HMARK --hmark-tuple src --hmark-rnd 1 --hmark-mod 0", "this must be a number from 1 to 4294967295"),
        Example::fails("-j HMARK --hmark-sport 65536 --hmark-rnd 1 --hmark-mod 1", "this must be a number from 0 to 65535"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let family = args.family();
        let mut hash = Hash::default();
        for given in args.by_ref() {
            match given.name() {
                "hmark-tuple" => given.text(0).split(',').try_for_each(|part| hash.add(&given, part, family))?,
                "hmark-src-prefix" => set(&mut hash.source, parse_prefix(&given, family)?, &given, "the source address")?,
                "hmark-dst-prefix" => set(&mut hash.destination, parse_prefix(&given, family)?, &given, "the destination address")?,
                name => hash.number(&given, name)?,
            }
            let [sport_mask, dport_mask, spi_mask, sport, dport, spi, ..] = hash.numbers;
            if spi_mask.is_some() && (sport_mask.is_some() || dport_mask.is_some()) {
                return Err(given.error_here("SPI and ports can't be masked together").hint("no protocol has both"));
            }
            if spi.is_some() && (sport.is_some() || dport.is_some()) {
                return Err(given.error_here("bits of SPI and ports can't be set together").hint("no protocol has both"));
            }
        }
        if !hash.hashes() {
            return Err(args.error("needs `--hmark-tuple PART[,…]`, or some of its parts as options"));
        }
        for (place, missing) in [(MOD, "needs `--hmark-mod NUMBER`"), (RND, "needs `--hmark-rnd NUMBER`")] {
            hash.numbers[place].ok_or_else(|| args.error(missing))?;
        }
        Ok(Self { hash: Box::new(hash) })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_target(Self::NAME, 0, &self.hash.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let family = cursor.family();
        let info = cursor.take_target::<LEN>(Self::NAME, 0)?;
        let hash = Hash::from_xt(info, family)?;
        let [sport_mask, dport_mask, spi_mask, sport, dport, spi, _, rnd, modulus, _] = hash.numbers.map(|number| number.is_some());
        let known = hash.hashes() && rnd && modulus && hash.numbers[MOD] != Some(0);
        let alone = !(spi_mask && (sport_mask || dport_mask)) && !(spi && (sport || dport));
        (known && alone && hash.to_xt() == *info).then(|| Self { hash: Box::new(hash) })
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HMARK ")?;
        if let Some(modulus) = self.hash.numbers[MOD] {
            write!(f, "mod {modulus} ")?;
        }
        if let Some(offset) = self.hash.numbers[OFFSET] {
            write!(f, "+ 0x{offset:x} ")?;
        }
        f.write_str(if self.hash.conntrack { "ct, " } else { "" })?;
        for (prefix, name) in [(self.hash.source, "src"), (self.hash.destination, "dst")] {
            match prefix {
                // ip6tables leaves out the number that says nothing, but not its option.
                Some(Prefix { bits: 128, .. }) => write!(f, "{name}-prefix  ")?,
                Some(Prefix { bits, .. }) => write!(f, "{name}-prefix {bits} ")?,
                None => {}
            }
        }
        let numbers = NUMBERS.iter().zip(self.hash.numbers).take(MOD);
        numbers.filter_map(|(number, value)| Some((number.name, value?))).try_for_each(|(name, value)| write!(f, "{name} 0x{value:x} "))
    }
}

impl Hash {
    /// Takes in one word of `--hmark-tuple`: as iptables finds it, the first that begins so, capitals or not.
    fn add(&mut self, given: &Given<'_>, part: &str, family: Family) -> Result<(), SyntaxError> {
        const PARTS: [&str; 7] = ["ct", "src", "dst", "sport", "dport", "proto", "spi"];
        let begins = |name: &&str| !part.is_empty() && name.get(..part.len()).is_some_and(|start| start.eq_ignore_ascii_case(part));
        let prefix = match family {
            Family::Ip => Prefix { bits: 32, filled: true },
            Family::Ip6 => Prefix { bits: 128, filled: false },
        };
        let numbers = &mut self.numbers;
        match PARTS.into_iter().find(begins) {
            Some("ct") => {
                self.conntrack = true;
                Ok(())
            }
            Some("src") => set(&mut self.source, prefix, given, "the source address"),
            Some("dst") => set(&mut self.destination, prefix, given, "the destination address"),
            Some("sport") => set(&mut numbers[SPORT_MASK], 0xffff, given, "the source port"),
            Some("dport") => set(&mut numbers[DPORT_MASK], 0xffff, given, "the destination port"),
            Some("proto") => set(&mut numbers[PROTO_MASK], 0xffff, given, "the protocol"),
            Some(_) => set(&mut numbers[SPI_MASK], u32::MAX, given, "the SPI"),
            None => Err(given.error(format!("`{part}` is none of {}", PARTS.join(", ")))),
        }
    }

    fn number(&mut self, given: &Given<'_>, name: &str) -> Result<(), SyntaxError> {
        let place = NUMBERS.iter().position(|number| name.strip_prefix("hmark-") == Some(number.name)).unwrap_or(OFFSET);
        let max = match NUMBERS[place].kind {
            Kind::Port | Kind::Short => u16::MAX.into(),
            Kind::Spi | Kind::Long => u32::MAX,
        };
        match number(&given.values[0], max.into())? as u32 {
            0 if place == MOD => Err(given.error(format!("this must be a number from 1 to {max}"))),
            value => set(&mut self.numbers[place], value, given, "this"),
        }
    }

    /// Is there anything to hash?
    fn hashes(&self) -> bool {
        self.source.is_some() || self.destination.is_some() || self.conntrack || self.numbers[..=PROTO_MASK].iter().any(Option::is_some)
    }

    fn to_xt(self) -> [u8; LEN] {
        // struct xt_hmark_info: src_mask[16], dst_mask[16], port_mask[4], port_set[4], u32 flags, u16
        // proto_mask, u32 hashrnd, u32 hmodulus, u32 hoffset
        let mut info = [0; LEN];
        let mut flags = if self.conntrack { CONNTRACK } else { 0 };
        for (prefix, flag, at) in [(self.source, SOURCE, 0), (self.destination, DESTINATION, 16)] {
            if let Some(prefix) = prefix {
                flags |= flag;
                info[at..at + 16].copy_from_slice(&prefix.to_mask());
            }
        }
        for (number, value) in NUMBERS.iter().zip(self.numbers) {
            let Some(value) = value else { continue };
            flags |= number.flag;
            let info = &mut info[number.at..];
            match number.kind {
                Kind::Port => info[..2].copy_from_slice(&(value as u16).to_be_bytes()),
                Kind::Spi => info[..4].copy_from_slice(&value.to_be_bytes()),
                Kind::Short => info[..2].copy_from_slice(&(value as u16).to_ne_bytes()),
                Kind::Long => info[..4].copy_from_slice(&value.to_ne_bytes()),
            }
        }
        info[40..44].copy_from_slice(&flags.to_ne_bytes());
        info
    }

    fn from_xt(info: &[u8; LEN], family: Family) -> Option<Self> {
        let flags = u32::from_ne_bytes(*info[40..].first_chunk()?);
        let prefix = |flag, at: usize| if flags & flag == 0 { Some(None) } else { Prefix::from_mask(info[at..].first_chunk()?, family).map(Some) };
        let mut numbers = [None; NUMBERS.len()];
        for (slot, number) in numbers.iter_mut().zip(&NUMBERS) {
            let &[a, b, c, d] = info[number.at..].first_chunk()?;
            let value = match number.kind {
                Kind::Port => u16::from_be_bytes([a, b]).into(),
                Kind::Spi => u32::from_be_bytes([a, b, c, d]),
                Kind::Short => u16::from_ne_bytes([a, b]).into(),
                Kind::Long => u32::from_ne_bytes([a, b, c, d]),
            };
            *slot = (flags & number.flag != 0).then_some(value);
        }
        Some(Self { source: prefix(SOURCE, 0)?, destination: prefix(DESTINATION, 16)?, numbers, conntrack: flags & CONNTRACK != 0 })
    }
}

impl Prefix {
    fn to_mask(self) -> [u8; 16] {
        if self.filled { [0xff; 16] } else { u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0).to_be_bytes() }
    }

    /// `None` if the mask has holes.
    fn from_mask(mask: &[u8; 16], family: Family) -> Option<Self> {
        let bits = u128::from_be_bytes(*mask);
        let ones = (bits.leading_ones() == bits.count_ones()).then(|| bits.leading_ones())?;
        match (family, ones) {
            (Family::Ip, 128) => Some(Self { bits: 32, filled: true }),
            (Family::Ip, 33..) => None,
            (_, ones) => Some(Self { bits: ones as u8, filled: false }),
        }
    }
}

impl PartialEq for Prefix {
    fn eq(&self, other: &Self) -> bool {
        self.bits == other.bits
    }
}

impl Eq for Prefix {}

/// A number of bits, or a mask that begins with so many ones.
fn parse_prefix(given: &Given<'_>, family: Family) -> Result<Prefix, SyntaxError> {
    let (any, max) = match family {
        Family::Ip => ("0.0.0.0", 32),
        Family::Ip6 => ("::", 128),
    };
    let masked = Address::parse(&format!("{any}/{}", given.text(0)), family);
    let bits = masked.ok().and_then(|address| address.prefix_len());
    bits.map(|bits| Prefix { bits, filled: false }).ok_or_else(|| given.error(format!("this must be a number of bits from 0 to {max}")))
}

fn set<T>(slot: &mut Option<T>, value: T, given: &Given<'_>, what: &str) -> Result<(), SyntaxError> {
    match slot.replace(value) {
        Some(_) => Err(given.error(format!("{what} is there twice")).hint("`--hmark-tuple` names what is taken whole, the other options parts")),
        None => Ok(()),
    }
}

impl fmt::Display for Hmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        let mut option = |f: &mut fmt::Formatter<'_>, name: &str, value: fmt::Arguments<'_>| {
            write!(f, "{}--hmark-{name} {value}", std::mem::replace(&mut space, " "))
        };
        for (prefix, name) in [(self.hash.source, "src-prefix"), (self.hash.destination, "dst-prefix")] {
            if let Some(prefix) = prefix {
                option(f, name, format_args!("{}", prefix.bits))?;
            }
        }
        for (number, value) in NUMBERS.iter().zip(self.hash.numbers) {
            match (value, number.digits) {
                (None, _) => {}
                (Some(value), 0) => option(f, number.name, format_args!("{value}"))?,
                (Some(value), digits) => option(f, number.name, format_args!("0x{value:0digits$x}"))?,
            }
        }
        if self.hash.conntrack { option(f, "tuple", format_args!("ct")) } else { Ok(()) }
    }
}
