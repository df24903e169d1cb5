use std::fmt;

use super::{
    chunks::{CHUNKS_LEN, Chunks},
    flagged_ports,
    ports::{Ports, space},
};
use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::{Protocol, Test},
    syntax::{Args, Example, OptionSpec, SyntaxError, opt},
};

/// `-m sctp`: ports and chunks of SCTP. Kernel: `net/netfilter/xt_sctp.c`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sctp {
    ports: Ports,
    chunks: Option<Test<Chunks>>,
}

/// `XT_SCTP_CHUNK_TYPES`
const CHUNK_TYPES: u16 = 4;
/// `XT_ALIGN(sizeof(struct xt_sctp_info), 8)`
const LEN: usize = 296;
/// Where the flags begin, behind ports and chunks.
const FLAGS: usize = 8 + CHUNKS_LEN;

impl Extension for Sctp {
    const NAME: &'static str = "sctp";
    const PROTOCOL: Option<Protocol> = Some(Protocol::SCTP);
    const SUMMARY: &'static str = "ports and chunks of SCTP";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("source-port", &["PORT[:PORT]"], "the sender's port, or a range of ports").aliases(&["sport"]).negates(),
        opt("destination-port", &["PORT[:PORT]"], "the receiver's port, or a range of ports").aliases(&["dport"]).negates(),
        opt("chunk-types", &["all|any|only", "CHUNK[:FLAGS][,…]"], "which chunks are there: INIT, DATA, ABORT, …, ALL or NONE").negates(),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::ok("-p sctp --dport 80 -j DROP", "-p sctp -m sctp --dport 80 -j DROP"),
        Example::same("-p sctp -m sctp ! --sport 1024:65535 --dport 1 -j DROP"),
        Example::ok("-p sctp -m sctp --sport : ! --dport :5 -j DROP", "-p sctp -m sctp --sport 0:65535 ! --dport 0:5 -j DROP"),
        Example::ok("-p sctp --chunk-types ANY sack,Init -j DROP", "-p sctp -m sctp --chunk-types any INIT,SACK -j DROP"),
        Example::ok(
            "-p sctp --dport 5 ! --chunk-types all data:eBu,ABORT:t -j DROP",
            "-p sctp -m sctp --dport 5 ! --chunk-types all DATA:uBe,ABORT:t -j DROP",
        ),
        Example::same("-p sctp -m sctp --chunk-types only SHUTDOWN_COMPLETE:T -j DROP"),
        Example::same("-p sctp -m sctp --chunk-types only FORWARD_TSN,ASCONF -j DROP"),
        Example::same("-p sctp -m sctp --chunk-types all ALL -j DROP"),
        Example::same("-p sctp -m sctp ! --chunk-types any NONE -j DROP"),
        Example::same("-p sctp -m sctp -j DROP"),
        Example::fails("-m sctp --dport 80 -j DROP", "needs `-p sctp`"),
        Example::fails("-p sctp --chunk-types some DATA -j DROP", "`some` is none of all, any, only"),
        Example::fails("-p sctp --chunk-types all OPEN -j DROP", "`OPEN` is not a chunk of SCTP"),
        Example::fails("-p sctp --chunk-types all DATA:T -j DROP", "`T` is not a flag of DATA"),
        Example::fails("-p sctp --chunk-types all INIT:T -j DROP", "INIT has no flags"),
        Example::fails("-p sctp --chunk-types all I_DATA:B -j DROP", "iptables has no place for the flags of I_DATA"),
        Example::fails("-p sctp --dport 4:3 -j DROP", "the range runs backwards: 4 is more than 3"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        args.needs_protocol(&[Protocol::SCTP])?;
        let mut sctp = Self::default();
        for given in args {
            match given.name() {
                "chunk-types" => sctp.chunks = Some(Test { negated: given.negated, value: Chunks::parse(&given)? }),
                _ => flagged_ports::take(&mut sctp.ports, &given)?,
            }
        }
        Ok(sctp)
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 0, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        if !cursor.is_protocol(Protocol::SCTP) {
            return None;
        }
        let info = cursor.take_match::<LEN>(Self::NAME, 0)?;
        let number = |at: usize| u16::try_from(u32::from_ne_bytes(*info[at..].first_chunk()?)).ok();
        let (flags, invflags) = (number(FLAGS)?, number(FLAGS + 4)?);
        let chunks = match flags & CHUNK_TYPES {
            0 => None,
            _ => Some(Test { negated: invflags & CHUNK_TYPES != 0, value: Chunks::from_xt(info[8..].first_chunk()?)? }),
        };
        let sctp = Self { ports: flagged_ports::from_xt(*info.first_chunk()?, flags, invflags)?, chunks };
        (sctp.to_xt() == *info).then_some(sctp)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sctp")?;
        flagged_ports::list(self.ports, f)?;
        let Some(Test { negated, value }) = &self.chunks else { return Ok(()) };
        f.write_str(if *negated { " ! " } else { " " })?;
        value.list(f)
    }
}

impl Sctp {
    fn to_xt(self) -> [u8; LEN] {
        // struct xt_sctp_info: dpts[2], spts[2], …, u32 flags, u32 invflags
        let (ports, mut flags, mut invflags) = flagged_ports::to_xt(self.ports);
        let mut info = [0; LEN];
        if let Some(test) = &self.chunks {
            flags |= CHUNK_TYPES;
            invflags |= if test.negated { CHUNK_TYPES } else { 0 };
        }
        info[..8].copy_from_slice(&ports);
        info[8..FLAGS].copy_from_slice(&self.chunks.map_or(Chunks::UNTESTED, |test| test.value.to_xt()));
        info[FLAGS..FLAGS + 4].copy_from_slice(&u32::from(flags).to_ne_bytes());
        info[FLAGS + 4..FLAGS + 8].copy_from_slice(&u32::from(invflags).to_ne_bytes());
        info
    }
}

impl fmt::Display for Sctp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        self.ports.save(f, &mut first)?;
        if let Some(test) = &self.chunks {
            space(f, &mut first)?;
            write!(f, "{}--chunk-types {}", test.bang(), test.value)?;
        }
        Ok(())
    }
}
