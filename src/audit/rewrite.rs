//! The rule that iptables has in mind after reading: each option once, matches in order, one target.

use super::{Lost, Version};
use crate::{
    attr::Writer,
    expr::{Base, Bitwise, Cmp, CmpOp, Counter, Expr, Immediate, Limit, Meta, MetaSet, Payload, Xt},
    model::Family,
    uapi::*,
};

/// A rule as iptables holds it.
#[derive(Debug)]
pub(super) struct Rewrite {
    family: Family,
    version: Version,
    /// In the order in which iptables writes them: source, destination, in, out, protocol, fragment.
    base: [Option<Native>; 6],
    protocol: Option<(u8, bool)>,
    /// Matches, each as its expressions' bytes; ports have one place, which is filled in at the end.
    others: Vec<Part>,
    counter: Counter,
    target: Option<Vec<u8>>,
    limited: bool,
    lost: Vec<Lost>,
}

#[derive(Debug)]
enum Part {
    Bytes(Vec<u8>),
    Ports(Ports),
}

/// A native test of an option that stands for itself.
#[derive(Debug, Clone, PartialEq)]
struct Native {
    load: Load,
    mask: Option<Vec<u8>>,
    negated: bool,
    value: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Load {
    Network(u32, u32),
    Meta(u32),
    /// Which iptables prints, but we could only guess.
    Opaque,
}

/// `struct xt_tcp` and `struct xt_udp` in one.
#[derive(Debug, Clone)]
struct Ports {
    tcp: bool,
    /// Source, destination: each the lowest and the highest.
    ports: [[u16; 2]; 2],
    /// Which ends of them were set.
    set: [[bool; 2]; 2],
    negated: [bool; 2],
    flags: Option<(u8, u8, bool)>,
}

const SOURCE: usize = 0;
const IN: usize = 2;
const PROTOCOL: usize = 4;
const FRAGMENT: usize = 5;

/// `net/netfilter` structs are filled up to eight bytes.
fn padded(mut info: Vec<u8>) -> Vec<u8> {
    info.resize(info.len().next_multiple_of(8), 0);
    info
}

impl Rewrite {
    pub(super) fn new(family: Family, version: Version) -> Self {
        let (counter, lost) = (Counter::default(), Vec::new());
        Self { family, version, base: Default::default(), protocol: None, others: Vec::new(), counter, target: None, limited: false, lost }
    }

    /// What reading has lost by putting one thing over another.
    pub(super) fn lost(&mut self) -> Vec<Lost> {
        std::mem::take(&mut self.lost)
    }

    pub(super) fn address_len(&self) -> usize {
        if self.family == Family::Ip { 4 } else { 16 }
    }

    fn option(&mut self, place: usize, mut native: Native) {
        if self.limited {
            self.lost.push(Lost::Order);
        }
        if let Some(earlier) = &self.base[place] {
            if *earlier != native {
                self.lost.push(Lost::Twice);
            }
            // The sign for `!` is put, and never taken away.
            native.negated |= earlier.negated;
        }
        self.base[place] = Some(native);
    }

    pub(super) fn address(&mut self, source: bool, len: u32, mask: Option<&[u8]>, cmp: &Cmp<'_>) {
        let whole = self.address_len();
        let offset = match (self.family, source) {
            (Family::Ip, true) => 12,
            (Family::Ip, false) => 16,
            (Family::Ip6, true) => 8,
            (Family::Ip6, false) => 24,
        };
        let mut value = cmp.value.to_vec();
        value.resize(whole, 0);
        let mut mask = mask.map_or_else(|| vec![0xff; whole.min(len as usize)], <[u8]>::to_vec);
        mask.resize(whole, 0);
        value.iter_mut().zip(&mask).for_each(|(value, mask)| *value &= mask);
        let native = Native { load: Load::Network(offset, whole as u32), mask: Some(mask), negated: cmp.op == CmpOp::Neq, value };
        self.option(if source { SOURCE } else { SOURCE + 1 }, native);
    }

    pub(super) fn protocol(&mut self, cmp: &Cmp<'_>) {
        let number = cmp.value.first().copied().unwrap_or_default();
        let negated = cmp.op == CmpOp::Neq;
        let load = if self.family == Family::Ip { Load::Network(9, 1) } else { Load::Meta(NFT_META_L4PROTO) };
        self.option(PROTOCOL, Native { load, mask: None, negated, value: vec![number] });
        self.protocol = Some((number, negated));
    }

    /// The protocol, and whether it is negated.
    pub(super) fn tested_protocol(&self) -> Option<(u8, bool)> {
        self.protocol
    }

    pub(super) fn interface(&mut self, incoming: bool, cmp: &Cmp<'_>) {
        let key = if incoming { NFT_META_IIFNAME } else { NFT_META_OIFNAME };
        let native = Native { load: Load::Meta(key), mask: None, negated: cmp.op == CmpOp::Neq, value: cmp.value.to_vec() };
        self.option(if incoming { IN } else { IN + 1 }, native);
    }

    pub(super) fn interface_index(&mut self, incoming: bool) {
        let native = Native { load: Load::Opaque, mask: None, negated: false, value: Vec::new() };
        self.option(if incoming { IN } else { IN + 1 }, native);
    }

    pub(super) fn fragment(&mut self, negated: bool) {
        let native = Native { load: Load::Network(6, 2), mask: Some(vec![0x1f, 0xff]), negated: !negated, value: vec![0, 0] };
        self.option(FRAGMENT, native);
    }

    pub(super) fn other(&mut self, expr: &Expr<'_>) {
        self.others.push(Part::Bytes(bytes(&[*expr])));
    }

    pub(super) fn limit(&mut self, limit: Limit) {
        self.limited = true;
        self.other(&Expr::Limit(limit));
    }

    fn xt(&mut self, name: &str, revision: u32, info: Vec<u8>) {
        let info = padded(info);
        self.other(&Expr::Match(Xt { name, revision, info: &info }));
    }

    pub(super) fn mark(&mut self, cmp: &Cmp<'_>, mask: &[u8]) {
        let mut info = [cmp.value, mask].concat();
        info.push((cmp.op == CmpOp::Neq).into());
        self.xt("mark", 1, info);
    }

    pub(super) fn packet_type(&mut self, cmp: &Cmp<'_>) {
        let (value, negated) = (u32::from(cmp.value.first().copied().unwrap_or_default()), u32::from(cmp.op == CmpOp::Neq));
        self.xt("pkttype", 0, [value.to_ne_bytes(), negated.to_ne_bytes()].concat());
    }

    /// False for what it refuses.
    pub(super) fn hops(&mut self, cmp: &Cmp<'_>) -> bool {
        let hops = cmp.value.first().copied().unwrap_or_default();
        let (mode, hops) = match cmp.op {
            CmpOp::Eq => (0, Some(hops)),
            CmpOp::Neq => (1, Some(hops)),
            CmpOp::Lt => (2, Some(hops)),
            CmpOp::Lte => (2, hops.checked_add(1)),
            CmpOp::Gt => (3, Some(hops)),
            CmpOp::Gte => (3, hops.checked_sub(1)),
        };
        let Some(hops) = hops else { return false };
        self.xt(if self.family == Family::Ip { "ttl" } else { "hl" }, 0, vec![mode, hops]);
        true
    }

    pub(super) fn icmp(&mut self, kind: u8, code: Option<u8>) {
        let name = if self.family == Family::Ip { "icmp" } else { "icmp6" };
        self.xt(name, 0, vec![kind, code.unwrap_or(0), code.unwrap_or(0xff), 0]);
    }

    /// The one match of ports that a rule has; that of the other protocol can't be there as well.
    fn shared(&mut self, tcp: bool) -> &mut Ports {
        let place = self.others.iter().position(|part| matches!(part, Part::Ports(_))).unwrap_or_else(|| {
            let ports = Ports { tcp, ports: [[0, u16::MAX]; 2], set: Default::default(), negated: [false; 2], flags: None };
            self.others.push(Part::Ports(ports));
            self.others.len() - 1
        });
        match &mut self.others[place] {
            Part::Ports(ports) => ports,
            Part::Bytes(_) => unreachable!("the place is that of the ports"),
        }
    }

    pub(super) fn ports(&mut self, tcp: bool, op: CmpOp, source: Option<u16>, destination: Option<u16>) {
        for (side, port) in [source, destination].into_iter().enumerate() {
            let Some(port) = port else { continue };
            // As iptables reckons, also at the ends, where it is wrong by one.
            let (low, high) = match op {
                CmpOp::Eq | CmpOp::Neq => (Some(port), Some(port)),
                CmpOp::Lt => (None, Some(port.saturating_sub(1).max(1))),
                CmpOp::Lte => (None, Some(port)),
                CmpOp::Gt => (Some(port.saturating_add(1)), None),
                CmpOp::Gte => (Some(port), None),
            };
            let ends = (op == CmpOp::Lt && port < 2) || (op == CmpOp::Gt && port == u16::MAX);
            if ends {
                self.lost.push(Lost::Comparison);
            }
            self.port_ends(tcp, side, op == CmpOp::Neq, low, high);
        }
    }

    pub(super) fn port_range(&mut self, tcp: bool, source: bool, negated: bool, from: u16, to: u16) {
        self.port_ends(tcp, usize::from(!source), negated, Some(from), Some(to));
    }

    fn port_ends(&mut self, tcp: bool, side: usize, negated: bool, low: Option<u16>, high: Option<u16>) {
        let ports = self.shared(tcp);
        let mut twice = ports.negated[side] || (negated && ports.set[side] != [false; 2]);
        for (end, port) in [low, high].into_iter().enumerate() {
            let Some(port) = port else { continue };
            twice |= std::mem::replace(&mut ports.set[side][end], true);
            ports.ports[side][end] = port;
        }
        ports.negated[side] |= negated;
        if twice {
            self.lost.push(Lost::Twice);
        }
    }

    pub(super) fn tcp_flags(&mut self, mask: u8, value: u8, op: CmpOp) {
        let earlier = self.shared(true).flags.replace((mask, value, op == CmpOp::Neq));
        if earlier.is_some() {
            self.lost.push(Lost::Twice);
        }
    }

    pub(super) fn counter(&mut self, counter: Counter) {
        self.counter = counter;
    }

    /// The last one stays; up to 1.8.7 an xt target does, whatever verdict comes behind it.
    pub(super) fn target(&mut self, exprs: &[Expr<'_>]) {
        if self.target.is_some() {
            self.lost.push(Lost::Target);
        }
        if self.target.is_none() || self.version > Version::Old {
            self.target = Some(bytes(exprs));
        }
    }

    pub(super) fn trace(&mut self) {
        let one = Expr::Immediate(Immediate::Value { dreg: NFT_REG32_01, value: &[1] });
        self.target(&[one, Expr::MetaSet(MetaSet { sreg: NFT_REG32_01, key: NFT_META_NFTRACE })]);
    }

    pub(super) fn set_mark(&mut self, mark: &[u8]) {
        let info = padded([mark, &[0xff; 4]].concat());
        self.target(&[Expr::Target(Xt { name: "MARK", revision: 2, info: &info })]);
    }

    /// The rule as iptables would write it.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let native = self.base.iter().flatten();
        native.for_each(|native| native.write(&mut Writer::as_dumped(&mut out)));
        for part in &self.others {
            match part {
                Part::Bytes(bytes) => out.extend_from_slice(bytes),
                Part::Ports(ports) => ports.write(&mut Writer::as_dumped(&mut out)),
            }
        }
        Expr::Counter(self.counter).write(&mut Writer::as_dumped(&mut out));
        out.extend_from_slice(self.target.as_deref().unwrap_or_default());
        out
    }
}

fn bytes(exprs: &[Expr<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    exprs.iter().for_each(|expr| expr.write(&mut Writer::as_dumped(&mut out)));
    out
}

impl Native {
    fn write(&self, w: &mut Writer<'_>) {
        match self.load {
            Load::Network(offset, len) => Expr::Payload(Payload { dreg: NFT_REG_1, base: Base::Network, offset, len }).write(w),
            Load::Meta(key) => Expr::Meta(Meta { dreg: NFT_REG_1, key }).write(w),
            // A load that nobody knows: the rule is then not put into words.
            Load::Opaque => return Expr::Meta(Meta { dreg: NFT_REG_1, key: NFT_META_IIF }).write(w),
        }
        if let Some(mask) = &self.mask
            && mask.iter().any(|&byte| byte != 0xff)
        {
            Expr::Bitwise(Bitwise { sreg: NFT_REG_1, dreg: NFT_REG_1, mask, xor: &vec![0; mask.len()] }).write(w);
        }
        Expr::Cmp(Cmp { sreg: NFT_REG_1, op: CmpOp::eq_unless(self.negated), value: &self.value }).write(w);
    }
}

impl Ports {
    fn write(&self, w: &mut Writer<'_>) {
        let mut info: Vec<u8> = self.ports.concat().iter().flat_map(|port| port.to_ne_bytes()).collect();
        let inverted = u8::from(self.negated[0]) | u8::from(self.negated[1]) << 1;
        if self.tcp {
            let (mask, value, negated) = self.flags.unwrap_or_default();
            // struct xt_tcp: option, flg_mask, flg_cmp, invflags.
            info.extend([0, mask, value, inverted | u8::from(negated) << 2]);
        } else {
            info.push(inverted);
        }
        let name = if self.tcp { "tcp" } else { "udp" };
        Expr::Match(Xt { name, revision: 0, info: &padded(info) }).write(w);
    }
}
