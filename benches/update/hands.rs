//! What a tool works with.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use dockgate::{
    live::{self, History},
    measure::Path,
    netlink::Netlink,
};

use crate::support::{process, world::Result};

/// A host, and an open connection to its netfilter.
pub struct Hands {
    pub path: Arc<Path>,
    pub live: live::Host,
}

impl Hands {
    /// Opens the connection.
    pub fn new(path: Path) -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let history = process::state().join(COUNT.fetch_add(1, Ordering::Relaxed).to_string());
        let netlink = path.router().netns().run(Netlink::open)??;
        Ok(Self { path: Arc::new(path), live: live::Host::new(netlink, History::at(&history)?) })
    }

    /// The connection.
    pub fn netlink(&mut self) -> &mut Netlink {
        self.live.netlink()
    }

    /// Runs a program with that input; how long it took.
    pub fn run(&self, command: &str, input: &str) -> Result<Duration> {
        process::run(self.path.router().netns(), &command.split_whitespace().collect::<Vec<_>>(), input)
    }

    /// Waits until what was removed is freed. The kernel does that behind the back, at the cost of
    /// who comes next; a socket that is closed waits for it (`nft_rcv_nl_event`).
    pub fn settle(&self) -> Result<()> {
        drop(self.path.router().netns().run(Netlink::open)??);
        Ok(())
    }
}
