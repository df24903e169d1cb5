//! What iptables makes of a rule that it would not have written, as it reads it.
//!
//! Source: `iptables/nft-ruleparse.c` and its `-ipv4.c`, `-ipv6.c`, `nft_is_expr_compatible` in
//! `iptables/nft.c`; what 1.8.7, which reads less, does was measured.

use super::{Lost, Version, rewrite::Rewrite};
use crate::{
    attr::Attrs,
    expr::{Base, Bitwise, Cmp, CmpOp, Expr, Immediate, MetaSet, Payload, Range, Verdict},
    matches,
    model::Family,
    uapi::*,
};

/// What iptables makes of a rule.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// The expression by which it calls the table `incompatible, use 'nft' tool`.
    pub incompatible: Option<String>,
    /// The error with which it ends (exit code 3) where it has to understand the rule.
    pub error: Option<&'static str>,
    /// The rule that it reads, as it would write it itself.
    pub list: Vec<u8>,
    /// In what that rule is another; empty where it is the same.
    pub lost: Vec<Lost>,
}

/// Reads a rule's expressions as that iptables does.
pub fn read(exprs: &[Expr<'_>], family: Family, version: Version) -> Seen {
    let incompatible = exprs.iter().find(|expr| !is_compatible(expr, version)).map(|expr| expr.name().to_owned());
    let mut reader = Reader { family, version, registers: Default::default(), rewrite: Rewrite::new(family, version), lost: Vec::new() };
    let error = exprs.iter().find_map(|expr| reader.one(expr).err());
    let mut lost = reader.lost;
    lost.extend(reader.rewrite.lost());
    lost.dedup();
    Seen { incompatible, error, list: reader.rewrite.write(), lost }
}

/// By its name alone, but for two.
fn is_compatible(expr: &Expr<'_>, version: Version) -> bool {
    match expr {
        Expr::Range(_) => version > Version::Old,
        Expr::Log(_) => version > Version::Old,
        Expr::Limit(_) => true,
        Expr::Unknown(unknown) => match unknown.name {
            // One with a group counts as a log for NFLOG, whatever else is in it.
            "log" => version > Version::Old && Attrs::new(unknown.data).flatten().any(|attr| attr.kind == NFTA_LOG_GROUP),
            name => ["match", "target", "payload", "meta", "cmp", "bitwise", "counter", "immediate", "lookup"].contains(&name),
        },
        _ => true,
    }
}

/// What a register holds.
#[derive(Debug, Clone, Default)]
struct Register {
    content: Content,
    /// A mask that is put over it; the bits turned over afterwards.
    mask: Option<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug, Clone, Default)]
enum Content {
    #[default]
    Nothing,
    Payload(Payload),
    Meta(u32),
    Immediate(Vec<u8>),
}

struct Reader {
    family: Family,
    version: Version,
    registers: [Register; 17],
    rewrite: Rewrite,
    lost: Vec<Lost>,
}

/// Each of the older four registers is four of the newer ones; the first newer one is kept apart
/// from the first older one, which is a mistake.
fn place(register: u32) -> Result<usize, &'static str> {
    match register {
        0 => Ok(0),
        1..=4 => Ok((register as usize - 1) * 4 + 1),
        NFT_REG32_00..=23 => Ok((register - NFT_REG32_00) as usize),
        _ => Err("Unknown register requested"),
    }
}

type Step = Result<(), &'static str>;

impl Reader {
    fn one(&mut self, expr: &Expr<'_>) -> Step {
        match expr {
            Expr::Payload(load) => self.load(load.dreg, Content::Payload(*load))?,
            Expr::Meta(load) => self.load(load.dreg, Content::Meta(load.key))?,
            Expr::Immediate(Immediate::Value { dreg, value }) => self.load(*dreg, Content::Immediate(value.to_vec()))?,
            Expr::Immediate(Immediate::Verdict(Verdict::Continue)) | Expr::Counter(_) => self.counter(expr),
            Expr::Immediate(Immediate::Verdict(_)) | Expr::Target(_) | Expr::Log(_) => self.rewrite.target(&[*expr]),
            Expr::MetaSet(set) => self.meta_set(set)?,
            Expr::Bitwise(bits) => self.bitwise(bits)?,
            Expr::Cmp(cmp) => self.cmp(cmp)?,
            Expr::Range(range) => self.range(range)?,
            Expr::Match(_) => self.rewrite.other(expr),
            Expr::Limit(limit) => {
                let again = matches::Limit::read_again(*limit);
                if again != Some(*limit) {
                    self.lost.push(Lost::Rate);
                }
                self.rewrite.limit(again.unwrap_or(*limit));
            }
            Expr::Unknown(unknown) => self.unknown(unknown.name, unknown.data),
        }
        Ok(())
    }

    fn counter(&mut self, expr: &Expr<'_>) {
        if let Expr::Counter(counter) = expr {
            self.rewrite.counter(*counter);
        }
    }

    /// `lookup`, a log with levels, a bitwise that shifts, …: no more than their names is looked at.
    fn unknown(&mut self, name: &str, data: &[u8]) {
        let has = |kind| Attrs::new(data).flatten().any(|attr| attr.kind == kind);
        self.lost.push(match name {
            "lookup" if has(NFTA_LOOKUP_DREG) => Lost::Map,
            "payload" if has(NFTA_PAYLOAD_SREG) => Lost::Action,
            "lookup" => Lost::Lookup,
            "bitwise" => Lost::Mask,
            _ => Lost::Test,
        });
    }

    fn load(&mut self, register: u32, content: Content) -> Step {
        // Up to 1.8.7 there is but one, whatever its number.
        let at = if self.version == Version::Old { 1 } else { place(register)? };
        self.registers[at] = Register { content, mask: None };
        Ok(())
    }

    fn bitwise(&mut self, bits: &Bitwise<'_>) -> Step {
        let mut register = self.registers[place(bits.sreg)?].clone();
        if register.mask.replace((bits.mask.into(), bits.xor.into())).is_some() {
            self.lost.push(Lost::Mask);
        }
        self.registers[place(bits.dreg)?] = register;
        Ok(())
    }

    fn meta_set(&mut self, set: &MetaSet) -> Step {
        let register = &self.registers[place(set.sreg)?];
        let constant = match (&register.content, &register.mask) {
            (Content::Immediate(value), None) => Some(value.clone()),
            _ => None,
        };
        match (set.key, constant) {
            (NFT_META_NFTRACE, Some(value)) if value.first() == Some(&0) => return Err("meta sreg immediate is 0"),
            (NFT_META_NFTRACE, Some(_)) => self.rewrite.trace(),
            (NFT_META_MARK, Some(mark)) if self.version == Version::Later => self.rewrite.set_mark(&mark),
            (NFT_META_MARK, None) if self.version == Version::Later => return Err("meta sreg is not an immediate"),
            (NFT_META_NFTRACE, None) if self.version > Version::Old => return Err("meta sreg is not an immediate"),
            _ if self.version > Version::Old => return Err("meta sreg key not supported"),
            _ => self.lost.push(Lost::Action),
        }
        Ok(())
    }

    fn cmp(&mut self, cmp: &Cmp<'_>) -> Step {
        if self.version == Version::Old {
            return self.cmp_old(cmp);
        }
        let register = self.registers[place(cmp.sreg)?].clone();
        match register.content {
            Content::Nothing => Err("cmp sreg undef"),
            Content::Immediate(_) => Err("cmp sreg has unknown type"),
            Content::Meta(key) => self.meta(key, register.mask.as_ref(), cmp),
            Content::Payload(load) => match load.base {
                Base::LinkLayer => {
                    self.lost.push(Lost::Test);
                    Ok(())
                }
                Base::Network => self.network(&load, register.mask.as_ref(), cmp),
                Base::Transport => self.transport(&load, register.mask.as_ref(), cmp),
            },
        }
    }

    /// Up to 1.8.7: one register; a load is compared once; what is not known is passed over.
    fn cmp_old(&mut self, cmp: &Cmp<'_>) -> Step {
        let register = std::mem::take(&mut self.registers[1]);
        let known = match register.content {
            Content::Payload(load) if load.base == Base::Network && self.family == Family::Ip => {
                matches!(load.offset, 6 | 9 | 12 | 16)
            }
            Content::Payload(load) if load.base == Base::Network => matches!(load.offset, 6 | 8 | 24),
            Content::Meta(key) => [NFT_META_IIF, NFT_META_OIF, NFT_META_IIFNAME, NFT_META_OIFNAME, NFT_META_L4PROTO].contains(&key),
            _ => false,
        };
        match register.content {
            _ if !known || cmp.sreg != NFT_REG_1 => {
                self.lost.push(Lost::Test);
                Ok(())
            }
            Content::Payload(load) if self.family == Family::Ip6 && load.offset == 6 => {
                self.rewrite.protocol(cmp);
                Ok(())
            }
            Content::Payload(load) => self.network(&load, register.mask.as_ref(), cmp),
            Content::Meta(key) => self.meta(key, register.mask.as_ref(), cmp),
            _ => Ok(()),
        }
    }

    /// Only `=` and `!=` are told apart.
    fn by_size(&mut self, op: CmpOp) {
        if !matches!(op, CmpOp::Eq | CmpOp::Neq) {
            self.lost.push(Lost::Comparison);
        }
    }

    fn meta(&mut self, key: u32, mask: Option<&(Vec<u8>, Vec<u8>)>, cmp: &Cmp<'_>) -> Step {
        self.by_size(cmp.op);
        match key {
            NFT_META_L4PROTO => self.rewrite.protocol(cmp),
            NFT_META_IIF | NFT_META_OIF => self.rewrite.interface_index(key == NFT_META_IIF),
            NFT_META_IIFNAME | NFT_META_OIFNAME => self.rewrite.interface(key == NFT_META_IIFNAME, cmp),
            NFT_META_MARK => {
                let (mask, xor) = mask.cloned().unwrap_or((vec![0xff; 4], Vec::new()));
                self.turned_over(&xor);
                self.rewrite.mark(cmp, &mask);
                return Ok(());
            }
            NFT_META_PKTTYPE => self.rewrite.packet_type(cmp),
            _ if self.family == Family::Ip => return Err("unknown ipv4 meta key"),
            _ => return Err("unknown ipv6 meta key"),
        }
        if mask.is_some() {
            self.lost.push(Lost::Mask);
        }
        Ok(())
    }

    fn turned_over(&mut self, xor: &[u8]) {
        if xor.iter().any(|&byte| byte != 0) {
            self.lost.push(Lost::Mask);
        }
    }

    fn network(&mut self, load: &Payload, mask: Option<&(Vec<u8>, Vec<u8>)>, cmp: &Cmp<'_>) -> Step {
        let [source, destination, protocol, hops] = if self.family == Family::Ip { [12, 16, 9, 8] } else { [8, 24, 6, 7] };
        self.turned_over(mask.map_or(&[], |(_, xor)| xor));
        let mask = mask.map(|(mask, _)| mask.as_slice());
        match load.offset {
            offset if offset == source || offset == destination => {
                self.by_size(cmp.op);
                if load.len as usize > self.rewrite.address_len() {
                    self.lost.push(Lost::Wide);
                }
                self.rewrite.address(offset == source, load.len, mask, cmp);
            }
            offset if offset == protocol => {
                self.by_size(cmp.op);
                if mask.is_some() {
                    self.lost.push(Lost::Mask);
                }
                self.rewrite.protocol(cmp);
                if self.family == Family::Ip6 {
                    // The case for the next header has no end: it goes on into that for the hop limit.
                    self.lost.push(Lost::Appears);
                    self.rewrite.hops(cmp);
                }
            }
            6 if self.family == Family::Ip => {
                if mask != Some(&[0x1f, 0xff]) || cmp.value != [0, 0] {
                    self.lost.push(Lost::Mask);
                }
                self.by_size(cmp.op);
                self.rewrite.fragment(mask.is_some() && cmp.op == CmpOp::Eq);
            }
            offset if offset == hops => {
                if mask.is_some() || load.len != 1 {
                    self.lost.push(Lost::Mask);
                }
                if !self.rewrite.hops(cmp) {
                    return Err("invalid ttl field match");
                }
            }
            _ => return Err("unknown payload offset"),
        }
        Ok(())
    }

    fn transport(&mut self, load: &Payload, mask: Option<&(Vec<u8>, Vec<u8>)>, cmp: &Cmp<'_>) -> Step {
        let flags = load.offset == 13;
        self.turned_over(mask.map_or(&[], |(_, xor)| xor));
        if mask.is_some() && !flags {
            self.lost.push(Lost::Mask);
        }
        let tcp = match self.rewrite.tested_protocol() {
            Some((6, _)) => true,
            Some((17, _)) => false,
            Some((1 | 58, _)) => return self.icmp(load, cmp),
            _ => return Err("unsupported layer 4 protocol value"),
        };
        match (load.offset, cmp.value) {
            (0, &[a, b]) => self.rewrite.ports(tcp, cmp.op, Some(u16::from_be_bytes([a, b])), None),
            (2, &[a, b]) => self.rewrite.ports(tcp, cmp.op, None, Some(u16::from_be_bytes([a, b]))),
            (0, &[a, b, c, d]) => {
                if cmp.op != CmpOp::Eq {
                    self.lost.push(if cmp.op == CmpOp::Neq { Lost::Negation } else { Lost::Comparison });
                }
                self.rewrite.ports(tcp, cmp.op, Some(u16::from_be_bytes([a, b])), Some(u16::from_be_bytes([c, d])));
            }
            (13, &[value]) if tcp => {
                self.by_size(cmp.op);
                self.rewrite.tcp_flags(mask.and_then(|(mask, _)| mask.first().copied()).unwrap_or(0xff), value, cmp.op);
            }
            _ => self.lost.push(Lost::Test),
        }
        Ok(())
    }

    fn icmp(&mut self, load: &Payload, cmp: &Cmp<'_>) -> Step {
        match cmp.op {
            CmpOp::Eq => {}
            CmpOp::Neq => self.lost.push(Lost::Negation),
            _ => self.lost.push(Lost::Comparison),
        }
        match (load.offset, cmp.value) {
            (0, &[kind]) => self.rewrite.icmp(kind, None),
            (0, &[kind, code]) => self.rewrite.icmp(kind, Some(code)),
            (1, &[_]) if self.family == Family::Ip6 => return Err("icmp6 code with any type match not supported"),
            (1, &[code]) => self.rewrite.icmp(0xff, Some(code)),
            (0 | 1, _) => return Err("unexpected RHS data length"),
            _ => return Err("unexpected payload offset"),
        }
        Ok(())
    }

    fn range(&mut self, range: &Range<'_>) -> Step {
        let load = match &self.registers[place(range.sreg)?].content {
            Content::Nothing => return Err("range sreg undef"),
            Content::Payload(load) if load.base == Base::Transport => *load,
            Content::Payload(_) => return Err("range with unknown payload base"),
            _ => return Err("range sreg type unsupported"),
        };
        let number = |bytes: &[u8]| Some(u16::from_be_bytes(bytes.try_into().ok()?));
        let tcp = match self.rewrite.tested_protocol() {
            Some((6, _)) => Some(true),
            Some((17, _)) => Some(false),
            _ => None,
        };
        match (tcp, load.offset, number(range.from), number(range.to)) {
            (Some(tcp), 0 | 2, Some(from), Some(to)) => self.rewrite.port_range(tcp, load.offset == 0, range.negated, from, to),
            _ => self.lost.push(Lost::Test),
        }
        Ok(())
    }
}
