//! Which objects carry other tags at the provider than in their records.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

/// What objects carry according to the provider's lists, less what they carry according to the records: 16 bytes an object, and what a
/// map takes besides.
#[derive(Debug, Default)]
pub struct Tags {
    /// By a hash of the id: the sum of the hashes of its tags, which is zero if both are the same.
    balance: HashMap<u64, u64>,
}

impl Tags {
    /// Notes that the provider lists these objects with a tag.
    pub fn list<'i>(&mut self, tag: &str, ids: impl Iterator<Item = &'i str>) {
        let tag = hash(tag);
        for id in ids {
            let balance = self.balance.entry(hash(id)).or_default();
            *balance = balance.wrapping_add(tag);
        }
    }

    /// Notes the tags in the record of an object.
    pub fn store(&mut self, id: &str, tags: &[&str]) {
        let sum = tags.iter().fold(0_u64, |sum, tag| sum.wrapping_add(hash(tag)));
        let balance = self.balance.entry(hash(id)).or_default();
        *balance = balance.wrapping_sub(sum);
    }

    /// Whether list and record differ for an object.
    pub fn differ(&self, id: &str) -> bool {
        self.balance.get(&hash(id)).is_some_and(|balance| *balance != 0)
    }
}

/// 64 bits of SHA-256: that two of a million ids have the same is a chance of one in tens of millions.
fn hash(text: &str) -> u64 {
    let mut digest = Sha256::new();
    digest.update(text);
    let digest: [u8; 32] = digest.finalize().into();
    digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_differ_whose_tags_are_others_whatever_the_order_of_lists_and_records() {
        let mut tags = Tags::default();
        tags.list("B", ["same", "more", "other"].into_iter());
        tags.store("same", &["B", "A"]);
        tags.store("more", &["A"]);
        tags.store("other", &["A"]);
        tags.store("less", &["A"]);
        tags.store("none", &[]);
        tags.list("A", ["same", "more", "new"].into_iter());
        let all = ["same", "more", "other", "less", "none", "new", "unknown"];
        let differ: Vec<_> = all.into_iter().filter(|id| tags.differ(id)).collect();
        assert_eq!(differ, ["more", "other", "less", "new"]);
    }
}
