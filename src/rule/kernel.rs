//! Between a rule and its expressions.

use memchr::memmem::Finder;

use super::{BaseOption, Parser, Rule, normal::normalize};
use crate::{
    attr::{self, Writer},
    expr::{self, Counter, Expr, Field, Item},
    extension::{Context, Cursor, Linearizer, Unwritable},
    matches::{Comment, Match},
    model::{Address, Counters, Dialect, Family, Test},
    syntax::split,
    targets::Target,
    uapi::{NFT_META_IIFNAME, NFT_META_OIFNAME},
};

/// Why a rule has no expressions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinearizeError {
    /// `-m set` or `-j SET` names an ipset that does not exist.
    #[error("there is no ipset called `{0}`")]
    NoSuchSet(String),
    /// The ipset holds addresses of the other family.
    #[error("the ipset `{0}` is one of the other family, and would never match")]
    OtherFamily(String),
    /// The option's text has more bytes than iptables up to 1.8.7 reads, and it may be that one that has to.
    #[error("`--{option}` has {max} bytes at most where iptables up to 1.8.7 is to read it")]
    TooLong {
        /// The option, without dashes.
        option: &'static str,
        /// So many it has.
        max: usize,
    },
}

/// The part of a rule that an expression belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A base option.
    Base(BaseOption),
    /// The match at that place.
    Match(usize),
    /// The counter, which every rule has.
    Counter,
    /// The target.
    Target,
}

impl Rule {
    /// Appends the content of `NFTA_RULE_EXPRESSIONS`. Allocates nothing but `writer`'s growth.
    ///
    /// # Errors
    /// [`LinearizeError`]; what was appended is then of no use.
    pub fn linearize(&self, context: Context<'_>, counters: Counters, writer: &mut Writer<'_>) -> Result<(), LinearizeError> {
        self.linearize_marked(context, counters, writer, false, |_, _| {})
    }

    /// The same without the comment at its end, which goes to the user data.
    ///
    /// # Errors
    /// As [`Rule::linearize`].
    pub fn linearize_uncommented(&self, context: Context<'_>, counters: Counters, writer: &mut Writer<'_>) -> Result<(), LinearizeError> {
        self.linearize_marked(context, counters, writer, true, |_, _| {})
    }

    /// The comment at its end: iptables shows one in the user data there.
    pub fn last_comment(&self) -> Option<&str> {
        match self.matches.last() {
            Some(Match::Comment(comment)) => Some(comment.text()),
            _ => None,
        }
    }

    /// The part that the expression with that index belongs to; `uncommented` as it was written.
    pub fn origin(&self, context: Context<'_>, uncommented: bool, index: usize) -> Option<Origin> {
        let mut buf = Vec::new();
        let mut found = None;
        let mark = |origin, end| {
            if end > index && found.is_none() {
                found = Some(origin);
            }
        };
        self.linearize_marked(context, Counters::default(), &mut Writer::new(&mut buf), uncommented, mark).ok()?;
        found
    }

    /// Calls `mark` with each part and the number of expressions up to its end.
    fn linearize_marked(
        &self,
        context: Context<'_>,
        counters: Counters,
        writer: &mut Writer<'_>,
        uncommented: bool,
        mut mark: impl FnMut(Origin, usize),
    ) -> Result<(), LinearizeError> {
        let mut out = Linearizer::new(writer, context, self.base.protocol);
        for option in super::Base::order(context.dialect) {
            self.base.linearize(option, &mut out);
            mark(Origin::Base(option), out.count());
        }
        let matches = self.matches.len() - usize::from(uncommented && self.last_comment().is_some());
        for (index, one) in self.matches[..matches].iter().enumerate() {
            one.linearize(&mut out);
            mark(Origin::Match(index), out.count());
        }
        out.push(Expr::Counter(Counter(counters)));
        mark(Origin::Counter, out.count());
        if let Some(target) = &self.target {
            target.linearize(&mut out);
            mark(Origin::Target, out.count());
        }
        match out.unwritable() {
            None => Ok(()),
            Some(Unwritable::MissingSet(name)) => Err(LinearizeError::NoSuchSet(name)),
            Some(Unwritable::TooLong { option, max }) => Err(LinearizeError::TooLong { option, max }),
        }
    }

    /// `NFTA_RULE_COMPAT`: protocol (0 without `-p`), and whether it is negated. xt extensions check
    /// it when the rule is added; the kernel does not keep it.
    pub fn compat(&self) -> (u8, bool) {
        self.base.protocol.map_or((0, false), |test| (test.value.0, test.negated))
    }
}

/// Bytes that a rule has in whatever encoding: to find it among 10,000 without reading them all.
#[derive(Debug, Clone)]
pub struct Landmarks(Vec<Finder<'static>>);

impl Landmarks {
    /// Can these expressions be that rule? No is certain.
    pub fn may_be_in(&self, list: &[u8]) -> bool {
        self.0.iter().all(|bytes| bytes.find(list).is_some())
    }
}

impl Rule {
    /// The whole bytes of its addresses and names: every dialect compares with just those.
    pub fn landmarks(&self) -> Landmarks {
        let mut found = Vec::new();
        for test in [&self.base.source, &self.base.destination].into_iter().flatten() {
            let whole = usize::from(test.value.prefix_len().unwrap_or(0) / 8);
            match test.value {
                Address::V4 { addr, .. } => found.push(addr.octets()[..whole].to_vec()),
                Address::V6 { addr, .. } => found.push(addr.octets()[..whole].to_vec()),
            }
        }
        let names = [&self.base.in_interface, &self.base.out_interface].into_iter().flatten();
        found.extend(names.map(|test| test.value.as_bytes().to_vec()));
        if let Some(Target::Jump(chain) | Target::Goto(chain)) = &self.target {
            found.push(chain.as_str().into());
        }
        Landmarks(found.into_iter().map(|bytes| Finder::new(&bytes).into_owned()).collect())
    }
}

/// What a rule of the kernel's is.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// A rule that iptables reads as this, and would write so.
    Rule(Rule),
    /// Something else: shown as it is, kept, never edited.
    Foreign,
}

/// Reads rules; keeps its buffers from one to the next, and what it found likely.
#[derive(Debug, Default)]
pub struct Reader {
    exprs: Vec<Expr<'static>>,
    items: Vec<Item<'static>>,
    again: Vec<u8>,
    /// In which dialect, by its place in [`Dialect::ALL`], the rule before was found to be written.
    likely: usize,
    /// The comment that was met last.
    comment: Option<Comment>,
}

impl Reader {
    /// Reads a rule's expressions (content of `NFTA_RULE_EXPRESSIONS`) and user data. The reading is
    /// proved: written again in some dialect, it has the same bytes, or at least the same meaning
    /// test by test.
    pub fn read(&mut self, list: &[u8], userdata: Option<&[u8]>, context: Context<'_>) -> (Reading, Option<Counters>) {
        let mut exprs = recycle(std::mem::take(&mut self.exprs));
        let mut items = recycle(std::mem::take(&mut self.items));
        let known = expr::read_all(list, &mut exprs).is_ok() && expr::fold(&exprs, &mut items);
        let counters = find_counters(&exprs);
        let rule = if known { delinearize(&items, context) } else { None };
        let rule = rule.filter(|rule| self.proves(rule, list, &items, counters, context) && can_be_said(rule, context.family));
        self.exprs = recycle(exprs);
        self.items = recycle(items);
        match (rule, userdata.map_or(Ok(None), udata_comment)) {
            (Some(rule), Ok(None)) => (Reading::Rule(rule), counters),
            (Some(mut rule), Ok(Some(comment))) => match self.comment(comment) {
                // iptables shows a comment that nft left in the user data as the last match.
                Some(comment) => {
                    // Very many rules have no other match.
                    rule.matches.reserve_exact(1);
                    rule.matches.push(Match::Comment(comment));
                    (Reading::Rule(rule), counters)
                }
                None => (Reading::Foreign, counters),
            },
            _ => (Reading::Foreign, counters),
        }
    }

    /// Mostly it is that of the rule before.
    fn comment(&mut self, text: &str) -> Option<Comment> {
        if self.comment.as_ref().is_none_or(|before| before.text() != text) {
            self.comment = Some(Comment::new(text)?);
        }
        self.comment.clone()
    }

    fn proves(&mut self, rule: &Rule, list: &[u8], items: &[Item<'_>], counters: Option<Counters>, context: Context<'_>) -> bool {
        let mut same_meaning = None;
        let others = (0..Dialect::ALL.len()).filter(|&index| index != self.likely);
        let found = std::iter::once(self.likely).chain(others).find(|&index| {
            let context = Context { dialect: Dialect::ALL[index], ..context };
            self.again.clear();
            let written = rule.linearize(context, counters.unwrap_or_default(), &mut Writer::as_dumped(&mut self.again));
            if written.is_err() || self.again == list {
                return written.is_ok();
            }
            let (mut exprs, mut again) = (Vec::with_capacity(8), Vec::with_capacity(8));
            expr::read_all(&self.again, &mut exprs).is_ok()
                && expr::fold(&exprs, &mut again)
                && normalize(&again, context.family) == *same_meaning.get_or_insert_with(|| normalize(items, context.family))
        });
        self.likely = found.unwrap_or(self.likely);
        found.is_some()
    }
}

/// Is the rule's text read as the rule? A match that comes again may be taken for the one before, or
/// for another with the same options; no other reading goes wrong so.
fn can_be_said(rule: &Rule, family: Family) -> bool {
    let again = |(index, one): (usize, &Match)| rule.matches[..index].iter().any(|before| before.name() == one.name());
    if !rule.matches.iter().enumerate().any(again) {
        return true;
    }
    let (text, mut words) = (rule.to_string(), Vec::new());
    let parsed = split(&text, &mut words).and_then(|()| Parser::parse(&words, family));
    parsed.is_ok_and(|parsed| parsed.rules == [rule.clone()])
}

/// The same buffer for another lifetime: collecting from its own emptied iterator reuses it.
fn recycle<A, B>(mut buffer: Vec<A>) -> Vec<B> {
    buffer.clear();
    buffer.into_iter().map(|_| unreachable!("the buffer is empty")).collect()
}

fn find_counters(exprs: &[Expr<'_>]) -> Option<Counters> {
    exprs.iter().find_map(|expr| match expr {
        Expr::Counter(counter) => Some(counter.0),
        _ => None,
    })
}

fn delinearize(items: &[Item<'_>], context: Context<'_>) -> Option<Rule> {
    let mut rule = Rule::default();
    let mut counters = 0;
    let mut cursor = Cursor::new(items, context);
    while let Some(item) = cursor.peek() {
        // Nothing comes behind a target but a counter that nft put there.
        if rule.target.is_some() {
            return None;
        }
        match item {
            Item::Counter(_) => {
                counters += 1;
                cursor.advance();
            }
            Item::Stray(Field::Meta(NFT_META_IIFNAME | NFT_META_OIFNAME)) => {
                cursor.advance();
            }
            Item::Condition(condition) if rule.base.delinearize(&condition, context.family) => {
                rule.base.protocol.iter().for_each(|&protocol: &Test<_>| cursor.set_protocol(protocol));
                cursor.advance();
            }
            // No match begins with a verdict: none of them is asked.
            Item::Verdict(_) => rule.target = Some(Target::delinearize(&mut cursor)?),
            _ => match Match::delinearize(&mut cursor) {
                Some(one) => rule.matches.push(one),
                None => rule.target = Some(Target::delinearize(&mut cursor)?),
            },
        }
    }
    (counters <= 1).then_some(rule)
}

/// The comment in a rule's user data, if that is all there is; types that iptables ignores are
/// ignored.
///
/// Source: libnftnl `udata.h`: a list of `{ u8 type, u8 length, value }`; type 0 is a comment with
/// its NUL.
fn udata_comment(mut udata: &[u8]) -> Result<Option<&str>, ()> {
    let mut comment = None;
    while let [kind, len, rest @ ..] = udata {
        let value = rest.get(..usize::from(*len)).ok_or(())?;
        udata = &rest[usize::from(*len)..];
        if *kind == 0 {
            comment = Some(attr::string(value).ok_or(())?);
        }
    }
    if udata.is_empty() { Ok(comment) } else { Err(()) }
}
