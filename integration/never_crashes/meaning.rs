//! Do two lists of expressions mean the same? Tried on packets, where the reader of rules compares
//! normal forms.

use std::collections::BTreeMap;

use dockgate::{
    expr::{CmpOp, Condition, Field, Item, Operand, Xt, read_all},
    model::Family,
};

/// A list as libnftnl prints it.
pub fn show(list: &[u8]) -> String {
    let mut exprs = Vec::new();
    let _ = read_all(list, &mut exprs);
    exprs.iter().map(|expr| format!("{expr} ")).collect()
}

/// Everything but native tests is there in the same order; and between two of those, the native tests
/// together say the same of every packet that is tried.
pub fn is_same(a: &[Item<'_>], b: &[Item<'_>], family: Family) -> bool {
    let (a, b) = (runs(a), runs(b));
    let fences = |fence: Option<&Item<'_>>, other: Option<&Item<'_>>| match (fence, other) {
        (Some(Item::Match(a)), Some(Item::Match(b))) => a == b || same_ports(a, b),
        _ => fence == other,
    };
    a.len() == b.len() && a.iter().zip(&b).all(|((a, fence), (b, other))| fences(*fence, *other) && agree(a, b, family))
}

/// Do these xt matches of TCP or UDP take the same ports, and all else alike?
fn same_ports(a: &Xt<'_>, b: &Xt<'_>) -> bool {
    let Some(invflags) = [("tcp", 11), ("udp", 8)].into_iter().find_map(|(name, at)| (name == a.name).then_some(at)) else { return false };
    let ([a, b], true) = ([a, b].map(|xt| xt.info), (a.name, a.revision) == (b.name, b.revision)) else { return false };
    let takes = |info: &[u8], at: usize, bit: u8, port: u16| {
        let end = |at: usize| u16::from_ne_bytes([info[at], info[at + 1]]);
        (end(at)..=end(at + 2)).contains(&port) != (info[invflags] & bit != 0)
    };
    let rest = |info: &[u8]| (info[invflags] & !3, [&info[8..invflags], &info[invflags + 1..]].concat());
    a.len() == 16
        && b.len() == 16
        && rest(a) == rest(b)
        && [(0, 1), (4, 2)].into_iter().all(|(at, bit)| (0..=u16::MAX).all(|port| takes(a, at, bit, port) == takes(b, at, bit, port)))
}

/// The native tests in front of each other item, and of the end.
fn runs<'i, 'a>(items: &'i [Item<'a>]) -> Vec<(Vec<Condition<'a>>, Option<&'i Item<'a>>)> {
    let mut out = vec![(Vec::new(), None)];
    for item in items {
        let last = out.last_mut().expect("there is always one");
        match item {
            Item::Condition(condition) => last.0.push(*condition),
            Item::Counter(_) | Item::Stray(_) => {}
            fence => {
                last.1 = Some(fence);
                out.push((Vec::new(), None));
            }
        }
    }
    out
}

/// Two headers and what is known besides, by its number.
#[derive(Clone, Default)]
struct Packet {
    headers: [Vec<u8>; 3],
    meta: BTreeMap<u32, [u8; 16]>,
}

impl Packet {
    /// The bytes of that field; none where they are outside of a header.
    fn field(&mut self, field: Field) -> Option<&mut [u8]> {
        match field {
            Field::Payload { base, offset, len } => {
                let header = &mut self.headers[base as usize];
                header.resize(64, 0);
                header.get_mut(offset as usize..)?.get_mut(..len as usize)
            }
            Field::Meta(key) => Some(self.meta.entry(key).or_default()),
        }
    }
}

fn agree(a: &[Condition<'_>], b: &[Condition<'_>], family: Family) -> bool {
    let all: Vec<&Condition<'_>> = a.iter().chain(b).collect();
    let mut seed = 1;
    (0..64).all(|_| {
        let mut packet = Packet::default();
        for condition in &all {
            let (from, to) = match condition.operand {
                Operand::Value(_, value) => (value, value),
                Operand::Range { from, to, .. } => (from, to),
            };
            let chosen = if random(&mut seed).is_multiple_of(2) { from } else { to };
            let step = random(&mut seed) % 5;
            if let Some(field) = packet.field(condition.field).filter(|_| step < 4) {
                let len = chosen.len().min(field.len());
                field[..len].copy_from_slice(&chosen[..len]);
                add(&mut field[..len], [0, 0, 1, -1][step as usize]);
                let at = random(&mut seed) as usize % field.len().max(1);
                if step == 1 && !field.is_empty() {
                    field[at] ^= 1 << (random(&mut seed) % 8);
                }
            }
        }
        // `meta l4proto` is what the header says.
        if family == Family::Ip {
            let protocol = packet.field(Field::network(9, 1)).map_or(0, |field| field[0]);
            let known = packet.field(Field::Meta(16)).map_or(0, |field| field[0]);
            let protocol = if protocol == 0 { known } else { protocol };
            for field in [Field::network(9, 1), Field::Meta(16)] {
                packet.field(field).into_iter().for_each(|field| field[0] = protocol);
            }
        }
        for key in [6, 7] {
            // The kernel fills names up with NUL.
            if let Some(name) = packet.meta.get_mut(&key) {
                let end = name.iter().position(|&byte| byte == 0).unwrap_or(15);
                name[end..].fill(0);
            }
        }
        let mut holds = |conditions: &[Condition<'_>]| conditions.iter().all(|condition| holds(condition, &mut packet));
        holds(a) == holds(b)
    })
}

fn holds(condition: &Condition<'_>, packet: &mut Packet) -> bool {
    let Some(field) = packet.field(condition.field) else { return false };
    let mut value = field.to_vec();
    if let Some(mask) = condition.mask {
        value.iter_mut().zip(mask).for_each(|(byte, mask)| *byte &= mask);
    }
    match condition.operand {
        Operand::Value(op, other) => {
            let order = value[..other.len().min(value.len())].cmp(other);
            match op {
                CmpOp::Eq => order.is_eq(),
                CmpOp::Neq => order.is_ne(),
                CmpOp::Lt => order.is_lt(),
                CmpOp::Lte => order.is_le(),
                CmpOp::Gt => order.is_gt(),
                CmpOp::Gte => order.is_ge(),
            }
        }
        Operand::Range { negated, from, to } => {
            let value = &value[..from.len().min(value.len())];
            (value >= from && value <= to) != negated
        }
    }
}

/// Adds to a number in network order.
fn add(bytes: &mut [u8], number: i8) {
    for byte in bytes.iter_mut().rev() {
        let (sum, over) = byte.overflowing_add_signed(number);
        *byte = sum;
        if !over {
            break;
        }
    }
}

/// The next of a sequence (xorshift).
fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}
