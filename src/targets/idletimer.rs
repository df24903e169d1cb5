use std::fmt;

use crate::{
    extension::{self, Cursor, Extension, Linearizer, Refused},
    matches::proc_name,
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, number, opt, readable},
};

/// `-j IDLETIMER`: starts a timer anew; when it runs out, whoever polls
/// `/sys/class/xt_idletimer/timers/LABEL` is told. The next rule is then tried. Kernel:
/// `net/netfilter/xt_IDLETIMER.c`.
///
/// Rules with one label share its timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idletimer {
    /// 1 to [`SECONDS_MAX`].
    seconds: u32,
    label: String,
    /// Goes on, and wakes the host, while it sleeps.
    alarm: bool,
}

/// The kernel's limit is `INT_MAX / 1000`, which is too much by itself.
const SECONDS_MAX: u32 = 2_147_482;

/// `MAX_IDLETIMER_LABEL_SIZE` less the NUL.
const LABEL_MAX: usize = 27;

/// What sysfs itself has in the folder where the labels are.
const RESERVED: [&str; 3] = ["power", "subsystem", "uevent"];

const LEN: usize = 48;

impl Extension for Idletimer {
    const NAME: &'static str = "IDLETIMER";
    const SUMMARY: &'static str = "starts a timer anew, which tells programs when no more packets come";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("timeout", &["SECONDS"], "how long the timer runs, 1 to 2147482"),
        opt("label", &["NAME"], "the timer's name, up to 27 bytes: /sys/class/xt_idletimer/timers/NAME"),
        opt("alarm", &[], "it goes on while the host sleeps, and wakes it"),
        opt("send_nl_msg", &[], "only Android's kernels have that"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-j IDLETIMER --timeout 60 --label dockgate"),
        Example::ok("-j IDLETIMER --label dockgate --timeout 0x5", "-j IDLETIMER --timeout 5 --label dockgate"),
        Example::same("-j IDLETIMER --timeout 2147482 --label dockgate.27.letters.or.less"),
        Example::same("-i eth0 -j IDLETIMER --timeout 60 --label dockgate-alarm --alarm"),
        Example::fails("-j IDLETIMER --timeout 60", "needs `--label NAME`"),
        Example::fails("-j IDLETIMER --label dockgate", "needs `--timeout SECONDS`"),
        Example::fails("-j IDLETIMER --timeout 0 --label dockgate", "this must be a number from 1 to 2147482"),
        Example::fails("-j IDLETIMER --timeout 2147483 --label dockgate", "this must be a number from 1 to 2147482"),
        Example::fails("-j IDLETIMER --timeout 60 --label a/b", "this is the name of a file in /sys, and can't be so"),
        Example::fails("-j IDLETIMER --timeout 60 --label power", "this is the name of a file in /sys, and can't be so"),
        Example::fails("-j IDLETIMER --timeout 60 --label dockgate.28.letters.are.more", "the label has 27 bytes at most, this has 28"),
        Example::fails("-j IDLETIMER --timeout 60 --label dockgate --send_nl_msg", "only Android's kernels have `--send_nl_msg`"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let (mut seconds, mut label, mut alarm) = (None, None, false);
        for given in args.by_ref() {
            match given.name() {
                "timeout" => seconds = Some(parse_seconds(&given)?),
                "label" => label = Some(parse_label(&given)?),
                "alarm" => alarm = true,
                _ => {
                    let error = given.error_here("only Android's kernels have `--send_nl_msg`");
                    return Err(error.hint("leave it out, and poll /sys/class/xt_idletimer/timers/LABEL"));
                }
            }
        }
        let seconds = seconds.ok_or_else(|| args.error("needs `--timeout SECONDS`"))?;
        let label = label.ok_or_else(|| args.error("needs `--label NAME`"))?;
        Ok(Self { seconds, label, alarm })
    }

    fn refused(&self, errno: i32) -> Option<Refused> {
        (errno == libc::EINVAL).then(|| Refused { reason: "the timer of that label is an alarm where this is none, or the other way round".into(), hint: "take another label, or the same kind".into() })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_target(Self::NAME, 1, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_target::<LEN>(Self::NAME, 1)?;
        let timer = Self {
            seconds: u32::from_ne_bytes(*info.first_chunk()?),
            label: extension::name(&info[4..32])?.to_owned(),
            alarm: info[33] != 0,
        };
        let known = (1..=SECONDS_MAX).contains(&timer.seconds) && is_valid(&timer.label);
        (known && timer.to_xt() == *info).then_some(timer)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "timeout:{} label:{}{}", self.seconds, self.label, if self.alarm { " alarm" } else { "" })
    }
}

impl Idletimer {
    fn to_xt(&self) -> [u8; LEN] {
        // struct idletimer_tg_info_v1: u32 timeout, label[28], u8 send_nl_msg, u8 timer_type, timer (the
        // kernel's own, dumped as 0)
        let mut info = [0; LEN];
        info[..4].copy_from_slice(&self.seconds.to_ne_bytes());
        info[4..4 + self.label.len()].copy_from_slice(self.label.as_bytes());
        info[33] = self.alarm.into();
        info
    }
}

fn parse_seconds(given: &Given<'_>) -> Result<u32, SyntaxError> {
    match number(&given.values[0], SECONDS_MAX.into()) {
        Ok(seconds @ 1..) => Ok(seconds as u32),
        _ => Err(given.error(format!("this must be a number from 1 to {SECONDS_MAX}"))),
    }
}

fn parse_label(given: &Given<'_>) -> Result<String, SyntaxError> {
    let label = given.text(0);
    match label.len() {
        len if len > LABEL_MAX => Err(given.error(format!("the label has {LABEL_MAX} bytes at most, this has {len}"))),
        _ if !is_valid(label) => Err(given.error("this is the name of a file in /sys, and can't be so")),
        _ => Ok(label.to_owned()),
    }
}

fn is_valid(label: &str) -> bool {
    proc_name::is_valid(label, LABEL_MAX) && !RESERVED.contains(&label)
}

impl fmt::Display for Idletimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--timeout {} --label {}{}", self.seconds, readable(&self.label), if self.alarm { " --alarm" } else { "" })
    }
}
