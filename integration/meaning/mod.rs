//! What policies mean: against an interpreter of their own, by real packets, and with a real engine.

mod docker;
mod language;
mod packets;
mod random;
mod reference;
mod session;
mod trial;
mod walk;
mod world;
