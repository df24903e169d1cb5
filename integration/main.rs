//! Everything that is tested from outside of a file: laws over all extensions, goldens, and the
//! kernel, iptables and dockerd for real.

mod audit;
mod bench;
mod combined;
mod commands;
mod crashes;
mod demo;
mod docker;
mod dockers;
mod encodings;
mod extensions;
mod front;
mod goldens;
mod iptables;
mod killed;
mod lab;
mod layers;
mod meaning;
mod never_crashes;
mod packets;
mod plans;
mod policies;
mod random;
mod readme;
mod reconcile;
mod support;
mod table;
