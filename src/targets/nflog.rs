use std::fmt;

use super::prefix;
use crate::{
    expr::{self, Expr, Item},
    extension::{self, Cursor, Extension, Linearizer},
    syntax::{Args, Example, OptionSpec, SyntaxError, number, opt, quote},
};

/// `-j NFLOG`: copies the packet to a netlink group, as ulogd reads it; the next rule is then tried.
/// Kernel: `net/netfilter/nft_log.c`, `net/netfilter/xt_NFLOG.c`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Nflog {
    group: u16,
    /// Empty for none.
    prefix: String,
    len: Option<Len>,
    /// 0: the kernel's own default.
    threshold: u16,
}

/// How much of the packet is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Len {
    /// `--nflog-size`
    Size(u32),
    /// `--nflog-range`, which the kernel does not look at. Only read, never written from words:
    /// iptables 1.8.8 and later warn and drop it.
    Range(u32),
}

/// `NF_LOG_PREFIXLEN` less the NUL (`include/uapi/linux/netfilter/nf_log.h`).
const PREFIX_MAX: usize = 127;

/// The size of `prefix` in `struct xt_nflog_info` less the NUL.
const XT_PREFIX_MAX: usize = 63;

/// `XT_NFLOG_F_COPY_LEN`
const COPY_LEN: u16 = 1;

impl Extension for Nflog {
    const NAME: &'static str = "NFLOG";
    const SUMMARY: &'static str = "copies the packet to a netlink group and goes on to the next rule";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("nflog-group", &["NUMBER"], "the group, 0 to 65535; 0 if left out"),
        opt("nflog-prefix", &["TEXT"], "text before the packet, up to 127 bytes (63 where iptables up to 1.8.7 is to read it)"),
        opt("nflog-size", &["BYTES"], "how much of the packet is copied; all of it if left out"),
        opt("nflog-range", &["BYTES"], "does nothing, never did; what was meant is `--nflog-size`"),
        opt("nflog-threshold", &["PACKETS"], "packets gathered before the kernel sends them, 0 to 65535"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-j NFLOG"),
        Example::same("-j NFLOG --nflog-group 5"),
        Example::ok("-j NFLOG --nflog-group 0 --nflog-threshold 0", "-j NFLOG"),
        Example::ok(
            "-j NFLOG --nflog-threshold 10 --nflog-size 0x40 --nflog-group 5 --nflog-prefix 'new: '",
            r#"-j NFLOG --nflog-prefix "new: " --nflog-group 5 --nflog-size 64 --nflog-threshold 10"#,
        ),
        Example::same("-j NFLOG --nflog-size 0"),
        Example::same(r#"-j NFLOG --nflog-prefix "it\'s \"☃\"""#),
        Example::ok("-j NFLOG --nflog-range 100", "-j NFLOG"),
        Example::fails("-j NFLOG --nflog-group 65536", "this must be a number from 0 to 65535"),
        Example::fails("-j NFLOG --nflog-prefix ''", "a prefix has one byte at least"),
        Example::fails("-j NFLOG --nflog-range 64 --nflog-size 64", "`--nflog-range` and `--nflog-size` can't stand together"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let mut nflog = Self::default();
        let mut range = false;
        for given in args {
            let number = |max: u32| number(&given.values[0], max.into());
            match given.name() {
                "nflog-group" => nflog.group = number(u16::MAX.into())? as u16,
                "nflog-threshold" => nflog.threshold = number(u16::MAX.into())? as u16,
                "nflog-prefix" => nflog.prefix = prefix::parse(&given, PREFIX_MAX)?,
                "nflog-size" => nflog.len = Some(Len::Size(number(u32::MAX)? as u32)),
                _ => {
                    number(u32::MAX)?;
                    range = true;
                }
            }
            if range && nflog.len.is_some() {
                let error = given.error_here("`--nflog-range` and `--nflog-size` can't stand together");
                return Err(error.hint("leave out `--nflog-range`, which does nothing"));
            }
        }
        Ok(nflog)
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        if out.dialect().native() {
            // [ log prefix P group G snaplen S q-threshold Q ]
            out.push(Expr::Log(self.to_log()));
        } else {
            if self.prefix.len() > XT_PREFIX_MAX {
                out.too_long("nflog-prefix", XT_PREFIX_MAX);
            }
            out.xt_target(Self::NAME, 0, &self.to_xt());
        }
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        if let Some(info) = cursor.take_target(Self::NAME, 0) {
            return Self::from_xt(info);
        }
        let Some(Item::Log(log)) = cursor.advance() else { return None };
        let nflog = Self {
            group: log.group,
            prefix: log.prefix.unwrap_or_default().to_owned(),
            len: log.snaplen.map(Len::Size),
            threshold: log.qthreshold.unwrap_or_default(),
        };
        (prefix::is_valid(&nflog.prefix, PREFIX_MAX) && nflog.to_log() == log).then_some(nflog)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "")
    }
}

impl Nflog {
    fn to_log(&self) -> expr::Log<'_> {
        expr::Log {
            group: self.group,
            prefix: (!self.prefix.is_empty()).then_some(&self.prefix),
            snaplen: match self.len {
                Some(Len::Size(bytes)) => Some(bytes),
                Some(Len::Range(_)) | None => None,
            },
            qthreshold: (self.threshold != 0).then_some(self.threshold),
        }
    }

    /// A prefix that does not fit is cut; what is made of it then is not written.
    fn to_xt(&self) -> [u8; 80] {
        // struct xt_nflog_info: len u32, group u16, threshold u16, flags u16, pad u16, prefix[64]
        let (len, flags) = match self.len {
            Some(Len::Size(bytes)) => (bytes, COPY_LEN),
            Some(Len::Range(bytes)) => (bytes, 0),
            None => (0, 0),
        };
        let prefix = prefix::cut(&self.prefix, XT_PREFIX_MAX);
        let mut info = [0; 80];
        info[..4].copy_from_slice(&len.to_ne_bytes());
        info[4..6].copy_from_slice(&self.group.to_ne_bytes());
        info[6..8].copy_from_slice(&self.threshold.to_ne_bytes());
        info[8..10].copy_from_slice(&flags.to_ne_bytes());
        info[12..12 + prefix.len()].copy_from_slice(prefix.as_bytes());
        info
    }

    fn from_xt(info: &[u8; 80]) -> Option<Self> {
        let u16_at = |at: usize| u16::from_ne_bytes([info[at], info[at + 1]]);
        let &[a, b, c, d, ..] = info;
        let len = u32::from_ne_bytes([a, b, c, d]);
        let nflog = Self {
            group: u16_at(4),
            prefix: extension::text(&info[12..76])?.to_owned(),
            len: match (u16_at(8), len) {
                (0, 0) => None,
                (0, _) => Some(Len::Range(len)),
                _ => Some(Len::Size(len)),
            },
            threshold: u16_at(6),
        };
        (prefix::is_valid(&nflog.prefix, XT_PREFIX_MAX) && nflog.to_xt() == *info).then_some(nflog)
    }

    /// The options, each with `dashes` before its name.
    fn write(&self, f: &mut fmt::Formatter<'_>, dashes: &str) -> fmt::Result {
        let mut space = "";
        let mut option = |f: &mut fmt::Formatter<'_>, name: &str, value: &dyn fmt::Display| {
            write!(f, "{}{dashes}nflog-{name} {value}", std::mem::replace(&mut space, " "))
        };
        if !self.prefix.is_empty() {
            option(f, "prefix", &quote(&self.prefix))?;
        }
        if self.group != 0 {
            option(f, "group", &self.group)?;
        }
        match self.len {
            Some(Len::Size(bytes)) => option(f, "size", &bytes)?,
            Some(Len::Range(bytes)) => option(f, "range", &bytes)?,
            None => {}
        }
        if self.threshold != 0 {
            option(f, "threshold", &self.threshold)?;
        }
        Ok(())
    }
}

impl fmt::Display for Nflog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "--")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_from_the_xt_form_but_has_no_native_one() {
        // iptables 1.8.7: -j NFLOG --nflog-range 100
        let mut info = [0; 80];
        info[0] = 100;
        let nflog = Nflog::from_xt(&info).unwrap();
        assert_eq!(nflog.to_string(), "--nflog-range 100");
        assert_eq!(nflog.to_log().snaplen, None);
    }

    #[test]
    fn what_iptables_does_not_write_is_not_read() {
        let good = Nflog { group: 1, len: Some(Len::Size(3)), prefix: "x".into(), threshold: 2 };
        assert_eq!(Nflog::from_xt(&good.to_xt()), Some(good.clone()));
        for (at, byte) in [(8, 3), (9, 1), (10, 1), (14, 1), (79, 1), (12, b'\n'), (12, 0xff)] {
            let mut info = good.to_xt();
            info[at] = byte;
            assert_eq!(Nflog::from_xt(&info), None, "{at}");
        }
    }
}
