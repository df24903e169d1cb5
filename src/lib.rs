//! Guards the containers of a Docker host: manages the `DOCKER-USER` chain over netlink, without
//! `iptables`, `nft` or a shell.
//!
//! Every change is one atomic transaction, made on the very ruleset that it was planned on; what is
//! written reads back in `iptables -S`, `-C`, `-D` and `iptables-save | iptables-restore` as exactly
//! what it does; what can't be read is shown and kept.
//!
//! # From words to the kernel and back
//!
//! ```standalone_crate
//! use dockgate::{
//!     apply::{Options, transact},
//!     lab::{self, Userns},
//!     model::{ChainName, Counters, Family},
//!     netlink::Netlink,
//!     plan,
//!     rule::Parser,
//!     ruleset::{Ruleset, Which},
//!     syntax::split,
//! };
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // A network namespace of our own, so that trying this changes nothing. Leave it out, and the
//!     // rest works on the host (as root).
//!     lab::enter(Userns::WhenNeeded)?;
//!
//!     // Open: kept open, a connection is much cheaper than one for each change.
//!     let mut netlink = Netlink::open()?;
//!     let chain = ChainName::docker_user();
//!
//!     // Words to rules, as iptables takes them.
//!     let mut words = Vec::new();
//!     split("-i eth0 ! -s 192.168.1.1 -j DROP", &mut words)?;
//!     let parsed = Parser::parse(&words, Family::Ip)?;
//!
//!     // Read the chains, plan, commit. If somebody else changes the ruleset between the reading and
//!     // the commit, the kernel refuses the transaction and the closure is called again.
//!     let done = transact(&mut netlink, Options::default(), |netlink| {
//!         let observed = Ruleset::read(netlink, Family::Ip, Which::None)?;
//!         Ok(plan::append(&observed, &chain, parsed.rules.clone(), Counters::default())?)
//!     })?;
//!     // There was nothing, not even the table: all of it was made as Docker makes it.
//!     assert_eq!(done.messages(), 5);
//!
//!     // Read the chain back.
//!     let observed = Ruleset::read(&mut netlink, Family::Ip, Which::Of(&chain))?;
//!     let rules = observed.chain("DOCKER-USER").unwrap().rules();
//!     assert_eq!(rules[0].rule().unwrap().to_string(), "! -s 192.168.1.1/32 -i eth0 -j DROP");
//!     Ok(())
//! }
//! ```
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
//! | `notation` | rules in the words of nft, for people
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
//! | `policy` | the policy file: who may reach what; all that is wrong with it at once; what it means for a packet |
//! | `marks` | our own table: its sets find senders and give a mark, which rules in `DOCKGATE` test |
//! | `compile` | PURE: a policy → the chains and rules that say it |
//! | `plan` | PURE: observed and desired → the steps of one transaction; its `Display` is the dry run |
//! | `docker` | which firewall backend Docker uses here; whether packets reach `DOCKER-USER`, and what lets them past |
//! | `apply` | plan → batch → commit; again if the ruleset changed; refusals in words |
//! | `audit` | PURE: what others wrote that iptables misreads, refuses or loses, and what that does to Docker |
//! | `live` | policies on this host: apply, on trial, confirm, roll back, remove, status; their history |
//! | `measure` | what rules cost a packet: the same packets through two hosts in namespaces, with and without |
//! | `demo` | a Docker host to look at: its chains, packets, rule after rule, and what became of them |
//! | `cli` | arguments to commands, and all that is printed |

pub mod apply;
pub mod attr;
pub mod audit;
pub mod cli;
pub mod compile;
pub mod demo;
pub mod docker;
pub mod expr;
pub mod extension;
pub mod lab;
pub mod live;
pub mod marks;
pub mod matches;
pub mod measure;
pub mod message;
pub mod model;
pub mod netlink;
pub mod notation;
pub mod plan;
pub mod policy;
pub mod rule;
pub mod ruleset;
pub mod save;
pub mod syntax;
pub mod targets;
pub mod uapi;
