use crate::{
    attr::{Attr, Attrs, be64},
    message::Message,
    uapi::*,
};

/// Notices what a dump says twice, and rules that it leaves out.
///
/// The kernel fills one datagram after another, and finds its place in a list again by counting. It also
/// counts what a transaction has added that is still being prepared, which nobody may see yet and which
/// has no generation. If such a transaction begins or is given up between two datagrams, the place is a wrong
/// one, and neither `NLM_F_DUMP_INTR` nor the generation tells.
///
/// Chains come again for as long as others are being prepared, as those are counted only where the list is
/// begun anew; they are passed over. Rules come again, or are missing, only where a transaction begins or ends
/// right then: so they are to be asked for anew.
///
/// Source: `nf_tables_dump_chains`, `nf_tables_dump_sets`, `__nf_tables_dump_rules` (`net/netfilter/nf_tables_api.c`).
#[derive(Debug, Default)]
pub(super) struct Sequence {
    /// Of each table the name and the last handle of a chain or set: they ascend in the order of the list.
    tables: Vec<(Vec<u8>, u64)>,
    /// The last rule's table and chain, and its handle: the next rule of the chain names it as its position.
    chain: (Vec<u8>, Vec<u8>),
    rule: u64,
}

/// What a message is, after those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// As far as can be told, the next.
    Next,
    /// One that was there already.
    Again,
    /// Neither the next nor a known one: the dump is not whole.
    Torn,
}

impl Sequence {
    pub(super) fn take(&mut self, message: Message<'_>) -> Told {
        let (follows, otherwise) = match message {
            _ if message.is_nftables(NFT_MSG_NEWRULE) => (self.is_next_rule(message.attributes()), Told::Torn),
            _ if message.is_nftables(NFT_MSG_NEWCHAIN) => (self.is_new(message.attributes(), NFTA_CHAIN_HANDLE), Told::Again),
            _ if message.is_nftables(NFT_MSG_NEWSET) => (self.is_new(message.attributes(), NFTA_SET_HANDLE), Told::Again),
            _ => (true, Told::Next),
        };
        if follows { Told::Next } else { otherwise }
    }

    fn is_new(&mut self, attributes: &[u8], number: u16) -> bool {
        let (mut table, mut handle) = (&[][..], None);
        for Attr { kind, payload } in Attrs::new(attributes).flatten() {
            match kind {
                NFTA_CHAIN_TABLE => table = payload,
                _ if kind == number => handle = be64(payload),
                _ => {}
            }
        }
        // Kernels before 4.16 tell no handles of sets.
        let Some(handle) = handle else { return true };
        match self.tables.iter_mut().find(|(name, _)| name == table) {
            Some((_, last)) if *last < handle => {
                *last = handle;
                true
            }
            Some(_) => false,
            None => {
                self.tables.push((table.to_vec(), handle));
                true
            }
        }
    }

    fn is_next_rule(&mut self, attributes: &[u8]) -> bool {
        let (mut table, mut chain, mut handle, mut position) = (&[][..], &[][..], None, None);
        for Attr { kind, payload } in Attrs::new(attributes).flatten() {
            match kind {
                NFTA_RULE_TABLE => table = payload,
                NFTA_RULE_CHAIN => chain = payload,
                NFTA_RULE_HANDLE => handle = be64(payload),
                NFTA_RULE_POSITION => position = be64(payload),
                _ => {}
            }
        }
        let before = std::mem::replace(&mut self.rule, handle.unwrap_or_default());
        if (table, chain) == (&self.chain.0[..], &self.chain.1[..]) {
            return position == Some(before);
        }
        self.chain = (table.to_vec(), chain.to_vec());
        position.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{attr::Writer, message::Messages};

    /// What a message of a dump is, with these attributes.
    fn take(sequence: &mut Sequence, number: u16, fill: impl Fn(&mut Writer<'_>)) -> Told {
        let mut bytes = vec![0; 20];
        fill(&mut Writer::new(&mut bytes));
        let len = bytes.len() as u32;
        bytes[..4].copy_from_slice(&len.to_ne_bytes());
        bytes[4..6].copy_from_slice(&(NFNL_SUBSYS_NFTABLES << 8 | number).to_ne_bytes());
        sequence.take(Messages::new(&bytes).next().unwrap().unwrap())
    }

    fn rules(all: &[(&str, u64, u64)]) -> Vec<Told> {
        let mut sequence = Sequence::default();
        let rule = |&(chain, handle, position): &(&str, u64, u64)| {
            take(&mut sequence, NFT_MSG_NEWRULE, |w| {
                w.string(NFTA_RULE_TABLE, "filter");
                w.string(NFTA_RULE_CHAIN, chain);
                w.be64(NFTA_RULE_HANDLE, handle);
                if position > 0 {
                    w.be64(NFTA_RULE_POSITION, position);
                }
            })
        };
        all.iter().map(rule).collect()
    }

    fn chains(all: &[(&str, u64)]) -> Vec<Told> {
        let mut sequence = Sequence::default();
        let chain = |&(table, handle): &(&str, u64)| {
            take(&mut sequence, NFT_MSG_NEWCHAIN, |w| {
                w.string(NFTA_CHAIN_TABLE, table);
                w.be64(NFTA_CHAIN_HANDLE, handle);
            })
        };
        all.iter().map(chain).collect()
    }

    #[test]
    fn what_is_told_twice_or_left_out_is_noticed() {
        use Told::{Again, Next, Torn};
        assert_eq!(rules(&[("a", 7, 0), ("a", 9, 7), ("a", 8, 9), ("b", 3, 0), ("c", 11, 0), ("c", 4, 11)]), [Next; 6]);
        assert_eq!(rules(&[("a", 7, 0), ("a", 7, 0)]), [Next, Torn], "the first rule twice");
        assert_eq!(rules(&[("a", 7, 0), ("a", 9, 7), ("a", 9, 7)]), [Next, Next, Torn], "the last rule twice");
        assert_eq!(rules(&[("a", 7, 0), ("a", 8, 9)]), [Next, Torn], "one is left out");
        assert_eq!(rules(&[("a", 7, 0), ("b", 8, 9)]), [Next, Torn], "the first is left out");
        assert_eq!(chains(&[("filter", 1), ("filter", 5), ("dockgate", 1), ("dockgate", 2)]), [Next; 4]);
        assert_eq!(chains(&[("filter", 1), ("filter", 5), ("dockgate", 1), ("dockgate", 1)]), [Next, Next, Next, Again]);
        let again = chains(&[("filter", 1), ("filter", 5), ("dockgate", 1), ("filter", 5), ("dockgate", 1), ("dockgate", 2)]);
        assert_eq!(again, [Next, Next, Next, Again, Again, Next]);
    }
}
