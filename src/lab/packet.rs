//! Packets as they go over a link without Ethernet, made by hand (RFC 791, 8200, 768, 9293).

use std::net::{IpAddr, SocketAddr};

/// A packet from one address and port to another, with right lengths and checksums.
///
/// IPv6 if one of the two is IPv6; the other is then IPv4-mapped if it isn't.
///
/// ```
/// use dockgate::lab::Packet;
///
/// let packet = Packet::udp("192.0.2.1:1000".parse().unwrap(), "198.51.100.1:53".parse().unwrap());
/// assert_eq!(packet.as_bytes().len(), 20 + 8 + 8);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet(Vec<u8>);

const TCP: u8 = 6;
const UDP: u8 = 17;
/// What UDP carries: as little as looks like something.
const PAYLOAD: &[u8; 8] = b"dockgate";
const SYN: u8 = 0x02;
const HOPS: u8 = 64;

impl Packet {
    /// UDP with 8 bytes of payload.
    pub fn udp(from: SocketAddr, to: SocketAddr) -> Self {
        let mut segment = ports(from, to);
        segment.extend((8 + PAYLOAD.len() as u16).to_be_bytes());
        segment.extend([0, 0]);
        segment.extend(PAYLOAD);
        Self::new(from, to, UDP, segment, 6)
    }

    /// The first of a TCP connection: SYN, without options.
    pub fn syn(from: SocketAddr, to: SocketAddr) -> Self {
        let mut segment = ports(from, to);
        let (sequence, acknowledged, words, window) = (1_u32, 0_u32, 5_u8, 64_240_u16);
        segment.extend(sequence.to_be_bytes());
        segment.extend(acknowledged.to_be_bytes());
        segment.extend([words << 4, SYN]);
        segment.extend(window.to_be_bytes());
        segment.extend([0; 4]);
        Self::new(from, to, TCP, segment, 16)
    }

    /// Its bytes, from the IP header on.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Is it what these bytes were before a router passed them on, untranslated? A router changes
    /// the number of hops, and the sum over it.
    pub fn is_forwarded_as(&self, other: &[u8]) -> bool {
        let same = if self.0[0] >> 4 == 4 { 12 } else { 8 };
        self.0.len() == other.len() && self.0[same..] == other[same..]
    }

    /// The segment behind its IP header; its checksum, still 0, is `at` bytes in.
    fn new(from: SocketAddr, to: SocketAddr, protocol: u8, mut segment: Vec<u8>, at: usize) -> Self {
        let len = segment.len() as u16;
        let (mut header, addresses) = match (from.ip(), to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                // Version and words, tos, length, number, "don't fragment", hops, protocol, checksum.
                let [high, low] = (20 + len).to_be_bytes();
                let header = vec![0x45, 0, high, low, 0, 0, 0x40, 0, HOPS, protocol, 0, 0];
                (header, [from.octets(), to.octets()].concat())
            }
            (from, to) => {
                // Version, class and label, length of what follows, next header, hops.
                let [high, low] = len.to_be_bytes();
                (vec![0x60, 0, 0, 0, high, low, protocol, HOPS], [v6(from), v6(to)].concat())
            }
        };
        header.extend(&addresses);
        if header.len() == 20 {
            let sum = checksum(&[&header]);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        // The pseudo header: both families' come to the same sum.
        let sum = match checksum(&[&addresses, &[0, protocol], &len.to_be_bytes(), &segment]) {
            // In UDP 0 means that there is none.
            0 => u16::MAX,
            sum => sum,
        };
        segment[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        header.extend(segment);
        Self(header)
    }
}

fn ports(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    [from.port().to_be_bytes(), to.port().to_be_bytes()].concat()
}

fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The Internet checksum (RFC 1071) of parts, each of an even number of bytes.
fn checksum(parts: &[&[u8]]) -> u16 {
    let pairs = parts.iter().flat_map(|part| part.chunks_exact(2));
    let mut sum: u32 = pairs.map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_its_sums_are_zero() {
        let udp = Packet::udp("192.0.2.1:1000".parse().unwrap(), "198.51.100.1:53".parse().unwrap());
        let bytes = udp.as_bytes();
        assert_eq!(checksum(&[&bytes[..20]]), 0);
        assert_eq!(checksum(&[&bytes[12..20], &[0, UDP, 0, 16], &bytes[20..]]), 0);
        let syn = Packet::syn("[fd00::1]:1000".parse().unwrap(), "[fd00::2]:80".parse().unwrap());
        let bytes = syn.as_bytes();
        assert_eq!(bytes.len(), 60);
        assert_eq!(checksum(&[&bytes[8..40], &[0, TCP, 0, 20], &bytes[40..]]), 0);
    }
}
