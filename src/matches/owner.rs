use std::fmt;

use super::ports::space;
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Test,
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, opt, ordered, parse_number},
};

/// `-m owner`: who has the socket that sends the packet. Kernel: `net/netfilter/xt_owner.c`, which
/// takes it only where no forwarded packet comes: not in `DOCKER-USER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Owner {
    socket: Option<Test<()>>,
    user: Option<Test<Ids>>,
    group: Option<Test<Ids>>,
    /// Only with `group`.
    supplementary: bool,
}

/// Users or groups, both ends included.
type Ids = (u32, u32);

/// The greatest number has another meaning: no user, no group.
const MAX: u32 = u32::MAX - 1;

const LEN: usize = 24;
const UID: u8 = 1;
const GID: u8 = 2;
const SOCKET: u8 = 4;
const SUPPL_GROUPS: u8 = 8;

impl Extension for Owner {
    const NAME: &'static str = "owner";
    const NOT_FORWARDED: Option<&'static str> =
        Some("a forwarded packet has no socket here, and so no owner: test where it comes from, `-s`, `-i` or `-m set`");
    const SUMMARY: &'static str = "who has the socket that sends the packet; only in chains without forwarded packets";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("uid-owner", &["USER[-USER]"], "the user, by name or number, or a range of numbers").negates(),
        opt("gid-owner", &["GROUP[-GROUP]"], "the group, by name or number, or a range of numbers").negates(),
        opt("socket-exists", &[], "there is a socket").negates(),
        opt("suppl-groups", &[], "the group may also be one of the supplementary ones; comes after `--gid-owner`"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-m owner --uid-owner root -j DROP", "-m owner --uid-owner 0 -j DROP"),
        Example::ok(
            "-m owner ! --gid-owner root --suppl-groups ! --uid-owner 0x0-0 ! --socket-exists -j DROP",
            "-m owner ! --socket-exists ! --uid-owner 0 ! --gid-owner 0 --suppl-groups -j DROP",
        ),
        Example::same("-m owner --socket-exists -j DROP"),
        Example::fails("-m owner -j DROP", "needs `--uid-owner`, `--gid-owner` or `--socket-exists`"),
        Example::fails("-m owner --suppl-groups --gid-owner 5 -j DROP", "`--suppl-groups` comes after `--gid-owner`"),
        Example::fails("-m owner --uid-owner nobody-at-all -j DROP", "`nobody-at-all` is no user of this host, and not a number"),
        Example::fails("-m owner --gid-owner 4294967295 -j DROP", "`4294967295` is no group of this host, and not a number"),
        Example::fails("-m owner --gid-owner 9-5 -j DROP", "the range runs backwards: 9 is more than 5"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let mut owner = Self::default();
        for given in args.by_ref() {
            let ids = |file, what| parse_ids(&given, file, what).map(|value| Some(Test { negated: given.negated, value }));
            match given.name() {
                "uid-owner" => owner.user = ids("/etc/passwd", "user")?,
                "gid-owner" => owner.group = ids("/etc/group", "group")?,
                "socket-exists" => owner.socket = Some(Test { negated: given.negated, value: () }),
                _ if owner.group.is_some() => owner.supplementary = true,
                _ => return Err(given.error_here("`--suppl-groups` comes after `--gid-owner`")),
            }
        }
        if owner == Self::default() {
            return Err(args.error("needs `--uid-owner`, `--gid-owner` or `--socket-exists`"));
        }
        Ok(owner)
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 1, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<LEN>(Self::NAME, 1)?;
        let (matched, inverted) = (info[16], info[17]);
        let fact = |bit: u8| (matched & bit != 0).then_some(inverted & bit != 0);
        let ids = |bit, at: usize| {
            let (low, high) = (*info[at..].first_chunk()?, *info[at + 4..].first_chunk()?);
            let value = (u32::from_ne_bytes(low), u32::from_ne_bytes(high));
            fact(bit).map(|negated| Test { negated, value })
        };
        let owner = Self {
            socket: fact(SOCKET).map(|negated| Test { negated, value: () }),
            user: ids(UID, 0),
            group: ids(GID, 8),
            supplementary: matched & SUPPL_GROUPS != 0,
        };
        let ordered = [owner.user, owner.group].iter().flatten().all(|test| test.value.0 <= test.value.1 && test.value.1 <= MAX);
        let is_valid = ordered && owner != Self::default() && (!owner.supplementary || owner.group.is_some());
        (is_valid && owner.to_xt() == *info).then_some(owner)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, ["owner socket exists", "owner UID match", "owner GID match", "incl. suppl. groups"])
    }
}

impl Owner {
    fn to_xt(self) -> [u8; LEN] {
        // struct xt_owner_match_info: u32 uid_min, uid_max, gid_min, gid_max, u8 match, u8 invert
        let mut info = [0; LEN];
        let mut note = |negated: Option<bool>, bit| {
            info[16] |= if negated.is_some() { bit } else { 0 };
            info[17] |= if negated == Some(true) { bit } else { 0 };
        };
        note(self.socket.map(|test| test.negated), SOCKET);
        note(self.user.map(|test| test.negated), UID);
        note(self.group.map(|test| test.negated), GID);
        note(self.supplementary.then_some(false), SUPPL_GROUPS);
        for (test, at) in [(self.user, 0), (self.group, 8)] {
            if let Some(Test { value: (low, high), .. }) = test {
                info[at..at + 4].copy_from_slice(&low.to_ne_bytes());
                info[at + 4..at + 8].copy_from_slice(&high.to_ne_bytes());
            }
        }
        info
    }

    fn print(&self, f: &mut fmt::Formatter<'_>, [socket, user, group, supplementary]: [&str; 4]) -> fmt::Result {
        let mut first = true;
        if let Some(test) = &self.socket {
            space(f, &mut first)?;
            write!(f, "{}{socket}", test.bang())?;
        }
        for (test, name) in [(&self.user, user), (&self.group, group)] {
            if let Some(test) = test {
                space(f, &mut first)?;
                write!(f, "{}{name} {}", test.bang(), test.value.0)?;
                if test.value.0 != test.value.1 {
                    write!(f, "-{}", test.value.1)?;
                }
            }
        }
        if self.supplementary { write!(f, " {supplementary}") } else { Ok(()) }
    }
}

/// The numbers behind a name in `file` (`/etc/passwd`, `/etc/group`), a number, or two with `-`
/// between.
fn parse_ids(given: &Given<'_>, file: &str, what: &str) -> Result<Ids, SyntaxError> {
    let text = given.text(0);
    let listed = std::fs::read_to_string(file).unwrap_or_default();
    let id = |line: &str| {
        let mut fields = line.split(':');
        (fields.next() == Some(text)).then(|| fields.nth(1)?.parse().ok())?
    };
    if let Some(id) = listed.lines().find_map(id) {
        return Ok((id, id));
    }
    let one = |text: &str| parse_number(text).and_then(|id| u32::try_from(id).ok()).filter(|&id| id <= MAX);
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (Some(low), Some(high)) = (one(low), one(high)) else {
        let error = given.error(format!("`{text}` is no {what} of this host, and not a number"));
        return Err(error.hint(format!("write the number, from 0 to {MAX}, or two with `-` between")));
    };
    ordered(&given.values[0], low, high, '-')
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, ["--socket-exists", "--uid-owner", "--gid-owner", "--suppl-groups"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not an example: in a user namespace, as tests have it, there are not so many users.
    #[test]
    fn a_range_has_two_ends() {
        let owner = Owner { user: Some(Test { negated: true, value: (5, 9) }), ..Owner::default() };
        assert_eq!(owner.to_string(), "! --uid-owner 5-9");
        let start = [5, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, UID, UID];
        assert_eq!(owner.to_xt()[..18], start);
    }
}
