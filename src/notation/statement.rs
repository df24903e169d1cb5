//! Expressions that iptables never writes, from their attributes.

use super::{NativeSet, registers::Registers, selector, value::Kind};
use crate::{
    attr::{self, Attr, Attrs},
    model::Family,
    uapi::{NFT_REG_VERDICT, NFTA_LIST_ELEM},
};

/// What an expression comes to.
pub(super) enum Statement {
    /// A register gets this.
    Load(u32, String, Kind),
    /// What a register holds is now in network order.
    Swap(u32),
    /// It stands for itself.
    Says(String),
}

/// An expression's attributes, by number.
struct Fields<'a>(Vec<Attr<'a>>);

impl<'a> Fields<'a> {
    fn bytes(&self, kind: u16) -> Option<&'a [u8]> {
        self.0.iter().find(|attr| attr.kind == kind).map(|attr| attr.payload)
    }

    /// A number of whatever width, in network order.
    fn number(&self, kind: u16) -> Option<u64> {
        let bytes = self.bytes(kind).filter(|bytes| bytes.len() <= 8)?;
        Some(bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn small(&self, kind: u16) -> Option<u32> {
        self.number(kind).map(|number| number as u32)
    }

    fn text(&self, kind: u16) -> Option<&'a str> {
        attr::string(self.bytes(kind)?)
    }
}

/// `None` for one that is not known here, or lacks what it needs.
///
/// The numbers are those of `include/uapi/linux/netfilter/nf_tables.h`, in the order of its enums.
pub(super) fn read(name: &str, data: &[u8], family: Family, registers: &Registers, sets: &[NativeSet]) -> Option<Statement> {
    let fields = Fields(Attrs::new(data).flatten().collect());
    let says = |text: Option<String>| text.map(Statement::Says);
    let loads = |register: u16, (text, kind)| Some(Statement::Load(fields.small(register)?, text, kind));
    match name {
        "ct" => match fields.small(4) {
            Some(register) => {
                let (text, kind) = selector::conntrack(fields.small(2)?, None);
                says(Some(format!("{text} set {}", registers.value(register, kind))))
            }
            None => loads(1, selector::conntrack(fields.small(2)?, fields.number(3).map(|direction| direction as u8))),
        },
        "fib" => loads(1, selector::fib(fields.small(2)?, fields.small(3)?)),
        "numgen" => {
            let kind = if fields.small(3)? == 0 { "inc" } else { "random" };
            let offset = fields.small(4).filter(|&offset| offset > 0).map_or(String::new(), |offset| format!(" offset {offset}"));
            loads(1, (format!("numgen {kind} mod {}{offset}", fields.small(2)?), Kind::Host))
        }
        "rt" => loads(1, (format!("rt {}", ["classid", "nexthop", "nexthop", "mtu", "ipsec"].get(fields.small(2)? as usize)?), Kind::Host)),
        "socket" => {
            loads(2, (format!("socket {}", ["transparent", "mark", "wildcard", "cgroupv2"].get(fields.small(1)? as usize)?), Kind::Host))
        }
        "byteorder" => fields.small(2).map(Statement::Swap),
        "lookup" => says(lookup(&fields, registers, sets)),
        "dynset" => says(dynset(&fields, family, registers, sets)),
        "limit" => says(limit(&fields)),
        "log" => Some(Statement::Says(log(&fields))),
        "reject" => says(reject(&fields, family)),
        "objref" => says(objref(&fields, registers)),
        "quota" => says(quota(&fields)),
        "connlimit" => says(fields.small(1).map(|count| format!("ct count {}{count}", over(&fields, 2)))),
        "queue" => says(fields.small(1).map(|number| format!("queue to {number}"))),
        "notrack" => says(Some("notrack".to_owned())),
        "masq" => says(Some("masquerade".to_owned())),
        "redir" => says(Some("redirect".to_owned())),
        _ => None,
    }
}

fn over(fields: &Fields<'_>, flags: u16) -> &'static str {
    if fields.small(flags).unwrap_or_default() & 1 != 0 { "over " } else { "" }
}

fn lookup(fields: &Fields<'_>, registers: &Registers, sets: &[NativeSet]) -> Option<String> {
    let name = fields.text(1)?;
    let set = sets.iter().find(|set| set.name == name);
    let vmap = fields.small(3) == Some(NFT_REG_VERDICT);
    let negated = fields.small(5).unwrap_or_default() & 1 != 0;
    Some(registers.lookup(fields.small(2)?, name, negated, vmap, set))
}

fn dynset(fields: &Fields<'_>, family: Family, registers: &Registers, sets: &[NativeSet]) -> Option<String> {
    let name = fields.text(1)?;
    let set = sets.iter().find(|set| set.name == name);
    let verb = ["add", "update", "delete"].get(fields.small(3)? as usize)?;
    let timeout = fields.number(6).filter(|&ms| ms > 0).map_or(String::new(), |ms| format!(" timeout {}", duration(ms / 1000)));
    let stateful = fields.bytes(7).and_then(|nest| inner(nest, family, registers, sets)).map_or(String::new(), |text| format!(" {text}"));
    Some(format!("{verb} @{name} {{ {}{timeout}{stateful} }}", registers.selectors(fields.small(4)?, set)))
}

/// An expression inside of another.
fn inner(nest: &[u8], family: Family, registers: &Registers, sets: &[NativeSet]) -> Option<String> {
    let fields = Fields(Attrs::new(nest).flatten().collect());
    let name = fields.text(NFTA_LIST_ELEM)?;
    match read(name, fields.bytes(2)?, family, registers, sets)? {
        Statement::Says(text) => Some(text),
        Statement::Load(..) | Statement::Swap(_) => None,
    }
}

/// `1h2m`
fn duration(seconds: u64) -> String {
    let parts = [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    parts.iter().filter(|(number, _)| *number > 0).map(|(number, unit)| format!("{number}{unit}")).collect()
}

/// `10 kbytes`
fn bytes(number: u64) -> String {
    match number {
        _ if number >= 1 << 20 && number.is_multiple_of(1 << 20) => format!("{} mbytes", number >> 20),
        _ if number >= 1 << 10 && number.is_multiple_of(1 << 10) => format!("{} kbytes", number >> 10),
        _ => format!("{number} bytes"),
    }
}

fn limit(fields: &Fields<'_>) -> Option<String> {
    let (rate, burst) = (fields.number(1)?, fields.number(3).unwrap_or_default());
    let unit = match fields.number(2)? {
        1 => "second",
        60 => "minute",
        3_600 => "hour",
        86_400 => "day",
        _ => "week",
    };
    let over = over(fields, 5);
    Some(match (fields.small(4).unwrap_or_default(), burst) {
        (0, 0 | 5) => format!("limit rate {over}{rate}/{unit}"),
        (0, burst) => format!("limit rate {over}{rate}/{unit} burst {burst} packets"),
        (_, 0 | 5) => format!("limit rate {over}{}/{unit}", bytes(rate)),
        (_, burst) => format!("limit rate {over}{}/{unit} burst {}", bytes(rate), bytes(burst)),
    })
}

fn log(fields: &Fields<'_>) -> String {
    const LEVELS: [&str; 9] = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit"];
    let mut text = String::from("log");
    let mut add = |part: Option<String>| text.extend(part);
    add(fields.text(2).map(|prefix| format!(" prefix \"{prefix}\"")));
    add(fields.number(1).map(|group| format!(" group {group}")));
    add(fields.number(3).map(|snaplen| format!(" snaplen {snaplen}")));
    add(fields.number(4).map(|threshold| format!(" queue-threshold {threshold}")));
    let level = fields.small(5).filter(|&level| level != 4).and_then(|level| LEVELS.get(level as usize));
    add(level.map(|level| format!(" level {level}")));
    add(fields.small(6).filter(|&flags| flags != 0).map(|flags| match flags {
        0x2f => " flags all".to_owned(),
        other => format!(" flags {other:#x}"),
    }));
    text
}

fn reject(fields: &Fields<'_>, family: Family) -> Option<String> {
    const ICMP: &[(u32, &str)] = &[
        (0, "net-unreachable"),
        (1, "host-unreachable"),
        (2, "prot-unreachable"),
        (3, "port-unreachable"),
        (9, "net-prohibited"),
        (10, "host-prohibited"),
        (13, "admin-prohibited"),
    ];
    const ICMPV6: &[(u32, &str)] = &[
        (0, "no-route"),
        (1, "admin-prohibited"),
        (3, "addr-unreachable"),
        (4, "port-unreachable"),
        (5, "policy-fail"),
        (6, "reject-route"),
    ];
    let (header, codes, usual) = if family == Family::Ip { ("icmp", ICMP, 3) } else { ("icmpv6", ICMPV6, 4) };
    let code = fields.small(2).unwrap_or(usual);
    let name = codes.iter().find(|(number, _)| *number == code).map_or(code.to_string(), |(_, name)| (*name).to_owned());
    Some(match fields.small(1)? {
        1 => "reject with tcp reset".to_owned(),
        0 if code == usual => "reject".to_owned(),
        0 => format!("reject with {header} {name}"),
        _ => format!("reject with icmpx {code}"),
    })
}

fn objref(fields: &Fields<'_>, registers: &Registers) -> Option<String> {
    if let (Some(register), Some(set)) = (fields.small(3), fields.text(4)) {
        return Some(format!("object of {} in @{set}", registers.selectors(register, None)));
    }
    let name = fields.text(2)?;
    Some(match fields.small(1)? {
        1 => format!("counter name \"{name}\""),
        2 => format!("quota name \"{name}\""),
        3 => format!("ct helper set \"{name}\""),
        4 => format!("limit name \"{name}\""),
        kind => format!("object {kind} name \"{name}\""),
    })
}

fn quota(fields: &Fields<'_>) -> Option<String> {
    let used = fields.number(4).filter(|&used| used > 0).map_or(String::new(), |used| format!(" used {}", bytes(used)));
    Some(format!("quota {}{}{used}", over(fields, 2), bytes(fields.number(1)?)))
}
