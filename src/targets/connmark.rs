use std::fmt;

use super::bits::{self, Change};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, number, opt},
};

/// `-j CONNMARK`: changes the connection's mark, or copies between it and the packet's.
/// Kernel: `net/netfilter/xt_connmark.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connmark {
    action: Action,
    shift: Shift,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// Connection: so, then shifted.
    Set(Change),
    /// Connection: `(mark & !ctmask) ^ (packet & nfmask)`, what is behind `^` shifted.
    Save { nfmask: u32, ctmask: u32 },
    /// Packet: `(mark & !nfmask) ^ (connection & ctmask)`, what is behind `^` shifted.
    Restore { nfmask: u32, ctmask: u32 },
}

/// By how many bits, 0 to 32, and where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Shift {
    right: bool,
    bits: u8,
}

const ACTIONS: &str = "`--set-xmark`, `--set-mark`, `--and-mark`, `--or-mark`, `--xor-mark`, `--save-mark` or `--restore-mark`";

impl Extension for Connmark {
    const NAME: &'static str = "CONNMARK";
    const SUMMARY: &'static str = "sets the connection's mark, or copies it from or to the packet's";
    const OPTIONS: &'static [OptionSpec] = &{
        let [set_xmark, set_mark, and_mark, or_mark, xor_mark] = bits::OPTIONS;
        [
            set_xmark,
            set_mark,
            and_mark,
            or_mark,
            xor_mark,
        opt("save-mark", &[], "copies the packet's mark to the connection"),
        opt("restore-mark", &[], "copies the connection's mark to the packet"),
        opt("nfmask", &["BITS"], "the packet's bits to copy or to replace; all if left out"),
        opt("ctmask", &["BITS"], "the connection's bits to replace or to copy; all if left out"),
        opt("mask", &["BITS"], "both masks"),
        opt("left-shift-mark", &["NUMBER"], "moves the bits up by 0 to 32 places"),
        opt("right-shift-mark", &["NUMBER"], "moves the bits down by 0 to 32 places"),
        ]
    };
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-j CONNMARK --set-mark 1", "-j CONNMARK --set-xmark 0x1/0xffffffff"),
        Example::ok("-j CONNMARK --set-mark 0x1f/0xf0", "-j CONNMARK --set-xmark 0x1f/0xff"),
        Example::ok("-j CONNMARK --set-xmark 7/0x3", "-j CONNMARK --set-xmark 0x7/0x3"),
        Example::ok("-j CONNMARK --and-mark 0xff", "-j CONNMARK --set-xmark 0x0/0xffffff00"),
        Example::ok("-j CONNMARK --or-mark 8", "-j CONNMARK --set-xmark 0x8/0x8"),
        Example::ok("-j CONNMARK --xor-mark 0xf", "-j CONNMARK --set-xmark 0xf/0x0"),
        Example::ok("-j CONNMARK --save-mark", "-j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff"),
        Example::ok("-j CONNMARK --save-mark --mask 0xff", "-j CONNMARK --save-mark --nfmask 0xff --ctmask 0xff"),
        Example::ok("-j CONNMARK --restore-mark", "-j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff"),
        Example::ok("-j CONNMARK --ctmask 0xf --restore-mark", "-j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xf"),
        Example::same("-j CONNMARK --set-xmark 0x1/0xffffffff --left-shift-mark 4"),
        Example::same("-j CONNMARK --save-mark --nfmask 0xff00 --ctmask 0xff --right-shift-mark 8"),
        Example::ok("-j CONNMARK --or-mark 8 --left-shift-mark 0", "-j CONNMARK --set-xmark 0x8/0x8"),
        Example::fails(
            "-j CONNMARK",
            "needs `--set-xmark`, `--set-mark`, `--and-mark`, `--or-mark`, `--xor-mark`, `--save-mark` or `--restore-mark`",
        ),
        Example::fails("-j CONNMARK --save-mark --set-mark 1", "`--save-mark` and `--set-mark` can't stand together"),
        Example::fails("-j CONNMARK --save-mark --mask 1 --nfmask 1", "`--mask` and `--nfmask` can't stand together"),
        Example::fails("-j CONNMARK --set-mark 1 --mask 0xf", "`--mask` belongs to `--save-mark` and `--restore-mark`"),
        Example::fails("-j CONNMARK --save-mark --left-shift-mark 33", "this must be a number from 0 to 32"),
        Example::fails(
            "-j CONNMARK --save-mark --left-shift-mark 1 --right-shift-mark 1",
            "`--left-shift-mark` and `--right-shift-mark` can't stand together",
        ),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let (mut action, mut shift) = (None, None);
        let (mut mask, mut nfmask, mut ctmask) = (None, None, None);
        for given in args.by_ref() {
            match given.name() {
                "mask" => mask = Some(given),
                "nfmask" => nfmask = Some(given),
                "ctmask" => ctmask = Some(given),
                "left-shift-mark" | "right-shift-mark" => one_of(&mut shift, given)?,
                _ => one_of(&mut action, given)?,
            }
        }
        if let (Some(mask), Some(other)) = (&mask, nfmask.as_ref().or(ctmask.as_ref())) {
            return Err(together(mask, other).hint("`--mask` is both, `--nfmask` and `--ctmask`"));
        }
        let action = action.ok_or_else(|| args.error(format!("needs {ACTIONS}")))?;
        let masks = [&mask, &nfmask, &ctmask];
        let shift = match shift {
            Some(given) => match number(&given.values[0], 32)? as u8 {
                0 => Shift::default(),
                bits => Shift { right: given.name() == "right-shift-mark", bits },
            },
            None => Shift::default(),
        };
        Ok(Self { action: parse_action(&action, masks)?, shift })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_target(Self::NAME, 2, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info: &[u8; 16] = cursor.take_target(Self::NAME, 2)?;
        let u32_at = |at: usize| u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
        let (value, ctmask, nfmask) = (u32_at(0), u32_at(4), u32_at(8));
        let action = match info[14] {
            0 => Action::Set(Change { value, mask: ctmask }),
            1 => Action::Save { nfmask, ctmask },
            2 => Action::Restore { nfmask, ctmask },
            _ => return None,
        };
        let connmark = Self { action, shift: Shift { right: info[12] == 1, bits: info[13] } };
        let shift = connmark.shift;
        (shift.bits <= 32 && (shift.bits != 0 || !shift.right) && connmark.to_xt() == *info).then_some(connmark)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CONNMARK ")?;
        match self.action {
            Action::Set(change) => change.list(f)?,
            Action::Save { nfmask: u32::MAX, ctmask: u32::MAX } => f.write_str("save")?,
            Action::Save { nfmask, ctmask } if nfmask == ctmask => write!(f, "save mask 0x{nfmask:x}")?,
            Action::Save { nfmask, ctmask } => write!(f, "save nfmask 0x{nfmask:x} ctmask ~0x{ctmask:x}")?,
            Action::Restore { nfmask: u32::MAX, ctmask: u32::MAX } => f.write_str("restore")?,
            Action::Restore { nfmask, ctmask } if nfmask == ctmask => write!(f, "restore mask 0x{ctmask:x}")?,
            Action::Restore { nfmask, ctmask } => write!(f, "restore ctmask 0x{ctmask:x} nfmask ~0x{nfmask:x}")?,
        }
        self.shift.write(f, "")
    }
}

impl Connmark {
    fn to_xt(self) -> [u8; 16] {
        // struct xt_connmark_tginfo2: ctmark, ctmask, nfmask, shift_dir, shift_bits, mode
        let (mode, value, ctmask, nfmask) = match self.action {
            Action::Set(Change { value, mask }) => (0, value, mask, u32::MAX),
            Action::Save { nfmask, ctmask } => (1, 0, ctmask, nfmask),
            Action::Restore { nfmask, ctmask } => (2, 0, ctmask, nfmask),
        };
        let mut info = [0; 16];
        info[..4].copy_from_slice(&value.to_ne_bytes());
        info[4..8].copy_from_slice(&ctmask.to_ne_bytes());
        info[8..12].copy_from_slice(&nfmask.to_ne_bytes());
        info[12..15].copy_from_slice(&[self.shift.right.into(), self.shift.bits, mode]);
        info
    }
}

impl Shift {
    fn write(self, f: &mut fmt::Formatter<'_>, dashes: &str) -> fmt::Result {
        match self {
            Self { bits: 0, .. } => Ok(()),
            Self { right, bits } => write!(f, " {dashes}{}-shift-mark {bits}", if right { "right" } else { "left" }),
        }
    }
}

/// The action that an option names, with the masks `[both, nfmask, ctmask]` if they are given.
fn parse_action<'a>(action: &Given<'_>, masks: [&Option<Given<'a>>; 3]) -> Result<Action, SyntaxError> {
    let bits = |given: &Given<'_>| number(&given.values[0], u32::MAX.into()).map(|bits| bits as u32);
    if let "save-mark" | "restore-mark" = action.name() {
        let [both, nfmask, ctmask] = masks;
        let mask = |own: &Option<Given<'a>>| own.as_ref().or(both.as_ref()).map_or(Ok(u32::MAX), bits);
        let (nfmask, ctmask) = (mask(nfmask)?, mask(ctmask)?);
        return Ok(match action.name() {
            "save-mark" => Action::Save { nfmask, ctmask },
            _ => Action::Restore { nfmask, ctmask },
        });
    }
    if let Some(mask) = masks.into_iter().flatten().next() {
        let error = mask.error_here(format!("`--{}` belongs to `--save-mark` and `--restore-mark`", mask.name()));
        return Err(error.hint("write the mask behind the value: `--set-xmark VALUE/MASK`"));
    }
    Change::parse(action).map(Action::Set)
}

fn one_of<'a>(slot: &mut Option<Given<'a>>, given: Given<'a>) -> Result<(), SyntaxError> {
    match slot {
        Some(before) => Err(together(before, &given).hint("one of these is enough")),
        None => {
            *slot = Some(given);
            Ok(())
        }
    }
}

fn together(one: &Given<'_>, other: &Given<'_>) -> SyntaxError {
    other.error_here(format!("`--{}` and `--{}` can't stand together", one.name(), other.name()))
}

impl fmt::Display for Connmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.action {
            Action::Set(change) => change.fmt(f)?,
            Action::Save { nfmask, ctmask } => write!(f, "--save-mark --nfmask 0x{nfmask:x} --ctmask 0x{ctmask:x}")?,
            Action::Restore { nfmask, ctmask } => write!(f, "--restore-mark --nfmask 0x{nfmask:x} --ctmask 0x{ctmask:x}")?,
        }
        self.shift.write(f, "--")
    }
}
