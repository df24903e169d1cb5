//! Many rules into the empty chain, in one transaction.

use std::{
    fs, io,
    io::IoSlice,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use dockgate::{
    apply::{Options, transact},
    model::{ChainName, Counters, Family},
    plan,
    ruleset::{Ruleset, Which},
};

use crate::{
    peers,
    programs::{Programs, is_there},
    raw::Raw,
    support::{
        experiment::{Column, Contender, Experiment, Outcome, timed},
        workload,
        world::{self, Result, World},
    },
};

/// Bytes that were written before, sent by us: what the kernel takes.
pub const REPLAY: &str = "replay";
/// dockgate as a library: from rules to the proof of their commit.
pub const LIBRARY: &str = "dockgate (library)";
/// The replay as a process.
pub const REPLAY_PROCESS: &str = "`replay` (process)";
/// dockgate as a process.
pub const RESTORE: &str = "`dockgate restore`";
/// iptables as a process.
pub const IPTABLES: &str = "`iptables-restore --noflush`";

/// How many rules those that fail with many are given.
const AS_THEY_COME: usize = 1000;

/// The texts and bytes that programs read, in a directory that goes when this does.
#[derive(Debug)]
pub struct Files(PathBuf);

impl Files {
    /// Writes them.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn new(len: usize, bytes: &[u8]) -> io::Result<Self> {
        let dir = std::env::temp_dir().join(format!("dockgate-compare-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        let files = Self(dir);
        let lines: String = (0..len).map(|index| format!("-A DOCKER-USER {}\n", workload::words(index))).collect();
        fs::write(files.saved(), format!("*filter\n:DOCKER-USER - [0:0]\n{lines}COMMIT\n"))?;
        let rule = |index| format!("add rule ip filter DOCKER-USER ip saddr {} counter drop\n", workload::address(index));
        fs::write(files.nft(), (0..len).map(rule).collect::<String>())?;
        fs::write(files.bytes(), bytes)?;
        Ok(files)
    }

    fn saved(&self) -> PathBuf {
        self.0.join("rules.v4")
    }

    fn nft(&self) -> PathBuf {
        self.0.join("rules.nft")
    }

    /// The transaction that `replay` sends.
    pub fn bytes(&self) -> PathBuf {
        self.0.join("batch.bin")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // What stays in the temporary directory is of no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Loads `len` rules in every way; `all` or only those that [`crate::report::targets`] names.
///
/// # Errors
/// As [`Experiment::run`].
pub fn load(world: &mut World, programs: &Programs, len: usize, rounds: usize, all: bool) -> Result<Outcome> {
    let rules = workload::rules(0..len);
    let addresses: Vec<Ipv4Addr> = (0..len).map(workload::address).collect();
    let sealed = world::batch(&rules);
    let bytes = sealed.as_bytes();
    let files = Files::new(len, bytes)?;
    // An acknowledgement to each message makes a batch no longer than ours.
    let raw = Raw::open(bytes.len() + bytes.len() / 2)?;

    let mut contenders = vec![
        Contender::new(REPLAY, |_| timed(|| Ok(raw.commit(&[IoSlice::new(bytes)])?))),
        Contender::new(REPLAY_PROCESS, |_| programs.run(&programs.replay, [files.bytes()])),
        Contender::new(LIBRARY, |world| {
            let mut rules = Some(rules.clone());
            timed(|| append(world, &mut rules))
        }),
        Contender::new(RESTORE, |_| programs.run(&programs.dockgate, [Path::new("restore"), &files.saved()])),
    ];
    if is_there("iptables-restore") {
        let args = || [PathBuf::from("--noflush"), files.saved()];
        contenders.push(Contender::new(IPTABLES, move |_| programs.run("iptables-restore", args())));
    }
    if all {
        contenders.extend(crates(&raw, &addresses));
        if is_there("nft") {
            let args = || [PathBuf::from("-f"), files.nft()];
            contenders.push(Contender::new("`nft -f`", move |_| programs.run("nft", args())));
        }
    }
    Experiment {
        title: format!("load {len} rules"),
        rounds,
        patience: Duration::MAX,
        turn: Duration::ZERO,
        prepare: Box::new(World::empty),
        verify: Box::new(|world, closely| match world.count()? {
            count if count != len => Err(format!("{count} of {len} rules are there").into()),
            _ if closely && !world.holds(&rules)? => Err("other rules are there".into()),
            _ => Ok(()),
        }),
        contenders,
        columns: vec![
            Column { heading: "replay", baselines: &[REPLAY, REPLAY_PROCESS] },
            Column { heading: "iptables", baselines: &[IPTABLES] },
        ],
    }
    .run(world)
}

/// Other crates.
fn crates<'a>(raw: &'a Raw, addresses: &'a [Ipv4Addr]) -> Vec<Contender<'a, World>> {
    let mut contenders = vec![
        Contender::new("netlink-bindings", |_: &mut World| timed(|| send(raw, peers::bindings::encode(addresses)))),
        Contender::new("rustables", |_| timed(|| send(raw, peers::rustables::encode(addresses)?.finalize()))),
        Contender::new("nftnl", |_| {
            timed(|| {
                let batch = peers::nftnl::encode(addresses);
                let parts: Vec<IoSlice<'_>> = batch.iter().map(IoSlice::new).collect();
                raw.commit(&parts)?;
                drop(parts);
                Ok(batch)
            })
        }),
        Contender::new("neli", |_| timed(|| send(raw, peers::neli::encode(addresses)))),
    ];
    if addresses.len() <= AS_THEY_COME {
        contenders.push(Contender::new("rustables, as it comes", |_| timed(|| Ok(peers::rustables::encode(addresses)?.send()?))));
        contenders.push(Contender::new("nftnl with mnl, as they come", |_| {
            timed(|| {
                let batch = peers::nftnl::encode(addresses);
                peers::nftnl::send(&batch)?;
                Ok(batch)
            })
        }));
    }
    contenders
}

fn send(raw: &Raw, bytes: Vec<u8>) -> Result<Vec<u8>> {
    raw.commit(&[IoSlice::new(&bytes)])?;
    Ok(bytes)
}

fn append(world: &mut World, rules: &mut Option<Vec<dockgate::rule::Rule>>) -> Result<plan::Plan> {
    let chain = ChainName::docker_user();
    let done = transact(&mut world.netlink, Options::default(), |netlink| {
        let observed = Ruleset::read(netlink, Family::Ip, Which::None)?;
        Ok(plan::append(&observed, &chain, rules.take().unwrap_or_default(), Counters::default())?)
    });
    Ok(done?)
}
