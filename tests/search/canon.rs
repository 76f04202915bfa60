//! The hash of a world, in which only the order of revisions and the identity of leases count.
//!
//! The product compares revisions with each other and nothing else, and a new one is greater than all:
//! so two worlds that differ only in the numbers behave alike. Everything that is hashed passes through a
//! [`Hasher`], which sees each number: a first pass collects the revisions, a second one hashes their ranks.

use std::hash::{Hash, Hasher};

/// Ids of leases are not less than this, revisions are.
pub(crate) const LEASES: i64 = 1 << 40;

/// The hash of a value, in canonical numbers. `gap` is how far apart two revisions have to be to count as
/// far apart: 1 if a revision is never given twice.
pub(crate) fn hash(value: &impl Hash, gap: i64) -> u128 {
    let mut revisions = Revisions(Vec::new());
    value.hash(&mut revisions);
    revisions.0.sort_unstable();
    revisions.0.dedup();
    let mut ranks = Vec::with_capacity(revisions.0.len());
    let mut rank = 0;
    for (index, revision) in revisions.0.iter().enumerate() {
        let before = index.checked_sub(1).map_or(*revision - 1, |before| revisions.0[before]);
        rank += (*revision - before).min(gap);
        ranks.push((*revision, rank));
    }
    let mut canonical = Canonical { ranks, leases: Vec::new(), lanes: [SEED.0, SEED.1] };
    value.hash(&mut canonical);
    u128::from(canonical.lanes[0]) << 64 | u128::from(canonical.lanes[1])
}

const SEED: (u64, u64) = (0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f);

/// Collects the revisions.
struct Revisions(Vec<i64>);

impl Hasher for Revisions {
    fn write(&mut self, _: &[u8]) {}

    fn write_u8(&mut self, _: u8) {}

    fn write_usize(&mut self, _: usize) {}

    fn write_i64(&mut self, number: i64) {
        if number != 0 && number < LEASES {
            self.0.push(number);
        }
    }

    fn finish(&self) -> u64 {
        0
    }
}

/// Hashes everything, and numbers by what they mean.
struct Canonical {
    /// Each revision with its rank, in order.
    ranks: Vec<(i64, i64)>,
    /// The leases, in the order in which they occur.
    leases: Vec<i64>,
    lanes: [u64; 2],
}

impl Canonical {
    fn mix(&mut self, word: u64) {
        let [first, second] = &mut self.lanes;
        *first = (first.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        *second = (second.rotate_left(23) ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
        *second ^= *second >> 29;
    }
}

impl Hasher for Canonical {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.mix(u64::from(byte));
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    fn write_i64(&mut self, number: i64) {
        let canonical = if number == 0 {
            0
        } else if number < LEASES {
            let place = self.ranks.binary_search_by_key(&number, |(revision, _)| *revision);
            self.ranks[place.expect("the first pass has seen it")].1
        } else {
            let known = self.leases.iter().position(|lease| *lease == number);
            let place = known.unwrap_or_else(|| {
                self.leases.push(number);
                self.leases.len() - 1
            });
            -1 - i64::try_from(place).expect("a few leases")
        };
        self.mix(u64::from_ne_bytes(canonical.to_ne_bytes()));
    }

    fn finish(&self) -> u64 {
        self.lanes[0]
    }
}
