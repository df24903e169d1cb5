use std::fmt;

use super::block::{Mistake, digits};
use crate::model::Protocol;

/// Ports from the first to the last, ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

/// Ports of a protocol: `443/tcp`, `8000-8010/udp`, `any/sctp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ports {
    /// tcp, udp or sctp.
    pub protocol: Protocol,
    /// `None` for all.
    pub range: Option<PortRange>,
}

/// What Docker publishes.
const PROTOCOLS: [Protocol; 3] = [Protocol::TCP, Protocol::UDP, Protocol::SCTP];

impl Ports {
    /// `443/tcp`, `8000-8010/udp`, `any/tcp`.
    ///
    /// # Errors
    /// What is wrong, and if it can be said, what would be right.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let like = || Some("ports look like 443/tcp, 8000-8010/udp, any".to_owned());
        let Some((ports, name)) = text.split_once('/') else {
            let message = format!("`{text}` has no protocol");
            let is_port = text.split('-').all(|port| digits::<u16>(port).is_some());
            return Err((message, if is_port { Some(format!("write \"{text}/tcp\" or \"{text}/udp\"")) } else { like() }));
        };
        let named = |name: &str| PROTOCOLS.into_iter().find(|one| one.name() == Some(name));
        if text.contains(',') {
            return Err((format!("`{text}` is not one range of ports"), Some("write a list: [\"80/tcp\", \"443/tcp\"]".to_owned())));
        }
        let Some(protocol) = named(name) else {
            let hint = match (named(ports), named(&name.to_ascii_lowercase())) {
                (Some(_), _) => format!("write {name}/{ports}"),
                (_, Some(protocol)) => format!("write {ports}/{protocol}"),
                _ => "it is tcp, udp or sctp".to_owned(),
            };
            return Err((format!("`{name}` is not a protocol that Docker publishes"), Some(hint)));
        };
        if ports == "any" {
            return Ok(Self { protocol, range: None });
        }
        if let Some((first, last)) = ports.split_once(':') {
            return Err((format!("`{ports}` is not a port"), Some(format!("write {first}-{last}/{protocol}"))));
        }
        let (first, last) = match ports.split_once('-') {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(ports)?, port(ports)?),
        };
        match first <= last {
            true => Ok(Self { protocol, range: Some(PortRange { first, last }) }),
            false => {
                let hint = format!("write {last}-{first}/{protocol}");
                Err((format!("the range runs backwards: {first} is more than {last}"), Some(hint)))
            }
        }
    }

    /// Is every one of the other's in this one?
    pub fn covers(&self, other: &Self) -> bool {
        self.protocol == other.protocol
            && self.range.is_none_or(|own| other.range.is_some_and(|other| own.first <= other.first && other.last <= own.last))
    }

    /// Have they a port in common?
    pub fn overlaps(&self, other: &Self) -> bool {
        let ends = |ports: &Self| ports.range.map_or((0, u16::MAX), |range| (range.first, range.last));
        let ((first, last), (begin, end)) = (ends(self), ends(other));
        self.protocol == other.protocol && first <= end && begin <= last
    }
}

fn port(text: &str) -> Result<u16, Mistake> {
    match digits(text) {
        Some(number @ 1..) => Ok(number),
        _ if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => Err((format!("{text} is not a port: 1 to 65535"), None)),
        _ => Err((
            format!("`{text}` is not a port"),
            Some("ports are numbers here, since names mean other numbers on other hosts".to_owned()),
        )),
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.last != self.first { write!(f, "-{}", self.last) } else { Ok(()) }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.range {
            Some(range) => write!(f, "{range}/{}", self.protocol),
            None => write!(f, "any/{}", self.protocol),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(text: &str) -> Ports {
        Ports::parse(text).unwrap()
    }

    #[test]
    fn ports_print_as_they_are_written() {
        for text in ["443/tcp", "8000-8010/udp", "any/sctp", "1-65535/tcp"] {
            assert_eq!(ports(text).to_string(), text);
        }
        assert_eq!(ports("80-80/tcp"), ports("80/tcp"));
    }

    #[test]
    fn what_is_no_port_is_said_with_its_cure() {
        for (text, hint) in [
            ("443", "write \"443/tcp\" or \"443/udp\""),
            ("80-90", "write \"80-90/tcp\" or \"80-90/udp\""),
            ("https", "ports look like 443/tcp, 8000-8010/udp, any"),
            ("https/tcp", "ports are numbers here, since names mean other numbers on other hosts"),
            ("tcp/443", "write 443/tcp"),
            ("443/TCP", "write 443/tcp"),
            ("443/icmp", "it is tcp, udp or sctp"),
            ("80,443/tcp", "write a list: [\"80/tcp\", \"443/tcp\"]"),
            ("8000:8010/tcp", "write 8000-8010/tcp"),
            ("90-80/tcp", "write 80-90/tcp"),
        ] {
            assert_eq!(Ports::parse(text).unwrap_err().1.as_deref(), Some(hint), "{text}");
        }
        for text in ["0/tcp", "65536/tcp", "99999999999999999999/tcp", "1-65536/udp"] {
            assert!(Ports::parse(text).unwrap_err().0.ends_with("is not a port: 1 to 65535"), "{text}");
        }
        for text in ["+443/tcp", "-443/tcp", "443-/tcp", "1-2-3/tcp", "/tcp", "443/", "/", "", "any", "٣/tcp"] {
            assert!(Ports::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_covers_what() {
        for (wide, narrow, covers, overlaps) in [
            ("any/tcp", "443/tcp", true, true),
            ("443/tcp", "any/tcp", false, true),
            ("any/tcp", "any/tcp", true, true),
            ("any/tcp", "443/udp", false, false),
            ("80-90/tcp", "80-90/tcp", true, true),
            ("80-90/tcp", "90-91/tcp", false, true),
            ("80-90/tcp", "91/tcp", false, false),
        ] {
            let (wide, narrow) = (ports(wide), ports(narrow));
            assert_eq!(
                (wide.covers(&narrow), wide.overlaps(&narrow), narrow.overlaps(&wide)),
                (covers, overlaps, overlaps),
                "{wide} {narrow}"
            );
        }
    }
}
