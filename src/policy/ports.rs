use std::fmt;

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
    pub fn parse(text: &str) -> Result<Self, (String, Option<String>)> {
        let Some((ports, protocol)) = text.split_once('/') else {
            let cure = text.split('-').all(|port| port.parse::<u16>().is_ok()).then(|| format!("write \"{text}/tcp\" or \"{text}/udp\""));
            return Err((
                format!("`{text}` has no protocol"),
                cure.or_else(|| Some("ports look like 443/tcp, 8000-8010/udp, any".to_owned())),
            ));
        };
        let known = PROTOCOLS.into_iter().find(|one| one.name() == Some(protocol));
        let protocol = known
            .ok_or_else(|| (format!("`{protocol}` is not a protocol that Docker publishes"), Some("it is tcp, udp or sctp".to_owned())))?;
        if ports == "any" {
            return Ok(Self { protocol, range: None });
        }
        let port = |text: &str| match text.parse::<u32>() {
            Ok(number @ 1..=65535) => Ok(number as u16),
            Ok(number) => Err((format!("{number} is not a port: 1 to 65535"), None)),
            Err(_) => Err((
                format!("`{text}` is not a port"),
                Some("ports are numbers here, since names mean other numbers on other hosts".to_owned()),
            )),
        };
        let (first, last) = match ports.split_once('-') {
            Some((first, last)) => (port(first)?, port(last)?),
            None => (port(ports)?, port(ports)?),
        };
        match first <= last {
            true => Ok(Self { protocol, range: Some(PortRange { first, last }) }),
            false => Err((format!("the range runs backwards: {first} is more than {last}"), None)),
        }
    }

    /// Is every one of the other's in this one?
    pub fn covers(&self, other: &Self) -> bool {
        self.protocol == other.protocol
            && self.range.is_none_or(|own| other.range.is_some_and(|other| own.first <= other.first && other.last <= own.last))
    }

    /// Have they a port in common?
    pub fn overlaps(&self, other: &Self) -> bool {
        let (all, any) = (PortRange { first: 0, last: u16::MAX }, |ports: &Self| ports.range);
        let (own, its) = (any(self).unwrap_or(all), any(other).unwrap_or(all));
        self.protocol == other.protocol && own.first <= its.last && its.first <= own.last
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
