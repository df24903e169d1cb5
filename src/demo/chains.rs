//! The chains that Docker makes, so that there is a Docker host without Docker.

use std::net::{IpAddr, SocketAddr};

use super::Error;
use crate::{
    attr::Writer,
    expr::{Expr, Xt},
    extension::{Context, Sets},
    lab::Party,
    message::{BaseChain, Batch, Place},
    model::{ChainName, Counters, Dialect, Family, TABLE},
    netlink::{Netlink, Outcome},
    rule::{Parser, Rule},
    syntax::split,
    uapi::*,
};

/// The port of the host that is published as port 80 of the container.
pub const PUBLISHED: u16 = 8080;

/// What `iptables-save` shows with engine 28.5 and one container with a published port, without
/// counters and comments. Capitals stand for addresses.
const CHAINS: &str = "\
*raw
:PREROUTING ACCEPT
:OUTPUT ACCEPT
-A PREROUTING -d CONTAINER ! -i docker0 -j DROP
*filter
:INPUT ACCEPT
:FORWARD DROP
:OUTPUT ACCEPT
:DOCKER -
:DOCKER-BRIDGE -
:DOCKER-CT -
:DOCKER-FORWARD -
:DOCKER-ISOLATION-STAGE-1 -
:DOCKER-ISOLATION-STAGE-2 -
:DOCKER-USER -
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER -d CONTAINER ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER ! -i docker0 -o docker0 -j DROP
-A DOCKER-BRIDGE -o docker0 -j DOCKER
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i docker0 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
*nat
:PREROUTING ACCEPT
:INPUT ACCEPT
:OUTPUT ACCEPT
:POSTROUTING ACCEPT
:DOCKER -
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d LOOPBACK -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s NETWORK ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER FROM ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination ENDPOINT
";

/// The chains as `iptables-save` or `ip6tables-save` has them, for the container of
/// [`crate::lab::Topology`].
pub fn text(family: Family) -> String {
    let container = Party::Container.address(family);
    let (network, loopback, from) = match family {
        Family::Ip => ("172.17.0.0/16", "127.0.0.0/8", ""),
        Family::Ip6 => ("fd00:17::/64", "::1/128", "! -s fe80::/10 "),
    };
    CHAINS
        .replace("CONTAINER", &format!("{container}/{}", if container.is_ipv4() { 32 } else { 128 }))
        .replace("ENDPOINT", &SocketAddr::new(container, 80).to_string())
        .replace("NETWORK", network)
        .replace("LOOPBACK", loopback)
        .replace("FROM ", from)
}

/// Writes the chains of those families in one transaction.
///
/// # Errors
/// [`Error::Chains`]; [`Error::Netlink`]
pub fn write(netlink: &mut Netlink, families: &[Family]) -> Result<(), Error> {
    let mut batch = Batch::new(None);
    let mut lines = Vec::new();
    for &family in families {
        let mut table = TABLE;
        for line in text(family).lines() {
            let wrong = |why: String| Error::Chains { line: line.to_owned(), why };
            match line.split_at_checked(1) {
                Some(("*", name)) => {
                    table = table_named(name).ok_or_else(|| wrong("no such table".into()))?;
                    batch.set_table(table);
                    batch.new_table(family);
                }
                Some((":", chain)) => declare(&mut batch, family, table, chain).map_err(wrong)?,
                _ => append(&mut batch, family, line).map_err(wrong)?,
            }
            lines.push(line.to_owned());
        }
    }
    let sealed = batch.seal().map_err(|step| Error::Chains { line: lines[step as usize].clone(), why: "too long".into() })?;
    match netlink.commit(&sealed)? {
        Outcome::Committed => Ok(()),
        Outcome::Outdated => Err(Error::Chains { line: "all".into(), why: "the ruleset was changed by somebody else".into() }),
        Outcome::Refused(refusals) => {
            let refusal = refusals.first();
            let line = refusal.and_then(|refusal| lines.get(sealed.step(refusal.seq)? as usize));
            let errno = refusal.map_or(0, |refusal| refusal.errno);
            Err(Error::Chains { line: line.cloned().unwrap_or_default(), why: std::io::Error::from_raw_os_error(errno).to_string() })
        }
    }
}

fn table_named(name: &str) -> Option<&'static str> {
    [TABLE, "nat", "raw"].into_iter().find(|table| *table == name)
}

/// `NAME POLICY`; `-` for a user chain.
fn declare(batch: &mut Batch, family: Family, table: &str, declaration: &str) -> Result<(), String> {
    let (name, policy) = declaration.split_once(' ').ok_or("no policy")?;
    if policy == "-" {
        batch.new_chain(family, &ChainName::from_kernel(name).map_err(|error| error.to_string())?);
        return Ok(());
    }
    let hook = match name {
        "PREROUTING" => NF_INET_PRE_ROUTING,
        "INPUT" => NF_INET_LOCAL_IN,
        "FORWARD" => NF_INET_FORWARD,
        "OUTPUT" => NF_INET_LOCAL_OUT,
        "POSTROUTING" => NF_INET_POST_ROUTING,
        _ => return Err("no such hook".into()),
    };
    let (kind, priority) = match (table, hook) {
        ("raw", _) => ("filter", NF_IP_PRI_RAW),
        ("nat", NF_INET_PRE_ROUTING | NF_INET_LOCAL_OUT) => ("nat", NF_IP_PRI_NAT_DST),
        ("nat", _) => ("nat", NF_IP_PRI_NAT_SRC),
        _ => ("filter", NF_IP_PRI_FILTER),
    };
    let policy = if policy == "DROP" { NF_DROP } else { NF_ACCEPT };
    batch.new_base_chain(family, BaseChain { name, kind, hook, priority, policy, counters: true });
    Ok(())
}

/// `-A CHAIN RULE`, as iptables 1.8.13 writes it.
fn append(batch: &mut Batch, family: Family, line: &str) -> Result<(), String> {
    let (chain, text) = line.strip_prefix("-A ").and_then(|rest| rest.split_once(' ')).ok_or("no rule")?;
    let (text, nat) = Nat::take(text)?;
    let mut words = Vec::new();
    let parsed = split(text, &mut words).and_then(|()| Parser::parse(&words, family)).map_err(|error| error.to_string())?;
    let rule: &Rule = parsed.rules.first().ok_or("no rule")?;
    let context = Context { family, dialect: Dialect::D, sets: Sets::NONE };
    let chain = ChainName::from_kernel(chain).map_err(|error| error.to_string())?;
    let mut written = Ok(());
    batch.rule(family, &chain, Place::Last, rule.compat(), |w| {
        written = rule.linearize(context, Counters::default(), w);
        nat.iter().for_each(|nat| nat.linearize(family, w));
    });
    written.map_err(|error| error.to_string())
}

/// The targets of the table `nat` that Docker uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nat {
    Dnat(SocketAddr),
    Masquerade,
}

impl Nat {
    /// Splits it off the end of a rule, where one stands.
    fn take(text: &str) -> Result<(&str, Option<Self>), String> {
        if let Some((rule, to)) = text.split_once(" -j DNAT --to-destination ") {
            let to = to.parse().map_err(|_| format!("`{to}` is no address with a port"))?;
            return Ok((rule, Some(Self::Dnat(to))));
        }
        Ok(match text.strip_suffix(" -j MASQUERADE") {
            Some(rule) => (rule, Some(Self::Masquerade)),
            None => (text, None),
        })
    }

    fn linearize(self, family: Family, w: &mut Writer<'_>) {
        let (name, revision, info) = match self {
            Self::Dnat(to) => ("DNAT", 2, range(to)),
            Self::Masquerade => ("MASQUERADE", 0, everything(family)),
        };
        Expr::Target(Xt { name, revision, info: &info }).write(w);
    }
}

/// `struct nf_nat_range2` for one address and port: flags, lowest and highest address (16 bytes
/// each), lowest, highest and base port.
fn range(to: SocketAddr) -> Vec<u8> {
    let address = match to.ip() {
        IpAddr::V4(address) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&address.octets());
            bytes
        }
        IpAddr::V6(address) => address.octets(),
    };
    let port = to.port().to_be_bytes();
    let flags = (NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED).to_ne_bytes();
    let mut info = [&flags[..], &address, &address, &port, &port].concat();
    info.resize(48, 0);
    info
}

/// No restriction: for IPv4 `struct nf_nat_ipv4_multi_range_compat` with one range, for IPv6
/// `struct nf_nat_range`; all else 0.
fn everything(family: Family) -> Vec<u8> {
    match family {
        Family::Ip => {
            let mut info = 1_u32.to_ne_bytes().to_vec();
            info.resize(24, 0);
            info
        }
        Family::Ip6 => vec![0; 40],
    }
}
