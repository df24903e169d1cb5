//! The file of a group: one address, prefix or range a line, and what else such files have.
//!
//! Only the first column counts. It must be an address: a line that were skipped without a word would let in who
//! is meant to be kept out. What stands behind it never makes a line an error: in lists that programs write,
//! strangers choose it (the name that they logged in with), and could keep every later list out.

use std::ops::Range;

use super::{
    Block,
    block::Mistake,
    line::{address, first_column, foreign, is_header, without_comment},
};

/// So many wrong lines of a list are said one by one.
const MOST: usize = 50;

/// Behind so many wrong lines a list is not read any further: it is another file.
const ENOUGH: usize = 10_000;

/// Of a wrong line so many bytes are pointed at.
const SHOWN: usize = 100;

/// Something to say of a line: the bytes that are meant, and whether the list holds all the same.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Remark {
    pub(super) span: Range<usize>,
    pub(super) mistake: Mistake,
    pub(super) warning: bool,
}

/// Remarks of one kind: the first are said one by one, the others counted.
#[derive(Debug, Default)]
struct Said {
    said: usize,
    unsaid: usize,
    /// Where the first is that is not said.
    first: Range<usize>,
}

impl Said {
    /// Is this one to be said?
    fn is_said(&mut self, span: &Range<usize>) -> bool {
        if self.said < MOST {
            self.said += 1;
            return true;
        }
        if self.unsaid == 0 {
            self.first = span.clone();
        }
        self.unsaid += 1;
        false
    }

    fn rest(self, warning: bool) -> Option<Remark> {
        let what = match warning {
            true => "are like those before",
            false if self.unsaid >= ENOUGH => "can't be read either, and the rest was not looked at",
            false => "can't be read either",
        };
        let message = format!("this and {} more lines {what}", self.unsaid.checked_sub(1)?);
        Some(Remark { span: self.first, mistake: (message, None), warning })
    }
}

/// The blocks of a list, and what is to be said of it.
pub(super) fn read(text: &str) -> (Vec<Block>, Vec<Remark>) {
    let (mut blocks, mut remarks) = (Vec::new(), Vec::new());
    let (mut errors, mut warnings) = (Said::default(), Said::default());
    let mut is_first = true;
    for (start, entry) in entries(text) {
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
        let shown = without_comment(entry);
        let span = start..start + shown.floor_char_boundary(SHOWN);
        let said = if warning { &mut warnings } else { &mut errors };
        if said.is_said(&span) {
            remarks.push(Remark { span, mistake: foreign.unwrap_or(mistake), warning });
        }
        // Each line of it would be said to be wrong.
        if ends || errors.unsaid >= ENOUGH {
            break;
        }
    }
    remarks.extend(errors.rest(false));
    remarks.extend(warnings.rest(true));
    (blocks, remarks)
}

/// The line, counted from 1, whose block has all of this one in it.
pub(super) fn find(text: &str, block: &Block) -> Option<usize> {
    let (start, _) = entries(text).find(|(_, entry)| first_column(entry).is_ok_and(|(own, _)| own.covers(block)))?;
    Some(memchr::memchr_iter(b'\n', &text.as_bytes()[..start]).count() + 1)
}

/// The lines that are no comments, without blanks around them, and where they begin.
fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let start = next;
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let end = memchr::memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
        next = start + end + 1;
        Some((start, &rest[..end]))
    })
    .filter_map(|(start, line)| {
        let entry = line.trim_start();
        let begin = start + line.len() - entry.len();
        let entry = entry.trim_end();
        (!entry.is_empty() && !entry.starts_with(['#', ';'])).then_some((begin, entry))
    })
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
                "10.0.0.0/8 # ours\n10.1.2.3-10.1.2.9#range\n10.1.2.3-10.1.2.9 ; range",
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
        let (blocks, remarks) = said("::ffff:203.0.113.66\nfe80::1%eth0\nFEB0::1%br-lan root\n");
        assert_eq!(blocks, ["203.0.113.66", "fe80::1", "feb0::1"]);
        assert_eq!(
            remarks,
            [
                "warning: `::ffff:203.0.113.66` is IPv4 written as IPv6: taken as 203.0.113.66 | write 203.0.113.66",
                "warning: `fe80::1` is taken on all interfaces, not on `eth0` alone | a rule has `in` for the interface",
                "warning: `FEB0::1` is taken on all interfaces, not on `br-lan` alone | a rule has `in` for the interface",
            ]
        );
    }

    /// What strangers can write behind their address: the name that they log in with, a path, a browser's name.
    #[test]
    fn nothing_behind_the_first_column_makes_a_line_an_error() {
        let long = "x".repeat(100_000);
        let blanks = " ".repeat(100_000);
        let separators = ";".repeat(100_000);
        for behind in [
            "root",
            "-",
            "-root",
            "- root",
            "-- 7",
            "/bin/sh",
            "/",
            "/ 7",
            "\"a, b",
            "'",
            "\"",
            "\"\"",
            "{\"cidr\":1}",
            "[",
            "<html>",
            "add x",
            "create",
            "#",
            "##;",
            ";",
            ",",
            ",,,;;;",
            "; Spamhaus 24",
            "# 10.0.0.1",
            "%eth0",
            "64",
            "129",
            "+7",
            "-7",
            "99999999999999999999999",
            "10.0.0.256",
            "deadbeef",
            "12:34:56",
            "\0",
            "\0a\0b",
            "\u{1f}\u{fffd}\u{8}",
            "\u{fffd}",
            "\u{1b}]0;title\u{7}",
            "a\rb",
            "a\u{2028}10.0.0.x",
            "\u{202e}",
            "\u{feff}",
            &long,
            &blanks,
            &separators,
        ] {
            for separator in [" ", "\t", ",", ";", " ; ", "\u{a0}", "\r"] {
                let (blocks, remarks) = said(&format!("192.0.2.66{separator}{behind}\n192.0.2.67{separator}{behind}\r\n"));
                let behind = &behind[..behind.floor_char_boundary(20)];
                assert_eq!(
                    (blocks, remarks),
                    (vec!["192.0.2.66".to_owned(), "192.0.2.67".to_owned()], Vec::new()),
                    "{separator:?}{behind:?}"
                );
            }
        }
    }

    #[test]
    fn what_may_be_meant_as_a_part_of_the_entry_is_a_warning() {
        let awk = "; to leave out the other columns: awk '{ print $1 }' FILE > LIST";
        let cut = |c: char| format!("; to leave out the other columns: cut -d'{c}' -f1 FILE > LIST");
        let other = |other: &str, hint: &str| format!("`{other}` is a second address on this line | {hint}");
        let two = "write one address, prefix or range a line";
        let range = |high: &str| format!("for a range write 192.0.2.66-{high} without blanks, for two addresses two lines");
        for (first, behind, expected) in [
            ("192.0.2.66", " - 192.0.2.70", other("192.0.2.70", &(range("192.0.2.70") + awk))),
            ("192.0.2.66", " -192.0.2.70", other("-192.0.2.70", &(range("192.0.2.70") + awk))),
            ("192.0.2.66", " - 255.255.255.255", other("255.255.255.255", &(range("255.255.255.255") + awk))),
            ("192.0.2.66", " - 10.0.0.1", other("10.0.0.1", &format!("{two}{awk}"))),
            ("192.0.2.66", " - root 192.0.2.70", other("192.0.2.70", &format!("{two}{awk}"))),
            ("192.0.2.66", " 192.0.2.70", other("192.0.2.70", &(range("192.0.2.70") + awk))),
            ("192.0.2.66", ",10.0.0.1", other("10.0.0.1", &format!("{two}{}", cut(',')))),
            ("192.0.2.66", " ::1", other("::1", &format!("{two}{awk}"))),
            ("192.0.2.66", " face::", other("face::", &format!("{two}{awk}"))),
            ("192.0.2.66", " ,::", other("::", &format!("{two}{awk}"))),
            ("192.0.2.66", ",\"a, b 1.1.1.1\"", other("1.1.1.1\"", &format!("{two}{}", cut(',')))),
            ("192.0.2.66", "; 1.1.1.1", other("1.1.1.1", &format!("{two}{}", cut(';')))),
            ("192.0.2.66", " ; 1.1.1.1 ; 24", other("1.1.1.1", &format!("{two}{awk}"))),
            ("192.0.2.66", " ssh;1.1.1.1", other("1.1.1.1", &format!("{two}{awk}"))),
            ("10.0.0.0/8", " !10.1.0.0/16", other("!10.1.0.0/16", &format!("{two}{awk}"))),
            ("10.0.0.0/8", " ssh [2001:db8::1]", other("[2001:db8::1]", &format!("{two}{awk}"))),
            ("10.0.0.0", " 255.0.0.0", other("255.0.0.0", &format!("for the prefix write 10.0.0.0/8 without blanks{awk}"))),
            (
                "192.0.2.66",
                " 7",
                format!(
                    "`7` may be the length of a prefix | 192.0.2.66 is not the beginning of a /7: write a prefix from its first address, without blanks{awk}"
                ),
            ),
            (
                "192.0.2.66",
                " 0",
                format!(
                    "`0` may be the length of a prefix | 192.0.2.66 is not the beginning of a /0: write a prefix from its first address, without blanks{awk}"
                ),
            ),
            (
                "10.0.0.0",
                ",\"8\"",
                format!("`8` may be the length of a prefix | for the prefix write 10.0.0.0/8 without blanks{}", cut(',')),
            ),
            ("10.0.0.0", " /8", format!("`/8` may be the length of a prefix | for the prefix write 10.0.0.0/8 without blanks{awk}")),
            (
                "2001:db8::",
                " 128",
                format!("`128` may be the length of a prefix | for the prefix write 2001:db8::/128 without blanks{awk}"),
            ),
        ] {
            let (blocks, remarks) = said(&format!("{first}{behind}"));
            assert_eq!(blocks, [first], "{first}{behind}");
            assert_eq!(remarks, [format!("warning: {first} alone is taken: {expected}")], "{first}{behind}");
        }
        // Of what a stranger wrote not all is repeated.
        let (blocks, remarks) = said(&format!("192.0.2.66 {}1.1.1.1", "!".repeat(2000)));
        assert!(blocks == ["192.0.2.66"] && remarks[0].len() < 300, "{remarks:?}");
        // They are counted, however many there are, and never end the reading.
        let (blocks, remarks) = read(&"192.0.2.66 7\n".repeat(20_000));
        assert_eq!((blocks.len(), remarks.len()), (20_000, MOST + 1));
        assert!(
            remarks.iter().all(|remark| remark.warning) && remarks[MOST].mistake.0 == "this and 19949 more lines are like those before"
        );
    }

    #[test]
    fn what_is_no_address_is_said_with_its_cure() {
        for (text, expected) in [
            ("10.0.0.300", "`10.0.0.300` is not an address | an IPv4 address has four numbers"),
            ("10.0.0.300 ssh", "`10.0.0.300` is not an address | an IPv4 address has four numbers"),
            ("10.0.0.1/8 ssh", "`10.0.0.1` is not the beginning of a /8"),
            ("10.0.0.300,10.0.0.9", "`10.0.0.300` is not an address | an IPv4 address has four numbers"),
            ("10.0.0.* ssh;10.0.0.9", "`10.0.0.*` is not an address | write a prefix"),
            ("1.2.3.4:22 ssh", "`1.2.3.4:22` is not an address | write 1.2.3.4, without the port"),
            ("[2001:db8::1]:22", "`[2001:db8::1]:22` is not an address | write 2001:db8::1, without brackets and port"),
            ("[2001:db8::1]", "`[2001:db8::1]` is not an address | write 2001:db8::1, without the brackets"),
            (
                "10.0.0.1- 10.0.0.9",
                "`10.0.0.1-` is not an address | for a range write 10.0.0.1-10.0.0.9 without blanks, for the address alone 10.0.0.1",
            ),
            (
                "10.0.0.1- root",
                "`10.0.0.1-` is not an address | for a range write 10.0.0.1-LAST without blanks, for the address alone 10.0.0.1",
            ),
            ("10.0.0.1-root", "`10.0.0.1-root` is not an address | behind 10.0.0.1 there must be a blank, a comma or a semicolon"),
            ("10.0.0.1|root", "`10.0.0.1|root` is not an address | behind 10.0.0.1 there must be a blank, a comma or a semicolon"),
            (
                "unknown",
                "`unknown` is not an address | each line begins with an address, a prefix or a range: take this line out, or begin it with #",
            ),
            ("- ssh", "`-` is not an address | each line begins with"),
            ("10.0.0\u{fffd}.1", "`10.0.0\u{fffd}.1` is not an address | an address has no bytes that are not UTF-8; write it anew"),
            (
                "10.0.0.\u{200b}1",
                "`10.0.0.\u{200b}1` is not an address | it has characters that no address has, and that may be invisible; write it anew",
            ),
            (",ssh", "the first column of this line is empty | each line begins with its address"),
            (",,10.0.0.1", "the address of a line comes first, and here it is the column 3 | make a list of it: cut -d',' -f3 FILE > LIST"),
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
        assert_eq!(remarks[0].mistake.0, "this begins with 100000 bytes without a blank, and no address has so many");
    }

    proptest! {
        #[test]
        fn what_follows_the_first_column_changes_nothing(
            separator in "[ \t,;#]",
            behind in "([0-9a-f.:/,;# \t\"%!|'-]|10\\.0\\.0\\.1|/?[0-9]+|::|\\PC|[\0-\x09\x0b-\x1f])*"
        ) {
            let (blocks, remarks) = read(&format!("# ban list\n192.0.2.66{separator}{behind}\n2001:db8::/32{separator}{behind}\n"));
            prop_assert_eq!(blocks, [Block::parse("192.0.2.66").unwrap(), Block::parse("2001:db8::/32").unwrap()]);
            prop_assert!(remarks.iter().all(|remark| remark.warning), "{:?}", remarks);
        }

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
