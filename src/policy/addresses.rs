use std::sync::Arc;

use super::Block;
use crate::model::Family;

/// A set of addresses of both families: blocks in order, none within another. Clones share them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Addresses {
    blocks: Arc<[Block]>,
}

impl Addresses {
    /// The blocks of one family, in order.
    pub fn of(&self, family: Family) -> &[Block] {
        let split = self.blocks.partition_point(|block| block.family == Family::Ip);
        match family {
            Family::Ip => &self.blocks[..split],
            Family::Ip6 => &self.blocks[split..],
        }
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Is every one of the other's in this set?
    pub fn covers(&self, other: &Self) -> bool {
        other.blocks.iter().all(|block| self.has(block))
    }

    /// Is every address of the block in this set, in one block or in several?
    pub fn has(&self, block: &Block) -> bool {
        let blocks = self.of(block.family);
        // As none is within another, the last addresses are in order as the first ones are.
        let begin = blocks.partition_point(|own| own.last < block.first);
        let mut next = block.first;
        for own in &blocks[begin..] {
            match own.last.checked_add(1) {
                _ if own.first > next => return false,
                _ if own.last >= block.last => return true,
                Some(behind) => next = behind,
                None => return true,
            }
        }
        false
    }
}

impl FromIterator<Block> for Addresses {
    fn from_iter<I: IntoIterator<Item = Block>>(blocks: I) -> Self {
        let mut blocks: Vec<Block> = blocks.into_iter().collect();
        // A block comes behind those that it is within.
        blocks.sort_unstable_by_key(|block| (block.family, block.first, std::cmp::Reverse(block.last)));
        let mut kept: Vec<Block> = Vec::with_capacity(blocks.len());
        for block in blocks {
            if !kept.last().is_some_and(|last| last.covers(&block)) {
                kept.push(block);
            }
        }
        Self { blocks: kept.into() }
    }
}

impl<'a> IntoIterator for &'a Addresses {
    type Item = &'a Block;
    type IntoIter = std::slice::Iter<'a, Block>;

    fn into_iter(self) -> Self::IntoIter {
        self.blocks.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(words: &[&str]) -> Addresses {
        words.iter().map(|word| Block::parse(word).unwrap()).collect()
    }

    #[test]
    fn sets_cover_what_their_blocks_cover_together() {
        let own = set(&["10.0.0.0/25", "10.0.0.128-10.0.0.200", "10.0.0.3", "::/1"]);
        assert_eq!(own.of(Family::Ip).len(), 2);
        for (words, expected) in [
            (&["10.0.0.0-10.0.0.200"][..], true),
            (&["10.0.0.127-10.0.0.130", "10.0.0.9"], true),
            (&["10.0.0.0/24"], false),
            (&["9.255.255.255-10.0.0.1"], false),
            (&["::1"], true),
            (&["::/0"], false),
        ] {
            assert_eq!(own.covers(&set(words)), expected, "{words:?}");
        }
        assert!(set(&["::/0"]).covers(&set(&["ffff::/16"])));
    }
}
