use std::fmt;

use crate::{
    extension::{self, Cursor, Extension, Linearizer, Refused},
    model::Test,
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, number, opt, quote},
};

/// `-m cgroup`: the control group of the process whose socket sends or takes the packet. Kernel:
/// `net/netfilter/xt_cgroup.c`, which takes it only for the host's own packets: not in `DOCKER-USER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    group: Test<Group>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Group {
    /// By path in the hierarchy of version 2, of one to [`PATH_MAX`] bytes; those below it, too.
    Path(String),
    /// By `net_cls.classid` of version 1.
    Class(u32),
}

const LEN: usize = 528;
/// Where path or class are.
const GROUP_AT: usize = 4;
const GROUP_END: usize = 516;
/// `XT_CGROUP_PATH_MAX` less the NUL.
const PATH_MAX: usize = 511;

impl Extension for Cgroup {
    const NAME: &'static str = "cgroup";
    const NOT_FORWARDED: Option<&'static str> =
        Some("a forwarded packet has no socket here, and so no control group: test the container's address or interface");
    const SUMMARY: &'static str = "the control group of who sends or takes the packet; only in chains without forwarded packets";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("path", &["PATH"], "the group, from the root of cgroup2, or one below it").negates(),
        opt("cgroup", &["CLASS"], "the class of the group in net_cls.classid, as a number").negates(),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-m cgroup --path / -j DROP", "-m cgroup --path \"/\" -j DROP"),
        Example::same("-m cgroup ! --path \"/\" -j DROP"),
        Example::ok("-m cgroup --cgroup 0x10001 -j DROP", "-m cgroup --cgroup 65537 -j DROP"),
        Example::same("-m cgroup ! --cgroup 0 -j DROP"),
        Example::fails("-m cgroup -j DROP", "needs `--path` or `--cgroup`"),
        Example::fails("-m cgroup --cgroup 1 --path / -j DROP", "`--path` and `--cgroup` don't go together"),
        Example::fails("-m cgroup --path '' -j DROP", "a path has 1 to 511 bytes, this has 0"),
        Example::fails("-m cgroup --cgroup web -j DROP", "this must be a number from 0 to 4294967295"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let given = args.next().ok_or_else(|| args.error("needs `--path` or `--cgroup`"))?;
        if let Some(second) = args.next() {
            return Err(second.error_here("`--path` and `--cgroup` don't go together"));
        }
        let value = match given.name() {
            "path" => Group::Path(parse_path(&given)?),
            _ => Group::Class(number(&given.values[0], u32::MAX.into())? as u32),
        };
        Ok(Self { group: Test { negated: given.negated, value } })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 2, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<LEN>(Self::NAME, 2)?;
        let path = || extension::name(&info[GROUP_AT..GROUP_END]).filter(|path| (1..=PATH_MAX).contains(&path.len()));
        let (negated, value) = match info[..GROUP_AT] {
            [1, 0, negated, 0] => (negated, Group::Path(path()?.to_owned())),
            [0, 1, 0, negated] => (negated, Group::Class(u32::from_ne_bytes(*info[GROUP_AT..].first_chunk()?))),
            _ => return None,
        };
        Some(Self { group: Test { negated: negated == 1, value } }).filter(|own| own.to_xt() == *info)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group.value {
            Group::Path(path) => write!(f, "cgroup {}{path}", self.group.bang()),
            Group::Class(class) => write!(f, "cgroup {}{class}", self.group.bang()),
        }
    }

    fn refused(&self, errno: i32) -> Option<Refused> {
        match &self.group.value {
            Group::Path(path) if errno == libc::EINVAL => Some(Refused {
                reason: format!("there is no control group `{path}`"),
                hint: "the path begins at the root of cgroup2: /system.slice/docker.service, …".into(),
            }),
            _ => None,
        }
    }
}

impl Cgroup {
    fn to_xt(&self) -> [u8; LEN] {
        // struct xt_cgroup_info_v2: u8 has_path, has_classid, invert_path, invert_classid, path[512] or u32 classid, pointer
        let mut info = [0; LEN];
        let negated = self.group.negated.into();
        match &self.group.value {
            Group::Path(path) => {
                info[..GROUP_AT].copy_from_slice(&[1, 0, negated, 0]);
                info[GROUP_AT..GROUP_AT + path.len()].copy_from_slice(path.as_bytes());
            }
            Group::Class(class) => {
                info[..GROUP_AT].copy_from_slice(&[0, 1, 0, negated]);
                info[GROUP_AT..GROUP_AT + 4].copy_from_slice(&class.to_ne_bytes());
            }
        }
        info
    }
}

fn parse_path(given: &Given<'_>) -> Result<String, SyntaxError> {
    let path = given.text(0);
    match path.len() {
        1..=PATH_MAX if !path.contains('\0') => Ok(path.to_owned()),
        len => Err(given.error(format!("a path has 1 to {PATH_MAX} bytes, this has {len}"))),
    }
}

impl fmt::Display for Cgroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group.value {
            Group::Path(path) => write!(f, "{}--path {}", self.group.bang(), quote(path)),
            Group::Class(class) => write!(f, "{}--cgroup {class}", self.group.bang()),
        }
    }
}
