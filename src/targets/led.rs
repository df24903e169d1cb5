use std::fmt;

use crate::{
    extension::{self, Cursor, Extension, Linearizer},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, number, opt},
};

/// `-j LED`: lights a LED of the host's; the next rule is then tried. Kernel:
/// `net/netfilter/xt_LED.c`.
///
/// It makes a trigger `netfilter-NAME`, which is to be written into the LED's
/// `/sys/class/leds/…/trigger`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Led {
    name: String,
    /// In milliseconds; 0: just a flash.
    delay: u32,
    always_blink: bool,
}

const PREFIX: &str = "netfilter-";

/// Of `id` in `struct xt_led_info`, less the prefix and the NUL.
const NAME_MAX: usize = 16;

/// iptables prints more as a negative number, `inf` too, and then can't read it.
const DELAY_MAX: u32 = i32::MAX as u32;

const LEN: usize = 40;

impl Extension for Led {
    const NAME: &'static str = "LED";
    const SUMMARY: &'static str = "lights a LED of the host's and goes on to the next rule";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("led-trigger-id", &["TEXT"], "the LED's trigger is called `netfilter-` and this, up to 16 bytes"),
        opt("led-delay", &["MILLISECONDS"], "how long it stays on, up to 2147483647; a flash if left out"),
        opt("led-always-blink", &[], "goes off and on again for a packet that finds it on"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-j LED --led-trigger-id foo", r#"-j LED --led-trigger-id "foo""#),
        Example::ok(
            "-j LED --led-always-blink --led-delay 0x10 --led-trigger-id 'it has 16 bytes.'",
            r#"-j LED --led-trigger-id "it has 16 bytes." --led-delay 16 --led-always-blink"#,
        ),
        Example::same(r#"-i eth0 -j LED --led-trigger-id "a \"b\" \\" --led-delay 2147483647"#),
        Example::fails("-j LED", "needs `--led-trigger-id TEXT`"),
        Example::fails("-j LED --led-trigger-id 'this is 17 bytes.'", "the name has 16 bytes at most, this has 17"),
        Example::fails("-j LED --led-trigger-id ''", "a trigger's name has one byte at least"),
        Example::fails("-j LED --led-trigger-id foo --led-delay x", "this must be a number from 0 to 2147483647"),
        Example::fails("-j LED --led-trigger-id foo --led-delay inf", "iptables prints `inf` as -1, which it can't read again"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let (mut name, mut delay, mut always_blink) = (None, 0, false);
        for given in args.by_ref() {
            match given.name() {
                "led-trigger-id" => name = Some(parse_name(&given)?),
                "led-delay" => delay = parse_delay(&given)?,
                _ => always_blink = true,
            }
        }
        let name = name.ok_or_else(|| args.error("needs `--led-trigger-id TEXT`"))?;
        Ok(Self { name, delay, always_blink })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_target(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_target::<LEN>(Self::NAME, 0)?;
        let led = Self {
            name: extension::name(&info[..27])?.strip_prefix(PREFIX)?.to_owned(),
            delay: u32::from_ne_bytes(*info[28..].first_chunk()?),
            always_blink: info[27] != 0,
        };
        let known = (1..=NAME_MAX).contains(&led.name.len()) && is_printable(&led.name) && led.delay <= DELAY_MAX;
        (known && led.to_xt() == *info).then_some(led)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "led-trigger-id:{} led-delay:{}ms", quoted(&self.name), self.delay)?;
        f.write_str(if self.always_blink { " led-always-blink" } else { "" })
    }
}

impl Led {
    fn to_xt(&self) -> [u8; LEN] {
        // struct xt_led_info: id[27], u8 always_blink, u32 delay, internal_data (the kernel's own, dumped as 0)
        let mut info = [0; LEN];
        info[..PREFIX.len()].copy_from_slice(PREFIX.as_bytes());
        info[PREFIX.len()..PREFIX.len() + self.name.len()].copy_from_slice(self.name.as_bytes());
        info[27] = self.always_blink.into();
        info[28..32].copy_from_slice(&self.delay.to_ne_bytes());
        info
    }
}

fn parse_name(given: &Given<'_>) -> Result<String, SyntaxError> {
    let name = given.text(0);
    match name.len() {
        0 => Err(given.error("a trigger's name has one byte at least")),
        len if len > NAME_MAX => Err(given.error(format!("the name has {NAME_MAX} bytes at most, this has {len}"))),
        _ if !is_printable(name) => Err(given.error("a trigger's name has neither line ends nor NUL")),
        _ => Ok(name.to_owned()),
    }
}

fn is_printable(name: &str) -> bool {
    !name.contains(['\n', '\0'])
}

fn parse_delay(given: &Given<'_>) -> Result<u32, SyntaxError> {
    let text = given.text(0);
    if text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("inf")) {
        let error = given.error("iptables prints `inf` as -1, which it can't read again");
        return Err(error.hint(format!("write {DELAY_MAX}, which is 24 days")));
    }
    number(&given.values[0], DELAY_MAX.into()).map(|delay| delay as u32)
}

/// In quotes whatever it is; unlike elsewhere, `'` has no backslash.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', r"\\").replace('"', "\\\""))
}

impl fmt::Display for Led {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--led-trigger-id {}", quoted(&self.name))?;
        if self.delay != 0 {
            write!(f, " --led-delay {}", self.delay)?;
        }
        f.write_str(if self.always_blink { " --led-always-blink" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Few kernels have LEDs, so that the tests with iptables seldom come by here.
    #[test]
    fn the_bytes_are_those_that_iptables_sends() {
        // strace iptables -A X -j LED --led-trigger-id 'a "q\x' --led-delay 5 --led-always-blink; 1.8.9
        let sent = *b"netfilter-a \"q\\x\0\0\0\0\0\0\0\0\0\0\0\x01\x05\0\0\0\0\0\0\0\0\0\0\0";
        let led = Led { name: "a \"q\\x".into(), delay: 5, always_blink: true };
        assert_eq!(led.to_xt(), sent);
    }
}
