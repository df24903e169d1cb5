//! Throw-away network namespaces without root and without `ip`: what `dockgate demo`, the tests and
//! the benchmarks stand on.
//!
//! ```no_run
//! use std::{net::SocketAddr, time::Duration};
//! use dockgate::{lab::{self, Outcome, Party, TcpResponder, Topology, Userns}, model::Family};
//!
//! lab::enter(Userns::WhenNeeded)?;                 // first thing in `main`: no threads yet
//! let topology = Topology::build()?;
//! let web = topology.container.run(|| TcpResponder::bind(80))??;
//! let to = SocketAddr::new(Party::Container.address(Family::Ip), 80);
//! let outcome = topology.tcp(Party::Stranger, to, Duration::from_millis(300))?;
//! assert_eq!(outcome, Outcome::Passed);
//! assert_eq!(web.seen()[0].ip(), Party::Stranger.address(Family::Ip));
//! # Ok::<(), lab::Error>(())
//! ```
//!
//! Nothing here touches the namespace that the process was started in, once [`enter`] or [`spawn`]
//! has left it; and nothing has to be cleaned up: namespaces die with their last descriptor.

mod entry;
mod error;
mod link;
mod namespace;
mod packet;
mod poll;
mod probe;
mod responder;
mod router;
mod topology;
mod tun;
mod wire;

pub use entry::{Userns, enter, spawn};
pub use error::Error;
pub use link::Links;
pub use namespace::Netns;
pub use packet::Packet;
pub use probe::{Outcome, tcp_answers, udp_answers};
pub use responder::{TcpResponder, UdpResponder};
pub use router::Router;
pub use topology::{Party, Topology};
pub use tun::Tun;
