use std::fmt;

use super::prefix;
use crate::{
    extension::{self, Cursor, Extension, Linearizer},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, opt, parse_number, quote},
};

/// `-j LOG`: describes the packet in the kernel's log; the next rule is then tried.
/// Kernel: `net/netfilter/xt_LOG.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    level: u8,
    /// `XT_LOG_…`
    flags: u8,
    /// Empty for none.
    prefix: String,
}

/// `LOG_WARNING`
const DEFAULT_LEVEL: u8 = 4;

/// The levels' names, sorted; `error` and `panic` are old names.
/// Source: iptables `libxtables/xtoptions.c`, `xtopt_parse_sysloglevel`.
const LEVELS: &[(&str, u8)] = &[
    ("alert", 1),
    ("crit", 2),
    ("debug", 7),
    ("emerg", 0),
    ("error", 3),
    ("info", 6),
    ("notice", 5),
    ("panic", 0),
    ("warning", DEFAULT_LEVEL),
];

/// The options that are flags, in the order of their bits.
const FLAGS: &[(&str, u8)] =
    &[("log-tcp-sequence", 0x01), ("log-tcp-options", 0x02), ("log-ip-options", 0x04), ("log-uid", 0x08), ("log-macdecode", 0x20)];

/// The size of `prefix` in `struct xt_log_info` less the NUL.
const PREFIX_MAX: usize = 29;

impl Extension for Log {
    const NAME: &'static str = "LOG";
    const SUMMARY: &'static str = "describes the packet in the kernel's log and goes on to the next rule";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("log-level", &["LEVEL"], "0 to 7, or emerg, alert, crit, error, warning (default), notice, info, debug"),
        opt("log-prefix", &["TEXT"], "text before each line, 1 to 29 bytes"),
        opt("log-tcp-sequence", &[], "with TCP's sequence numbers"),
        opt("log-tcp-options", &[], "with the options of the TCP header"),
        opt("log-ip-options", &[], "with the options of the IP header"),
        opt("log-uid", &[], "with the user whose process sent it"),
        opt("log-macdecode", &[], "with MAC addresses and the link's protocol"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-j LOG"),
        Example::ok("-j LOG --log-level warning", "-j LOG"),
        Example::ok("-j LOG --log-level 0x7", "-j LOG --log-level 7"),
        Example::ok("-j LOG --log-level info --log-prefix 'refused: '", r#"-j LOG --log-prefix "refused: " --log-level 6"#),
        Example::ok("-j LOG --log-level panic --log-prefix x", "-j LOG --log-prefix x --log-level 0"),
        Example::same(r#"-j LOG --log-prefix "it\'s \"☃\"""#),
        Example::same("-j LOG --log-prefix 29-bytes-are-allowed-and-used"),
        Example::ok("-j LOG --log-uid --log-tcp-sequence", "-j LOG --log-tcp-sequence --log-uid"),
        Example::same("-j LOG --log-tcp-sequence --log-tcp-options --log-ip-options --log-uid --log-macdecode"),
        Example::fails("-j LOG --log-level 8", "there is no log level `8`"),
        Example::fails("-j LOG --log-level err", "there is no log level `err`"),
        Example::fails("-j LOG --log-prefix ''", "a prefix has one byte at least"),
        Example::fails("-j LOG --log-prefix 30-bytes-are-1-over-what-fits.", "this prefix has 29 bytes at most, here are 30"),
        Example::fails("-j LOG --log-prefix 'a\nb'", "a prefix has neither line ends nor NUL"),
        Example::fails("-j LOG --log-uid --log-uid", "`--log-uid` can be given once only"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let mut log = Self { level: DEFAULT_LEVEL, flags: 0, prefix: String::new() };
        for given in args {
            match given.name() {
                "log-level" => log.level = parse_level(&given)?,
                "log-prefix" => log.prefix = prefix::parse(&given, PREFIX_MAX)?,
                name => log.flags |= FLAGS.iter().filter(|(flag, _)| *flag == name).fold(0, |bits, (_, bit)| bits | bit),
            }
        }
        Ok(log)
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_target(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_target(Self::NAME, 0)?;
        let log = Self { level: info[0], flags: info[1], prefix: extension::text(&info[2..])?.to_owned() };
        let flags = FLAGS.iter().fold(0, |bits, (_, bit)| bits | bit);
        let known = log.level <= 7 && log.flags & !flags == 0 && prefix::is_valid(&log.prefix, PREFIX_MAX);
        (known && log.to_xt() == *info).then_some(log)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LOG flags {} level {}", self.flags, self.level)?;
        if !self.prefix.is_empty() {
            write!(f, " prefix \"{}\"", self.prefix)?;
        }
        Ok(())
    }
}

impl Log {
    fn to_xt(&self) -> [u8; 32] {
        // struct xt_log_info: level, logflags, prefix[30]
        let mut info = [0; 32];
        (info[0], info[1]) = (self.level, self.flags);
        info[2..2 + self.prefix.len()].copy_from_slice(self.prefix.as_bytes());
        info
    }
}

fn parse_level(given: &Given<'_>) -> Result<u8, SyntaxError> {
    let text = given.text(0);
    let number = parse_number(text).and_then(|number| u8::try_from(number).ok()).filter(|&number| number <= 7);
    let named = || LEVELS.iter().find(|(name, _)| *name == text).map(|&(_, level)| level);
    number.or_else(named).ok_or_else(|| {
        let error = given.error(format!("there is no log level `{text}`"));
        error.hint("they are emerg, alert, crit, error, warning, notice, info and debug, or 0 to 7")
    })
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        let mut option = |f: &mut fmt::Formatter<'_>, name: &str| write!(f, "{}--{name}", std::mem::replace(&mut space, " "));
        if !self.prefix.is_empty() {
            option(f, "log-prefix")?;
            write!(f, " {}", quote(&self.prefix))?;
        }
        if self.level != DEFAULT_LEVEL {
            option(f, "log-level")?;
            write!(f, " {}", self.level)?;
        }
        FLAGS.iter().filter(|(_, bit)| self.flags & bit != 0).try_for_each(|(name, _)| option(f, name))
    }
}
