//! neli: its attributes and headers; it knows no message of nf_tables, so types are numbers.

use std::{io::Cursor, net::Ipv4Addr};

use neli::{
    ToBytes,
    consts::nl::NlmF,
    genl::{AttrTypeBuilder, Nlattr, NlattrBuilder},
    nl::{NlPayload, NlmsghdrBuilder},
    types::Buffer,
};

type Attr = Nlattr<u16, Buffer>;

/// The transaction that appends a rule for each address.
pub fn encode(addresses: &[Ipv4Addr]) -> Vec<u8> {
    let mut buf = Vec::new();
    super::bracket(&mut buf, libc::NFNL_MSG_BATCH_BEGIN, 1);
    let mut cursor = Cursor::new(buf);
    cursor.set_position(cursor.get_ref().len() as u64);
    for (index, address) in addresses.iter().enumerate() {
        let last = index + 1 == addresses.len();
        rule(&mut cursor, *address, 2 + index as u32, last);
    }
    let mut buf = cursor.into_inner();
    super::bracket(&mut buf, libc::NFNL_MSG_BATCH_END, 2 + addresses.len() as u32);
    buf
}

fn attr(kind: u16, payload: impl ToBytes + neli::Size) -> Attr {
    let kind = AttrTypeBuilder::default().nla_type(kind).build().expect("a type");
    NlattrBuilder::default().nla_type(kind).nla_payload(payload).build().expect("an attribute")
}

fn nest(kind: u16, inner: &[Attr]) -> Attr {
    inner.iter().fold(attr(kind, Buffer::new()), |outer, one| outer.nest(one).expect("an attribute"))
}

fn be32(kind: u16, value: u32) -> Attr {
    attr(kind, value.to_be_bytes())
}

fn be64(kind: u16, value: u64) -> Attr {
    attr(kind, value.to_be_bytes())
}

fn expression(name: &str, inner: &[Attr]) -> Attr {
    nest(1, &[attr(1, name), nest(2, inner)])
}

fn rule(out: &mut Cursor<Vec<u8>>, address: Ipv4Addr, seq: u32, acknowledged: bool) {
    let expressions = nest(
        4,
        &[
            // [ payload load 4b @ network header + 12 => reg 1 ]
            expression("payload", &[be32(1, 1), be32(2, 1), be32(3, 12), be32(4, 4)]),
            expression("cmp", &[be32(1, 1), be32(2, 0), nest(3, &[attr(1, address.octets())])]),
            expression("counter", &[be64(1, 0), be64(2, 0)]),
            expression("immediate", &[be32(1, 0), nest(2, &[nest(2, &[be32(1, 0)])])]),
        ],
    );
    let mut payload = Cursor::new(vec![libc::NFPROTO_IPV4 as u8, 0, 0, 0]);
    payload.set_position(4);
    for one in [attr(1, "filter"), attr(2, "DOCKER-USER"), expressions, nest(5, &[be32(1, 0), be32(2, 0)])] {
        one.to_bytes(&mut payload).expect("an attribute");
    }
    let flags = NlmF::REQUEST | NlmF::CREATE | NlmF::APPEND | if acknowledged { NlmF::ACK } else { NlmF::empty() };
    let message = NlmsghdrBuilder::default()
        .nl_type((libc::NFNL_SUBSYS_NFTABLES << 8 | libc::NFT_MSG_NEWRULE) as u16)
        .nl_flags(flags)
        .nl_seq(seq)
        .nl_payload(NlPayload::Payload(Buffer::from(payload.into_inner())))
        .build()
        .expect("a message");
    message.to_bytes(out).expect("a message");
}
