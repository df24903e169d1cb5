//! What a rule's registers hold while it is put into words.

use super::{
    Braces, Element, NativeSet,
    value::{Kind, hex, prefix_len},
};
use crate::{
    expr::{Bitwise, CmpOp},
    uapi::{NFT_REG_1, NFT_REG32_00},
};

/// The content of a register.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Load {
    /// What was loaded, in nft's words; empty for a constant.
    text: String,
    kind: Kind,
    /// A constant's bytes.
    constant: Option<Vec<u8>>,
    /// The bits that are kept, and those that are turned over afterwards.
    mask: Option<(Vec<u8>, Vec<u8>)>,
}

impl Load {
    pub(super) fn of(text: String, kind: Kind) -> Self {
        Self { text, kind, constant: None, mask: None }
    }

    pub(super) fn constant(value: &[u8]) -> Self {
        Self { text: String::new(), kind: Kind::Bytes, constant: Some(value.into()), mask: None }
    }
}

/// Sixteen registers of four bytes; the four older ones are four of them each.
#[derive(Debug, Clone, Default)]
pub(super) struct Registers([Option<Load>; 16]);

/// Which of the sixteen.
fn place(register: u32) -> Option<usize> {
    match register {
        NFT_REG_1..=4 => Some((register as usize - 1) * 4),
        NFT_REG32_00.. => Some(register as usize - NFT_REG32_00 as usize).filter(|&place| place < 16),
        _ => None,
    }
}

impl Registers {
    pub(super) fn set(&mut self, register: u32, load: Load) {
        if let Some(place) = place(register) {
            self.0[place] = Some(load);
        }
    }

    fn at(&self, register: u32) -> Option<&Load> {
        self.0[place(register)?].as_ref()
    }

    pub(super) fn mask(&mut self, bits: &Bitwise<'_>) {
        let masked = self.at(bits.sreg).map(|load| Load { mask: Some((bits.mask.into(), bits.xor.into())), ..load.clone() });
        if let Some(load) = masked {
            self.set(bits.dreg, load);
        }
    }

    /// Its bytes were put into network order.
    pub(super) fn swap(&mut self, register: u32) {
        if let Some(place) = place(register)
            && let Some(load) = &mut self.0[place]
            && load.kind == Kind::Host
        {
            load.kind = Kind::Number;
        }
    }

    /// Does this register hold the number of the transport protocol?
    pub(super) fn tests_protocol(&self, register: u32) -> bool {
        self.at(register).is_some_and(|load| load.kind == Kind::Protocol && load.mask.is_none())
    }

    /// What a value set from this register is.
    pub(super) fn value(&self, register: u32, kind: Kind) -> String {
        match self.at(register) {
            Some(Load { constant: Some(value), .. }) => kind.text(value),
            Some(Load { text, mask: Some((mask, xor)), .. }) => {
                let zero = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
                let or = mask.iter().zip(xor).all(|(mask, xor)| *mask == !*xor);
                match (zero(xor), or) {
                    (true, _) => format!("{text} & {}", kind.text(mask)),
                    (_, true) => format!("{text} | {}", kind.text(xor)),
                    _ => format!("{text} & {} ^ {}", kind.text(mask), kind.text(xor)),
                }
            }
            Some(load) => load.text.clone(),
            None => format!("reg {register}"),
        }
    }

    /// `ip saddr != 10.0.0.0/8`
    pub(super) fn compare(&self, register: u32, op: CmpOp, value: &[u8]) -> String {
        let Some(load) = self.at(register) else { return format!("reg {register} {}{}", word(op), hex(value)) };
        let (text, kind) = (&load.text, load.kind);
        let Some((mask, xor)) = &load.mask else { return format!("{text} {}{}", word(op), kind.text(value)) };
        let none = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
        let shown = |bytes: &[u8]| if matches!(kind, Kind::Mark) { kind.text(bytes) } else { hex(bytes) };
        match kind {
            Kind::Bits(_) if none(xor) && none(value) && op == CmpOp::Neq => format!("{text} {}", kind.text(mask)),
            Kind::Bits(_) if none(xor) && text == "tcp flags" && matches!(op, CmpOp::Eq | CmpOp::Neq) => {
                format!("{text} {}{} / {}", word(op), kind.text(value), kind.text(mask))
            }
            Kind::Ip4 | Kind::Ip6 if none(xor) && prefix_len(mask).is_some() && value.len() == mask.len() => {
                let mut whole = value.to_vec();
                whole.resize(kind.len(), 0);
                format!("{text} {}{}/{}", word(op), kind.text(&whole), prefix_len(mask).unwrap_or_default())
            }
            _ if none(xor) => format!("{text} & {} {}{}", shown(mask), explicit(op), shown(value)),
            _ => format!("{text} & {} ^ {} {}{}", shown(mask), shown(xor), explicit(op), shown(value)),
        }
    }

    /// `tcp dport 80-90`
    pub(super) fn range(&self, register: u32, negated: bool, from: &[u8], to: &[u8]) -> String {
        let not = if negated { "!= " } else { "" };
        match self.at(register) {
            Some(load) => format!("{} {not}{}-{}", load.text, load.kind.text(from), load.kind.text(to)),
            None => format!("reg {register} {not}{}-{}", hex(from), hex(to)),
        }
    }

    /// What is looked up: one field, or several with ` . ` between them; and the kinds of them.
    fn key(&self, register: u32, len: u32) -> (String, Vec<Kind>) {
        let (mut texts, mut kinds) = (Vec::new(), Vec::new());
        let Some(first) = place(register) else { return (String::new(), kinds) };
        let (mut at, end) = (first, first + (len as usize).div_ceil(4).max(1));
        while at < end.min(16) {
            if let Some(load) = &self.0[at] {
                texts.push(load.text.clone());
                kinds.push(load.kind);
                at += load.kind.len().div_ceil(4).max(1);
            } else {
                at += 1;
            }
        }
        (texts.join(" . "), kinds)
    }

    /// `ip saddr`, `ip saddr . tcp dport`, … as far as the set's key goes.
    pub(super) fn selectors(&self, register: u32, set: Option<&NativeSet>) -> String {
        self.key(register, set.map_or(4, |set| set.key_len)).0
    }

    /// `ip saddr @bad`, `tcp dport { 80, 443 }`, `iifname vmap { "a" : drop }`
    pub(super) fn lookup(&self, register: u32, name: &str, negated: bool, vmap: bool, set: Option<&NativeSet>) -> String {
        let (text, kinds) = self.key(register, set.map_or(4, |set| set.key_len));
        let not = if negated { "!= " } else { "" };
        let map = if vmap { "vmap " } else { "" };
        match set {
            Some(set) if set.anonymous && !set.elements.is_empty() => format!("{text} {not}{map}{}", Braces(&elements(set, &kinds))),
            _ => format!("{text} {not}{map}@{name}"),
        }
    }
}

fn word(op: CmpOp) -> &'static str {
    if op == CmpOp::Eq { "" } else { explicit(op) }
}

fn explicit(op: CmpOp) -> &'static str {
    match op {
        CmpOp::Eq => "== ",
        CmpOp::Neq => "!= ",
        CmpOp::Lt => "< ",
        CmpOp::Lte => "<= ",
        CmpOp::Gt => "> ",
        CmpOp::Gte => ">= ",
    }
}

/// The elements of a set in order; intervals as prefixes where they are any.
fn elements(set: &NativeSet, kinds: &[Kind]) -> Vec<String> {
    let kind = kinds.first().copied().unwrap_or(Kind::Bytes);
    let mut sorted: Vec<&Element> = set.elements.iter().collect();
    sorted.sort_by_key(|element| (kind.order(&element.key), !element.end));
    let mut out = Vec::new();
    for (index, element) in sorted.iter().enumerate().filter(|(_, element)| !element.end) {
        let text = match &element.key_end {
            _ if kinds.len() > 1 => several(&element.key, element.key_end.as_deref(), kinds),
            Some(end) => interval(kind, &element.key, kind.order(end)),
            None if set.interval => {
                let next = sorted.get(index + 1).filter(|next| next.end);
                interval(kind, &element.key, next.map_or(highest(element.key.len()), |next| kind.order(&next.key) - 1))
            }
            None => kind.text(&element.key),
        };
        out.push(match &element.verdict {
            Some(verdict) => format!("{text} : {verdict}"),
            None => text,
        });
    }
    out
}

fn highest(bytes: usize) -> u128 {
    u128::MAX >> (128 - 8 * bytes.clamp(1, 16))
}

/// From a key to a number, both included.
fn interval(kind: Kind, key: &[u8], last: u128) -> String {
    let first = kind.order(key);
    let bytes = last.to_be_bytes();
    let end = &bytes[16 - key.len().min(16)..];
    let size = last.saturating_sub(first).saturating_add(1);
    match kind {
        _ if first == last => kind.text(key),
        Kind::Ip4 | Kind::Ip6 if size.is_power_of_two() && first.is_multiple_of(size) => {
            format!("{}/{}", kind.text(key), 8 * key.len() as u32 - size.trailing_zeros())
        }
        _ => format!("{}-{}", kind.text(key), kind.text(end)),
    }
}

/// A key of several parts.
fn several(key: &[u8], end: Option<&[u8]>, kinds: &[Kind]) -> String {
    let mut at = 0;
    let mut texts = Vec::new();
    for (index, kind) in kinds.iter().enumerate() {
        let rest = kinds.len() - index - 1;
        let room = key.len().saturating_sub(at + 4 * rest);
        let len = if kind.len() > 0 { kind.len() } else { room.min(if *kind == Kind::Number { 2 } else { 4 }) };
        let part = |bytes: &[u8]| bytes.get(at..at + len).unwrap_or_default().to_vec();
        let from = part(key);
        texts.push(match end.map(part) {
            Some(to) if to != from => format!("{}-{}", kind.text(&from), kind.text(&to)),
            _ => kind.text(&from),
        });
        at += len.next_multiple_of(4);
    }
    texts.join(" . ")
}
