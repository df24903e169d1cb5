//! Rules in the notation of nft, for people: `ip saddr @bad counter packets 3 bytes 180 drop`.
//!
//! What iptables could not have written is said in the words that wrote it. Only for showing: the
//! kernel is never told anything from here. What is not known stands as libnftnl prints it, in
//! `[ … ]`. Source: nft's own manual and listing (1.0.6), `net/netfilter/nft_*.c`.

mod registers;
mod selector;
mod statement;
mod value;

use std::fmt;

use crate::{
    attr::{self, Attr, Attrs},
    expr::{CmpOp, Expr, Immediate, Verdict},
    model::Family,
    uapi::NFTA_EXPR_DATA,
};
use registers::{Load, Registers};
use statement::Statement;

/// A set or map of nf_tables, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeSet {
    /// Its name; `__set0` and the like where it has none of its own.
    pub name: String,
    /// Does it belong to one rule, written there as `{ … }`?
    pub anonymous: bool,
    /// Is there something behind each element: a verdict, another value?
    pub map: bool,
    /// Are its elements the ends of intervals?
    pub interval: bool,
    /// Bytes of a key, each of its parts filled up to four.
    pub key_len: u32,
    /// Its elements; read of anonymous sets only.
    pub elements: Vec<Element>,
}

/// An element of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Its key.
    pub key: Vec<u8>,
    /// The key's end, where the set has ranges of several parts.
    pub key_end: Option<Vec<u8>>,
    /// Is this where an interval ends, itself not included?
    pub end: bool,
    /// What stands behind it in a verdict map, in nft's words; `None` for other values.
    pub verdict: Option<String>,
}

/// A rule's expressions (content of `NFTA_RULE_EXPRESSIONS`) in nft's words; `comment` is that of
/// its user data. Bytes that are no expressions are shown as bytes.
pub fn rule(family: Family, list: &[u8], comment: Option<&str>, sets: &[NativeSet]) -> String {
    let mut writer = Writer { family, sets, parts: Vec::new(), registers: Registers::default(), protocol: None };
    let mut elements = Vec::new();
    for attr in Attrs::new(list) {
        match attr.map(|attr| (Expr::read(attr.payload), data(attr.payload))) {
            Ok((Ok(expr), data)) => elements.push((expr, data)),
            _ => return list.iter().fold(String::from("unreadable: 0x"), |text, byte| text + &format!("{byte:02x}")),
        }
    }
    let mut rest = elements.as_slice();
    while !rest.is_empty() {
        let used = writer.one(rest);
        rest = &rest[used..];
    }
    if let Some(comment) = comment {
        writer.parts.push(format!("comment {comment:?}"));
    }
    writer.parts.retain(|part| !part.is_empty());
    writer.parts.join(" ")
}

/// The comment in a rule's user data, as nft writes it.
pub fn comment(userdata: Option<&[u8]>) -> Option<&str> {
    let mut rest = userdata?;
    while let [kind, len, after @ ..] = rest {
        let value = after.get(..usize::from(*len))?;
        if *kind == 0 {
            return attr::string(value);
        }
        rest = &after[usize::from(*len)..];
    }
    None
}

/// The content of an expression's `NFTA_EXPR_DATA`.
fn data(element: &[u8]) -> &[u8] {
    let found = Attrs::new(element).flatten().find(|attr| attr.kind == NFTA_EXPR_DATA);
    found.map_or(&[], |Attr { payload, .. }| payload)
}

/// A verdict in nft's words.
pub fn verdict(verdict: Verdict<'_>) -> String {
    match verdict {
        Verdict::Jump(chain) => format!("jump {chain}"),
        Verdict::Goto(chain) => format!("goto {chain}"),
        other => other.to_string(),
    }
}

/// What was said so far, and what the registers hold.
struct Writer<'s> {
    family: Family,
    sets: &'s [NativeSet],
    parts: Vec<String>,
    registers: Registers,
    /// The transport protocol that was tested, and which part says so.
    protocol: Option<(u8, usize)>,
}

impl Writer<'_> {
    /// Says the first expression, or the first two; gives how many.
    fn one(&mut self, exprs: &[(Expr<'_>, &[u8])]) -> usize {
        let (expr, data) = &exprs[0];
        match expr {
            Expr::Payload(load) => {
                let selected = selector::payload(self.family, load, self.protocol.map(|(protocol, _)| protocol));
                self.load(load.dreg, selected);
            }
            Expr::Meta(load) => self.load(load.dreg, selector::meta(load.key)),
            Expr::Bitwise(bits) => self.registers.mask(bits),
            Expr::Cmp(cmp) => {
                if let (CmpOp::Gte, Some((Expr::Cmp(upper), _))) = (cmp.op, exprs.get(1))
                    && upper.op == CmpOp::Lte
                    && upper.sreg == cmp.sreg
                {
                    let text = self.registers.range(cmp.sreg, false, cmp.value, upper.value);
                    self.say(text);
                    return 2;
                }
                self.compare(cmp.sreg, cmp.op, cmp.value);
            }
            Expr::Range(range) => {
                let text = self.registers.range(range.sreg, range.negated, range.from, range.to);
                self.say(text);
            }
            Expr::Counter(counter) => self.say(format!("counter packets {} bytes {}", counter.0.packets, counter.0.bytes)),
            Expr::Immediate(Immediate::Verdict(one)) => self.say(verdict(*one)),
            Expr::Immediate(Immediate::Value { dreg, value }) => self.registers.set(*dreg, Load::constant(value)),
            Expr::MetaSet(set) => {
                let (text, kind) = selector::meta(set.key);
                let value = self.registers.value(set.sreg, kind);
                let text = if text.starts_with("meta ") { text } else { format!("meta {text}") };
                self.say(format!("{text} set {value}"));
            }
            Expr::Match(xt) => self.say(format!("xt match {:?}", xt.name)),
            Expr::Target(xt) => self.say(format!("xt target {:?}", xt.name)),
            Expr::Limit(_) | Expr::Log(_) | Expr::Unknown(_) => self.statement(expr, data),
        }
        1
    }

    fn statement(&mut self, expr: &Expr<'_>, data: &[u8]) {
        match statement::read(expr.name(), data, self.family, &self.registers, self.sets) {
            Some(Statement::Load(register, text, kind)) => self.load(register, (text, kind)),
            Some(Statement::Swap(register)) => self.registers.swap(register),
            Some(Statement::Says(text)) => {
                if text == "reject with tcp reset" {
                    self.protocol_is_said();
                }
                self.say(text);
            }
            None => self.say(expr.to_string()),
        }
    }

    fn load(&mut self, register: u32, (text, kind): (String, value::Kind)) {
        let named = ["tcp ", "udp ", "udplite ", "icmp ", "icmpv6 ", "sctp ", "dccp ", "esp ", "ah "];
        if named.iter().any(|name| text.starts_with(name)) {
            self.protocol_is_said();
        }
        if text.starts_with("ether ") && self.parts.last().is_some_and(|part| part == "meta iiftype 1") {
            self.parts.pop();
        }
        self.registers.set(register, Load::of(text, kind));
    }

    /// The test of the transport protocol is said by what comes behind it.
    fn protocol_is_said(&mut self) {
        if let Some((_, part)) = self.protocol {
            self.parts[part].clear();
        }
    }

    fn compare(&mut self, register: u32, op: CmpOp, value: &[u8]) {
        let protocol = self.registers.tests_protocol(register);
        let text = self.registers.compare(register, op, value);
        self.say(text);
        if let (true, CmpOp::Eq, &[protocol]) = (protocol, op, value) {
            self.protocol = Some((protocol, self.parts.len() - 1));
        }
    }

    fn say(&mut self, text: String) {
        self.parts.push(text);
    }
}

/// A list between braces.
struct Braces<'a>(&'a [String]);

impl fmt::Display for Braces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ {} }}", self.0.join(", "))
    }
}
