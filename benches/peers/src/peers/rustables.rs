//! rustables.

use std::net::Ipv4Addr;

use rustables::{
    Batch, Chain, MsgType, ProtocolFamily, Rule, Table,
    error::{BuilderError, QueryError},
    expr::{Cmp, CmpOp, Counter, HighLevelPayload, IPv4HeaderField, Immediate, NetworkHeaderField, VerdictKind},
    list_rules_for_chain,
};

fn chain() -> Chain {
    let table = Table::new(ProtocolFamily::Ipv4).with_name("filter");
    Chain::new(&table).with_name("DOCKER-USER")
}

/// The transaction that appends a rule for each address. It asks for an acknowledgement to each
/// message.
///
/// # Errors
/// None that these rules have.
pub fn encode(addresses: &[Ipv4Addr]) -> Result<Batch, BuilderError> {
    let chain = chain();
    let mut batch = Batch::new();
    for address in addresses {
        let rule = Rule::new(&chain)?
            .with_expr(HighLevelPayload::Network(NetworkHeaderField::IPv4(IPv4HeaderField::Saddr)).build())
            .with_expr(Cmp::new(CmpOp::Eq, address.octets()))
            .with_expr(Counter::default().with_nb_bytes(0_u64).with_nb_packets(0_u64))
            .with_expr(Immediate::new_verdict(VerdictKind::Drop));
        batch.add(&rule, MsgType::Add);
    }
    Ok(batch)
}

/// Reads the rules back: their number.
///
/// # Errors
/// Those of netlink.
pub fn list() -> Result<usize, QueryError> {
    Ok(list_rules_for_chain(&chain())?.len())
}
