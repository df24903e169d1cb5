use std::fmt;

use super::ports::{self, Ports, space};
use crate::{
    expr::{CmpOp, Condition, Field, Operand},
    extension::{Cursor, Extension, Linearizer},
    model::{Protocol, Test},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, number, opt},
};

/// `-m tcp`: ports, flags and one option of TCP. Kernel: `net/netfilter/xt_tcpudp.c`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tcp {
    ports: Ports,
    /// Mask and value.
    flags: Option<Test<(u8, u8)>>,
    option: Option<Test<u8>>,
}

/// In the order in which iptables prints them, which is not that of the bits.
const FLAGS: [(&str, u8); 6] = [("FIN", 1), ("SYN", 2), ("RST", 4), ("PSH", 8), ("ACK", 16), ("URG", 32)];
/// The flags that have names.
const ALL: u8 = 63;
const SYN: (u8, u8) = (1 | 2 | 4 | 16, 2);

impl Extension for Tcp {
    const NAME: &'static str = "tcp";
    const PROTOCOL: Option<Protocol> = Some(Protocol::TCP);
    const SUMMARY: &'static str = "ports, flags and options of TCP";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("source-port", &["PORT[:PORT]"], "the sender's port, or a range of ports").aliases(&["sport"]).negates(),
        opt("destination-port", &["PORT[:PORT]"], "the receiver's port, or a range of ports").aliases(&["dport"]).negates(),
        opt("tcp-flags", &["MASK", "SET"], "of the flags in MASK, just those in SET are set").negates(),
        opt("syn", &[], "opens a connection: of SYN, RST, ACK and FIN, only SYN is set").negates(),
        opt("tcp-option", &["NUMBER"], "the TCP option is there").negates(),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-p tcp --dport 80 -j DROP", "-p tcp -m tcp --dport 80 -j DROP"),
        Example::ok("-p tcp --dport https -j DROP", "-p tcp -m tcp --dport 443 -j DROP"),
        Example::ok("-p tcp -m tcp ! --sport 1024: -j DROP", "-p tcp -m tcp ! --sport 1024:65535 -j DROP"),
        Example::ok("-p tcp --sport :1023 --dport 22 -j DROP", "-p tcp -m tcp --sport 0:1023 --dport 22 -j DROP"),
        Example::ok("-p tcp --sport 5 --dport 6 -j DROP", "-p tcp -m tcp --sport 5 --dport 6 -j DROP"),
        Example::ok("-p tcp ! --sport 5 ! --dport 6 -j DROP", "-p tcp -m tcp ! --sport 5 ! --dport 6 -j DROP"),
        Example::ok("-p tcp --syn -j DROP", "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP"),
        Example::ok("-p tcp ! --syn -j DROP", "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j DROP"),
        Example::ok("-p tcp --tcp-flags ALL NONE -j DROP", "-p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG NONE -j DROP"),
        Example::ok("-p tcp --tcp-option 8 --dport 1:5 -j DROP", "-p tcp -m tcp --dport 1:5 --tcp-option 8 -j DROP"),
        Example::ok("-p tcp --dport 0:65535 -j DROP", "-p tcp -m tcp -j DROP"),
        Example::same("-p tcp -m tcp ! --dport 0:65535 -j DROP"),
        Example::ok("-p tcp --tcp-f SYN SYN --dp 80 -j DROP", "-p tcp -m tcp --dport 80 --tcp-flags SYN SYN -j DROP"),
        Example::fails("-p tcp --tcp SYN SYN -j DROP", "there is no option `--tcp`"),
        Example::fails("-p udp -m tcp --dport 80 -j DROP", "needs `-p tcp`"),
        Example::fails("-p tcp --dport 70000 -j DROP", "`70000` is not a port: those go from 0 to 65535"),
        Example::fails("-p tcp --dport 80 --dport 81 -j DROP", "`--dport` can be given once only"),
        Example::fails("-p tcp --tcp-flags NONE SYN -j DROP", "no flag is in the mask, so this tests nothing"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        args.needs_protocol(&[Protocol::TCP])?;
        let mut tcp = Self::default();
        for given in args {
            match given.name() {
                "source-port" => tcp.ports.source = ports::parse(&given)?,
                "destination-port" => tcp.ports.destination = ports::parse(&given)?,
                "tcp-option" => {
                    let value = number(&given.values[0], 255)? as u8;
                    if value == 0 {
                        return Err(given.error("the options have numbers from 1 to 255"));
                    }
                    tcp.option = Some(Test { negated: given.negated, value });
                }
                _ if tcp.flags.is_some() => return Err(given.error_here("the flags are given already")),
                "syn" => tcp.flags = Some(Test { negated: given.negated, value: SYN }),
                _ => tcp.flags = Some(Test { negated: given.negated, value: parse_flags(&given)? }),
            }
        }
        Ok(tcp)
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        if !out.dialect().native() || !self.is_native() || self.ports.never(out.dialect()) || !out.first_ports() {
            return out.xt_match(Self::NAME, 0, &self.to_xt());
        }
        if let Some(Test { negated, value: (mask, set) }) = self.flags {
            // [ payload load 1b @ transport header + 13 => reg 1 ] [ bitwise … ] [ cmp … ]
            out.condition(Condition {
                field: Field::transport(13, 1),
                mask: Some(&[mask]),
                operand: Operand::Value(CmpOp::eq_unless(negated), &[set]),
            });
        }
        self.ports.linearize(out);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        if !cursor.is_protocol(Protocol::TCP) {
            return None;
        }
        if let Some(info) = cursor.take_match(Self::NAME, 0) {
            return Self::from_xt(info);
        }
        let mut tcp = Self::default();
        loop {
            if tcp.flags.is_none() && let Some(flags) = cursor.take_condition(read_flags) {
                tcp.flags = Some(flags);
            } else if !tcp.ports.take(cursor) {
                break;
            }
        }
        (tcp != Self::default()).then_some(tcp)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tcp")?;
        self.ports.list(f)?;
        if let Some(Test { negated, value }) = self.option {
            write!(f, " option={}{value}", if negated { "!" } else { "" })?;
        }
        if let Some(Test { negated, value: (mask, set) }) = self.flags {
            write!(f, " flags:{}0x{mask:02X}/0x{set:02X}", if negated { "!" } else { "" })?;
        }
        Ok(())
    }

    fn merge(&mut self, other: &Self) -> bool {
        let clash = self.flags.is_some() && other.flags.is_some();
        if clash || !self.is_native() || !other.is_native() || !self.ports.merge(&other.ports) {
            return false;
        }
        self.flags = self.flags.or(other.flags);
        true
    }
}

impl Tcp {
    /// Where they are in the struct.
    pub const INVFLAGS: usize = 11;

    /// Is it written as native tests, where the dialect has them?
    fn is_native(&self) -> bool {
        (!self.ports.is_empty() || self.flags.is_some()) && self.option.is_none()
    }

    fn to_xt(&self) -> [u8; 16] {
        // struct xt_tcp: spts[2], dpts[2], option, flg_mask, flg_cmp, invflags
        let mut info = [0; 16];
        let (ports, invflags) = self.ports.to_xt();
        info[..8].copy_from_slice(&ports);
        info[Self::INVFLAGS] = invflags;
        let negated = |test: bool, bit: u8| if test { bit } else { 0 };
        if let Some(option) = self.option {
            info[8] = option.value;
            info[Self::INVFLAGS] |= negated(option.negated, 8);
        }
        if let Some(flags) = self.flags {
            (info[9], info[10]) = flags.value;
            info[Self::INVFLAGS] |= negated(flags.negated, 4);
        }
        info
    }

    fn from_xt(info: &[u8; 16]) -> Option<Self> {
        let (ports, _) = info.split_first_chunk()?;
        let inverted = |bit| info[Self::INVFLAGS] & bit != 0;
        let tcp = Self {
            ports: Ports::from_xt(*ports, info[Self::INVFLAGS])?,
            flags: (info[9] != 0 || inverted(4)).then_some(Test { negated: inverted(4), value: (info[9], info[10]) }),
            option: (info[8] != 0 || inverted(8)).then_some(Test { negated: inverted(8), value: info[8] }),
        };
        let flags = tcp.flags.is_none_or(|test| (test.value.0 | test.value.1) & !ALL == 0 && test.value.0 != 0);
        let option = tcp.option.is_none_or(|test| test.value != 0);
        (flags && option && tcp.to_xt() == ports::xt_upwards(*info, Self::INVFLAGS)).then_some(tcp)
    }
}

fn parse_flags(given: &Given<'_>) -> Result<(u8, u8), SyntaxError> {
    let read = |index: usize| {
        given.text(index).split(',').try_fold(0, |bits, name| match name.to_ascii_uppercase().as_str() {
            "ALL" => Ok(ALL),
            "NONE" => Ok(bits),
            upper => FLAGS.iter().find(|(known, _)| *known == upper).map(|(_, bit)| bits | bit).ok_or_else(|| {
                given.values[index].error(format!("`{name}` is not a flag")).hint("they are FIN, SYN, RST, PSH, ACK, URG, ALL and NONE")
            }),
        })
    };
    let (mask, set) = (read(0)?, read(1)?);
    if mask == 0 {
        return Err(given.values[0].error("no flag is in the mask, so this tests nothing"));
    }
    Ok((mask, set))
}

fn read_flags(condition: &Condition<'_>) -> Option<Test<(u8, u8)>> {
    match *condition {
        Condition { field, mask: Some(&[mask]), operand: Operand::Value(op @ (CmpOp::Eq | CmpOp::Neq), &[set]) }
            if field == Field::transport(13, 1) && mask != 0 && (mask | set) & !ALL == 0 =>
        {
            Some(Test { negated: op == CmpOp::Neq, value: (mask, set) })
        }
        _ => None,
    }
}

impl fmt::Display for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        self.ports.save(f, &mut first)?;
        if let Some(option) = &self.option {
            space(f, &mut first)?;
            write!(f, "{}--tcp-option {}", option.bang(), option.value)?;
        }
        if let Some(flags) = &self.flags {
            space(f, &mut first)?;
            write!(f, "{}--tcp-flags {} {}", flags.bang(), FlagNames(flags.value.0), FlagNames(flags.value.1))?;
        }
        Ok(())
    }
}

struct FlagNames(u8);

impl fmt::Display for FlagNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = FLAGS.iter().filter(|(_, bit)| self.0 & bit != 0).map(|(name, _)| name);
        match names.next() {
            None => f.write_str("NONE"),
            Some(name) => {
                f.write_str(name)?;
                names.try_for_each(|name| write!(f, ",{name}"))
            }
        }
    }
}
