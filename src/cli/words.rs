//! iptables' words → what is to be done.

use crate::{
    model::{ChainName, Counters, Family, Handle, TABLE},
    rule::{Parser, Rule, Token, Tokens},
    syntax::{SyntaxError, Word},
};

/// A command line of iptables.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// What to do.
    pub action: Action,
    /// `-v`
    pub verbose: bool,
    /// `-x`
    pub exact: bool,
    /// `--line-numbers`
    pub line_numbers: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// `-A`
    Append(ChainName, Vec<Rule>, Counters),
    /// `-I`
    Insert(ChainName, usize, Vec<Rule>, Counters),
    /// `-R`
    Replace(ChainName, usize, Box<Rule>, Counters),
    /// `-D` by words
    Delete(ChainName, Vec<Rule>),
    /// `-D` by number
    DeleteNumber(ChainName, usize),
    /// `-D CHAIN --handle HANDLE`
    DeleteHandle(ChainName, Handle),
    /// `-C`
    Check(ChainName, Vec<Rule>),
    /// `-S`
    SaveLines(Option<ChainName>, Option<usize>),
    /// `-L`
    List(Option<ChainName>, Option<usize>),
    /// `-F`
    Flush(ChainName),
    /// `-Z`
    Zero(ChainName, Option<usize>),
    /// `-N`
    NewChain(ChainName),
    /// `-X`
    DeleteChain(ChainName),
    /// `-E`
    RenameChain(ChainName, ChainName),
    /// `-h`, of one extension where `-m` or `-j` named it
    Help(Option<String>),
    /// `-V`
    Version,
}

/// The command letters that begin a rule, or take a chain.
const COMMANDS: &[char] = &['A', 'I', 'R', 'D', 'C', 'S', 'L', 'F', 'Z', 'N', 'X', 'E', 'P'];

/// The command as read, before the rule is known.
struct Head<'a> {
    letter: char,
    chain: Option<Word<'a>>,
    number: Option<Word<'a>>,
    other: Option<Word<'a>>,
    span: std::ops::Range<usize>,
}

/// Reads a command line.
///
/// # Errors
/// [`SyntaxError`] at the word.
pub fn parse(words: &[Word<'_>], family: Family) -> Result<Invocation, SyntaxError> {
    let mut tokens = Tokens::new(words);
    let mut parser = Parser::new(family);
    let mut head: Option<Head<'_>> = None;
    let mut handle = None;
    let (mut verbose, mut exact, mut line_numbers) = (false, false, false);
    while let Some(token) = tokens.next()? {
        match token {
            Token::Letter(letter, span) if COMMANDS.contains(&letter) => {
                if head.is_some() {
                    return Err(SyntaxError::new(span, "one command at a time").hint("iptables' -L with -Z is two commands here"));
                }
                head = Some(read_head(letter, span, &mut tokens)?);
            }
            Token::Letter('t', _) => {
                let table = tokens.value("a table")?;
                if table.text != TABLE {
                    return Err(table.error("dockgate writes the table `filter` alone").hint("DOCKER-USER is in `filter`; leave `-t` out"));
                }
            }
            Token::Letter('v', _) => verbose = true,
            Token::Letter('x', _) => exact = true,
            Token::Letter('0', _) => line_numbers = true,
            // Ours is always numeric; there is no lock to wait for.
            Token::Letter('n', _) => {}
            Token::Letter('w' | 'W', _) => drop(wait(&mut tokens)),
            Token::Letter('M', _) => drop(tokens.value("a command")?),
            Token::Letter(letter @ ('4' | '6'), span) => {
                if (letter == '4') != (family == Family::Ip) {
                    return Err(SyntaxError::new(span, format!("`-{letter}` does not go with {}", family.command())));
                }
            }
            Token::Letter('h', _) => {
                return Ok(Invocation { action: Action::Help(parser.last_extension()), verbose, exact, line_numbers });
            }
            Token::Letter('V', _) => return Ok(Invocation { action: Action::Version, verbose, exact, line_numbers }),
            Token::Long(name, _) if name == "handle" => {
                let word = tokens.value("a handle")?;
                handle = Some(Handle(word.text.parse().map_err(|_| word.error("a handle is a number"))?));
            }
            other => parser.token(other, &mut tokens)?,
        }
    }
    let Some(head) = head else {
        return Err(SyntaxError::new(tokens.end(), "no command").hint("say what to do: -A -I -R -D -C -S -L -F -Z -N -X or -E; see --help"));
    };
    let action = act(head, parser, handle, &tokens)?;
    Ok(Invocation { action, verbose, exact, line_numbers })
}

/// `-w [SECONDS]`: the seconds are optional.
fn wait<'a>(tokens: &mut Tokens<'_, 'a>) -> Option<Word<'a>> {
    tokens.optional_number()
}

fn read_head<'a>(letter: char, span: std::ops::Range<usize>, tokens: &mut Tokens<'_, 'a>) -> Result<Head<'a>, SyntaxError> {
    let mut head = Head { letter, chain: None, number: None, other: None, span };
    match letter {
        'A' | 'C' | 'N' => head.chain = Some(tokens.value("a chain")?),
        'I' | 'D' | 'R' => {
            head.chain = Some(tokens.value("a chain")?);
            head.number = tokens.optional_value();
        }
        'E' | 'P' => {
            head.chain = Some(tokens.value("a chain")?);
            head.other = Some(tokens.value(if letter == 'E' { "the new name" } else { "a policy" })?);
        }
        _ => {
            head.chain = tokens.optional_value();
            if head.chain.is_some() && matches!(letter, 'S' | 'L' | 'Z') {
                head.number = tokens.optional_value();
            }
        }
    }
    Ok(head)
}

fn act<'a>(head: Head<'a>, parser: Parser<'a>, handle: Option<Handle>, tokens: &Tokens<'_, 'a>) -> Result<Action, SyntaxError> {
    let number = head.number.as_ref().map(number).transpose()?;
    // A chain that is only looked at may have any name that the kernel has.
    let looked_at = matches!(head.letter, 'S' | 'L' | 'C');
    let named = |word: &Word<'_>| match ChainName::from_kernel(&word.text) {
        Ok(name) if looked_at || !name.is_writable() => Ok(name),
        _ => ChainName::for_iptables(&word.text).map_err(|error| word.error(error.to_string())),
    };
    let chain = head.chain.as_ref().map(named).transpose()?;
    if let Some(_handle) = handle
        && (head.letter != 'D' || number.is_some() || !parser.is_empty())
    {
        return Err(SyntaxError::new(head.span, "`--handle` goes with `-D CHAIN` alone"));
    }
    let takes_rule = matches!(head.letter, 'A' | 'I' | 'R' | 'D' | 'C');
    if !takes_rule && !parser.is_empty() {
        return Err(SyntaxError::new(head.span.clone(), format!("`-{}` takes no rule", head.letter)));
    }
    let need = |chain: Option<ChainName>, what: &str| {
        let missing = SyntaxError::new(tokens.end(), format!("`-{}` needs a chain here", head.letter));
        chain.ok_or_else(|| missing.hint(format!("without one, iptables {what} of the whole table, Docker's too; say which you mean")))
    };
    Ok(match head.letter {
        'N' => Action::NewChain(need(chain, "does that")?),
        'X' => Action::DeleteChain(need(chain, "removes the empty chains")?),
        'F' => Action::Flush(need(chain, "removes the rules")?),
        'Z' => Action::Zero(need(chain, "zeroes the counters")?, number),
        'S' => Action::SaveLines(chain, number),
        'L' => Action::List(chain, number),
        'E' => {
            let to = head.other.as_ref().map(named).transpose()?;
            Action::RenameChain(need(chain, "")?, need(to, "")?)
        }
        'P' => {
            return Err(SyntaxError::new(head.span, "policies are those of built-in chains, which dockgate does not write")
                .hint("end DOCKER-USER with a rule instead: -A DOCKER-USER -i eth0 -j DROP"));
        }
        letter => {
            let chain = need(chain, "")?;
            if letter == 'D'
                && let Some(handle) = handle
            {
                return Ok(Action::DeleteHandle(chain, handle));
            }
            if letter == 'D'
                && let Some(number) = number
            {
                if !parser.is_empty() {
                    return Err(SyntaxError::new(head.span, "`-D` takes a number or a rule, not both"));
                }
                return Ok(Action::DeleteNumber(chain, number));
            }
            let parsed = parser.finish(tokens)?;
            let counters = parsed.counters.unwrap_or_default();
            match letter {
                'A' => Action::Append(chain, parsed.rules, counters),
                'I' => Action::Insert(chain, number.unwrap_or(1), parsed.rules, counters),
                'C' => Action::Check(chain, parsed.rules),
                'D' => Action::Delete(chain, parsed.rules),
                _ => {
                    let number =
                        number.ok_or_else(|| SyntaxError::new(head.span.clone(), "`-R` needs the number of the rule behind the chain"))?;
                    let mut rules = parsed.rules;
                    if rules.len() > 1 {
                        return Err(SyntaxError::new(head.span, "these words are several rules, and `-R` replaces one by one"));
                    }
                    Action::Replace(chain, number, Box::new(rules.remove(0)), counters)
                }
            }
        }
    })
}

fn number(word: &Word<'_>) -> Result<usize, SyntaxError> {
    let number = word.text.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| word.error("this should be the number of a rule, from 1, or an option with `-`"))
}

/// Where the rule begins in a line with a command in front of it (`-A CHAIN`, `-I CHAIN 3`, perhaps
/// behind `[packets:bytes]` or `-4`).
pub fn rule_begins(words: &[Word<'_>]) -> Option<usize> {
    let command = words.iter().position(|word| {
        let letter = word.text.strip_prefix('-').filter(|rest| rest.len() == 1).and_then(|rest| rest.chars().next());
        let long = ["--append", "--insert", "--replace"].contains(&word.text.as_ref());
        long || letter.is_some_and(|letter| matches!(letter, 'A' | 'I' | 'R'))
    })?;
    let behind = command + 2;
    let is_number = words.get(behind).is_some_and(|word| word.text.bytes().all(|b| b.is_ascii_digit()) && !word.text.is_empty());
    Some(behind + usize::from(is_number))
}
