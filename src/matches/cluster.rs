use std::fmt;

use crate::{
    extension::{Cursor, Extension, Linearizer},
    model::Test,
    syntax::{Args, Example, Given, OptionSpec, SyntaxError, number, opt},
};

/// `-m cluster`: the nodes of a cluster share the connections by a hash of the sender's address, and
/// this one is the node's. Kernel: `net/netfilter/xt_cluster.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cluster {
    /// Bit i for the node i + 1; not 0, and no bit beyond the number of nodes.
    nodes: Test<u32>,
    /// How many nodes there are, from 1 to [`MAX`].
    total: u32,
    seed: u32,
}

/// `XT_CLUSTER_NODES_MAX`
const MAX: u32 = 32;

impl Extension for Cluster {
    const NAME: &'static str = "cluster";
    const SUMMARY: &'static str = "the connection falls to this node of a cluster";
    const OPTIONS: &'static [OptionSpec] = &[
        opt("cluster-total-nodes", &["NUMBER"], "how many nodes there are, up to 32"),
        opt("cluster-local-node", &["NUMBER"], "which of them this is, counted from 1").negates(),
        opt("cluster-local-nodemask", &["MASK"], "the same for several nodes, one bit each").negates(),
        opt("cluster-hash-seed", &["NUMBER"], "where the hash begins; the same on all nodes"),
    ];
    const EXAMPLES: &'static [Example] = &[
        Example::ok(
            "-m cluster --cluster-total-nodes 2 --cluster-local-node 2 --cluster-hash-seed 0xfeedcafe -j DROP",
            "-m cluster --cluster-local-nodemask 0x00000002 --cluster-total-nodes 2 --cluster-hash-seed 0xfeedcafe -j DROP",
        ),
        Example::ok(
            "-m cluster --cluster-hash-seed 7 ! --cluster-local-nodemask 5 --cluster-total-nodes 3 -j DROP",
            "-m cluster ! --cluster-local-nodemask 0x00000005 --cluster-total-nodes 3 --cluster-hash-seed 0x00000007 -j DROP",
        ),
        Example::ok(
            "-m cluster --cluster-total-nodes 32 ! --cluster-local-node 32 --cluster-hash-seed 0 -j DROP",
            "-m cluster ! --cluster-local-nodemask 0x80000000 --cluster-total-nodes 32 --cluster-hash-seed 0x00000000 -j DROP",
        ),
        Example::fails("-m cluster --cluster-total-nodes 2 --cluster-local-node 1 -j DROP", "needs `--cluster-hash-seed`"),
        Example::fails("-m cluster --cluster-local-node 1 --cluster-hash-seed 1 -j DROP", "needs `--cluster-total-nodes`"),
        Example::fails(
            "-m cluster --cluster-total-nodes 2 --cluster-hash-seed 1 -j DROP",
            "needs `--cluster-local-node` or `--cluster-local-nodemask`",
        ),
        Example::fails(
            "-m cluster --cluster-total-nodes 2 --cluster-local-node 1 --cluster-local-nodemask 1 --cluster-hash-seed 1 -j DROP",
            "`--cluster-local-node` and `--cluster-local-nodemask` say the same: one is enough",
        ),
        Example::fails("-m cluster --cluster-total-nodes 33 --cluster-local-node 1 --cluster-hash-seed 1 -j DROP", "a cluster has 1 to 32 nodes"),
        Example::fails(
            "-m cluster --cluster-total-nodes 2 --cluster-local-node 3 --cluster-hash-seed 1 -j DROP",
            "this is beyond the 2 nodes there are",
        ),
        Example::fails(
            "-m cluster --cluster-total-nodes 2 --cluster-local-nodemask 4 --cluster-hash-seed 1 -j DROP",
            "this is beyond the 2 nodes there are",
        ),
        Example::fails("-m cluster --cluster-total-nodes 2 --cluster-local-nodemask 0 --cluster-hash-seed 1 -j DROP", "no node is named"),
    ];

    fn parse(args: &mut Args<'_>) -> Result<Self, SyntaxError> {
        let (mut nodes, mut total, mut seed) = (None, None, None);
        for given in args.by_ref() {
            match given.name() {
                "cluster-total-nodes" => total = Some(parse_node(&given)?),
                "cluster-hash-seed" => seed = Some(number(&given.values[0], u32::MAX.into())? as u32),
                name => {
                    let mask = if name == "cluster-local-node" { 1 << (parse_node(&given)? - 1) } else { parse_mask(&given)? };
                    if nodes.replace((mask, given)).is_some() {
                        return Err(args.error("`--cluster-local-node` and `--cluster-local-nodemask` say the same: one is enough"));
                    }
                }
            }
        }
        let total = total.ok_or_else(|| args.error("needs `--cluster-total-nodes`"))?;
        let seed = seed.ok_or_else(|| args.error("needs `--cluster-hash-seed`").hint("any number, the same on all nodes"))?;
        let (mask, given) = nodes.ok_or_else(|| args.error("needs `--cluster-local-node` or `--cluster-local-nodemask`"))?;
        let own = Self { nodes: Test { negated: given.negated, value: mask }, total, seed };
        if own.is_valid() { Ok(own) } else { Err(given.error(format!("this is beyond the {total} nodes there are"))) }
    }

    fn linearize(&self, out: &mut Linearizer<'_, '_>) {
        // struct xt_cluster_match_info: u32 total_nodes, u32 node_mask, u32 hash_seed, u32 flags
        let mut info = [0; 16];
        for (slot, value) in info.as_chunks_mut().0.iter_mut().zip([self.total, self.nodes.value, self.seed, self.nodes.negated.into()]) {
            *slot = value.to_ne_bytes();
        }
        out.xt_match(Self::NAME, 0, &info);
    }

    fn delinearize(cursor: &mut Cursor<'_, '_>) -> Option<Self> {
        let info = cursor.take_match::<16>(Self::NAME, 0)?;
        let &[total, value, seed, flags] = info.as_chunks().0 else { return None };
        let flags @ (0 | 1) = u32::from_ne_bytes(flags) else { return None };
        let nodes = Test { negated: flags != 0, value: u32::from_ne_bytes(value) };
        Some(Self { nodes, total: u32::from_ne_bytes(total), seed: u32::from_ne_bytes(seed) }).filter(|own| own.is_valid())
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bang = if self.nodes.negated { "!" } else { "" };
        write!(f, "cluster {bang}node_mask=0x{:08x} total_nodes={} hash_seed=0x{:08x}", self.nodes.value, self.total, self.seed)
    }
}

impl Cluster {
    fn is_valid(self) -> bool {
        (1..=MAX).contains(&self.total) && self.nodes.value != 0 && u64::from(self.nodes.value) < 1 << self.total
    }
}

fn parse_node(given: &Given<'_>) -> Result<u32, SyntaxError> {
    match number(&given.values[0], MAX.into()) {
        Ok(number @ 1..) => Ok(number as u32),
        _ => Err(given.error(format!("a cluster has 1 to {MAX} nodes"))),
    }
}

/// iptables takes masks up to 32 only, and so not all that it prints; here they are taken.
fn parse_mask(given: &Given<'_>) -> Result<u32, SyntaxError> {
    match number(&given.values[0], u32::MAX.into())? as u32 {
        0 => Err(given.error("no node is named").hint("the first node is bit 1, the second 2, the third 4, …")),
        mask => Ok(mask),
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--cluster-local-nodemask 0x{:08x}", self.nodes.bang(), self.nodes.value)?;
        write!(f, " --cluster-total-nodes {} --cluster-hash-seed 0x{:08x}", self.total, self.seed)
    }
}
