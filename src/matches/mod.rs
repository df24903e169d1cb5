//! Match extensions, one file each: text, expressions and examples side by side.
//!
//! To add one: its file, and its line in the list below.

use std::fmt;

mod bits;
mod chunks;
mod flagged_ports;
mod groups;
mod header;
mod hops;
pub(crate) mod host;
mod icmp_type;
mod ipv6_options;
mod marks;
pub(crate) mod member;
mod ports;
pub(crate) mod proc_name;
mod ranges;
mod rate;
mod spis;
mod time_parts;
mod tracking;
mod words;

pub use ports::xt_upwards;

use crate::{
    extension::{Cursor, Extension, Linearizer, Listed, Refused},
    syntax::Args,
};

macro_rules! match_extensions {
    ($($module:ident::$name:ident,)*) => {
        $(mod $module; pub use $module::$name;)*

        /// A match of a rule.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Match {
            $(#[doc = concat!("`-m ", stringify!($module), "`")] $name($name),)*
        }

        /// All matches, by name.
        pub static ALL: &[Listed<Match>] = &[
            $(Listed::of::<$name>(|args: &mut Args<'_>| $name::parse(args).map(Match::$name)),)*
        ];

        impl Match {
            /// The word after `-m`.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => $name::NAME,)* }
            }

            /// Writes its expressions.
            pub fn linearize(&self, out: &mut Linearizer<'_, '_>) {
                match self { $(Self::$name(one) => one.linearize(out),)* }
            }

            /// Reads the match that begins here, if one does.
            pub fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
                $(if $name::FAMILIES.contains(&cursor.family()) {
                    let mut own = cursor.clone();
                    if let Some(one) = $name::delinearize(&mut own) {
                        *cursor = own;
                        return Some(Self::$name(one));
                    }
                })*
                None
            }

            /// The names of all matches that claim what begins here: never more than one.
            pub fn claims(cursor: &Cursor<'_, '_>) -> Vec<&'static str> {
                let mut names = Vec::new();
                $(if $name::delinearize(&mut cursor.clone()).is_some() { names.push($name::NAME); })*
                names
            }

            /// What `iptables -n -L` prints for it.
            ///
            /// # Errors
            /// Those of the formatter.
            pub fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $(Self::$name(one) => one.list(f),)* }
            }

            /// [`Extension::LISTED_APART`]
            pub fn listed_apart(&self) -> bool {
                match self { $(Self::$name(_) => $name::LISTED_APART,)* }
            }

            /// [`Extension::NOT_FORWARDED`]
            pub fn not_forwarded(&self) -> Option<&'static str> {
                match self { $(Self::$name(_) => $name::NOT_FORWARDED,)* }
            }

            /// [`Extension::refused`]
            pub fn refused(&self, errno: i32) -> Option<Refused> {
                match self { $(Self::$name(one) => one.refused(errno),)* }
            }

            /// [`Extension::merge`]
            pub fn merge(&mut self, other: &Self) -> bool {
                match (self, other) {
                    $((Self::$name(one), Self::$name(other)) => one.merge(other),)*
                    _ => false,
                }
            }
        }

        impl fmt::Display for Match {
            /// The save form without `-m NAME`.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $(Self::$name(one) => one.fmt(f),)* }
            }
        }
    };
}

match_extensions! {
    addrtype::Addrtype,
    ah::Ah,
    bpf::Bpf,
    cgroup::Cgroup,
    cluster::Cluster,
    comment::Comment,
    connbytes::Connbytes,
    connlabel::Connlabel,
    connlimit::Connlimit,
    connmark::Connmark,
    conntrack::Conntrack,
    cpu::Cpu,
    dccp::Dccp,
    devgroup::Devgroup,
    dscp::Dscp,
    dst::Dst,
    ecn::Ecn,
    esp::Esp,
    eui64::Eui64,
    frag::Frag,
    hashlimit::Hashlimit,
    hbh::Hbh,
    helper::Helper,
    hl::Hl,
    icmp::Icmp,
    icmp6::Icmp6,
    ipcomp::Ipcomp,
    iprange::Iprange,
    ipv6header::Ipv6header,
    ipvs::Ipvs,
    length::Length,
    limit::Limit,
    mac::Mac,
    mark::Mark,
    mh::Mh,
    multiport::Multiport,
    nfacct::Nfacct,
    osf::Osf,
    owner::Owner,
    physdev::Physdev,
    pkttype::Pkttype,
    policy::Policy,
    quota::Quota,
    rateest::Rateest,
    realm::Realm,
    recent::Recent,
    rt::Rt,
    sctp::Sctp,
    set::Set,
    socket::Socket,
    srh::Srh,
    state::State,
    statistic::Statistic,
    string::String,
    tcp::Tcp,
    tcpmss::Tcpmss,
    time::Time,
    tos::Tos,
    ttl::Ttl,
    u32::U32,
    udp::Udp,
}
