use std::fmt;

use crate::{
    extension::{self, Cursor, Extension, Linearizer, Refused},
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, opt, readable},
};

/// `-m bpf`: a program of the Berkeley Packet Filter says whether the packet matches. Kernel:
/// `net/netfilter/xt_bpf.c`; it checks the program.
#[derive(Debug, Clone, PartialEq)]
pub struct Bpf {
    program: Program,
}

/// The program itself, or where it is.
#[derive(Debug, Clone, PartialEq)]
enum Program {
    /// One to [`MAX`] instructions.
    Code(Vec<Instruction>),
    Pinned(Pinned),
}

/// `struct sock_filter`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Instruction {
    code: u16,
    jump_true: u8,
    jump_false: u8,
    k: u32,
}

/// A program of eBPF's, of the type for sockets, by its file in a bpf file system.
#[derive(Debug, Clone)]
struct Pinned {
    /// One to [`PATH_MAX`] bytes. The kernel opens it when the rule is added.
    path: String,
    /// The file as whoever wrote the rule had it open. Kernels from 4.14 on don't look at it, but
    /// iptables' `-C` and `-D` do.
    descriptor: i32,
}

impl PartialEq for Pinned {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

/// `XT_BPF_MAX_NUM_INSTR`
const MAX: usize = 64;
/// `XT_BPF_PATH_MAX` less the NUL.
const PATH_MAX: usize = 511;
/// What iptables has: its first free number, where `iptables-restore` does not read a file.
const IPTABLES_DESCRIPTOR: i32 = 4;
/// `enum xt_bpf_modes`
const BYTECODE: u16 = 0;
const PATH_PINNED: u16 = 1;

const LEN: usize = 528;
/// Where program or path begins, and where they end.
const PROGRAM_AT: usize = 8;
const PROGRAM_END: usize = 520;

impl Extension for Bpf {
    const NAME: &'static str = "bpf";
    const LISTED_APART: bool = false;
    const SUMMARY: &'static str = "a program of the Berkeley Packet Filter matches the packet";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("bytecode", &["PROGRAM"], "how many instructions and those, with commas between, as `nfbpf_compile` and `tcpdump -ddd` make it"),
        opt("object-pinned", &["PATH"], "the file of a program in a bpf file system"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::same("-m bpf --bytecode \"4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0\" -j DROP"),
        Example::ok("-m bpf --bytecode '1, 6 0 0  4294967295,' -j DROP", "-m bpf --bytecode \"1,6 0 0 4294967295\" -j DROP"),
        Example::same("-m bpf --object-pinned /sys/fs/bpf/dockgate-example -j DROP"),
        Example::fails("-m bpf -j DROP", "needs `--bytecode` or `--object-pinned`"),
        Example::fails("-m bpf --bytecode '1,6 0 0 1' --object-pinned /x -j DROP", "`--bytecode` and `--object-pinned` don't go together"),
        Example::fails("-m bpf --bytecode '2,6 0 0 1' -j DROP", "the program should have 2 instructions and has 1"),
        Example::fails("-m bpf --bytecode '6 0 0 1' -j DROP", "the program begins with the number of its instructions, from 1 to 64"),
        Example::fails("-m bpf --bytecode '65,' -j DROP", "the program begins with the number of its instructions, from 1 to 64"),
        Example::fails("-m bpf --bytecode '1,6 0 256 1' -j DROP", "`6 0 256 1` is not an instruction"),
        Example::fails("-m bpf --bytecode '1,6 0 0 1 1' -j DROP", "`6 0 0 1 1` is not an instruction"),
        Example::fails("-m bpf --object-pinned '' -j DROP", "a path has 1 to 511 bytes, this has 0"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let given = args.next().ok_or_else(|| args.error("needs `--bytecode` or `--object-pinned`"))?;
        if let Some(second) = args.next() {
            return Err(second.error_here("`--bytecode` and `--object-pinned` don't go together"));
        }
        let program = match given.name() {
            "bytecode" => Program::Code(parse_code(&given)?),
            _ => Program::Pinned(Pinned { path: parse_path(&given)?, descriptor: IPTABLES_DESCRIPTOR }),
        };
        Ok(Self { program })
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        out.xt_match(Self::NAME, 1, &self.to_xt());
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<LEN>(Self::NAME, 1)?;
        let half = |at: usize| u16::from_ne_bytes([info[at], info[at + 1]]);
        let (count, program) = (usize::from(half(2)), &info[PROGRAM_AT..PROGRAM_END]);
        let program = match half(0) {
            BYTECODE if (1..=MAX).contains(&count) => {
                Program::Code(program.as_chunks().0.iter().take(count).map(Instruction::from_xt).collect())
            }
            PATH_PINNED => {
                let path = extension::name(program)?.to_owned();
                let descriptor = i32::from_ne_bytes(*info[4..].first_chunk()?);
                Program::Pinned(Pinned { path, descriptor })
            }
            _ => return None,
        };
        let is_path = |own: &Self| !matches!(&own.program, Program::Pinned(Pinned { path, .. }) if !(1..=PATH_MAX).contains(&path.len()));
        Some(Self { program }).filter(|own| is_path(own) && own.to_xt() == *info)
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.program {
            // With a NUL behind it, as iptables prints it.
            Program::Code(code) => write!(f, "match bpf {}\0", List(code)),
            Program::Pinned(pinned) => write!(f, "match bpf pinned {}", pinned.path),
        }
    }

    fn refused(&self, errno: i32) -> Option<Refused> {
        match (&self.program, errno) {
            (Program::Code(_), libc::EINVAL) => Some(Refused {
                reason: "the kernel does not take the program".into(),
                hint: "an instruction is unknown or jumps too far, or the last one is no return (code 6 or 22)".into(),
            }),
            (Program::Pinned(Pinned { path, .. }), libc::ENOENT) => Some(Refused {
                reason: format!("there is no `{path}`, or this kernel has no match `bpf`"),
                hint: "pin a program there first: `bpftool prog load FILE PATH type socket`".into(),
            }),
            (Program::Pinned(Pinned { path, .. }), _) => Some(Refused {
                reason: format!("the kernel can't take `{path}`: {}", std::io::Error::from_raw_os_error(errno).kind()),
                hint: "it must be a program of the type `socket` in a mounted bpf file system, and may be read".into(),
            }),
            _ => None,
        }
    }
}

impl Bpf {
    fn to_xt(&self) -> [u8; LEN] {
        // struct xt_bpf_info_v1: u16 mode, u16 bpf_program_num_elem, s32 fd, program[64] or path[512], pointer
        let mut info = [0; LEN];
        match &self.program {
            Program::Code(code) => {
                info[2..4].copy_from_slice(&(code.len() as u16).to_ne_bytes());
                for (slot, instruction) in info[PROGRAM_AT..PROGRAM_END].as_chunks_mut().0.iter_mut().zip(code) {
                    *slot = instruction.to_xt();
                }
            }
            Program::Pinned(Pinned { path, descriptor }) => {
                info[..2].copy_from_slice(&PATH_PINNED.to_ne_bytes());
                info[4..8].copy_from_slice(&descriptor.to_ne_bytes());
                info[PROGRAM_AT..PROGRAM_AT + path.len()].copy_from_slice(path.as_bytes());
            }
        }
        info
    }
}

impl Instruction {
    fn to_xt(self) -> [u8; 8] {
        let ([a, b], [c, d, e, f]) = (self.code.to_ne_bytes(), self.k.to_ne_bytes());
        [a, b, self.jump_true, self.jump_false, c, d, e, f]
    }

    fn from_xt(&[a, b, jump_true, jump_false, c, d, e, f]: &[u8; 8]) -> Self {
        Self { code: u16::from_ne_bytes([a, b]), jump_true, jump_false, k: u32::from_ne_bytes([c, d, e, f]) }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let own = Self {
            code: words.next()?.parse().ok()?,
            jump_true: words.next()?.parse().ok()?,
            jump_false: words.next()?.parse().ok()?,
            k: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(own)
    }
}

fn parse_code(given: &Given<'_>) -> Result<Vec<Instruction>, SyntaxError> {
    let text = given.text(0);
    let (count, code) = text.split_once(',').unwrap_or((text, ""));
    let count = count.trim().parse().ok().filter(|count| (1..=MAX).contains(count)).ok_or_else(|| {
        let error = given.error(format!("the program begins with the number of its instructions, from 1 to {MAX}"));
        error.hint("write for example \"1,6 0 0 1\": each instruction is code, jumps if true and false, and k")
    })?;
    let instruction = |text: &str| {
        let error = || given.error(format!("`{}` is not an instruction", text.trim())).hint("write its four numbers: code, two jumps, k");
        Instruction::parse(text).ok_or_else(error)
    };
    let code: Vec<_> = code.split_terminator(',').map(instruction).collect::<Result<_, _>>()?;
    match code.len() == count {
        true => Ok(code),
        false => Err(given.error(format!("the program should have {count} instructions and has {}", code.len()))),
    }
}

fn parse_path(given: &Given<'_>) -> Result<String, SyntaxError> {
    let path = given.text(0);
    match path.len() {
        1..=PATH_MAX if !path.contains('\0') => Ok(path.to_owned()),
        len => Err(given.error(format!("a path has 1 to {PATH_MAX} bytes, this has {len}"))),
    }
}

/// Instructions with commas between.
struct List<'l>(&'l [Instruction]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for Instruction { code, jump_true, jump_false, k } in self.0 {
            write!(f, "{}{code} {jump_true} {jump_false} {k}", std::mem::replace(&mut comma, ","))?;
        }
        Ok(())
    }
}

impl fmt::Display for Bpf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.program {
            Program::Code(code) => write!(f, "--bytecode \"{},{}\"", code.len(), List(code)),
            Program::Pinned(pinned) => write!(f, "--object-pinned {}", readable(&pinned.path)),
        }
    }
}
