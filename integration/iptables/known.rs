//! What is known of versions of iptables that do with a rule what they should not.

use std::sync::LazyLock;

use dockgate::{model::Family, rule::Rule};

use super::Installed;
use crate::support::call;

/// Rules that this iptables itself writes or reads as something else, so that what it says of ours
/// proves nothing.
pub fn mistakes(installed: Installed, rule: &str) -> bool {
    let has = |part: &str| rule.contains(part);
    let holes = ["/255.0.0.255", "/255.0.255.0", "/0.0.0.255", "/ffff::ff", "/::ffff"].into_iter().any(has);
    // ip6tables -C and -D don't compare masks (nft-ipv6.c, nft_ipv6_is_same), so that `-s ::/128` is
    // to them as if nothing had been said.
    let everybody = has("-s ::/128");
    // Prints nothing, as if every SPI were right instead of none.
    let every_spi = has("spi 0:4294967295");
    everybody
        || match installed.version {
            // Takes a mask with holes for a prefix; `! -i +` for all packets.
            (1, 8, ..=7) => every_spi || holes || has("! -i + ") || has("! -o + ") || never(rule),
            // Writes or prints no test at all where none is right, or takes a mask with holes for one without; reads two negated ports
            // as one test of both, which is another.
            (1, 8, ..=10) => every_spi || never(rule) || (has("--ctorig") && holes),
            _ => false,
        }
}

/// Does a test say that no number is right?
fn never(rule: &str) -> bool {
    let everything = ["! --dport 0:65535", "! --fragid 0:4294967295", "! --rt-segsleft 0:4294967295", "! --mh-type 0:255"];
    everything.into_iter().any(|part| rule.contains(part))
}

/// Rules that this iptables does not find by the words that it prints for them, its own ones neither.
pub fn not_found(_installed: Installed, rule: &str) -> bool {
    // Of an IPv4 mask `/32` it keeps twelve bytes more as 0, of none as ones; both are printed alike.
    let of_none = ["--ctrepldst 10.0.0.1", "--connlimit-above 10 --connlimit-mask 32", "--tunnel-dst 10.0.0.1"];
    // The same with `--mask`, which it prints always.
    let of_none = of_none.into_iter().any(|part| rule.contains(part));
    // The other way round: of a whole address it has kept ones, and reads zeros from what it prints.
    let of_tuple = ["--hmark-src-prefix 32", "--hmark-dst-prefix 32"].into_iter().any(|part| rule.contains(part));
    of_none || of_tuple || (rule.contains("-m recent ") && rule.contains("--mask 255.255.255.255"))
}

/// What this iptables looks at of a rule when it deletes: of two rules for which this is the same, it
/// takes the first, also where the words are those of the second. Of `-m helper` and `-m connlabel` it
/// compares that they are there.
pub fn looked_at(rule: &Rule) -> String {
    let options = rule.matches.iter().map(|one| match one.name() {
        name @ ("helper" | "connlabel") => name.to_owned(),
        name => format!("{name} {one}"),
    });
    format!("{} {} {:?}", rule.base, options.collect::<Vec<_>>().join(" "), rule.target)
}

/// Rules that iptables makes and prints, and does not take in the words that it prints.
pub fn not_read_back(installed: Installed, rule: &str) -> bool {
    // It prints the number of a type of packet that it has no name for.
    let unnamed = installed.version <= (1, 8, 7) && rule.contains("--pkt-type otherhost");
    // Of masks it takes those up to 32, and prints every node as one.
    unnamed || rule.contains("--cluster-local-nodemask 0x80000000")
}

/// Rules that the kernel takes only in chains without forwarded packets, so not in `DOCKER-USER` once
/// `FORWARD` jumps there, or not at all.
pub fn not_forwarded(rule: &str) -> bool {
    ["-m owner", "-m socket", "-m cgroup"].into_iter().any(|part| rule.contains(part)) || lacking(rule)
}

/// Rules with a target that few kernels have.
pub fn lacking(rule: &str) -> bool {
    static NO_LED: LazyLock<bool> = LazyLock::new(|| call("iptables", "-t raw -A OUTPUT -j LED --led-trigger-id dockgate", "").code != 0);
    rule.contains("-j LED") && *NO_LED
}

/// Lines that this iptables writes in another way than we do in its dialect, on purpose.
pub fn written_otherwise(installed: Installed, line: &str) -> bool {
    let has = |part: &str| line.contains(part);
    mistakes(installed, line)
        || read_otherwise(installed, line)
        // A load that nothing compares.
        || (installed.version <= (1, 8, 9) && (has("-i + ") || has("-o + ")))
        // A number that no kernel looks at.
        || has("--nflog-range")
        // Two matches that are read back as one.
        || has("-m udp --sport 5 -m udp")
}

/// Lines that this iptables writes so that they mean something else.
pub fn read_otherwise(installed: Installed, line: &str) -> bool {
    let middle = (1, 8, 8) <= installed.version && installed.version <= (1, 8, 10);
    // Ends a range at a queue that it then does not take.
    let open = installed.version <= (1, 8, 10) && line.contains("--queue-balance 4:");
    // Two matches are one to us, as to all later ones; a range for NFLOG is nothing.
    let old = installed.version <= (1, 8, 7) && (line.contains("-m udp --sport 5 -m udp") || line.contains("--nflog-range"));
    old || open || mistakes(installed, line) || (middle && line.contains("! --sport 5 ! --dport 6"))
}

/// Does it keep `-c`? ip6tables 1.8.9 counts from 0 whatever is said.
pub fn sets_counters(installed: Installed, family: Family) -> bool {
    family == Family::Ip || installed.version > (1, 8, 10)
}
