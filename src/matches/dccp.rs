use std::fmt;

use super::{
    flagged_ports,
    ports::{Ports, space},
};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Protocol, Test},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, number, opt},
};

/// `-m dccp`: ports, types and options of DCCP. Kernel: `net/netfilter/xt_dccp.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dccp {
    ports: Ports,
    /// Bits by place in [`TYPES`], at least one; with INVALID all that come after it, too.
    types: Option<Test<u16>>,
    /// Not 0.
    option: Option<Test<u8>>,
}

/// `enum dccp_pkt_type` of `include/uapi/linux/dccp.h`; the last is every number from there on.
const TYPES: [&str; 11] =
    ["REQUEST", "RESPONSE", "DATA", "ACK", "DATAACK", "CLOSEREQ", "CLOSE", "RESET", "SYNC", "SYNCACK", "INVALID"];
const INVALID: u16 = 0xfc00;
const TYPE: u16 = 4;
const OPTION: u16 = 8;

impl Extension for Dccp {
    const NAME: &'static str = "dccp";
    const PROTOCOL: Option<Protocol> = Some(Protocol::DCCP);
    const SUMMARY: &'static str = "ports, types and options of DCCP";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("source-port", &["PORT[:PORT]"], "the sender's port, or a range of ports").aliases(&["sport"]).negates(),
        opt("destination-port", &["PORT[:PORT]"], "the receiver's port, or a range of ports").aliases(&["dport"]).negates(),
        opt("dccp-types", &["TYPE[,…]"], "the packet is REQUEST, RESPONSE, DATA, ACK, RESET, …").negates(),
        opt("dccp-option", &["NUMBER"], "the DCCP option is there").negates(),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-p dccp --dport 80 -j DROP", "-p dccp -m dccp --dport 80 -j DROP"),
        Example::same("-p dccp -m dccp ! --sport 1024:65535 --dport 1 -j DROP"),
        Example::ok("-p dccp -m dccp --sport : ! --dport :5 -j DROP", "-p dccp -m dccp --sport 0:65535 ! --dport 0:5 -j DROP"),
        Example::ok("-p dccp -m dccp --dccp-types reset,Request -j DROP", "-p dccp -m dccp --dccp-types REQUEST,RESET -j DROP"),
        Example::same("-p dccp -m dccp ! --dccp-types DATA,INVALID ! --dccp-option 255 -j DROP"),
        Example::same("-p dccp -m dccp -j DROP"),
        Example::fails("-m dccp --dport 80 -j DROP", "needs `-p dccp`"),
        Example::fails("-p dccp --dccp-types OPEN -j DROP", "`OPEN` is not a type of DCCP"),
        Example::fails("-p dccp --dccp-option 0 -j DROP", "the options have numbers from 1 to 255"),
        Example::fails("-p dccp --dport 4:3 -j DROP", "the range runs backwards: 4 is more than 3"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        args.needs_protocol(&[Protocol::DCCP])?;
        let mut dccp = Self::default();
        for given in args {
            let negated = given.negated;
            match given.name() {
                "dccp-types" => dccp.types = Some(Test { negated, value: parse_types(&given)? }),
                "dccp-option" => match number(&given.values[0], u8::MAX.into())? as u8 {
                    0 => return Err(given.error("the options have numbers from 1 to 255")),
                    value => dccp.option = Some(Test { negated, value }),
                },
                _ => flagged_ports::take(&mut dccp.ports, &given)?,
            }
        }
        Ok(dccp)
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        if !cursor.is_protocol(Protocol::DCCP) {
            return None;
        }
        let info = cursor.take_match::<16>(Self::NAME, 0)?;
        let (ports, &[a, b, c, d, e, f, option, 0]) = info.split_first_chunk()? else { return None };
        let (flags, invflags, types) = (u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]), u16::from_ne_bytes([e, f]));
        let flag = |bit| (flags & bit != 0).then_some(invflags & bit != 0);
        let dccp = Self {
            ports: flagged_ports::from_xt(*ports, flags, invflags)?,
            types: flag(TYPE).map(|negated| Test { negated, value: types }),
            option: flag(OPTION).map(|negated| Test { negated, value: option }),
        };
        let types = dccp.types.is_none_or(|test| test.value != 0 && [0, INVALID].contains(&(test.value & INVALID)));
        (types && dccp.option.is_none_or(|test| test.value != 0) && dccp.to_xt() == *info).then_some(dccp)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dccp")?;
        flagged_ports::list(self.ports, f)?;
        if let Some(Test { negated, value }) = self.types {
            // By number, as iptables prints them.
            let numbers: Vec<_> = (0..16).filter(|bit| value & 1 << bit != 0).map(|bit: u16| bit.to_string()).collect();
            write!(f, "{} {}", if negated { " !" } else { "" }, numbers.join(","))?;
        }
        self.option.map_or(Ok(()), |test| write!(f, " option={}{}", if test.negated { "!" } else { "" }, test.value))
    }
}

impl Dccp {
    fn to_xt(self) -> [u8; 16] {
        // struct xt_dccp_info: dpts[2], spts[2], u16 flags, u16 invflags, u16 typemask, u8 option
        let (ports, mut flags, mut invflags) = flagged_ports::to_xt(self.ports);
        for (negated, bit) in [(self.types.map(|test| test.negated), TYPE), (self.option.map(|test| test.negated), OPTION)] {
            flags |= if negated.is_some() { bit } else { 0 };
            invflags |= if negated == Some(true) { bit } else { 0 };
        }
        let mut info = [0; 16];
        info[..8].copy_from_slice(&ports);
        info[8..10].copy_from_slice(&flags.to_ne_bytes());
        info[10..12].copy_from_slice(&invflags.to_ne_bytes());
        info[12..14].copy_from_slice(&self.types.map_or(0, |test| test.value).to_ne_bytes());
        info[14] = self.option.map_or(0, |test| test.value);
        info
    }
}

fn parse_types(given: &Given<'_>) -> Result<u16, SyntaxError> {
    given.text(0).split(',').try_fold(0, |bits, text| {
        let place = TYPES.iter().position(|name| name.eq_ignore_ascii_case(text)).ok_or_else(|| {
            let error = given.error(format!("`{text}` is not a type of DCCP"));
            error.hint(format!("write some of {}, with commas between", TYPES.join(", ")))
        })?;
        let bit = 1 << place;
        Ok(bits | if bit & INVALID != 0 { INVALID } else { bit })
    })
}

impl fmt::Display for Dccp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        self.ports.save(f, &mut first)?;
        if let Some(test) = &self.types {
            space(f, &mut first)?;
            let named = TYPES.iter().enumerate().filter(|(place, _)| test.value & 1 << place != 0);
            let names: Vec<_> = named.map(|(_, name)| *name).collect();
            write!(f, "{}--dccp-types {}", test.bang(), names.join(","))?;
        }
        if let Some(test) = &self.option {
            space(f, &mut first)?;
            write!(f, "{}--dccp-option {}", test.bang(), test.value)?;
        }
        Ok(())
    }
}
