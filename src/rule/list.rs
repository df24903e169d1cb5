//! The columns of `iptables -L`.

use std::fmt;

use super::Rule;
use crate::model::{Address, Family, Interface, Test};

impl Rule {
    /// The columns from `prot` on as `iptables -n -L` prints them, with the interfaces if `verbose`.
    ///
    /// # Errors
    /// Those of the formatter.
    pub fn list(&self, family: Family, verbose: bool, f: &mut impl fmt::Write) -> fmt::Result {
        let base = &self.base;
        match &base.protocol {
            Some(test) => write!(f, "{:<4} ", format!("{}{}", if test.negated { "!" } else { "" }, test.value))?,
            None => f.write_str("all  ")?,
        }
        match (family, &base.fragment) {
            (Family::Ip, Some(Test { negated: false, .. })) => f.write_str("-f ")?,
            (Family::Ip, Some(_)) => f.write_str("!f ")?,
            (Family::Ip, None) => f.write_str("-- ")?,
            (Family::Ip6, _) => f.write_str("   ")?,
        }
        if verbose {
            write!(f, " {:<6} {:<6} ", Name(&base.in_interface).to_string(), Name(&base.out_interface).to_string())?;
        }
        write!(f, " {:<19} ", From(&base.source, family).to_string())?;
        write!(f, " {:<19} ", From(&base.destination, family).to_string())?;
        f.write_char(' ')?;
        for one in &self.matches {
            write!(f, "{} ", ListOf(|f| one.list(f)))?;
        }
        if let Some(target) = &self.target {
            write!(f, "{}", ListOf(|f| target.list(f)))?;
        }
        Ok(())
    }
}

struct ListOf<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result>(F);

impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> fmt::Display for ListOf<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

struct Name<'a>(&'a Option<Test<Interface>>);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(test) => write!(f, "{}{}", if test.negated { "!" } else { "" }, test.value),
            None => f.write_str("*"),
        }
    }
}

struct From<'a>(&'a Option<Test<Address>>, Family);

impl fmt::Display for From<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Test { negated, value }) = self.0 else {
            return f.write_str(if self.1 == Family::Ip { "0.0.0.0/0" } else { "::/0" });
        };
        f.write_str(if *negated { "!" } else { "" })?;
        match (value.prefix_len(), value) {
            (Some(32), Address::V4 { addr, .. }) => addr.fmt(f),
            (Some(128), Address::V6 { addr, .. }) => crate::model::Ip6Text(*addr).fmt(f),
            _ => value.fmt(f),
        }
    }
}
