//! # dockgate
//!
//! Guards the containers of a Docker host: manages the `DOCKER-USER` chain over netlink, each
//! change one atomic transaction, truthful for iptables.
//!
//! # The map
//!
//! A module may name only those above it in this list; `integration/layers.rs` sees to it.
//!
//! | module | what it is |
//! |---|---|
//! | `uapi` | kernel numbers under their kernel names; constants only |
//! | `attr` | attributes: a one-pass writer, a borrowing reader; bytes only |
//! | `model` | families, names, addresses, handles, …: validated when made |
//! | `expr` | the nf_tables expressions, one file each, and their folding into conditions |
//! | `syntax` | the words of a line with their places; what is wrong with them |
//! | `extension` | what a match or target is, and what it is written to and read from |
//! | `matches` | match extensions, one file each: text, expressions, examples |
//! | `targets` | target extensions, the same |
//! | `rule` | a rule: words, save form, expressions both ways, proved |
//! | `message` | nfnetlink messages as bytes: batches, requests, answers; no sockets |
//! | `netlink` | the only socket to netfilter: commit, dump; moves bytes |
//! | `lab` | throw-away network namespaces without root: links, routes, packets, a Docker host to try on |
//! | `ruleset` | what stands in the kernel, as values; which dialect the host's iptables writes |
//! | `save` | the text of iptables-save, read and written |
//! | `plan` | PURE: observed and desired → the steps of one transaction; its `Display` is the dry run |
//! | `docker` | which firewall backend Docker uses here; whether packets reach `DOCKER-USER` |
//! | `apply` | plan → batch → commit; again if the ruleset changed; refusals in words |
//! | `cli` | arguments to commands, and all that is printed |

pub mod apply;
pub mod attr;
pub mod cli;
pub mod docker;
pub mod expr;
pub mod extension;
pub mod lab;
pub mod matches;
pub mod message;
pub mod model;
pub mod netlink;
pub mod plan;
pub mod rule;
pub mod ruleset;
pub mod save;
pub mod syntax;
pub mod targets;
pub mod uapi;
