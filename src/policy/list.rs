//! The file of a group: one address, prefix or range a line, and what else such files have.
//!
//! What is taken is what can mean only one thing; all else is an error. A line that were skipped without a word
//! would let in who is meant to be kept out.

use std::{
    net::{IpAddr, SocketAddr},
    ops::Range,
};

use super::{
    Block,
    block::{Mistake, digits},
};

/// So many wrong lines of a list are said one by one.
const MOST: usize = 50;

/// Behind so many wrong lines a list is not read any further: it is another file.
const ENOUGH: usize = 10_000;

/// No address with what may stand behind it is longer.
const LONGEST: usize = 1000;

/// Of a wrong line so many bytes are pointed at.
const SHOWN: usize = 100;

/// What the first column is called where a file begins with the names of its columns.
const NAMES: &[&str] =
    &["ip", "address", "ip_address", "ip-address", "ipaddress", "addr", "src_ip", "source_ip", "network", "cidr", "prefix", "range"];

/// Something to say of a line: the bytes that are meant, and whether the list holds all the same.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Remark {
    pub(super) span: Range<usize>,
    pub(super) mistake: Mistake,
    pub(super) warning: bool,
}

/// The blocks of a list, and what is to be said of it.
pub(super) fn read(text: &str) -> (Vec<Block>, Vec<Remark>) {
    let (mut blocks, mut remarks) = (Vec::new(), Vec::new());
    // Errors and warnings that are too many to be said.
    let mut unsaid = [(0, 0..0), (0, 0..0)];
    let mut is_first = true;
    for (span, entry) in entries(text) {
        let is_header = std::mem::take(&mut is_first) && is_header(entry);
        let (mistake, warning) = match address(entry) {
            Ok((block, remark)) => {
                blocks.push(block);
                let Some(remark) = remark else { continue };
                (remark, true)
            }
            Err(_) if is_header => continue,
            Err(mistake) => (mistake, false),
        };
        let foreign = (!warning).then(|| foreign(entry)).flatten();
        let ends = foreign.is_some();
        let span = span.start..span.start + entry.floor_char_boundary(SHOWN);
        let said = remarks.iter().filter(|remark: &&Remark| remark.warning == warning).count();
        if said < MOST {
            remarks.push(Remark { span, mistake: foreign.unwrap_or(mistake), warning });
        } else {
            let (count, first) = &mut unsaid[usize::from(warning)];
            *count += 1;
            if *count == 1 {
                *first = span;
            }
        }
        // Each line of it would be said to be wrong.
        if ends || unsaid[0].0 >= ENOUGH {
            break;
        }
    }
    for (warning, (count, span)) in [false, true].into_iter().zip(unsaid).filter(|(_, (count, _))| *count > 0) {
        let what = match warning {
            true => "are like those before",
            false if count >= ENOUGH => "can't be read either, and the rest was not looked at",
            false => "can't be read either",
        };
        remarks.push(Remark { span, mistake: (format!("this and {} more lines {what}", count - 1), None), warning });
    }
    (blocks, remarks)
}

/// The line, counted from 1, whose block has all of this one in it.
pub(super) fn find(text: &str, block: &Block) -> Option<usize> {
    let (span, _) = entries(text).find(|(_, entry)| address(entry).is_ok_and(|(own, _)| own.covers(block)))?;
    Some(memchr::memchr_iter(b'\n', &text.as_bytes()[..span.start]).count() + 1)
}

/// What stands on the lines but comments, with its place.
fn entries(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let start = next;
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let end = memchr::memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
        next = start + end + 1;
        Some((start, &rest[..end]))
    })
    .filter_map(|(start, line)| {
        let entry = without_comment(line);
        let begin = start + entry.len() - entry.trim_start().len();
        let entry = entry.trim();
        (!entry.is_empty()).then(|| (begin..begin + entry.len(), entry))
    })
}

/// `#` begins a comment, and `;` where a line begins or behind a blank: else it may part columns, and so it may
/// before an address.
fn without_comment(line: &str) -> &str {
    let begins = |&at: &usize| {
        let (before, behind) = (line[..at].trim_end(), &line[at + 1..]);
        let parts = || before.len() == at || columns(behind).next().is_some_and(is_like_an_address);
        line.as_bytes()[at] == b'#' || before.is_empty() || !parts()
    };
    let at = memchr::memchr2_iter(b'#', b';', line.as_bytes()).find(begins);
    &line[..at.unwrap_or(line.len())]
}

/// The address of a line, which is its first column, and what is worth a warning. The other columns are for
/// people, unless they may say more of the address.
fn address(entry: &str) -> Result<(Block, Option<Mistake>), Mistake> {
    if entry.len() > LONGEST {
        return Err((format!("this line has {} bytes, and a list has no such lines", entry.len()), None));
    }
    let mut columns = columns(entry);
    let first = columns.next().unwrap_or_default();
    let first = ['"', '\''].iter().find_map(|&quote| first.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(first);
    let Some(second) = columns.clone().next() else { return one(first) };
    // `10.0.0.1 - 10.0.0.9`
    if second.starts_with('-') || first.ends_with('-') {
        return one(entry);
    }
    let block = one(first)?;
    let alone = only_first(entry);
    if second.starts_with('/') {
        return Err((format!("`{second}` stands apart from its address"), Some(format!("write {first}{second}"))));
    }
    let is_length = digits::<u8>(second).is_some_and(|number| number <= 128) && !first.contains(['/', '-']);
    if is_length {
        let hint = format!("if it is, write {first}/{second}; if not, take the addresses alone: {alone}");
        return Err((format!("`{second}` may be the length of a prefix"), Some(hint)));
    }
    if let Some(other) = columns.find(|column| is_like_an_address(column)) {
        let hint = "write one a line, a range as FIRST-LAST and a mask as /LENGTH; if it says nothing of the first, take that alone";
        return Err((format!("`{other}` is a second address on this line"), Some(format!("{hint}: {alone}"))));
    }
    Ok(block)
}

fn columns(entry: &str) -> impl Iterator<Item = &str> + Clone {
    entry.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';')).filter(|column| !column.is_empty())
}

/// The command that leaves the first column of such lines.
fn only_first(entry: &str) -> String {
    let separator = entry.chars().find(|c| c.is_whitespace() || matches!(c, ',' | ';'));
    match separator {
        Some(separator @ (',' | ';')) => format!("cut -d'{separator}' -f1 FILE > LIST"),
        _ => "awk '{ print $1 }' FILE > LIST".to_owned(),
    }
}

/// One address, prefix or range, as programs write them as well: `::ffff:192.168.1.1` is the IPv4 address, and
/// what `fe80::1%eth0` says of the interface is for rules to say.
fn one(text: &str) -> Result<(Block, Option<Mistake>), Mistake> {
    let (text, zone) = match text.split_once('%') {
        Some((address, zone)) if address.starts_with("fe8") && !zone.contains(['/', '-']) => (address, Some(zone)),
        _ => (text, None),
    };
    let block = Block::parse_any(text)?;
    if let Some(zone) = zone {
        let said = format!("`{text}` is taken on all interfaces, not on `{zone}` alone");
        return Ok((block, Some((said, Some("a rule has `in` for the interface".to_owned())))));
    }
    match block.unmapped() {
        Some(meant) => Ok((meant, Some((format!("`{text}` is IPv4 written as IPv6: taken as {meant}"), Some(format!("write {meant}")))))),
        None => Ok((block, None)),
    }
}

/// Has it an address in it, whatever stands around that?
fn is_like_an_address(column: &str) -> bool {
    let bare = |c: char| !c.is_ascii_hexdigit() && c != ':';
    column.trim_matches(bare).split(['/', '-']).any(|part| part.parse::<IpAddr>().is_ok() || part.parse::<SocketAddr>().is_ok())
}

/// The names of columns: no line whose address would be lost.
fn is_header(entry: &str) -> bool {
    let mut names = columns(entry).map(|name| name.trim_matches(['"', '\'']));
    names.next().is_some_and(|first| NAMES.contains(&first.to_ascii_lowercase().as_str())) && !names.any(is_like_an_address)
}

/// A file of another kind, and how to make a list of it.
fn foreign(entry: &str) -> Option<Mistake> {
    let said = |what: &str, hint: String| Some((format!("this is {what}, not a list of addresses"), Some(hint)));
    let starts = |words: &[&str]| words.iter().any(|word| entry.starts_with(word));
    if entry.starts_with('{') || entry == "[" || starts(&["[{", "[\"", "[ "]) {
        return said("JSON", format!("make a list of it: {}", jq(entry)));
    }
    if starts(&["add ", "create "]) {
        return said("what `ipset save` prints", "make a list of it: awk '$1 == \"add\" { print $3 }' FILE > LIST".to_owned());
    }
    if entry.starts_with('<') {
        return said("HTML or XML", "was an error page saved in place of the list?".to_owned());
    }
    if entry.starts_with("\u{1f}\u{fffd}") {
        return said("compressed by gzip", "make a list of it: gunzip < FILE > LIST".to_owned());
    }
    if entry.contains('\0') {
        return said("no text, or text in UTF-16", "if it is, make UTF-8 of it: iconv -f UTF-16 -t UTF-8 FILE > LIST".to_owned());
    }
    if entry.len() > LONGEST {
        return None;
    }
    let by = |separator: fn(char) -> bool| {
        let is_address = |field: &str| Block::parse_any(field.trim_matches([' ', '"', '\'', ';', ','])).is_ok();
        let at = entry.split(separator).filter(|field| !field.is_empty()).position(is_address)?;
        (at > 0).then_some(at + 1)
    };
    let (number, cure) = None
        .or_else(|| by(|c| c == ',').map(|number| (number, format!("cut -d',' -f{number} FILE > LIST"))))
        .or_else(|| by(|c| c == ';').map(|number| (number, format!("cut -d';' -f{number} FILE > LIST"))))
        .or_else(|| by(char::is_whitespace).map(|number| (number, format!("awk '{{ print ${number} }}' FILE > LIST"))))?;
    Some((format!("the address of a line comes first, and here it is the column {number}"), Some(format!("make a list of it: {cure}"))))
}

/// The command for JSON: by the key that has the address, if this line tells.
fn jq(entry: &str) -> String {
    let value = Some(entry).filter(|entry| entry.len() <= LONGEST).and_then(|entry| serde_json::from_str(entry).ok());
    let key = value.and_then(|value: serde_json::Value| {
        let is_address = |value: &serde_json::Value| value.as_str().is_some_and(|text| Block::parse_any(text).is_ok());
        let (key, _) = value.as_object()?.iter().find(|(_, value)| is_address(value))?;
        key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_').then(|| key.clone())
    });
    match key {
        Some(key) => format!("jq -r '.{key} // empty' FILE > LIST"),
        None => "jq -r '.[]' FILE > LIST, with the name of the key where an entry has several".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is read of these lines: blocks, then remarks.
    fn said(text: &str) -> (Vec<String>, Vec<String>) {
        let (blocks, remarks) = read(text);
        let remark = |remark: &Remark| {
            let (message, hint) = &remark.mistake;
            format!("{}{message} | {}", if remark.warning { "warning: " } else { "" }, hint.as_deref().unwrap_or_default())
        };
        (blocks.iter().map(ToString::to_string).collect(), remarks.iter().map(remark).collect())
    }

    #[test]
    fn lists_as_people_have_them_are_taken() {
        for (text, expected) in [
            ("", &[][..]),
            ("# nobody\n\n  ; 10.0.0.1\r\n\t\n;10.0.0.1\n", &[]),
            ("10.0.0.1\r\n10.0.0.2", &["10.0.0.1", "10.0.0.2"]),
            (
                "10.0.0.0/8 # ours\n10.1.2.3-10.1.2.9#range\n10.1.2.3 - 10.1.2.9 ; range",
                &["10.0.0.0/8", "10.1.2.3-10.1.2.9", "10.1.2.3-10.1.2.9"],
            ),
            ("; Spamhaus DROP List\n1.10.16.0/20 ; SBL256894\n2001:db8::/32;SBL1", &["1.10.16.0/20", "2001:db8::/32"]),
            ("203.0.113.7,2026-01-01,ssh", &["203.0.113.7"]),
            ("ip,when,why\n203.0.113.7,2026-01-01T12:00:00Z,\"ssh, 5 times\"", &["203.0.113.7"]),
            ("\"IP\",\"why\"\n\"203.0.113.7\",\"ssh\"\n'2001:db8::1','ssh'", &["203.0.113.7", "2001:db8::1"]),
            ("203.0.113.7;ssh", &["203.0.113.7"]),
            ("203.0.113.7 ssh 5\n203.0.113.8\t12:34:56\tsmtp", &["203.0.113.7", "203.0.113.8"]),
            // No length of a prefix.
            ("203.0.113.7 1767225600\n203.0.113.0/24 5", &["203.0.113.7", "203.0.113.0/24"]),
        ] {
            assert_eq!(said(text), (expected.iter().map(ToString::to_string).collect(), Vec::new()), "{text}");
        }
    }

    #[test]
    fn what_programs_log_is_taken_with_a_warning() {
        let (blocks, remarks) = said("::ffff:203.0.113.66\nfe80::1%eth0\n");
        assert_eq!(blocks, ["203.0.113.66", "fe80::1"]);
        assert_eq!(
            remarks,
            [
                "warning: `::ffff:203.0.113.66` is IPv4 written as IPv6: taken as 203.0.113.66 | write 203.0.113.66",
                "warning: `fe80::1` is taken on all interfaces, not on `eth0` alone | a rule has `in` for the interface",
            ]
        );
    }

    #[test]
    fn what_may_mean_something_else_is_said_with_its_cure() {
        for (text, expected) in [
            ("10.0.0.1 10.0.0.2", "`10.0.0.2` is a second address"),
            ("10.0.0.1,10.0.0.9", "`10.0.0.9` is a second address"),
            ("10.0.0.1;10.0.0.9;24", "`10.0.0.9` is a second address"),
            ("10.0.0.1 ; 10.0.0.9 ; 24", "`10.0.0.9` is a second address"),
            ("10.0.0.0 255.0.0.0", "`255.0.0.0` is a second address"),
            ("10.0.0.0/8 !10.1.0.0/16", "`!10.1.0.0/16` is a second address"),
            ("10.0.0.0/8 ssh [2001:db8::1]", "`[2001:db8::1]` is a second address"),
            ("10.0.0.0 /8", "`/8` stands apart from its address | write 10.0.0.0/8"),
            (
                "10.0.0.0,8",
                "`8` may be the length of a prefix | if it is, write 10.0.0.0/8; if not, take the addresses alone: cut -d',' -f1 FILE > LIST",
            ),
            (
                "10.0.0.0\t8",
                "`8` may be the length of a prefix | if it is, write 10.0.0.0/8; if not, take the addresses alone: awk '{ print $1 }' FILE > LIST",
            ),
            ("10.0.0.300", "`10.0.0.300` is not an address | an IPv4 address has four numbers"),
            ("10.0.0.300 ssh", "`10.0.0.300` is not an address | an IPv4 address has four numbers"),
            ("10.0.0.1/8 ssh", "`10.0.0.1` is not the beginning of a /8"),
            ("example.org", "`example.org` is not an address | names of hosts"),
            ("who,ip\n1,10.0.0.1", "`who` is not an address"),
            (
                "ip,10.0.0.1",
                "the address of a line comes first, and here it is the column 2 | make a list of it: cut -d',' -f2 FILE > LIST",
            ),
            (
                "\"2026-01-17 07:44:46\",\"10.0.0.1\",\"443\"",
                "the address of a line comes first, and here it is the column 2 | make a list of it: cut -d',' -f2 FILE > LIST",
            ),
            (
                "deny 10.0.0.1;",
                "the address of a line comes first, and here it is the column 2 | make a list of it: awk '{ print $2 }' FILE > LIST",
            ),
            (
                "create banned hash:ip\nadd banned 203.0.113.7",
                "this is what `ipset save` prints, not a list of addresses | make a list of it: awk '$1 == \"add\"",
            ),
            ("add banned 203.0.113.7 timeout 5", "this is what `ipset save` prints"),
            (
                "{\"cidr\":\"1.10.16.0/20\",\"sblid\":\"SBL256894\"}\n{}",
                "this is JSON, not a list of addresses | make a list of it: jq -r '.cidr // empty' FILE > LIST",
            ),
            ("[\n\"10.0.0.1\",\n", "this is JSON, not a list of addresses | make a list of it: jq -r '.[]' FILE > LIST"),
            ("<!DOCTYPE html>\n<p>", "this is HTML or XML"),
            ("\u{1f}\u{fffd}\u{8}", "this is compressed by gzip"),
            ("\u{fffd}\u{fffd}1\0a\0.\0a", "this is no text, or text in UTF-16"),
        ] {
            let (_, remarks) = said(text);
            assert!(remarks[0].starts_with(expected), "{text}: {remarks:?}");
            assert_eq!(
                remarks.iter().filter(|remark| remark.starts_with("this is ")).count(),
                usize::from(expected.starts_with("this is ")),
                "{text}"
            );
        }
    }

    #[test]
    fn of_many_wrong_lines_some_are_said_and_all_counted() {
        let text = "10.0.0.1\n".to_owned() + &"nobody\n".repeat(2000) + "::ffff:10.0.0.2\n";
        let (blocks, remarks) = read(&text);
        assert_eq!((blocks.len(), remarks.len()), (2, MOST + 2));
        assert_eq!(remarks[MOST + 1].mistake.0, "this and 1949 more lines can't be read either");
        assert!(remarks[MOST].warning);
        let (_, remarks) = read(&"nobody\n".repeat(20_000));
        assert_eq!(remarks[MOST].mistake.0, "this and 9999 more lines can't be read either, and the rest was not looked at");
        let (_, remarks) = read(&"x".repeat(100_000));
        assert_eq!(remarks[0].mistake.0, "this line has 100000 bytes, and a list has no such lines");
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_what_is_said_stands_in_it(text in "([0-9a-f.:/,;# \t\"%!-]|10\\.0\\.0\\.1|::ffff:|\n|☃|add |\\{)*") {
            let (blocks, remarks) = read(&text);
            prop_assert!(remarks.iter().all(|remark| text.get(remark.span.clone()).is_some_and(|said| !said.is_empty())), "{:?}", remarks);
            for block in blocks {
                prop_assert!(find(&text, &block).is_some());
            }
        }
    }

    #[test]
    fn the_line_of_an_address_is_found() {
        let text = "# list\n10.0.0.1 one\nnobody\n\n10.1.0.0/16\n10.1.2.3";
        for (word, line) in [("10.0.0.1", Some(2)), ("10.1.2.3", Some(5)), ("10.1.2.0/24", Some(5)), ("10.0.0.2", None)] {
            assert_eq!(find(text, &Block::parse(word).unwrap()), line);
        }
    }
}
