//! `dockgate audit`: what it says of foreign content is what iptables and Docker make of it.

mod encodings;
mod foreign;
mod notation;
mod older;
mod own;
mod said;
