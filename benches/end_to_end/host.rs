//! A host with a client on one side and a container on the other, and traffic between the two.

use std::{
    io::{self, Read as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use dockgate::{
    apply::{Options, transact},
    compile::Compiled,
    lab::{Outcome, Party, Topology},
    live::{self, History},
    model::{ChainName, Counters, Dialect, Family},
    netlink::Netlink,
    plan,
    rule::Rule,
    ruleset::{Ruleset, Which},
};
use socket2::SockRef;

use crate::{
    FAMILY,
    support::{process, workload::parse, world::Result},
};

/// The host's link to the client.
pub const LINK: &str = "ext0";
/// Where the container listens.
pub const PORT: u16 = 8200;
/// So many packets have room in a socket that nobody reads from.
const BURST: u64 = 64;
/// So many connect at the same time: no processor waits for the other one.
const CLIENTS: usize = 4;
/// What does not answer within that is dropped: all is on one machine.
const SILENCE: Duration = Duration::from_millis(200);

/// A [`Topology`] whose container listens; the host tracks connections.
pub struct Host {
    pub topology: Topology,
    listener: TcpListener,
    receiver: UdpSocket,
    accepted: Arc<AtomicU64>,
}

impl Host {
    /// Builds one with an empty `DOCKER-USER`.
    pub fn build() -> Result<Self> {
        let topology = Topology::build()?;
        let at = SocketAddr::new(Party::Container.address(FAMILY), PORT);
        let listener = topology.container.run(|| TcpListener::bind(at))??;
        let receiver = topology.container.run(|| UdpSocket::bind(at))??;
        // All that is sent has arrived when the sender has sent it, or a bit later.
        receiver.set_read_timeout(Some(SILENCE))?;
        let mut host = Self { topology, listener, receiver, accepted: Arc::default() };
        host.serve()?;
        let mut netlink = host.netlink()?;
        for family in Family::BOTH {
            transact(&mut netlink, Options::default(), |netlink| {
                Ok(plan::new_chain(&Ruleset::read(netlink, family, Which::None)?, &ChainName::docker_user())?)
            })?;
        }
        // Nothing leads to this chain; its rule has the kernel track connections.
        let tracking = ChainName::for_iptables("TRACKING")?;
        transact(&mut netlink, Options::default(), |netlink| {
            Ok(plan::new_chain(&Ruleset::read(netlink, FAMILY, Which::None)?, &tracking)?)
        })?;
        host.append_to(&tracking, vec![parse("-m conntrack --ctstate NEW -j RETURN", FAMILY)], Dialect::Portable)?;
        // Connections that are over make room for others: there are many in a second.
        host.topology.host.sysctl("netfilter/nf_conntrack_tcp_timeout_time_wait", "1")?;
        host.topology.container.sysctl("ipv4/tcp_max_tw_buckets", "1024")?;
        host.topology.client.sysctl("ipv4/ip_local_port_range", "2048 65535")?;
        Ok(host)
    }

    /// Accepts and closes, in a thread that ends when the socket is shut down.
    fn serve(&self) -> Result<()> {
        let (listener, accepted) = (self.listener.try_clone()?, self.accepted.clone());
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                // Counted first: whoever sees it closed can count on that.
                accepted.fetch_add(1, Ordering::SeqCst);
                drop(stream);
            }
        });
        Ok(())
    }

    fn netlink(&self) -> Result<Netlink> {
        Ok(self.topology.host.run(Netlink::open)??)
    }

    /// Appends rules to `DOCKER-USER`, as that dialect writes them.
    pub fn append(&mut self, rules: Vec<Rule>, dialect: Dialect) -> Result<()> {
        self.append_to(&ChainName::docker_user(), rules, dialect)
    }

    fn append_to(&mut self, chain: &ChainName, rules: Vec<Rule>, dialect: Dialect) -> Result<()> {
        let options = Options { dialect: Some(dialect), ..Options::default() };
        let mut rules = Some(rules);
        transact(&mut self.netlink()?, options, |netlink| {
            let observed = Ruleset::read(netlink, FAMILY, Which::None)?;
            Ok(plan::append(&observed, chain, rules.take().unwrap_or_default(), Counters::default())?)
        })?;
        Ok(())
    }

    /// Makes a policy hold, as `dockgate apply` does.
    pub fn apply(&mut self, compiled: &Compiled) -> Result<()> {
        live::Host::new(self.netlink()?, History::at(&process::state())?).apply(compiled)?;
        Ok(())
    }

    /// Some clients at once connect, wait until the other end has closed, and close; again and again
    /// for so long. The time for one connection, when all of them are counted.
    pub fn connections(&self, time: Duration) -> Result<Duration> {
        let to = self.listener.local_addr()?;
        let before = self.accepted.load(Ordering::SeqCst);
        let client = |begin: Instant| -> io::Result<u64> {
            let mut count = 0;
            while count == 0 || begin.elapsed() < time {
                let mut stream = TcpStream::connect(to)?;
                if stream.read(&mut [0])? != 0 {
                    return Err(io::Error::other("nobody was to send anything"));
                }
                count += 1;
            }
            Ok(count)
        };
        let (count, taken) = self.topology.client.run(|| {
            let begin = Instant::now();
            thread::scope(|scope| {
                let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(move || client(begin))).collect();
                let counts = clients.into_iter().map(|client| client.join().unwrap_or_else(|_| Err(io::Error::other("a client panicked"))));
                counts.sum::<io::Result<u64>>().map(|count| (count, begin.elapsed()))
            })
        })??;
        match self.accepted.load(Ordering::SeqCst) - before {
            accepted if accepted == count => Ok(taken.div_f64(count as f64)),
            accepted => Err(format!("{count} connections were made, and {accepted} accepted").into()),
        }
    }

    /// A client sends some packets, the container receives those that arrive; again and again for so
    /// long. One thread does both: nobody is woken up. The time for each one that arrived.
    pub fn packets(&self, time: Duration) -> Result<Duration> {
        let to = self.receiver.local_addr()?;
        let from = SocketAddr::new(Party::Friend.address(FAMILY), 40_000);
        let sender = self.topology.client.run(|| UdpSocket::bind(from))??;
        let (mut sent, mut arrived, begin) = (0_u64, 0_u64, Instant::now());
        while begin.elapsed() < time {
            for _ in 0..BURST {
                sender.send_to(b"dockgate", to)?;
            }
            sent += BURST;
            while arrived < sent && self.receiver.recv(&mut [0; 64]).is_ok() {
                arrived += 1;
            }
        }
        let taken = begin.elapsed();
        if arrived < sent {
            return Err(format!("{sent} packets were sent, and {arrived} arrived").into());
        }
        Ok(taken.div_f64(arrived as f64))
    }

    /// From that address nothing comes through to that port of the container.
    pub fn prove_dropped(&self, from: IpAddr, port: u16) -> Result<()> {
        if from != Party::Friend.address(FAMILY) {
            self.topology.add_client(from)?;
        }
        let to = SocketAddr::new(Party::Container.address(FAMILY), port);
        match self.topology.client.run(|| dockgate::lab::tcp_answers(from, to, SILENCE))?? {
            Outcome::Dropped => Ok(()),
            outcome => Err(format!("{from} to port {port}: {outcome:?} instead of dropped").into()),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Of a socket that is gone nobody waits for anything.
        let _ = SockRef::from(&self.listener).shutdown(std::net::Shutdown::Both);
    }
}
