//! What policies mean: against an interpreter of their own, by real packets, and with a real engine.

mod agree;
mod aim;
mod dice;
mod docker;
mod faults;
mod language;
mod lists;
mod marks;
mod packet;
mod packets;
mod proof;
mod random;
mod reference;
mod session;
mod shrink;
mod small;
mod text;
mod trial;
mod verdict;
mod walk;
mod world;
