//! What rules cost a packet: two hosts in namespaces, one with the rules and one without, sent the
//! same packets in turn.
//!
//! The time is that of the whole way through the host, from the link where a packet comes in to the
//! one where it goes out, and connection tracking is on in both, as on a host with Docker. So the
//! difference of the two is what the rules cost, and nothing else.
//!
//! ```no_run
//! use std::time::Duration;
//! use dockgate::{
//!     compile, lab::{self, Packet, Router, Userns}, measure::{Path, pair}, model::Family,
//!     policy::{File, Policy},
//! };
//!
//! lab::enter(Userns::WhenNeeded)?;                 // first thing in `main`: no threads yet
//! let text = "external = 'eth0'\ndefault = 'drop'\n[[rule]]\nallow = '443/tcp'\n";
//! let policy = Policy::parse(vec![File::new("web.toml", text)]).policy;
//! let (floor, mut tested) = (Path::build("empty", "eth0")?, Path::build("tested", "eth0")?);
//! tested.apply(&compile::docker_user(&policy, "web", None))?;
//! let packet = Packet::syn("10.0.0.1:4000".parse()?, (Router::receiver(Family::Ip), 443).into());
//! let cost = pair(&floor, &tested, &[packet], Duration::from_millis(200))?;
//! println!("{:.0} ns more than {:.0} ns", cost.added, cost.floor);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cost;
mod path;
mod samples;
mod work;

pub use cost::{Cost, Pairing, pair};
pub use path::{Error, Path};
pub use samples::{Samples, stranger};
pub use work::{Work, block_list, elsewhere, work};
