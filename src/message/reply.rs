use crate::{
    attr::{Attrs, Malformed, be32, string},
    uapi::*,
};

/// One message of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Subsystem and number.
    pub kind: u16,
    /// `NLM_F_…`
    pub flags: u16,
    /// Which request it answers.
    pub seq: u32,
    /// Behind the header.
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// The attributes behind the four bytes of `nfgenmsg`.
    pub fn attributes(&self) -> &'a [u8] {
        self.payload.get(NFGENMSG_LEN..).unwrap_or(&[])
    }

    /// Is it this message of nf_tables?
    pub fn is_nftables(&self, number: u16) -> bool {
        self.kind == super::kind(NFNL_SUBSYS_NFTABLES, number)
    }

    /// For `NLMSG_ERROR` and `NLMSG_DONE`: the errno, 0 for success.
    pub fn errno(&self) -> i32 {
        self.payload.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code).saturating_neg())
    }

    /// For `NLMSG_ERROR`: what was refused.
    pub fn refusal(&self) -> Refusal {
        let mut refusal = Refusal { seq: self.seq, errno: self.errno(), offset: None, text: None };
        if self.flags & NLM_F_ACK_TLVS == 0 {
            return refusal;
        }
        // error code, then the refused message: its header alone with NETLINK_CAP_ACK, else all.
        let refused = match self.flags & NLM_F_CAPPED {
            0 => self.payload.get(4..8).map_or(0, |len| u32::from_ne_bytes([len[0], len[1], len[2], len[3]]) as usize),
            _ => NLMSG_HDRLEN,
        };
        let tlvs = self.payload.get(4 + refused.next_multiple_of(4)..).unwrap_or(&[]);
        for attr in Attrs::new(tlvs).flatten() {
            match attr.kind {
                NLMSGERR_ATTR_MSG => refusal.text = string(attr.payload).map(str::to_owned),
                NLMSGERR_ATTR_OFFS => refusal.offset = attr.payload.first_chunk().map(|offset| u32::from_ne_bytes(*offset)),
                _ => {}
            }
        }
        refusal
    }

    /// For `NEWGEN`: the generation.
    pub fn generation(&self) -> Option<u32> {
        let attrs = Attrs::new(self.attributes()).flatten();
        attrs.filter(|attr| attr.kind == NFTA_GEN_ID).find_map(|attr| be32(attr.payload))
    }
}

/// What the kernel says of one message that it did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The message's sequence number.
    pub seq: u32,
    /// Why.
    pub errno: i32,
    /// Bytes from the beginning of the message to what was wrong.
    pub offset: Option<u32>,
    /// The kernel's own words; mostly there are none.
    pub text: Option<String>,
}

/// Walks the messages of a datagram (or of a batch).
#[derive(Debug, Clone)]
pub struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    /// The messages in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.0;
        if bytes.is_empty() {
            return None;
        }
        self.0 = &[];
        let Some(header) = bytes.first_chunk::<NLMSG_HDRLEN>() else { return Some(Err(Malformed)) };
        let len = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        if len < NLMSG_HDRLEN || len > bytes.len() {
            return Some(Err(Malformed));
        }
        self.0 = bytes.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some(Ok(Message {
            kind: u16::from_ne_bytes([header[4], header[5]]),
            flags: u16::from_ne_bytes([header[6], header[7]]),
            seq: u32::from_ne_bytes([header[8], header[9], header[10], header[11]]),
            payload: &bytes[NLMSG_HDRLEN..len],
        }))
    }
}
