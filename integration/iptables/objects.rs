//! What examples name and no rule of the filter table makes: ipsets, accounting objects, estimators.

use dockgate::attr::Writer;
use neli::{
    consts::socket::{Msg, NlFamily},
    socket::NlSocket,
    utils::Groups,
};

use crate::support::call;

const SETS: &str = "create office hash:ip -exist\ncreate services hash:ip,port -exist\n";
const ACCOUNTS: [&str; 2] = ["web", "all of it"];
const ESTIMATORS: [&str; 2] = ["RE1", "RE2"];

/// `NFNL_SUBSYS_ACCT << 8 | NFNL_MSG_ACCT_NEW`
const ACCT_NEW: u16 = 7 << 8;
const NFACCT_NAME: u16 = 1;

/// Makes those that are not there.
pub fn make() {
    call("ipset", "restore", SETS).ok();
    ACCOUNTS.into_iter().for_each(account);
    for name in ESTIMATORS {
        let rule = format!("-t mangle -A INPUT -j RATEEST --rateest-name {name} --rateest-interval 250ms --rateest-ewmalog 500ms");
        call("iptables", &rule, "").ok();
    }
}

/// `nfacct add NAME`, which is not on every host.
fn account(name: &str) {
    let mut attributes = Vec::new();
    Writer::new(&mut attributes).string(NFACCT_NAME, name);
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_CREATE | libc::NLM_F_ACK;
    let mut message = Vec::new();
    // struct nlmsghdr: length, type, flags, sequence number, port; struct nfgenmsg: nothing.
    message.extend_from_slice(&(20 + attributes.len() as u32).to_ne_bytes());
    message.extend_from_slice(&ACCT_NEW.to_ne_bytes());
    message.extend_from_slice(&(flags as u16).to_ne_bytes());
    message.extend_from_slice(&[0; 12]);
    message.extend_from_slice(&attributes);
    let socket = NlSocket::connect(NlFamily::Netfilter, None, Groups::empty()).unwrap();
    socket.send(&message, Msg::empty()).unwrap();
    let mut answer = [0; 4096];
    let (length, _) = socket.recv(&mut answer[..], Msg::empty()).unwrap();
    let errno = -i32::from_ne_bytes(*answer[16..length].first_chunk().unwrap());
    // EBUSY: it is there.
    assert!([0, libc::EBUSY].contains(&errno), "{name}: {errno}");
}
