//! Changes to a list of expressions after which it still is one.

use std::sync::LazyLock;

use dockgate::attr::{Attr, Attrs, Writer};

use crate::seeds;

/// The expressions of all seeds, to take some from.
static POOL: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| seeds::lists().iter().flat_map(|list| elements(list)).collect());

const LIST_ELEM: u16 = 1;

/// Changes the list in `bytes[..size]`; its new size. What is no list becomes one.
pub fn list(bytes: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut random = Random(u64::from(seed) << 1 | 1);
    let mut all = elements(&bytes[..size]);
    for _ in 0..=random.below(3) {
        let at = random.below(all.len() + 1);
        match random.below(6) {
            0 | 1 => all.insert(at, POOL[random.below(POOL.len())].clone()),
            2 if at < all.len() => drop(all.remove(at)),
            3 if at < all.len() => all.insert(at, all[at].clone()),
            4 if at < all.len() => {
                let other = random.below(all.len());
                all.swap(at, other);
            }
            _ if at < all.len() => all[at] = change(&all[at], &mut random, 0),
            _ => {}
        }
    }
    let mut out = Vec::new();
    let mut writer = Writer::as_dumped(&mut out);
    all.iter().for_each(|element| writer.bytes(LIST_ELEM, element));
    if out.len() > max_size.min(bytes.len()) {
        return size;
    }
    bytes[..out.len()].copy_from_slice(&out);
    out.len()
}

fn elements(list: &[u8]) -> Vec<Vec<u8>> {
    Attrs::new(list).flatten().map(|attr| attr.payload.to_vec()).collect()
}

/// Changes something deep inside: where the bytes are attributes in turn, one of those.
fn change(bytes: &[u8], random: &mut Random, depth: usize) -> Vec<u8> {
    let inner: Vec<Attr<'_>> = Attrs::new(bytes).collect::<Result<_, _>>().unwrap_or_default();
    if inner.is_empty() || depth == 5 {
        return flip(bytes, random);
    }
    let at = random.below(inner.len());
    let drop_it = random.below(32) == 0;
    let mut out = Vec::new();
    let mut writer = Writer::as_dumped(&mut out);
    for (index, attr) in inner.iter().enumerate() {
        match index == at {
            true if drop_it => {}
            true => writer.bytes(attr.kind, &change(attr.payload, random, depth + 1)),
            false => writer.bytes(attr.kind, attr.payload),
        }
    }
    out
}

/// Changes a byte, a number, or the length.
fn flip(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    const SPECIAL: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'A', b' ', b'"'];
    let mut out = bytes.to_vec();
    let at = random.below(out.len() + 1);
    match random.below(8) {
        0 => out.insert(at, SPECIAL[random.below(8)]),
        1 => out.truncate(at),
        _ if at == out.len() => {}
        2 | 3 => out[at] = SPECIAL[random.below(8)],
        4 => out[at] = out[at].wrapping_add(1),
        5 => out[at] = out[at].wrapping_sub(1),
        _ => out[at] ^= 1 << random.below(8),
    }
    out
}

/// A sequence of numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end.max(1)
    }
}
