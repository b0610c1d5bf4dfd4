//! One user's receipts in one room.

use std::collections::HashMap;

use ruma::EventId;

use crate::store::schema::rooms::ReceiptRecord;

/// How far one user has read in one room, in the main timeline and in each thread. Immutable.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::rooms) struct Marks {
    /// The receipts by type and thread, joined by NUL.
    rows: Vec<(String, ReceiptRecord)>,
    /// The furthest unthreaded receipt.
    unthreaded: i64,
    /// The furthest receipt of each thread, `main` among them.
    threads: HashMap<Box<str>, i64>,
}

impl Marks {
    pub(super) fn new(rows: Vec<(String, ReceiptRecord)>) -> Self {
        let mut marks = Self { rows, unthreaded: i64::MIN, threads: HashMap::new() };
        for (kind, record) in &marks.rows {
            let (Some((_, thread)), Some(order)) = (kind.split_once('\0'), record.order) else { continue };
            let place = match thread {
                "" => &mut marks.unthreaded,
                thread => marks.threads.entry(thread.into()).or_insert(i64::MIN),
            };
            *place = order.max(*place);
        }
        marks
    }

    /// The same with some receipts replaced or added.
    pub(super) fn with(&self, changed: &[(String, ReceiptRecord)]) -> Self {
        let kept = self.rows.iter().filter(|(kind, _)| changed.iter().all(|(new, _)| new != kind)).cloned();
        Self::new(kept.chain(changed.iter().cloned()).collect())
    }

    /// The receipt of a type and thread.
    pub(super) fn get(&self, kind: &str) -> Option<&ReceiptRecord> {
        self.rows.iter().find(|(known, _)| known == kind).map(|(_, record)| record)
    }

    /// All receipts, by type and thread joined by NUL.
    pub(super) fn rows(&self) -> &[(String, ReceiptRecord)] {
        &self.rows
    }

    /// The order up to which everything is read, in whatever thread.
    pub(in crate::rooms) fn everywhere(&self) -> i64 {
        self.unthreaded
    }

    /// The order up to which a thread is read; `None` is the main timeline.
    pub(in crate::rooms) fn in_thread(&self, root: Option<&EventId>) -> i64 {
        if self.threads.is_empty() {
            return self.unthreaded;
        }
        let thread = self.threads.get(root.map_or("main", EventId::as_str));
        self.unthreaded.max(thread.copied().unwrap_or(i64::MIN))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use ruma::event_id;

    use super::*;
    use crate::store::Position;

    fn record(order: i64) -> ReceiptRecord {
        ReceiptRecord { event_id: format!("${order}"), order: Some(order), ts: 0, position: Position(1) }
    }

    #[test]
    fn the_furthest_receipt_counts_whatever_its_type() {
        let marks = Marks::new(vec![
            ("m.read\0".into(), record(5)),
            ("m.read.private\0".into(), record(7)),
            ("m.read\0main".into(), record(6)),
            ("m.read.private\0$t".into(), record(9)),
        ]);
        assert_eq!(marks.everywhere(), 7);
        assert_eq!(marks.in_thread(None), 7);
        assert_eq!(marks.in_thread(Some(event_id!("$t"))), 9);
        assert_eq!(marks.in_thread(Some(event_id!("$u"))), 7);
        let marks = marks.with(&[("m.read\0main".into(), record(8))]);
        assert_eq!((marks.in_thread(None), marks.everywhere(), marks.rows().len()), (8, 7, 4));
        assert_eq!(Marks::new(Vec::new()).in_thread(None), i64::MIN);
    }
}
