//! Tests of the chunks of an SCTP packet, and of their flags.

use std::fmt;

use crate::syntax::{Given, SyntaxError};

/// Of what stands in the struct for chunks: the map, how to match, the flags, their number.
pub const CHUNKS_LEN: usize = 256 + 4 + 3 * SLOTS + 4;

/// `XT_NUM_SCTP_FLAGS`
const SLOTS: usize = 4;
/// A slot for flags that is not used; iptables sets the type to -1.
const EMPTY: [u8; 3] = [0xff, 0, 0];

/// How to match (`SCTP_CHUNK_MATCH_…`).
const MODES: [(&str, u32); 3] = [("all", 2), ("any", 1), ("only", 4)];

/// Names, types, and the flags' letters from the highest bit on.
const NAMES: &[(&str, u8, &str)] = &[
    ("DATA", 0, "----IUBE"),
    ("INIT", 1, ""),
    ("INIT_ACK", 2, ""),
    ("SACK", 3, ""),
    ("HEARTBEAT", 4, ""),
    ("HEARTBEAT_ACK", 5, ""),
    ("ABORT", 6, "-------T"),
    ("SHUTDOWN", 7, ""),
    ("SHUTDOWN_ACK", 8, ""),
    ("ERROR", 9, ""),
    ("COOKIE_ECHO", 10, ""),
    ("COOKIE_ACK", 11, ""),
    ("ECN_ECNE", 12, ""),
    ("ECN_CWR", 13, ""),
    ("SHUTDOWN_COMPLETE", 14, "-------T"),
    ("I_DATA", I_DATA, ""),
    ("ASCONF_ACK", 128, ""),
    ("RE_CONFIG", 130, ""),
    ("PAD", 132, ""),
    ("FORWARD_TSN", 192, ""),
    ("ASCONF", 193, ""),
    ("I_FORWARD_TSN", 194, ""),
];

/// iptables writes the flags of a chunk by its place in such a list, not by its type; that is the
/// same for all that have flags but this one (`libxt_sctp.c`, `save_chunk_flag_info`).
const I_DATA: u8 = 64;

/// Which chunks are there, and how their flags are.
#[derive(Debug, Clone, Copy)]
pub struct Chunks {
    /// Place in [`MODES`].
    mode: usize,
    map: Map,
    /// Of chunks in the map: type, flags, which of them are tested (at least one). In the order in
    /// which they were given, none twice, behind them [`EMPTY`]. The order says nothing, and is
    /// nothing to `==`.
    flags: [[u8; 3]; SLOTS],
}

/// Types of chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Map {
    /// Whatever there is.
    All,
    /// A bit for each; each has a name.
    These([u32; 8]),
}

impl Chunks {
    /// What stands there if no chunk is tested.
    pub const UNTESTED: [u8; CHUNKS_LEN] = {
        let mut bytes = [0; CHUNKS_LEN];
        let mut slot = 0;
        while slot < SLOTS {
            bytes[260 + 3 * slot] = EMPTY[0];
            slot += 1;
        }
        bytes
    };

    /// Reads both words of `--chunk-types`.
    ///
    /// # Errors
    /// At the word.
    pub fn parse(given: &Given<'_>) -> Result<Self, SyntaxError> {
        let mode = MODES.iter().position(|(name, _)| name.eq_ignore_ascii_case(given.text(0)));
        let mode = mode.ok_or_else(|| given.values[0].error(format!("`{}` is none of all, any, only", given.text(0))))?;
        let mut chunks = Self { mode, map: Map::These([0; 8]), flags: [EMPTY; SLOTS] };
        if given.text(1).eq_ignore_ascii_case("ALL") {
            chunks.map = Map::All;
            return Ok(chunks);
        }
        if given.text(1).eq_ignore_ascii_case("NONE") {
            return Ok(chunks);
        }
        let mut map = [0; 8];
        for text in given.text(1).split(',') {
            let (name, flags) = text.split_once(':').unwrap_or((text, ""));
            let known = NAMES.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name)).ok_or_else(|| {
                let names: Vec<_> = NAMES.iter().map(|(name, ..)| *name).collect();
                given.error(format!("`{name}` is not a chunk of SCTP")).hint(format!("they are {}, ALL and NONE", names.join(", ")))
            })?;
            map[usize::from(known.1 / 32)] |= 1 << (known.1 % 32);
            flags.chars().try_for_each(|letter| chunks.parse_flag(given, known, letter))?;
        }
        Ok(Self { map: Map::These(map), ..chunks })
    }

    /// Takes in one letter: upper case for a flag that is set, lower case for one that is not.
    fn parse_flag(&mut self, given: &Given<'_>, known: &(&str, u8, &str), letter: char) -> Result<(), SyntaxError> {
        let &(name, chunk, letters) = known;
        if chunk == I_DATA {
            return Err(given.error(format!("iptables has no place for the flags of {name}")));
        }
        if letters.is_empty() {
            return Err(given.error(format!("{name} has no flags")).hint("DATA, ABORT and SHUTDOWN_COMPLETE have some"));
        }
        let place = letters.find(letter.to_ascii_uppercase()).filter(|_| letter != '-').ok_or_else(|| {
            let error = given.error(format!("`{letter}` is not a flag of {name}"));
            error.hint(format!("write some of {}, in lower case for one that is not set", letters.trim_start_matches('-')))
        })?;
        // There are more slots than chunks with flags.
        let slot = self.flags.iter_mut().find(|slot| slot[0] == chunk || **slot == EMPTY);
        if let Some(slot) = slot {
            let bit = 0x80 >> place;
            *slot = [chunk, slot[1] | if letter.is_ascii_uppercase() { bit } else { 0 }, slot[2] | bit];
        }
        Ok(())
    }

    /// u32 chunkmap[64], u32 chunk_match_type, { chunktype, flag, flag_mask } flag_info[4], int flag_count
    pub fn to_xt(self) -> [u8; CHUNKS_LEN] {
        let mut bytes = [0; CHUNKS_LEN];
        match self.map {
            Map::All => bytes[..256].fill(0xff),
            Map::These(map) => bytes.chunks_exact_mut(4).zip(map).for_each(|(slot, word)| slot.copy_from_slice(&word.to_ne_bytes())),
        }
        bytes[256..260].copy_from_slice(&MODES[self.mode].1.to_ne_bytes());
        bytes[260..272].copy_from_slice(self.flags.as_flattened());
        let count = self.flags.iter().take_while(|slot| **slot != EMPTY).count() as u32;
        bytes[272..].copy_from_slice(&count.to_ne_bytes());
        bytes
    }

    /// From those; `None` if they are not what [`Chunks::to_xt`] writes.
    pub fn from_xt(bytes: &[u8; CHUNKS_LEN]) -> Option<Self> {
        let word = |at: usize| bytes[at..].first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
        let mode = MODES.iter().position(|(_, number)| word(256) == Some(*number))?;
        let mut map = [0; 8];
        for (at, slot) in map.iter_mut().enumerate() {
            *slot = word(4 * at)?;
        }
        let map = if map == [u32::MAX; 8] { Map::All } else { Map::These(map) };
        let mut flags = [EMPTY; SLOTS];
        flags.as_flattened_mut().copy_from_slice(&bytes[260..272]);
        let chunks = Self { mode, map, flags };
        (chunks.is_known() && chunks.to_xt() == *bytes).then_some(chunks)
    }

    fn is_known(&self) -> bool {
        let named = |chunk: u8| NAMES.iter().any(|(_, known, _)| *known == chunk);
        let sound = |(at, &[chunk, flags, mask]): (usize, &[u8; 3])| {
            let letters = NAMES.iter().find(|(_, known, _)| *known == chunk).map_or("", |(.., letters)| letters);
            let allowed = letters.chars().enumerate().filter(|(_, letter)| *letter != '-').fold(0, |bits, (place, _)| bits | 0x80 >> place);
            let once = self.flags[..at].iter().all(|slot| slot[0] != chunk);
            self.has(chunk) && self.map != Map::All && once && mask != 0 && mask & !allowed == 0 && flags & !mask == 0
        };
        let used = self.flags.iter().enumerate().take_while(|(_, slot)| **slot != EMPTY);
        let unused = self.flags.iter().skip_while(|slot| **slot != EMPTY);
        (self.map == Map::All || (0..=u8::MAX).all(|chunk| !self.has(chunk) || named(chunk)))
            && used.into_iter().all(sound)
            && unused.into_iter().all(|slot| *slot == EMPTY)
    }

    fn has(&self, chunk: u8) -> bool {
        match self.map {
            Map::All => true,
            Map::These(map) => map[usize::from(chunk / 32)] & 1 << (chunk % 32) != 0,
        }
    }

    /// Prints what `iptables -n -L` does, chunks by number.
    pub fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, |chunk, _| format!("0x{chunk:04X}"))
    }

    fn print(&self, f: &mut fmt::Formatter<'_>, call: impl Fn(u8, &str) -> String) -> fmt::Result {
        f.write_str(MODES[self.mode].0)?;
        match self.map {
            Map::All => return f.write_str(" ALL"),
            Map::These(map) if map == [0; 8] => return f.write_str(" NONE"),
            Map::These(_) => {}
        }
        let mut comma = " ";
        for (name, chunk, letters) in NAMES.iter().filter(|(_, chunk, _)| self.has(*chunk)) {
            write!(f, "{}{}", std::mem::replace(&mut comma, ","), call(*chunk, name))?;
            let Some(&[_, flags, mask]) = self.flags.iter().find(|slot| slot[0] == *chunk) else { continue };
            f.write_str(":")?;
            for (place, letter) in letters.chars().enumerate().filter(|(place, _)| mask & 0x80 >> place != 0) {
                write!(f, "{}", if flags & 0x80 >> place != 0 { letter } else { letter.to_ascii_lowercase() })?;
            }
        }
        Ok(())
    }
}

impl PartialEq for Chunks {
    fn eq(&self, other: &Self) -> bool {
        let sorted = |mut flags: [[u8; 3]; SLOTS]| {
            flags.sort_unstable();
            flags
        };
        (self.mode, self.map) == (other.mode, other.map) && sorted(self.flags) == sorted(other.flags)
    }
}

impl fmt::Display for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, |_, name| name.to_owned())
    }
}
