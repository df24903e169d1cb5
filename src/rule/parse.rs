use std::ops::Range;

use smallvec::SmallVec;

use super::{
    Base, Parsed, Rule, Spans,
    options::{Instance, PendingTarget},
    tokens::{Token, Tokens},
    unknown::{unknown_match, unusable_target},
};
use crate::{
    extension::Listed,
    matches::{self, Match},
    model::{Address, ChainName, Counters, Family, Interface, Protocol, Test},
    syntax::{SyntaxError, Word, parse_number},
    targets::{self, Target},
};

/// Every match is one expression at least, of which a rule has so many: `NFT_RULE_MAXEXPRS` in
/// `net/netfilter/nf_tables_api.c`.
const MATCHES: usize = 128;

/// So many rules may come of one line with a list for `-s` and one for `-d`: a short line could fill
/// all memory.
const RULES: usize = 4096;

/// Takes a rule's options one by one; what is not one of them is its caller's business.
#[derive(Debug)]
pub struct Parser<'a> {
    pub(super) family: Family,
    pub(super) base: Base,
    // One is what nearly all rules have: for those no memory is asked for.
    sources: SmallVec<[Test<Address>; 1]>,
    destinations: SmallVec<[Test<Address>; 1]>,
    pub(super) matches: SmallVec<[Instance<'a, Match>; 1]>,
    pub(super) target: Option<PendingTarget<'a>>,
    counters: Option<Counters>,
    bang: Option<Range<usize>>,
    spans: Spans,
}

impl<'a> Parser<'a> {
    /// A rule of that family, nothing said yet.
    pub fn new(family: Family) -> Self {
        Self {
            family,
            base: Base::default(),
            sources: SmallVec::new(),
            destinations: SmallVec::new(),
            matches: SmallVec::new(),
            target: None,
            counters: None,
            bang: None,
            spans: Spans::default(),
        }
    }

    /// Reads a whole rule: `words` are all its own.
    ///
    /// # Errors
    /// [`SyntaxError`] at the word.
    pub fn parse(words: &[Word<'a>], family: Family) -> Result<Parsed, SyntaxError> {
        let mut parser = Self::new(family);
        let mut tokens = Tokens::new(words);
        while let Some(token) = tokens.next()? {
            parser.token(token, &mut tokens)?;
        }
        parser.finish(&tokens)
    }

    /// Has anything of a rule been said?
    pub fn is_empty(&self) -> bool {
        self.base.is_empty()
            && self.spans.base.iter().all(Option::is_none)
            && self.matches.is_empty()
            && self.target.is_none()
            && self.counters.is_none()
            && self.bang.is_none()
    }

    /// The name of the target, else of the match, that was named last: what help is asked for.
    pub fn last_extension(&self) -> Option<String> {
        match (&self.target, self.matches.last()) {
            (Some(PendingTarget::Extension(target)), _) => Some(target.extension.name.to_owned()),
            (_, Some(last)) => Some(last.extension.name.to_owned()),
            (_, None) => None,
        }
    }

    /// Takes one option of a rule, its values from `tokens`.
    ///
    /// # Errors
    /// [`SyntaxError`] at the word, also where the token belongs to no rule.
    pub fn token(&mut self, token: Token<'a>, tokens: &mut Tokens<'_, 'a>) -> Result<(), SyntaxError> {
        use super::BaseOption as Of;
        match token {
            Token::Bang(span) => match self.bang.replace(span.clone()) {
                Some(_) => Err(SyntaxError::new(span, "two `!` in a row")),
                None => Ok(()),
            },
            Token::Plain(word) => {
                let hint = match word.text.as_ref() {
                    "-" | "--" => "options have a letter or a name",
                    _ => "an option in front of it is missing, or it belongs in quotes",
                };
                Err(word.error(format!("`{}` belongs to no option", word.text)).hint(hint))
            }
            Token::Letter('s', span) => self.addresses(Of::Source, span, tokens),
            Token::Letter('d', span) => self.addresses(Of::Destination, span, tokens),
            Token::Letter('i', span) => {
                let (test, span) = self.interface(span, tokens)?;
                self.once(Of::InInterface, span)?;
                self.base.in_interface = test;
                Ok(())
            }
            Token::Letter('o', span) => {
                let (test, span) = self.interface(span, tokens)?;
                self.once(Of::OutInterface, span)?;
                self.base.out_interface = test;
                Ok(())
            }
            Token::Letter('p', span) => self.protocol(span, tokens),
            Token::Letter('f', span) => self.fragment(span),
            Token::Letter('m', span) => self.load_match(span, tokens),
            Token::Letter('j', span) => self.jump(span, tokens),
            Token::Letter('g', span) => self.goto(span, tokens),
            Token::Letter('c', span) => self.set_counters(span, tokens),
            Token::Letter(letter, span) => {
                Err(SyntaxError::new(span, format!("a rule has no option `-{letter}`")).hint("see `dockgate iptables --help`"))
            }
            Token::Long(name, span) => self.long(&name, span, tokens),
        }
    }

    /// What `-c` said.
    pub fn counters(&self) -> Option<Counters> {
        self.counters
    }

    /// The rules.
    ///
    /// # Errors
    /// What is missing or does not go together.
    pub fn finish(self, tokens: &Tokens<'_, 'a>) -> Result<Parsed, SyntaxError> {
        let (counters, mut rules) = (self.counters, Vec::new());
        let spans = self.finish_each(tokens, |rule| rules.push(rule))?;
        Ok(Parsed { rules, counters, spans })
    }

    /// The same, with each rule to that function, in order, instead of a list; and where their parts stand.
    ///
    /// # Errors
    /// As [`Parser::finish`]; then there was no rule.
    pub fn finish_each(mut self, tokens: &Tokens<'_, 'a>, each: impl FnMut(Rule)) -> Result<Spans, SyntaxError> {
        if self.bang.is_some() {
            return Err(SyntaxError::new(tokens.end(), "an option should follow the `!`"));
        }
        let mut rule = Rule { base: self.base, matches: Vec::with_capacity(self.matches.len()), target: None };
        let protocol = self.base.protocol;
        for instance in self.matches {
            let span = instance.span.clone();
            let one = instance.build(self.family, protocol)?;
            // As the kernel's native tests are read back: two `-m tcp` are one.
            match rule.matches.iter_mut().position(|before| before.merge(&one)) {
                Some(index) => self.spans.matches[index].end = span.end.max(self.spans.matches[index].end),
                None => {
                    rule.matches.push(one);
                    self.spans.matches.push(span);
                }
            }
        }
        match self.target {
            None => {}
            Some(PendingTarget::Verdict(target, span)) => {
                rule.target = Some(target);
                self.spans.target = Some(span);
            }
            Some(PendingTarget::Extension(instance)) => {
                self.spans.target = Some(instance.span.clone());
                rule.target = Some(instance.build(self.family, protocol)?);
            }
        }
        expand(rule, &self.sources, &self.destinations, each);
        Ok(self.spans)
    }

    /// Takes the `!` before an option: is it there, and where the option with it begins.
    pub(super) fn negation(&mut self, span: Range<usize>) -> (bool, Range<usize>) {
        match self.bang.take() {
            Some(bang) => (true, bang.start..span.end),
            None => (false, span),
        }
    }

    fn no_negation(&mut self, span: &Range<usize>, what: &str) -> Result<(), SyntaxError> {
        match self.bang.take() {
            Some(bang) => Err(SyntaxError::new(bang.start..span.end, format!("{what} can't be negated"))),
            None => Ok(()),
        }
    }

    fn once(&mut self, option: super::BaseOption, span: Range<usize>) -> Result<(), SyntaxError> {
        match &mut self.spans.base[option as usize] {
            Some(_) => Err(SyntaxError::new(span, "this option can be given once only")),
            place => {
                *place = Some(span);
                Ok(())
            }
        }
    }

    fn addresses(&mut self, option: super::BaseOption, span: Range<usize>, tokens: &mut Tokens<'_, 'a>) -> Result<(), SyntaxError> {
        let (negated, span) = self.negation(span);
        let word = tokens.value("an address")?;
        self.once(option, span.start..word.span.end)?;
        let several = word.text.contains(',');
        if negated && several {
            return Err(word.error("a list of addresses can't be negated").hint("write one rule for each, or use an ipset"));
        }
        let list = match option {
            super::BaseOption::Source => &mut self.sources,
            _ => &mut self.destinations,
        };
        for text in word.text.split(',').map(str::trim) {
            let value = Address::parse(text, self.family).map_err(|error| {
                let error = match several {
                    true => word.error(format!("`{text}`: {error}")),
                    false => word.error(error.to_string()),
                };
                match text.contains(|c: char| c.is_ascii_alphabetic()) && !text.contains(':') {
                    true => error.hint("names of hosts are not looked up: write the address"),
                    false => error,
                }
            })?;
            let test = Test { negated, value };
            let any = value.prefix_len() == Some(0);
            if any && negated {
                return Err(word.error("no packet can match this: every address is in it"));
            }
            list.push(test);
        }
        let (sources, destinations) = (self.sources.len(), self.destinations.len());
        if sources > 1 && destinations > 1 && sources.saturating_mul(destinations) > RULES {
            let error = word.error(format!("{sources} sources with {destinations} destinations are more than {RULES} rules"));
            return Err(error.hint("put one of the lists into an ipset, and match it with `-m set`"));
        }
        Ok(())
    }

    fn interface(
        &mut self,
        span: Range<usize>,
        tokens: &mut Tokens<'_, 'a>,
    ) -> Result<(Option<Test<Interface>>, Range<usize>), SyntaxError> {
        let (negated, span) = self.negation(span);
        let word = tokens.value("an interface")?;
        let value = Interface::new(&word.text).map_err(|error| word.error(error.to_string()))?;
        let test = (negated || !value.is_any()).then_some(Test { negated, value });
        Ok((test, span.start..word.span.end))
    }

    fn protocol(&mut self, span: Range<usize>, tokens: &mut Tokens<'_, 'a>) -> Result<(), SyntaxError> {
        let (negated, span) = self.negation(span);
        let word = tokens.value("a protocol")?;
        self.once(super::BaseOption::Protocol, span.start..word.span.end)?;
        let protocol = Protocol::parse(&word.text)
            .map_err(|error| word.error(error.to_string()).hint("write tcp, udp, icmp, ipv6-icmp, sctp, …, or its number"))?;
        if protocol.is_none() && negated {
            return Err(word.error("no packet can match this: every protocol is in `all`"));
        }
        self.base.protocol = protocol.map(|value| Test { negated, value });
        Ok(())
    }

    fn fragment(&mut self, span: Range<usize>) -> Result<(), SyntaxError> {
        let (negated, span) = self.negation(span);
        if self.family == Family::Ip6 {
            return Err(SyntaxError::new(span, "IPv6 has no `-f`").hint("write `-m frag`"));
        }
        self.once(super::BaseOption::Fragment, span)?;
        self.base.fragment = Some(Test { negated, value: () });
        Ok(())
    }

    fn load_match(&mut self, span: Range<usize>, tokens: &mut Tokens<'_, 'a>) -> Result<(), SyntaxError> {
        self.no_negation(&span, "`-m`")?;
        let word = tokens.value("the name of a match")?;
        if self.matches.len() == MATCHES {
            return Err(word.error(format!("a rule has {MATCHES} matches at most")));
        }
        let extension = Listed::find(matches::ALL, &word.text, self.family).ok_or_else(|| unknown_match(&word, self.family))?;
        let span = span.start..word.span.end;
        self.matches.push(Instance { extension, given: SmallVec::new(), name: span.clone(), span });
        Ok(())
    }

    fn jump(&mut self, span: Range<usize>, tokens: &mut Tokens<'_, 'a>) -> Result<(), SyntaxError> {
        self.one_target(&span)?;
        let word = tokens.value("a target")?;
        let span = span.start..word.span.end;
        self.target = Some(match (word.text.as_ref(), Listed::find(targets::ALL, &word.text, self.family)) {
            ("ACCEPT", _) => PendingTarget::Verdict(Target::Accept, span),
            ("DROP", _) => PendingTarget::Verdict(Target::Drop, span),
            ("RETURN", _) => PendingTarget::Verdict(Target::Return, span),
            (_, Some(extension)) => PendingTarget::Extension(Instance { extension, given: SmallVec::new(), name: span.clone(), span }),
            (name, None) if targets::is_target(name) => return Err(unusable_target(&word, self.family)),
            (name, None) => {
                let chain = ChainName::for_iptables(name).map_err(|error| word.error(error.to_string()))?;
                PendingTarget::Verdict(Target::Jump(chain), span)
            }
        });
        Ok(())
    }

    fn goto(&mut self, span: Range<usize>, tokens: &mut Tokens<'_, 'a>) -> Result<(), SyntaxError> {
        self.one_target(&span)?;
        let word = tokens.value("a chain")?;
        let chain = ChainName::for_iptables(&word.text).map_err(|error| word.error(error.to_string()))?;
        self.target = Some(PendingTarget::Verdict(Target::Goto(chain), span.start..word.span.end));
        Ok(())
    }

    fn one_target(&mut self, span: &Range<usize>) -> Result<(), SyntaxError> {
        self.no_negation(span, "a target")?;
        match self.target {
            Some(_) => Err(SyntaxError::new(span.clone(), "the rule has a target already").hint("a rule has one `-j` or `-g`")),
            None => Ok(()),
        }
    }

    fn set_counters(&mut self, span: Range<usize>, tokens: &mut Tokens<'_, 'a>) -> Result<(), SyntaxError> {
        self.no_negation(&span, "`-c`")?;
        let number = |text: &str, word: &Word<'_>| parse_number(text).ok_or_else(|| word.error("this must be a number"));
        let word = tokens.value("the number of packets")?;
        // `2,3` as well as `2 3`.
        let (packets, bytes) = match word.text.split_once(',') {
            Some((packets, bytes)) => (number(packets, &word)?, number(bytes, &word)?),
            None => {
                let packets = number(&word.text, &word)?;
                let bytes = tokens.value("the number of bytes")?;
                (packets, number(&bytes.text, &bytes)?)
            }
        };
        self.counters = Some(Counters { packets, bytes });
        Ok(())
    }
}

/// One rule for each source with each destination, as iptables adds them.
fn expand(mut rule: Rule, sources: &[Test<Address>], destinations: &[Test<Address>], mut each: impl FnMut(Rule)) {
    let test = |list: &[Test<Address>], at: usize| list.get(at).copied().filter(|test| test.value.prefix_len() != Some(0));
    let (rows, columns) = (sources.len().max(1), destinations.len().max(1));
    for index in 0..rows * columns {
        rule.base.source = test(sources, index / columns);
        rule.base.destination = test(destinations, index % columns);
        if index + 1 == rows * columns {
            return each(rule);
        }
        each(rule.clone());
    }
}
