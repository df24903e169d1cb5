use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    matches::member::Member,
    syntax::{Args, Example, OptionSpec, SyntaxError, number, opt},
};

/// `-j SET`: puts the packet's addresses, ports, … into an ipset, or takes them out; the next rule is
/// then tried. Kernel: `net/netfilter/xt_set.c`.
#[derive(Debug, Clone, PartialEq)]
pub struct Set {
    /// What is put in, and what is taken out; one of them at least.
    members: Box<[Option<Member>; 2]>,
    /// An element that is there already gets its time anew.
    exist: bool,
    /// In seconds; `None`: what the set has for all.
    timeout: Option<u32>,
}

/// `IPSET_INVALID_ID` and nothing else: no set.
const NO_SET: [u8; 4] = [0xff, 0xff, 0, 0];
/// `IPSET_FLAG_EXIST`
const EXIST: u32 = 1;
const TIMEOUT_MAX: u32 = u32::MAX - 1;

const LEN: usize = 24;

impl Extension for Set {
    const NAME: &'static str = "SET";
    const SUMMARY: &'static str = "puts the packet's addresses, ports, … into an ipset, or takes them out";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("add-set", &["SET", "src|dst[,…]"], "puts in the packet's src or dst, one for each part of the set's elements"),
        opt("exist", &[], "what is there already gets its time anew"),
        opt("timeout", &["SECONDS"], "how long it stays, 0 (for ever) to 4294967294; what the set says if left out"),
        opt("del-set", &["SET", "src|dst[,…]"], "takes it out"),
        opt("map-set", &["SET", "src|dst[,…]"], "works in the table `mangle` only"),
        opt("map-mark", &[], "goes with `--map-set`"),
        opt("map-prio", &[], "goes with `--map-set`"),
        opt("map-queue", &[], "goes with `--map-set`"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-j SET --add-set office src").ip(),
        Example::same("-p tcp -m tcp --dport 22 -j SET --add-set office src --exist --timeout 600").ip(),
        Example::same("-j SET --add-set services dst,dst --timeout 0").ip(),
        Example::same("-j SET --del-set office dst").ip(),
        Example::ok(
            "-j SET --del-set office dst --timeout 0x5 --exist --add-set services src,dst",
            "-j SET --add-set services src,dst --exist --timeout 5 --del-set office dst",
        )
        .ip(),
        Example::fails("-j SET", "needs `--add-set` or `--del-set`"),
        Example::fails("-j SET --add-set office", "here should be src|dst[,…]"),
        Example::fails("-j SET --add-set office from", "`from` is neither src nor dst"),
        Example::fails("-j SET --del-set office src --exist", "`--exist` goes with `--add-set` only"),
        Example::fails("-j SET --del-set office src --timeout 5", "`--timeout` goes with `--add-set` only"),
        Example::fails("-j SET --add-set office src --timeout 4294967295", "this must be a number from 0 to 4294967294"),
        Example::fails("-j SET --map-set office src --map-mark --map-prio --map-queue", "`--map-set` works in the table `mangle` only"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let (mut add, mut delete) = (None, None);
        let (mut exist, mut timeout, mut stray) = (false, None, None);
        for given in args.by_ref() {
            match given.name() {
                "add-set" => add = Some(Member::parse(&given)?),
                "del-set" => delete = Some(Member::parse(&given)?),
                "exist" => exist = true,
                "timeout" => timeout = Some(number(&given.values[0], TIMEOUT_MAX.into())? as u32),
                name => {
                    let error = given.error_here(format!("`--{name}` works in the table `mangle` only"));
                    return Err(error.hint("to mark packets by a set: `-m set --match-set … -j MARK`"));
                }
            }
            if let "exist" | "timeout" = given.name() {
                stray.get_or_insert(given);
            }
        }
        match (&add, &delete, stray) {
            (None, None, _) => Err(args.error("needs `--add-set` or `--del-set`")),
            (None, _, Some(given)) => Err(given.error_here(format!("`--{}` goes with `--add-set` only", given.name()))),
            _ => Ok(Self { members: Box::new([add, delete]), exist, timeout }),
        }
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        let mut member = |member: &Option<Member>| member.as_ref().map_or(NO_SET, |member| member.to_xt(out.set_index(member.name())));
        let [add, delete] = &*self.members;
        let sets = [member(add), member(delete), NO_SET];
        out.xt_target(Self::NAME, 3, &self.to_xt(sets));
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_target::<LEN>(Self::NAME, 3)?;
        let (&[add, delete, map], _) = info.as_chunks::<4>().0.split_first_chunk()?;
        let member = |bytes| if bytes == NO_SET { Some(None) } else { Member::from_xt(bytes, cursor).map(Some) };
        let timeout = u32::from_ne_bytes(*info[16..].first_chunk()?);
        let set = Self {
            members: Box::new([member(add)?, member(delete)?]),
            exist: info[12] != 0,
            timeout: (timeout <= TIMEOUT_MAX).then_some(timeout),
        };
        let known = match &*set.members {
            [Some(_), _] => true,
            [None, Some(_)] => !set.exist && set.timeout.is_none(),
            [None, None] => false,
        };
        (known && set.to_xt([add, delete, NO_SET]) == *info && map == NO_SET).then_some(set)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, "")
    }
}

impl Set {
    fn to_xt(&self, sets: [[u8; 4]; 3]) -> [u8; LEN] {
        // struct xt_set_info_target_v3: add_set, del_set, map_set, u32 flags, u32 timeout
        let mut info = [0; LEN];
        info[..12].copy_from_slice(sets.as_flattened());
        info[12..16].copy_from_slice(&if self.exist { EXIST } else { 0 }.to_ne_bytes());
        info[16..20].copy_from_slice(&self.timeout.unwrap_or(u32::MAX).to_ne_bytes());
        info
    }

    fn print(&self, f: &mut fmt::Formatter<'_>, dashes: &str) -> fmt::Result {
        let [add, delete] = &*self.members;
        if let Some(member) = add {
            write!(f, "{dashes}add-set ")?;
            member.print(f, dashes)?;
            if self.exist {
                write!(f, " {dashes}exist")?;
            }
            if let Some(seconds) = self.timeout {
                write!(f, " {dashes}timeout {seconds}")?;
            }
        }
        if let Some(member) = delete {
            write!(f, "{}{dashes}del-set ", if add.is_some() { " " } else { "" })?;
            member.print(f, dashes)?;
        }
        Ok(())
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, "--")
    }
}
