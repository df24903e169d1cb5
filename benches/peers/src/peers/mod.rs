//! The same rule, `-s ADDRESS/32 -j DROP`, as other crates write it.
//!
//! Each encodes a whole transaction; who sends it is a matter of its own. With our socket all of
//! them work; as rustables and nftnl with mnl come, they fail above some 250 rules.

pub mod bindings;
pub mod neli;
pub mod nftnl;
pub mod rustables;

/// Appends `NFNL_MSG_BATCH_BEGIN` or `_END`, for crates that only write the messages between them.
fn bracket(buf: &mut Vec<u8>, kind: libc::c_int, seq: u32) {
    buf.extend_from_slice(&20_u32.to_ne_bytes());
    buf.extend_from_slice(&(kind as u16).to_ne_bytes());
    buf.extend_from_slice(&(libc::NLM_F_REQUEST as u16).to_ne_bytes());
    buf.extend_from_slice(&seq.to_ne_bytes());
    buf.extend_from_slice(&[0; 6]);
    buf.extend_from_slice(&(libc::NFNL_SUBSYS_NFTABLES as u16).to_be_bytes());
}
