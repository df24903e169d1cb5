//! The mark that our own table gives a packet: the elements of its sets as the kernel gets them, in
//! the order that `dockgate::marks` describes.

use std::collections::HashMap;

use dockgate::{
    marks::{Kind, Marks, Table},
    model::Protocol,
};

use super::packet::{Known, Packet};

/// A table by what it looks up.
pub struct Giver {
    marks: Marks,
    hosts: HashMap<u128, u32>,
    /// First, last and class of each interval.
    networks: Vec<(u128, u128, u32)>,
    ports: HashMap<(u32, Protocol, u16), u32>,
}

impl Giver {
    pub fn new(marks: &Marks, table: &Table) -> Self {
        let mut giver = Self { marks: marks.clone(), hosts: HashMap::new(), networks: Vec::new(), ports: HashMap::new() };
        for set in &table.sets {
            for (at, element) in set.elements.iter().enumerate().filter(|(_, element)| !element.end) {
                match set.kind {
                    Kind::Hosts(_, class) => drop(giver.hosts.insert(element.key, class)),
                    Kind::Networks(_, class) => {
                        let last = set.elements.get(at + 1).map_or(u128::MAX, |next| next.key - 1);
                        giver.networks.push((element.key, last, class));
                    }
                    Kind::Hash => {}
                    Kind::Ports(protocol, class) => drop(giver.ports.insert((class, protocol, element.key as u16), element.id)),
                }
            }
        }
        giver
    }

    /// The packet's mark behind the table.
    pub fn mark(&self, packet: &Packet) -> u32 {
        if self.marks.established && packet.known.is_of_known_connections() {
            return packet.mark;
        }
        let network = || self.networks.iter().find(|(first, last, _)| *first <= packet.source && packet.source <= *last);
        let class = self.hosts.get(&packet.source).copied().or_else(|| network().map(|(.., class)| *class)).unwrap_or(0);
        // Without a connection there is no port that was asked for.
        let asks = packet.known != Known::Invalid && packet.known.is_original();
        let by_port = if asks { self.ports.get(&(class, packet.protocol, packet.port)) } else { None };
        let id = by_port.copied().unwrap_or(self.marks.classes[class as usize].id);
        packet.mark & !self.marks.mask | self.marks.value(id)
    }
}
