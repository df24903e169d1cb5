//! What `-m hbh` and `-m dst` test: an extension header that is a list of options, for every node on
//! the way or for the receiver alone. Kernel: `net/ipv6/netfilter/ip6t_hbh.c`, which has both.

use std::fmt;

use super::{header, ports::space};
use crate::{
    model::Test,
    syntax::{Args, Given, SyntaxError, parse_number},
};

/// The header is there, and perhaps more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ipv6Options {
    /// Bytes of the whole header.
    length: Option<Test<u32>>,
    /// With what options it begins, in this order: each a type and, unless every length is right, the
    /// length of what belongs to it. [`MAX`] at most, the last of so many without a length.
    options: Vec<(u8, Option<u8>)>,
}

/// `IP6T_OPTS_OPTSNR`
const MAX: usize = 16;
/// As a length: every one.
const ANY: u8 = 0xff;
/// `IP6T_OPTS_…`
const LEN: u8 = 1;
const OPTS: u8 = 2;

impl Ipv6Options {
    /// Reads `--NAME-len` and `--NAME-opts`.
    ///
    /// # Errors
    /// At the word.
    pub fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let mut own = Self::default();
        for given in args {
            match given.name().ends_with("-len") {
                true => own.length = Some(header::number_test(&given)?),
                false => own.options = parse_options(&given)?,
            }
        }
        Ok(own)
    }

    /// `struct ip6t_opts`
    pub fn to_xt(&self) -> [u8; 40] {
        // u32 hdrlen, u8 flags, u8 invflags, u16 opts[16], u8 optsnr
        let mut info = [0; 40];
        if let Some(Test { negated, value }) = self.length {
            info[..4].copy_from_slice(&value.to_ne_bytes());
            info[4] = LEN;
            info[5] = negated.into();
        }
        info[4] |= if self.options.is_empty() { 0 } else { OPTS };
        for (slot, (kind, length)) in info[6..38].chunks_exact_mut(2).zip(&self.options) {
            slot.copy_from_slice(&u16::from_be_bytes([*kind, length.unwrap_or(ANY)]).to_ne_bytes());
        }
        info[38] = self.options.len() as u8;
        info
    }

    /// From that.
    pub fn from_xt(info: &[u8; 40]) -> Option<Self> {
        let length = u32::from_ne_bytes(*info.first_chunk()?);
        let option = |slot: &[u8]| {
            let [kind, length] = u16::from_ne_bytes(slot.try_into().ok()?).to_be_bytes();
            Some((kind, (length != ANY).then_some(length)))
        };
        let own = Self {
            length: (info[4] & LEN != 0).then_some(Test { negated: info[5] != 0, value: length }),
            options: info[6..38].chunks_exact(2).take(info[38].into()).map(option).collect::<Option<_>>()?,
        };
        let known = own.options.iter().enumerate().all(|(place, &(kind, length))| has_place(place, kind, length).is_ok());
        (known && own.to_xt() == *info).then_some(own)
    }

    /// What `-L` prints.
    ///
    /// # Errors
    /// Those of the formatter.
    pub fn list(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        f.write_str(name)?;
        if let Some(Test { negated, value }) = self.length {
            write!(f, " length:{}{value}", if negated { "!" } else { "" })?;
        }
        if self.options.is_empty() { Ok(()) } else { write!(f, " opts {}", List(&self.options)) }
    }

    /// The save form.
    ///
    /// # Errors
    /// Those of the formatter.
    pub fn save(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        let mut first = true;
        if let Some(test) = &self.length {
            space(f, &mut first)?;
            write!(f, "{}--{name}-len {}", test.bang(), test.value)?;
        }
        if !self.options.is_empty() {
            space(f, &mut first)?;
            write!(f, "--{name}-opts {}", List(&self.options))?;
        }
        Ok(())
    }
}

fn parse_options(given: &Given<'_>) -> Result<Vec<(u8, Option<u8>)>, SyntaxError> {
    let byte = |text: &str| {
        let number = parse_number(text).and_then(|number| u8::try_from(number).ok());
        let wrong =
            || given.error(format!("`{text}` is not a number from 0 to 255")).hint("write TYPE or TYPE:LENGTH, with commas between");
        number.ok_or_else(wrong)
    };
    let mut options = Vec::new();
    for text in given.text(0).split(',') {
        let (kind, length) = match text.split_once(':') {
            Some((kind, length)) => (byte(kind)?, Some(byte(length)?)),
            None => (byte(text)?, None),
        };
        has_place(options.len(), kind, length).map_err(|why| given.error(why))?;
        options.push((kind, length.filter(|length| *length != ANY)));
    }
    Ok(options)
}

/// Does iptables take the option at that place of the list?
fn has_place(place: usize, kind: u8, length: Option<u8>) -> Result<(), &'static str> {
    match (place, kind, length) {
        (MAX.., ..) => Err("there can be 16 options at most"),
        (_, 0, Some(_)) => Err("an option of type 0 has no length: it is one byte"),
        // iptables prints it, too, and then does not read it.
        (15, _, Some(_)) => Err("iptables takes no length for the 16th option"),
        _ => Ok(()),
    }
}

/// `1:2,5`
struct List<'l>(&'l [(u8, Option<u8>)]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for (kind, length) in self.0 {
            write!(f, "{}{kind}", std::mem::replace(&mut comma, ","))?;
            length.map_or(Ok(()), |length| write!(f, ":{length}"))?;
        }
        Ok(())
    }
}
