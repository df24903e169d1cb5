//! One line of the file of a group: its first column is the address, and what follows is for people.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{
    Block,
    block::{Mistake, digits, prefix_of_mask},
};

/// No address, prefix or range is longer, with its interface.
const LONGEST: usize = 200;

/// Lines that are longer are not looked at as a whole.
const LINE: usize = 1000;

/// In so many columns a second address is looked for.
const COLUMNS: usize = 20;

/// What the first column is called where a file begins with the names of its columns.
const NAMES: &[&str] =
    &["ip", "address", "ip_address", "ip-address", "ipaddress", "addr", "src_ip", "source_ip", "network", "cidr", "prefix", "range"];

/// The address of a line, and what is worth a warning.
pub(super) fn address(entry: &str) -> Result<(Block, Option<Mistake>), Mistake> {
    let (block, remark) = first_column(entry)?;
    Ok((block, behind(entry, &block).or(remark)))
}

/// The same without a look at what stands behind the address.
pub(super) fn first_column(entry: &str) -> Result<(Block, Option<Mistake>), Mistake> {
    let first = first(entry);
    if first.is_empty() {
        return Err(("the first column of this line is empty".to_owned(), Some("each line begins with its address".to_owned())));
    }
    if first.len() > LONGEST {
        let hint = "a list has one address, prefix or range a line, and what else there is behind a blank";
        return Err((format!("this begins with {} bytes without a blank, and no address has so many", first.len()), Some(hint.to_owned())));
    }
    let first = ['"', '\''].iter().find_map(|&quote| first.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(first);
    if let Some(low) = first.strip_suffix('-').filter(|low| low.parse::<IpAddr>().is_ok()) {
        let high = second(entry).filter(|high| high.parse::<IpAddr>().is_ok()).unwrap_or("LAST");
        let hint = format!("for a range write {low}-{high} without blanks, for the address alone {low}");
        return Err((format!("`{first}` is not an address"), Some(hint)));
    }
    one(first).map_err(|(message, hint)| match glued(first) {
        Some((address, rest)) if hint.is_none() || !rest.starts_with(['-', '/']) => {
            let hint = format!("behind {address} there must be a blank, a comma or a semicolon");
            (format!("`{first}` is not an address"), Some(hint))
        }
        _ => (message, Some(hint.unwrap_or_else(|| cure(first)))),
    })
}

/// The address that a word begins with, and what follows.
fn glued(first: &str) -> Option<(IpAddr, &str)> {
    let end = first.find(|c: char| !c.is_ascii_hexdigit() && !matches!(c, '.' | ':'))?;
    let (address, rest) = first.split_at(end);
    Some((address.parse().ok()?, rest)).filter(|_| rest.chars().all(|c| c.is_ascii_graphic()))
}

/// What to do about a first column that is nothing known.
fn cure(first: &str) -> String {
    let unquoted = first.trim_matches(['"', '\'']);
    if unquoted != first && Block::parse_any(unquoted).is_ok() {
        return format!("a quote of it is missing: write {unquoted}");
    }
    if first.contains(char::REPLACEMENT_CHARACTER) {
        return "an address has no bytes that are not UTF-8; write it anew".to_owned();
    }
    if first.contains(|c: char| c.is_control() || !c.is_ascii()) {
        return "it has characters that no address has, and that may be invisible; write it anew".to_owned();
    }
    "each line begins with an address, a prefix or a range: take this line out, or begin it with #".to_owned()
}

/// What stands behind an address and might have been meant as a part of it. It is left out all the same.
fn behind(entry: &str, block: &Block) -> Option<Mistake> {
    let (words, comment) = parts(entry);
    let mut others = columns(words).skip(1).take(COLUMNS);
    let second = others.clone().next();
    let is_one = block.first == block.last && !first(entry).contains(['/', '-']);
    if let Some(mistake) = second.filter(|_| is_one).and_then(|second| length(entry, block, second)) {
        return Some(mistake);
    }
    let other = others.find(|other| is_like_an_address(other)).or_else(|| columns(comment).next().filter(|one| is_like_an_address(one)))?;
    let message = format!("{block} alone is taken: `{}` is a second address on this line", short(other));
    // Only what follows at once, or behind a `-`, can be the end of a range.
    let is_next = second == Some(other) || second == Some("-") && columns(words).nth(2) == Some(other);
    let high = other.trim_matches('-').parse::<IpAddr>().ok().filter(|_| is_one && is_next).map(Block::of);
    let prefix = high.filter(|_| second == Some(other)).and_then(|mask| match mask.ends().0 {
        IpAddr::V4(mask) => prefix_of(block, mask),
        IpAddr::V6(_) => None,
    });
    let range = high.filter(|high| high.family == block.family && high.first > block.first);
    let hint = match (prefix, range) {
        (Some(prefix), _) => format!("for the prefix write {prefix} without blanks"),
        (_, Some(high)) => format!("for a range write {block}-{high} without blanks, for two addresses two lines"),
        _ => "write one address, prefix or range a line".to_owned(),
    };
    Some((message, Some(format!("{hint}; to leave out the other columns: {}", only_first(entry)))))
}

/// The prefix that this address and mask are.
fn prefix_of(block: &Block, mask: Ipv4Addr) -> Option<Block> {
    let bits = prefix_of_mask(mask)?;
    let prefix = Block::around(block.family, block.first, 32 - bits);
    (bits > 0 && prefix.first == block.first).then_some(prefix)
}

/// The second column may be the length of a prefix: `10.0.0.0 8`, `10.0.0.0 /8`.
fn length(entry: &str, block: &Block, second: &str) -> Option<Mistake> {
    let bare = second.trim_matches(['"', '\'']);
    let bits = digits::<u32>(bare.strip_prefix('/').unwrap_or(bare)).filter(|&bits| bits <= block.width())?;
    let prefix = Block::around(block.family, block.first, block.width() - bits);
    let hint = match prefix.first == block.first {
        true => format!("for the prefix write {}/{bits} without blanks", block.ends().0),
        false => format!("{block} is not the beginning of a /{bits}: write a prefix from its first address, without blanks"),
    };
    let message = format!("{block} alone is taken: `{bare}` may be the length of a prefix");
    Some((message, Some(format!("{hint}; to leave out the other columns: {}", only_first(entry)))))
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, ',' | ';')
}

fn columns(entry: &str) -> impl Iterator<Item = &str> + Clone {
    entry.split(is_separator).filter(|column| !column.is_empty())
}

fn first(entry: &str) -> &str {
    entry.split(|c| is_separator(c) || c == '#').next().unwrap_or_default()
}

fn second(entry: &str) -> Option<&str> {
    columns(parts(entry).0).nth(1)
}

/// A line without its comment.
pub(super) fn without_comment(entry: &str) -> &str {
    parts(entry).0
}

/// What stands before the comment, and the comment. `#` begins one, and `;` behind a blank.
fn parts(entry: &str) -> (&str, &str) {
    let begins = |&at: &usize| entry.as_bytes()[at] == b'#' || entry[..at].ends_with(char::is_whitespace);
    let Some(at) = memchr::memchr2_iter(b'#', b';', entry.as_bytes()).find(begins) else { return (entry, "") };
    let comment = if entry.as_bytes()[at] == b';' { &entry[at..] } else { "" };
    (entry[..at].trim_end(), comment)
}

/// The command that leaves the first column of such lines.
fn only_first(entry: &str) -> String {
    match entry.chars().find(|&c| is_separator(c)) {
        Some(separator @ (',' | ';')) => format!("cut -d'{separator}' -f1 FILE > LIST"),
        _ => "awk '{ print $1 }' FILE > LIST".to_owned(),
    }
}

/// Not all of a word that anybody may have made.
fn short(word: &str) -> &str {
    &word[..word.floor_char_boundary(60)]
}

/// One address, prefix or range, as programs write them as well: `::ffff:192.168.1.1` is the IPv4 address, and
/// what `fe80::1%eth0` says of the interface is for rules to say.
fn one(text: &str) -> Result<(Block, Option<Mistake>), Mistake> {
    if let Some((address, zone)) = zoned(text) {
        let said = format!("`{address}` is taken on all interfaces, not on `{zone}` alone");
        return Ok((one(address)?.0, Some((said, Some("a rule has `in` for the interface".to_owned())))));
    }
    let block = Block::parse_any(text)?;
    match block.unmapped() {
        Some(meant) => Ok((meant, Some((format!("`{text}` is IPv4 written as IPv6: taken as {meant}"), Some(format!("write {meant}")))))),
        None => Ok((block, None)),
    }
}

/// `fe80::1%br-lan`: one IPv6 address, and the name of an interface. That may have a `-`, and ends no range.
fn zoned(text: &str) -> Option<(&str, &str)> {
    let (address, zone) = text.split_once('%')?;
    let is_name = !zone.is_empty() && !zone.contains(['/', '%']) && !zone.split('-').skip(1).any(is_like_an_address);
    (is_name && address.parse::<Ipv6Addr>().is_ok()).then_some((address, zone))
}

/// Has it an address in it, whatever stands around that?
fn is_like_an_address(column: &str) -> bool {
    let bare = |c: char| !c.is_ascii_hexdigit() && c != ':';
    column.trim_matches(bare).split(['/', '-']).any(|part| part.parse::<IpAddr>().is_ok() || part.parse::<SocketAddr>().is_ok())
}

/// Does it look like an address, with a slip in it or without?
fn is_meant_as_an_address(first: &str) -> bool {
    let of_addresses = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '*' | '/' | '[' | ']' | '%' | '-');
    let is_v4 = first.split('.').count() == 4 && first.chars().all(of_addresses);
    is_v4 || first.contains("::") || is_like_an_address(first)
}

/// The names of columns: no line whose address would be lost.
pub(super) fn is_header(entry: &str) -> bool {
    let mut names = columns(entry).map(|name| name.trim_matches(['"', '\'']));
    names.next().is_some_and(|first| NAMES.contains(&first.to_ascii_lowercase().as_str())) && !names.any(is_like_an_address)
}

/// A file of another kind, and how to make a list of it.
pub(super) fn foreign(entry: &str) -> Option<Mistake> {
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
    // A slip in the address itself is another matter, whatever else has an address.
    if entry.len() > LINE || is_meant_as_an_address(first(entry)) {
        return None;
    }
    let by = |separator: fn(char) -> bool| {
        let is_address = |field: &str| Block::parse_any(field.trim_matches([' ', '"', '\'', ';', ','])).is_ok();
        // `awk` leaves out empty columns, `cut` counts them.
        let at = entry.split(separator).filter(|field| !field.is_empty() || !separator(' ')).position(is_address)?;
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
    let value = Some(entry).filter(|entry| entry.len() <= LINE).and_then(|entry| serde_json::from_str(entry).ok());
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
