//! Many short lists: their items in one vector, their borders in another.

/// Lists numbered from 0.
#[derive(Debug, Default)]
pub(in crate::school) struct Groups<T> {
    /// Where each list ends; it begins where the one before ends.
    ends: Box<[u32]>,
    items: Box<[T]>,
}

impl<T: Ord + Copy> Groups<T> {
    /// Groups pairs of list and item; each list is sorted and has no item twice.
    pub(in crate::school) fn new(lists: usize, mut pairs: Vec<(u32, T)>) -> Self {
        pairs.sort_unstable();
        pairs.dedup();
        let mut ends = vec![0; lists];
        for (list, _) in &pairs {
            if let Some(end) = ends.get_mut(*list as usize) {
                *end += 1;
            }
        }
        let mut total = 0;
        for end in &mut ends {
            total += *end;
            *end = total;
        }
        Self { ends: ends.into(), items: pairs.into_iter().map(|(_, item)| item).collect() }
    }
}

impl<T> Groups<T> {
    /// A list; empty when there is none of this number.
    pub(in crate::school) fn of(&self, list: u32) -> &[T] {
        let list = list as usize;
        let begin = list.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(list).copied().unwrap_or(begin);
        self.items.get(begin as usize..end as usize).unwrap_or_default()
    }

    /// Bytes in memory.
    pub(in crate::school) fn bytes(&self) -> usize {
        size_of_val(&*self.ends) + size_of_val(&*self.items)
    }
}
