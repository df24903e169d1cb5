//! Which iptables reads.

use std::fmt;

use crate::{model::Dialect, ruleset::Evidence};

/// A range of versions that read alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// Up to 1.8.7.
    Old,
    /// 1.8.8 and 1.8.9.
    Middle,
    /// 1.8.10 and later.
    Later,
}

impl Version {
    /// All, the oldest first.
    pub const ALL: [Self; 3] = [Self::Old, Self::Middle, Self::Later];

    /// The one that writes this dialect; `None` for the portable one, which every version reads.
    pub const fn of(dialect: Dialect) -> Option<Self> {
        match dialect {
            Dialect::A => Some(Self::Old),
            Dialect::B => Some(Self::Middle),
            Dialect::D => Some(Self::Later),
            Dialect::Portable => None,
        }
    }

    /// The word for it in JSON; these stay.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Old => "..1.8.7",
            Self::Middle => "1.8.8..1.8.9",
            Self::Later => "1.8.10..",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Old => "up to 1.8.7",
            Self::Middle => "1.8.8 and 1.8.9",
            Self::Later => "1.8.10 and later",
        })
    }
}

/// Some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Versions(u8);

impl Versions {
    /// Every version: what holds where nothing tells which one is here.
    pub const ALL: Self = Self(0b111);

    /// These versions, the oldest first.
    pub fn iter(self) -> impl Iterator<Item = Version> {
        Version::ALL.into_iter().filter(move |&version| self.includes(version))
    }

    /// Is it one of them?
    pub const fn includes(self, version: Version) -> bool {
        self.0 & 1 << version as u8 != 0
    }

    /// Is it known which one?
    pub const fn are_one(self) -> bool {
        self.0.count_ones() == 1
    }

    /// That one as well.
    pub(super) const fn add(&mut self, version: Version) {
        self.0 |= 1 << version as u8;
    }
}

impl FromIterator<Version> for Versions {
    fn from_iter<I: IntoIterator<Item = Version>>(versions: I) -> Self {
        let mut all = Self::default();
        versions.into_iter().for_each(|version| all.add(version));
        all
    }
}

impl From<Version> for Versions {
    fn from(version: Version) -> Self {
        [version].into_iter().collect()
    }
}

impl From<Evidence> for Versions {
    /// Those that the rules of the host leave possible.
    fn from(evidence: Evidence) -> Self {
        evidence.writers().filter_map(Version::of).collect()
    }
}

impl fmt::Display for Versions {
    /// "up to 1.8.7", "1.8.8 and later", …
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Version::{Later, Middle, Old};
        match self.iter().collect::<Vec<_>>().as_slice() {
            [one] => one.fmt(f),
            [Old, Middle] => f.write_str("up to 1.8.9"),
            [Middle, Later] => f.write_str("1.8.8 and later"),
            [Old, Later] => write!(f, "{Old} and {Later}"),
            _ => f.write_str("any version"),
        }
    }
}
