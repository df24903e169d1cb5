//! nftnl with mnl: libnftnl and libmnl.

use std::{io, net::Ipv4Addr};

use nftnl::{Batch, Chain, FinalizedBatch, MsgType, ProtoFamily, Rule, Table, nft_expr};

/// The transaction that appends a rule for each address. It is in parts of 128 KiB, and asks for an
/// acknowledgement to each message.
pub fn encode(addresses: &[Ipv4Addr]) -> FinalizedBatch {
    let mut batch = Batch::new();
    let table = Table::new(c"filter", ProtoFamily::Ipv4);
    let chain = Chain::new(c"DOCKER-USER", &table);
    for address in addresses {
        let mut rule = Rule::new(&chain);
        rule.add_expr(&nft_expr!(payload ipv4 saddr));
        rule.add_expr(&nft_expr!(cmp == *address));
        rule.add_expr(&nft_expr!(counter));
        rule.add_expr(&nft_expr!(verdict drop));
        batch.add(&rule, MsgType::Add);
    }
    batch.finalize()
}

/// Sends it as the example of nftnl does.
///
/// # Errors
/// The first that comes.
pub fn send(batch: &FinalizedBatch) -> io::Result<()> {
    let socket = mnl::Socket::new(mnl::Bus::Netfilter)?;
    let port = socket.portid();
    socket.send_all(batch)?;
    let mut buffer = vec![0; nftnl::nft_nlmsg_maxsize() as usize];
    let mut expected = batch.sequence_numbers();
    while !expected.is_empty() {
        for message in socket.recv(&mut buffer[..])? {
            let seq = expected.next().ok_or_else(|| io::Error::other("more acknowledgements than messages"))?;
            mnl::cb_run(message?, seq, port)?;
        }
    }
    Ok(())
}
