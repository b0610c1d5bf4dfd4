//! Sets of people as one bit each: a query over 100,000 people works on a few times 12 KiB.

/// A set of numbers below a bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marks(Vec<u64>);

impl Marks {
    /// The empty set of numbers below `bound`.
    pub(super) fn none(bound: usize) -> Self {
        Self(vec![0; bound.div_ceil(64)])
    }

    /// All numbers below `bound`.
    pub(super) fn all(bound: usize) -> Self {
        let mut all = vec![u64::MAX; bound.div_ceil(64)];
        if let Some(last) = all.last_mut().filter(|_| !bound.is_multiple_of(64)) {
            *last = (1 << (bound % 64)) - 1;
        }
        Self(all)
    }

    /// Adds a number; one beyond the bound is ignored.
    pub(super) fn add(&mut self, number: u32) {
        if let Some(word) = self.0.get_mut(number as usize / 64) {
            *word |= 1 << (number % 64);
        }
    }

    /// Takes a number out.
    pub(super) fn remove(&mut self, number: u32) {
        if let Some(word) = self.0.get_mut(number as usize / 64) {
            *word &= !(1 << (number % 64));
        }
    }

    /// Whether a number is in it.
    pub(super) fn has(&self, number: u32) -> bool {
        self.0.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// Keeps what is in both.
    pub(super) fn keep(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= other);
    }

    /// The numbers, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        (0_u32..).step_by(64).zip(&self.0).flat_map(|(base, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(base + bit)
            })
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_sets() {
        let mut marks = Marks::none(130);
        for number in [0, 63, 64, 129] {
            marks.add(number);
        }
        marks.add(100_000);
        assert_eq!(marks.iter().collect::<Vec<_>>(), [0, 63, 64, 129]);
        marks.remove(64);
        let mut both = Marks::all(130);
        assert_eq!(both.iter().count(), 130);
        both.keep(&marks);
        assert_eq!(both.iter().collect::<Vec<_>>(), [0, 63, 129]);
        assert!(both.has(129) && !both.has(64));
        assert_eq!(Marks::all(128).iter().count(), 128);
        assert_eq!(Marks::all(0).iter().count(), 0);
    }
}
