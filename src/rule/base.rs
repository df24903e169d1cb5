use std::fmt;

use crate::{
    expr::{CmpOp, Condition, Field, Operand},
    extension::Linearizer,
    model::{Address, Dialect, Family, Interface, Protocol, Test},
    uapi::{NFT_META_IIFNAME, NFT_META_L4PROTO, NFT_META_OIFNAME},
};

/// The options that every rule can have. What tests nothing (`-s 0/0`, `-i +`, `-p all`) is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Base {
    /// `-s`
    pub source: Option<Test<Address>>,
    /// `-d`
    pub destination: Option<Test<Address>>,
    /// `-i`
    pub in_interface: Option<Test<Interface>>,
    /// `-o`
    pub out_interface: Option<Test<Interface>>,
    /// `-p`
    pub protocol: Option<Test<Protocol>>,
    /// `-f`: a fragment other than the first. IPv4 only.
    pub fragment: Option<Test<()>>,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the fields of `Base` have them")]
pub enum BaseOption {
    Source,
    Destination,
    InInterface,
    OutInterface,
    Protocol,
    Fragment,
}

/// What is compared for `! -i +`, which no packet matches: a name that no interface can have.
/// Source: iptables `nft-shared.c`, `add_iface`.
const NO_INTERFACE: &[u8] = b"INVAL/D\0";

impl Base {
    /// Is nothing tested?
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The order in which a dialect writes the tests.
    pub fn order(dialect: Dialect) -> [BaseOption; 6] {
        use BaseOption::*;
        match dialect.addresses_first() {
            true => [Source, Destination, InInterface, OutInterface, Protocol, Fragment],
            false => [InInterface, OutInterface, Protocol, Source, Destination, Fragment],
        }
    }

    /// Writes the expressions of one option, if it is there.
    pub fn linearize(&self, option: BaseOption, out: &mut Linearizer<'_, '_>) {
        match option {
            BaseOption::Source => self.source.iter().for_each(|test| linearize_address(test, 12, 8, out)),
            BaseOption::Destination => self.destination.iter().for_each(|test| linearize_address(test, 16, 24, out)),
            BaseOption::InInterface => self.in_interface.iter().for_each(|test| linearize_interface(test, NFT_META_IIFNAME, out)),
            BaseOption::OutInterface => self.out_interface.iter().for_each(|test| linearize_interface(test, NFT_META_OIFNAME, out)),
            BaseOption::Protocol => {
                if let Some(test) = &self.protocol {
                    // IPv6's protocol is found behind the extension headers only by `meta`.
                    let from_header = out.dialect().addresses_first() && out.family() == Family::Ip;
                    let field = if from_header { Field::network(9, 1) } else { Field::Meta(NFT_META_L4PROTO) };
                    let value = [test.value.0];
                    out.condition(Condition { field, mask: None, operand: Operand::Value(CmpOp::eq_unless(test.negated), &value) });
                }
            }
            BaseOption::Fragment => {
                if let Some(test) = &self.fragment {
                    out.condition(Condition {
                        field: Field::network(6, 2),
                        mask: Some(&[0x1f, 0xff]),
                        operand: Operand::Value(CmpOp::eq_unless(!test.negated), &[0, 0]),
                    });
                }
            }
        }
    }

    /// Takes in a native test if it is one of these options and that option isn't there yet.
    pub fn delinearize(&mut self, condition: &Condition<'_>, family: Family) -> bool {
        match condition.field {
            Field::Meta(NFT_META_IIFNAME) => set(&mut self.in_interface, read_interface(condition)),
            Field::Meta(NFT_META_OIFNAME) => set(&mut self.out_interface, read_interface(condition)),
            Field::Meta(NFT_META_L4PROTO) => set(&mut self.protocol, read_protocol(condition)),
            _ if family == Family::Ip && condition.field == Field::network(9, 1) => set(&mut self.protocol, read_protocol(condition)),
            _ if family == Family::Ip && condition.field == Field::network(6, 2) => set(&mut self.fragment, read_fragment(condition)),
            Field::Payload { base: crate::expr::Base::Network, offset, len } => match (family, offset, len) {
                (Family::Ip, 12, 1..=4) | (Family::Ip6, 8, 1..=16) => set(&mut self.source, read_address(condition, family)),
                (Family::Ip, 16, 1..=4) | (Family::Ip6, 24, 1..=16) => set(&mut self.destination, read_address(condition, family)),
                _ => false,
            },
            _ => false,
        }
    }
}

fn set<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    let free = slot.is_none() && value.is_some();
    if free {
        *slot = value;
    }
    free
}

fn linearize_address(test: &Test<Address>, offset_v4: u32, offset_v6: u32, out: &mut Linearizer<'_, '_>) {
    let (offset, addr, mask);
    let (v4, v6);
    match test.value {
        Address::V4 { addr: a, mask: m } => {
            v4 = (a.octets(), m.octets());
            (offset, addr, mask) = (offset_v4, &v4.0[..], &v4.1[..]);
        }
        Address::V6 { addr: a, mask: m } => {
            v6 = (a.octets(), m.octets());
            (offset, addr, mask) = (offset_v6, &v6.0[..], &v6.1[..]);
        }
    }
    let op = CmpOp::eq_unless(test.negated);
    let full = addr.len();
    // A prefix of whole bytes is loaded just so long, and needs no mask.
    let (len, mask) = match test.value.prefix_len() {
        Some(bits) if bits.is_multiple_of(8) => (usize::from(bits / 8), None),
        _ => (full, Some(mask)),
    };
    out.condition(Condition { field: Field::network(offset, len as u32), mask, operand: Operand::Value(op, &addr[..len]) });
}

fn read_address(condition: &Condition<'_>, family: Family) -> Option<Test<Address>> {
    let Operand::Value(op @ (CmpOp::Eq | CmpOp::Neq), value) = condition.operand else { return None };
    let (addr, mask) = match condition.mask {
        Some(mask) => (wide(value)?, wide(mask)?),
        None => (wide(value)?, wide([0xff; 16].get(..value.len())?)?),
    };
    let Field::Payload { len, .. } = condition.field else { return None };
    if value.len() != len as usize || condition.mask.is_some_and(|mask| mask.len() != value.len()) || addr & !mask != 0 {
        return None;
    }
    let value = match family {
        Family::Ip => Address::v4((addr >> 96) as u32, (mask >> 96) as u32),
        Family::Ip6 => Address::v6(addr, mask),
    };
    Some(Test { negated: op == CmpOp::Neq, value })
}

/// The bytes at the high end of 128 bits, if they are not more.
fn wide(bytes: &[u8]) -> Option<u128> {
    let mut all = [0; 16];
    all.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(u128::from_be_bytes(all))
}

fn linearize_interface(test: &Test<Interface>, key: u32, out: &mut Linearizer<'_, '_>) {
    let name = test.value.as_bytes();
    let mut value = [0; Interface::MAX + 1];
    value[..name.len()].copy_from_slice(name);
    let (op, value) = match test.value.is_prefix() {
        true if test.value.is_any() => (CmpOp::Eq, NO_INTERFACE),
        true => (CmpOp::eq_unless(test.negated), &value[..name.len()]),
        false => (CmpOp::eq_unless(test.negated), &value[..name.len() + 1]),
    };
    out.condition(Condition { field: Field::Meta(key), mask: None, operand: Operand::Value(op, value) });
}

fn read_interface(condition: &Condition<'_>) -> Option<Test<Interface>> {
    let Condition { mask: None, operand: Operand::Value(op @ (CmpOp::Eq | CmpOp::Neq), value), .. } = *condition else {
        return None;
    };
    let negated = op == CmpOp::Neq;
    if value == NO_INTERFACE && !negated {
        return Some(Test { negated: true, value: Interface::prefix(b"")? });
    }
    let value = match value.iter().position(|&byte| byte == 0) {
        // nft pads the name to 16 bytes.
        Some(end) if value[end..].iter().all(|&byte| byte == 0) => Interface::exact(&value[..end])?,
        Some(_) => return None,
        None => Interface::prefix(value).filter(|name| !name.is_any())?,
    };
    Some(Test { negated, value })
}

fn read_protocol(condition: &Condition<'_>) -> Option<Test<Protocol>> {
    match *condition {
        Condition { mask: None, operand: Operand::Value(op @ (CmpOp::Eq | CmpOp::Neq), &[number]), .. } if number != 0 => {
            Some(Test { negated: op == CmpOp::Neq, value: Protocol(number) })
        }
        _ => None,
    }
}

fn read_fragment(condition: &Condition<'_>) -> Option<Test<()>> {
    match *condition {
        Condition { mask: Some(&[0x1f, 0xff]), operand: Operand::Value(op @ (CmpOp::Eq | CmpOp::Neq), &[0, 0]), .. } => {
            Some(Test { negated: op == CmpOp::Eq, value: () })
        }
        _ => None,
    }
}

impl fmt::Display for Base {
    /// The save form, in iptables' order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        let mut option = |f: &mut fmt::Formatter<'_>, bang: &str, name: &str, value: &dyn fmt::Display| {
            let space = if std::mem::take(&mut first) { "" } else { " " };
            [space, bang, name].into_iter().try_for_each(|text| f.write_str(text))?;
            value.fmt(f)
        };
        if let Some(test) = &self.source {
            option(f, test.bang(), "-s ", &test.value)?;
        }
        if let Some(test) = &self.destination {
            option(f, test.bang(), "-d ", &test.value)?;
        }
        if let Some(test) = &self.in_interface {
            option(f, test.bang(), "-i ", &test.value)?;
        }
        if let Some(test) = &self.out_interface {
            option(f, test.bang(), "-o ", &test.value)?;
        }
        if let Some(test) = &self.protocol {
            option(f, test.bang(), "-p ", &test.value)?;
        }
        if let Some(test) = &self.fragment {
            option(f, test.bang(), "-f", &"")?;
        }
        Ok(())
    }
}
