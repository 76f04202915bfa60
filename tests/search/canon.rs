//! The fingerprint of a world, in which only the order of revisions and the identity of leases count.
//!
//! The product compares revisions with each other and nothing else, and a new one is greater than all:
//! so two worlds that differ only in the numbers behave alike. Leases are only told from each other. So what is
//! hashed passes through a [`Hasher`] that takes the numbers out: that is the [`Print`] of a part of the world, and
//! has to be taken again only when this part changes. The fingerprint of the world is made of its prints, and of the
//! numbers in all of them, with each revision as its rank and each lease by its first occurrence.
//!
//! Two worlds with the same 128 bits count as one. Among 10^9 worlds the chance that two others have them is below
//! 10^-20.

use std::hash::{Hash, Hasher};

/// Ids of leases are not less than this, revisions are.
pub(crate) const LEASES: i64 = 1 << 40;

const SEED: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f];

/// What stands in place of a number in the hash of a part.
const NUMBER: u64 = 0x5851_f42d_4c95_7f2d;

/// A part of a world: its hash but for revisions and leases, and these in the order in which they occur.
#[derive(Clone, Debug)]
pub(crate) struct Print {
    lanes: Lanes,
    numbers: Box<[i64]>,
}

impl Print {
    pub(crate) fn of(value: &impl Hash) -> Print {
        let mut reader = Reader { lanes: Lanes(SEED), numbers: Vec::with_capacity(64) };
        value.hash(&mut reader);
        Print { lanes: reader.lanes, numbers: reader.numbers.into_boxed_slice() }
    }
}

/// The fingerprint of a world of these parts. `gap` is how far apart two revisions have to be to count as far apart:
/// 1 if a revision is never given twice.
pub(crate) fn fingerprint<'a>(parts: impl Iterator<Item = &'a Print> + Clone, gap: i64) -> u128 {
    let numbers = parts.clone().flat_map(|part| &part.numbers).copied();
    let ranks = ranks(numbers.filter(|number| *number != 0 && *number < LEASES), gap);
    let mut leases: Vec<i64> = Vec::with_capacity(8);
    let mut lanes = Lanes(SEED);
    for part in parts {
        part.lanes.0.into_iter().for_each(|word| lanes.mix(word));
        for number in part.numbers.iter().copied() {
            let canonical = if number == 0 {
                0
            } else if number < LEASES {
                let place = ranks.binary_search_by_key(&number, |(revision, _)| *revision);
                ranks[place.expect("all have a rank")].1
            } else {
                let known = leases.iter().position(|lease| *lease == number);
                let place = known.unwrap_or(leases.len());
                leases.extend(Some(number).filter(|_| known.is_none()));
                -1 - i64::try_from(place).expect("a few leases")
            };
            lanes.mix(u64::from_ne_bytes(canonical.to_ne_bytes()));
        }
    }
    lanes.end()
}

/// Each revision with its rank, in order.
fn ranks(revisions: impl Iterator<Item = i64>, gap: i64) -> Vec<(i64, i64)> {
    let mut ranks: Vec<(i64, i64)> = Vec::with_capacity(32);
    for revision in revisions {
        if let Err(place) = ranks.binary_search_by_key(&revision, |(known, _)| *known) {
            ranks.insert(place, (revision, 0));
        }
    }
    let (mut before, mut rank) = (None, 0);
    for (revision, its) in &mut ranks {
        rank += before.map_or(1, |before: i64| (*revision - before).min(gap));
        (*its, before) = (rank, Some(*revision));
    }
    ranks
}

/// Two hashes, each of all words.
#[derive(Clone, Copy, Debug)]
struct Lanes([u64; 2]);

impl Lanes {
    fn mix(&mut self, word: u64) {
        let [first, second] = &mut self.0;
        *first = (first.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        *second = (second.rotate_left(23) ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
        *second ^= *second >> 29;
    }

    /// Each bit depends on all words.
    fn end(self) -> u128 {
        let [first, second] = self.0;
        let stir = |mut word: u64| {
            word = (word ^ word >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
            word = (word ^ word >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
            word ^ word >> 33
        };
        u128::from(stir(first)) << 64 | u128::from(stir(second ^ first.rotate_left(32)))
    }
}

/// Hashes everything but the numbers.
struct Reader {
    lanes: Lanes,
    numbers: Vec<i64>,
}

impl Hasher for Reader {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.lanes.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.lanes.mix(u64::from(byte));
    }

    fn write_usize(&mut self, number: usize) {
        self.lanes.mix(number as u64);
    }

    fn write_i64(&mut self, number: i64) {
        self.lanes.mix(NUMBER);
        self.numbers.push(number);
    }

    fn finish(&self) -> u64 {
        self.lanes.0[0]
    }
}
