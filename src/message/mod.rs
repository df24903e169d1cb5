//! nfnetlink messages: requests and batches as bytes, replies as borrowed values. No sockets.
//!
//! Source: `include/uapi/linux/netlink.h` (a header of 16 bytes in host order),
//! `net/netfilter/nfnetlink.c` (four more: family, version 0, a 16-bit field in network order).

mod batch;
mod reply;
mod request;
mod sets;

pub use batch::{BaseChain, Batch, Place, SealedBatch};
pub use reply::{Message, Messages, Refusal};
pub use request::Request;
pub use sets::NewSet;

use crate::{attr::Writer, uapi::*};

/// A message's type: subsystem and number.
const fn kind(subsystem: u16, number: u16) -> u16 {
    subsystem << 8 | number
}

/// Appends a message with the attributes that `fill` writes; back-patches its length. True if an
/// attribute was too long to be said.
fn write(buf: &mut Vec<u8>, kind: u16, flags: u16, seq: u32, family: u8, resource: u16, fill: impl FnOnce(&mut Writer<'_>)) -> bool {
    let start = buf.len();
    buf.extend_from_slice(&[0; 4]);
    buf.extend_from_slice(&kind.to_ne_bytes());
    buf.extend_from_slice(&(NLM_F_REQUEST | flags).to_ne_bytes());
    buf.extend_from_slice(&seq.to_ne_bytes());
    buf.extend_from_slice(&[0; 4]);
    buf.extend_from_slice(&[family, 0]);
    buf.extend_from_slice(&resource.to_be_bytes());
    let mut writer = Writer::new(buf);
    fill(&mut writer);
    let overflowed = writer.overflowed();
    let len = (buf.len() - start) as u32;
    buf[start..start + 4].copy_from_slice(&len.to_ne_bytes());
    overflowed
}
