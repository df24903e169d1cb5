//! netlink-bindings: its codec. Its own sender takes 8 KiB of answers and asks for one to each
//! message; here only the last message is acknowledged.

use std::net::Ipv4Addr;

use netlink_bindings::nftables::{Nfgenmsg, OpNewruleDo};

const HEADER: usize = 16;

/// The transaction that appends a rule for each address.
pub fn encode(addresses: &[Ipv4Addr]) -> Vec<u8> {
    let mut buf = Vec::new();
    super::bracket(&mut buf, libc::NFNL_MSG_BATCH_BEGIN, 1);
    for (index, address) in addresses.iter().enumerate() {
        let last = index + 1 == addresses.len();
        rule(&mut buf, *address, 2 + index as u32, last);
    }
    super::bracket(&mut buf, libc::NFNL_MSG_BATCH_END, 2 + addresses.len() as u32);
    buf
}

fn rule(buf: &mut Vec<u8>, address: Ipv4Addr, seq: u32, acknowledged: bool) {
    let start = buf.len();
    buf.extend_from_slice(&[0; HEADER]);
    let header = Nfgenmsg { nfgen_family: libc::NFPROTO_IPV4 as u8, ..Nfgenmsg::new() };
    let expressions = OpNewruleDo::encode_request(buf, &header).push_table(c"filter").push_chain(c"DOCKER-USER").nested_expressions();
    let payload = expressions.nested_elem().nested_data_payload().push_dreg(1).push_base(1).push_offset(12).push_len(4);
    let cmp = payload.end_nested().end_nested().nested_elem().nested_data_cmp().push_sreg(1).push_op(0);
    let cmp = cmp.nested_data().push_value(&address.octets()).end_nested();
    let counter = cmp.end_nested().end_nested().nested_elem().nested_data_counter().push_bytes(0).push_packets(0);
    let immediate = counter.end_nested().end_nested().nested_elem().nested_data_immediate().push_dreg(0);
    let verdict = immediate.nested_data().nested_verdict().push_code(0).end_nested().end_nested();
    verdict.end_nested().end_nested().end_nested().nested_compat().push_proto(0).push_flags(0).end_nested();
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_CREATE | libc::NLM_F_APPEND | if acknowledged { libc::NLM_F_ACK } else { 0 };
    let kind = (libc::NFNL_SUBSYS_NFTABLES << 8 | libc::NFT_MSG_NEWRULE) as u16;
    let len = (buf.len() - start) as u32;
    buf[start..start + 4].copy_from_slice(&len.to_ne_bytes());
    buf[start + 4..start + 6].copy_from_slice(&kind.to_ne_bytes());
    buf[start + 6..start + 8].copy_from_slice(&(flags as u16).to_ne_bytes());
    buf[start + 8..start + 12].copy_from_slice(&seq.to_ne_bytes());
}
