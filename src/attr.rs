//! Netlink attributes: a writer that back-patches lengths in one pass, and a borrowing reader.
//! Bytes only; what they mean is for the layers below in the map.
//!
//! Source: `include/uapi/linux/netlink.h`: a 16-bit length in host order that counts its own four
//! bytes of header, a 16-bit type, the payload, and padding to four bytes.

use crate::uapi::{NLA_F_NESTED, NLA_TYPE_MASK};

const HEADER: usize = 4;

/// The length of the longest attribute, header included: the length field has 16 bits.
pub const MAX_LEN: usize = u16::MAX as usize;

/// Appends attributes to a buffer. Allocates nothing besides the buffer's own growth.
///
/// An attribute over [`MAX_LEN`] bytes can't be said in netlink; it sets [`Writer::overflowed`],
/// and whoever sends the buffer refuses it. (Other encoders wrap the length silently.)
#[derive(Debug)]
pub struct Writer<'b> {
    buf: &'b mut Vec<u8>,
    overflowed: bool,
    /// What a nest's type has besides its number.
    nested: u16,
}

impl<'b> Writer<'b> {
    /// A writer that appends to `buf`.
    pub fn new(buf: &'b mut Vec<u8>) -> Self {
        Self { buf, overflowed: false, nested: NLA_F_NESTED }
    }

    /// A writer whose nests have no flag, as the kernel dumps them: what it writes can be compared
    /// with a dump byte by byte.
    pub fn as_dumped(buf: &'b mut Vec<u8>) -> Self {
        Self { buf, overflowed: false, nested: 0 }
    }

    /// Did an attribute exceed [`MAX_LEN`]? Then the buffer must not be sent.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// The number of bytes in the buffer.
    pub fn position(&self) -> usize {
        self.buf.len()
    }

    /// Appends an attribute with these bytes as they are.
    #[inline]
    pub fn bytes(&mut self, kind: u16, payload: &[u8]) {
        self.padded(kind, payload, 0);
    }

    /// Appends a string with its terminating NUL.
    #[inline]
    pub fn string(&mut self, kind: u16, text: &str) {
        self.padded(kind, text.as_bytes(), 1);
    }

    /// Appends one byte.
    #[inline]
    pub fn u8(&mut self, kind: u16, value: u8) {
        self.bytes(kind, &[value]);
    }

    /// Appends 16 bits in network order.
    #[inline]
    pub fn be16(&mut self, kind: u16, value: u16) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// Appends 32 bits in network order, as nf_tables has nearly all its numbers.
    #[inline]
    pub fn be32(&mut self, kind: u16, value: u32) {
        let ([a, b], [c, d]) = (8u16.to_ne_bytes(), kind.to_ne_bytes());
        let [e, f, g, h] = value.to_be_bytes();
        self.buf.extend_from_slice(&[a, b, c, d, e, f, g, h]);
    }

    /// Appends 64 bits in network order.
    #[inline]
    pub fn be64(&mut self, kind: u16, value: u64) {
        let mut attribute = [0; 12];
        attribute[..2].copy_from_slice(&12u16.to_ne_bytes());
        attribute[2..4].copy_from_slice(&kind.to_ne_bytes());
        attribute[4..].copy_from_slice(&value.to_be_bytes());
        self.buf.extend_from_slice(&attribute);
    }

    /// The header, the payload, `nul` bytes that count, and the padding that does not.
    #[inline]
    fn padded(&mut self, kind: u16, payload: &[u8], nul: usize) {
        let len = HEADER + payload.len() + nul;
        self.overflowed |= len > MAX_LEN;
        let ([a, b], [c, d]) = ((len as u16).to_ne_bytes(), kind.to_ne_bytes());
        self.buf.reserve(len + 4);
        self.buf.extend_from_slice(&[a, b, c, d]);
        // Word by word, as most have one to three: a call takes longer, with musl above all.
        let (words, rest) = payload.as_chunks::<4>();
        words.iter().for_each(|word| self.buf.extend_from_slice(word));
        let last = match *rest {
            [] => [0; 4],
            [a] => [a, 0, 0, 0],
            [a, b] => [a, b, 0, 0],
            [a, b, c, ..] => [a, b, c, 0],
        };
        let end = self.buf.len() + (rest.len() + nul).next_multiple_of(4);
        self.buf.extend_from_slice(&last);
        self.buf.truncate(end);
    }

    /// Appends an attribute that holds what `fill` writes.
    #[inline]
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.buf.len();
        let [c, d] = (kind | self.nested).to_ne_bytes();
        self.buf.extend_from_slice(&[0, 0, c, d]);
        fill(self);
        let len = self.buf.len() - start;
        self.overflowed |= len > MAX_LEN;
        self.buf[start..start + 2].copy_from_slice(&(len as u16).to_ne_bytes());
    }
}

/// One attribute as read: its type without the flag bits, and its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr<'a> {
    /// The type (`NFTA_…`), flags removed.
    pub kind: u16,
    /// The payload, padding removed.
    pub payload: &'a [u8],
}

/// Bytes that are not a list of attributes: a length below four or past the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Walks a list of attributes. Yields [`Malformed`] once, then ends.
#[derive(Debug, Clone)]
pub struct Attrs<'a>(&'a [u8]);

impl<'a> Attrs<'a> {
    /// The attributes in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Result<Attr<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.0;
        if bytes.is_empty() {
            return None;
        }
        self.0 = &[];
        if bytes.len() < HEADER {
            return Some(Err(Malformed));
        }
        let len = u16::from_ne_bytes([bytes[0], bytes[1]]) as usize;
        let kind = u16::from_ne_bytes([bytes[2], bytes[3]]) & NLA_TYPE_MASK;
        if len < HEADER || len > bytes.len() {
            return Some(Err(Malformed));
        }
        self.0 = bytes.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some(Ok(Attr { kind, payload: &bytes[HEADER..len] }))
    }
}

/// The payloads of the attributes `1..N`, by type; `table[0]` is always `None`.
///
/// # Errors
/// [`Malformed`] for a broken list, and for an attribute that is not below `N` or comes twice:
/// what we don't understand must not be dropped.
#[inline]
pub fn table<const N: usize>(bytes: &[u8]) -> Result<[Option<&[u8]>; N], Malformed> {
    let mut out = [None; N];
    for attr in Attrs::new(bytes) {
        let attr = attr?;
        let slot = out.get_mut(attr.kind as usize).ok_or(Malformed)?;
        if attr.kind == 0 || slot.replace(attr.payload).is_some() {
            return Err(Malformed);
        }
    }
    Ok(out)
}

/// 32 bits in network order.
#[inline]
pub fn be32(payload: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(payload.try_into().ok()?))
}

/// 64 bits in network order.
#[inline]
pub fn be64(payload: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(payload.try_into().ok()?))
}

/// A string that ends with its only NUL, as the kernel writes them; `None` if it does not, or is not
/// UTF-8.
#[inline]
pub fn terminated(payload: &[u8]) -> Option<&str> {
    let (0, text) = payload.split_last()? else { return None };
    std::str::from_utf8(text).ok().filter(|text| !text.contains('\0'))
}

/// A string up to its first NUL; `None` if it is not UTF-8.
#[inline]
pub fn string(payload: &[u8]) -> Option<&str> {
    let end = payload.iter().position(|&b| b == 0).unwrap_or(payload.len());
    std::str::from_utf8(&payload[..end]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut buf = Vec::new();
        let mut w = Writer::new(&mut buf);
        w.string(1, "filter");
        w.nest(4, |w| w.be32(2, 7));
        assert!(!w.overflowed());
        let attrs: Vec<_> = Attrs::new(&buf).map(Result::unwrap).collect();
        assert_eq!(attrs[0], Attr { kind: 1, payload: b"filter\0" });
        assert_eq!(attrs[1].kind, 4);
        let inner = table::<3>(attrs[1].payload).unwrap();
        assert_eq!(be32(inner[2].unwrap()), Some(7));
    }

    #[test]
    fn an_attribute_over_64_kib_is_noticed() {
        let mut buf = Vec::new();
        let mut w = Writer::new(&mut buf);
        w.nest(1, |w| {
            for _ in 0..2 {
                w.bytes(1, &[0; 40_000]);
            }
        });
        assert!(w.overflowed());
    }

    #[test]
    fn broken_lengths_end_the_walk() {
        for bytes in [&[3, 0, 1, 0][..], &[9, 0, 1, 0, 0], &[0; 4], &[4, 0, 1]] {
            let mut attrs = Attrs::new(bytes);
            assert_eq!(attrs.next(), Some(Err(Malformed)), "{bytes:?}");
            assert_eq!(attrs.next(), None);
        }
    }

    #[test]
    fn a_table_refuses_what_it_does_not_know() {
        let mut buf = Vec::new();
        let mut w = Writer::new(&mut buf);
        w.u8(2, 1);
        assert!(table::<3>(&buf).is_ok());
        assert_eq!(table::<2>(&buf), Err(Malformed));
        Writer::new(&mut buf).u8(2, 1);
        assert_eq!(table::<3>(&buf), Err(Malformed));
    }
}
