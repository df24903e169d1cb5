//! Ports that docker-proxy serves without DNAT: their packets go through INPUT, where `DOCKER-USER` is not asked.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use crate::{
    attr::{Attrs, be32, string},
    expr::{self, Base, Cmp, CmpOp, Expr, Immediate, Payload, Range, Verdict, Xt},
    message::{Message, Request},
    model::Family,
    netlink::{Netlink, NetlinkError},
    uapi::*,
};

/// A port that a process of docker-proxy serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The host's address; unspecified for all of its family.
    pub host: IpAddr,
    /// The port there.
    pub port: u16,
    /// Where it goes.
    pub container: IpAddr,
    /// The port there.
    pub container_port: u16,
}

/// What Docker translates in one family.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Nat {
    /// Has Docker chains there at all?
    pub docker: bool,
    translated: Vec<Dnat>,
}

/// A rule that gives packets another destination.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Dnat {
    /// The ports that it is for; `None` for all.
    ports: Option<(u16, u16)>,
    to: IpAddr,
    /// 0 where it stays.
    to_port: u16,
}

/// Those of the calling thread's network namespace, as far as `/proc` shows them.
pub fn served() -> Vec<Served> {
    let here = fs::read_link("/proc/thread-self/ns/net").ok();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let is_proxy = |path: &Path| {
        let number = path.file_name().is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit));
        number && fs::read(path.join("comm")).is_ok_and(|comm| comm == b"docker-proxy\n")
    };
    // Without root the namespace of root's processes is not told: better one of another namespace too many. Who is in
    // a user namespace of their own is in a network namespace that those processes are hardly in.
    let of_all = fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.split_whitespace().nth(2) == Some("4294967295"));
    let is_here = |path: &Path| match fs::read_link(path.join("ns/net")) {
        Ok(namespace) => Some(namespace) == here,
        Err(error) => of_all && error.kind() == std::io::ErrorKind::PermissionDenied,
    };
    let proxies = processes.filter(|path| is_proxy(path) && is_here(path));
    proxies.filter_map(|path| Served::read(&fs::read(path.join("cmdline")).ok()?)).collect()
}

impl Served {
    /// Reads the words of `docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip … -container-port …`.
    fn read(words: &[u8]) -> Option<Self> {
        let words: Vec<&str> = words.split(|byte| *byte == 0).filter_map(|word| std::str::from_utf8(word).ok()).collect();
        let value = |name: &str| words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1)).copied();
        Some(Self {
            protocol: value("-proto")?.to_owned(),
            host: value("-host-ip")?.parse().ok()?,
            port: value("-host-port")?.parse().ok()?,
            container: value("-container-ip")?.parse().ok()?,
            container_port: value("-container-port")?.parse().ok()?,
        })
    }

    /// The family of the packets that come for it.
    pub fn family(&self) -> Family {
        if self.host.is_ipv4() { Family::Ip } else { Family::Ip6 }
    }
}

impl Nat {
    /// Reads iptables' table `nat`, and the one of Docker's nftables backend.
    ///
    /// # Errors
    /// [`NetlinkError`]
    pub fn read(netlink: &mut Netlink, family: Family) -> Result<Self, NetlinkError> {
        let mut nat = Self::default();
        for table in ["nat", super::BRIDGES] {
            let rules = gather(netlink, &Request::all_rules(family, table), |message| Linked::read(message, family))?;
            let chains = gather(netlink, &Request::chains(family), |message| chain(message, table))?;
            nat.docker |= table == super::BRIDGES && !chains.is_empty() || chains.iter().any(|(name, _)| name == "DOCKER");
            let mut reached: Vec<&str> = chains.iter().filter(|(_, entry)| *entry).map(|(name, _)| name.as_str()).collect();
            let mut at = 0;
            while let Some(name) = reached.get(at).copied() {
                at += 1;
                for rule in rules.iter().filter(|rule| rule.chain == name) {
                    nat.translated.extend(rule.dnat.clone());
                    reached.extend(rule.to.as_deref().filter(|to| !reached.contains(to)));
                }
            }
        }
        Ok(nat)
    }

    /// Does a packet from outside for this port get the container as its destination, so that it is forwarded?
    pub fn translates(&self, served: &Served) -> bool {
        self.translated.iter().any(|dnat| {
            let for_it = dnat.ports.is_none_or(|(low, high)| (low..=high).contains(&served.port));
            for_it && dnat.to == served.container && (dnat.to_port == 0 || dnat.to_port == served.container_port)
        })
    }
}

/// A rule: where it leads, and what it translates.
struct Linked {
    chain: String,
    to: Option<String>,
    dnat: Option<Dnat>,
}

impl Linked {
    fn read(message: Message<'_>, family: Family) -> Option<Self> {
        let (mut chain, mut list) = (None, &[][..]);
        for attr in Attrs::new(message.attributes()).flatten() {
            match attr.kind {
                NFTA_RULE_CHAIN => chain = string(attr.payload),
                NFTA_RULE_EXPRESSIONS => list = attr.payload,
                _ => {}
            }
        }
        let mut exprs = Vec::new();
        // What can't be read translates nothing that is known.
        let _ = expr::read_all(list, &mut exprs);
        let to = exprs.iter().find_map(|expr| match expr {
            Expr::Immediate(Immediate::Verdict(Verdict::Jump(to) | Verdict::Goto(to))) => Some((*to).to_owned()),
            _ => None,
        });
        Some(Self { chain: chain?.to_owned(), to, dnat: dnat(&exprs, family) })
    }
}

/// A chain of that table, and whether packets that come in enter it.
fn chain(message: Message<'_>, table: &str) -> Option<(String, bool)> {
    let (mut name, mut of, mut entry) = (None, None, false);
    for attr in Attrs::new(message.attributes()).flatten() {
        match attr.kind {
            NFTA_CHAIN_TABLE => of = string(attr.payload),
            NFTA_CHAIN_NAME => name = string(attr.payload),
            NFTA_CHAIN_HOOK => {
                let hook = Attrs::new(attr.payload).flatten().find(|attr| attr.kind == NFTA_HOOK_HOOKNUM);
                entry = hook.and_then(|hook| be32(hook.payload)) == Some(NF_INET_PRE_ROUTING);
            }
            _ => {}
        }
    }
    (of == Some(table)).then_some((name?.to_owned(), entry))
}

/// The destination that a rule gives, by xt's DNAT or nft's `dnat to`.
fn dnat(exprs: &[Expr<'_>], family: Family) -> Option<Dnat> {
    let (to, to_port) = exprs.iter().find_map(|expr| match expr {
        Expr::Target(xt) if xt.name == "DNAT" => xt_dnat(xt, family),
        Expr::Unknown(unknown) if unknown.name == "nat" => native_dnat(exprs, family),
        _ => None,
    })?;
    Some(Dnat { ports: ports(exprs), to, to_port })
}

/// `struct nf_nat_ipv4_multi_range_compat` (revision 0 for IPv4), else `nf_nat_range` and `nf_nat_range2`,
/// which begin alike (`include/uapi/linux/netfilter/nf_nat.h`).
fn xt_dnat(xt: &Xt<'_>, family: Family) -> Option<(IpAddr, u16)> {
    let (at, port) = if xt.revision == 0 && family == Family::Ip { (8, 16) } else { (4, 36) };
    let port = xt.info.get(port..port + 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))?;
    let len = if family == Family::Ip { 4 } else { 16 };
    Some((address(xt.info.get(at..at + len)?)?, port))
}

/// `dnat to 172.17.0.2:80`: both are loaded as they are.
fn native_dnat(exprs: &[Expr<'_>], family: Family) -> Option<(IpAddr, u16)> {
    let values = exprs.iter().filter_map(|expr| match expr {
        Expr::Immediate(Immediate::Value { value, .. }) => Some(*value),
        _ => None,
    });
    let len = if family == Family::Ip { 4 } else { 16 };
    let to = values.clone().find(|value| value.len() == len).and_then(address)?;
    let port = values.clone().find(|value| value.len() == 2).map_or(0, |value| u16::from_be_bytes([value[0], value[1]]));
    Some((to, port))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)))).ok()
}

/// The destination ports that a rule tests, natively or by xt's `tcp` and `udp`.
fn ports(exprs: &[Expr<'_>]) -> Option<(u16, u16)> {
    let number = |bytes: &[u8]| Some(u16::from_be_bytes(bytes.try_into().ok()?));
    exprs.windows(2).find_map(|pair| match pair {
        [Expr::Payload(Payload { base: Base::Transport, offset: 2, len: 2, .. }), behind] => match behind {
            Expr::Cmp(Cmp { op: CmpOp::Eq, value, .. }) => number(value).map(|port| (port, port)),
            Expr::Range(Range { negated: false, from, to, .. }) => Some((number(from)?, number(to)?)),
            _ => None,
        },
        [Expr::Match(xt), _] if matches!(xt.name, "tcp" | "udp") => {
            let port = |at: usize| Some(u16::from_ne_bytes(xt.info.get(at..at + 2)?.try_into().ok()?));
            Some((port(4)?, port(6)?))
        }
        _ => None,
    })
}

/// What the messages of a dump hold; nothing where the table is not there.
fn gather<T>(netlink: &mut Netlink, request: &Request, each: impl Fn(Message<'_>) -> Option<T>) -> Result<Vec<T>, NetlinkError> {
    match netlink.dump(request, |found: &mut Vec<T>, message| found.extend(each(message))) {
        Err(NetlinkError::Refused { errno: libc::ENOENT, .. }) => Ok(Vec::new()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_docker_proxy_are_read() {
        let words =
            "/usr/bin/docker-proxy -proto tcp -host-ip :: -host-port 8080 -container-ip 172.17.0.2 -container-port 80 -use-listen-fd";
        let read = Served::read(words.replace(' ', "\0").as_bytes()).unwrap();
        let expected = Served {
            protocol: "tcp".into(),
            host: "::".parse().unwrap(),
            port: 8080,
            container: "172.17.0.2".parse().unwrap(),
            container_port: 80,
        };
        assert_eq!(read, expected);
        assert_eq!(read.family(), Family::Ip6);
        assert_eq!(Served::read(b"docker-proxy\0-h\0"), None);
    }
}
