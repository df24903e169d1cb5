use std::{fmt, sync::Arc};

/// The name of a chain.
///
/// One to 127 bytes without white space (what nf_tables takes, `NFT_NAME_MAXLEN`); iptables takes
/// 28 at most, which [`ChainName::for_iptables`] checks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChainName(Arc<str>);

/// Why a text is not the name of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// No characters at all.
    #[error("a chain's name can't be empty")]
    Empty,
    /// More than iptables takes.
    #[error("a chain's name has 28 characters at most")]
    TooLong,
    /// `-`, `!`, `:` at the beginning; white space, a control character, a quote or a backslash anywhere.
    #[error("a chain's name has no white space, quotes or backslashes, and doesn't begin with `-`, `!` or `:`")]
    Character,
    /// The name of a verdict, which a jump could not be told from.
    #[error("this is the name of a target, not of a chain")]
    Target,
}

impl ChainName {
    /// The longest name that iptables takes: `XT_EXTENSION_MAXNAMELEN` less the NUL
    /// (`include/uapi/linux/netfilter/x_tables.h`).
    pub const IPTABLES_MAX: usize = 28;

    /// A name as the kernel reports it: any that nf_tables could have taken.
    ///
    /// # Errors
    /// [`InvalidName::Empty`], [`InvalidName::TooLong`] (over 127 bytes).
    pub fn from_kernel(text: &str) -> Result<Self, InvalidName> {
        match text.len() {
            0 => Err(InvalidName::Empty),
            1..=127 => Ok(Self(text.into())),
            _ => Err(InvalidName::TooLong),
        }
    }

    /// A name that every version of iptables takes for a chain.
    ///
    /// # Errors
    /// [`InvalidName`] says which rule it breaks.
    pub fn for_iptables(text: &str) -> Result<Self, InvalidName> {
        let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '\\');
        match text {
            "" => Err(InvalidName::Empty),
            _ if text.len() > Self::IPTABLES_MAX => Err(InvalidName::TooLong),
            _ if text.starts_with(['-', '!', ':']) || text.contains(bad) => Err(InvalidName::Character),
            "ACCEPT" | "DROP" | "RETURN" | "QUEUE" => Err(InvalidName::Target),
            _ => Ok(Self(text.into())),
        }
    }

    /// `FORWARD`.
    pub fn forward() -> Self {
        Self("FORWARD".into())
    }

    /// `DOCKER-USER`.
    pub fn docker_user() -> Self {
        Self(super::DOCKER_USER.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Is this a chain that the kernel's hooks enter (`INPUT`, `FORWARD`, `OUTPUT`)?
    pub fn is_builtin(&self) -> bool {
        matches!(self.as_str(), "INPUT" | "FORWARD" | "OUTPUT")
    }

    /// Is this one of the chains that Docker itself writes (`DOCKER`, `DOCKER-…`), other than
    /// `DOCKER-USER`?
    pub fn is_dockers(&self) -> bool {
        let name = self.as_str();
        name == "DOCKER" || (name.starts_with("DOCKER-") && name != super::DOCKER_USER)
    }

    /// May rules be written here? True for `DOCKER-USER` and for user chains that are not Docker's.
    pub fn is_writable(&self) -> bool {
        !self.is_builtin() && !self.is_dockers()
    }
}

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl std::borrow::Borrow<str> for ChainName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_once() {
        for (text, expected) in [
            ("DOCKER-USER", Ok(())),
            ("", Err(InvalidName::Empty)),
            ("-A", Err(InvalidName::Character)),
            ("a b", Err(InvalidName::Character)),
            ("it's", Err(InvalidName::Character)),
            ("DROP", Err(InvalidName::Target)),
            ("x23456789012345678901234567x", Ok(())),
            ("x234567890123456789012345678x", Err(InvalidName::TooLong)),
        ] {
            assert_eq!(ChainName::for_iptables(text).map(|_| ()), expected, "{text}");
        }
    }

    #[test]
    fn dockers_chains_are_not_ours_to_write() {
        for (name, writable) in [
            ("DOCKER-USER", true),
            ("office", true),
            ("DOCKER", false),
            ("DOCKER-FORWARD", false),
            ("DOCKER-ISOLATION-STAGE-1", false),
            ("FORWARD", false),
            ("DOCKERS", true),
        ] {
            assert_eq!(ChainName::from_kernel(name).unwrap().is_writable(), writable, "{name}");
        }
    }
}
