//! Figures of the parts below HTTP, for `/metrics`. They are read when somebody asks, so keeping them costs nothing.

use std::sync::{Arc, atomic::AtomicI64};

use prometheus_client::{
    metrics::gauge::Gauge,
    registry::{Registry, Unit},
};

use crate::{http::Metrics, store::Store};

type Number = Gauge<i64, AtomicI64>;

/// Shows the store's memory, position and health.
pub(super) fn register(metrics: &Arc<Metrics>, store: &Store) {
    let (memory, position, writable) = (Number::default(), Number::default(), Number::default());
    metrics.register(|registry: &mut Registry| {
        let about = "Block cache and write buffers of the database";
        registry.register_with_unit("store_memory", about, Unit::Bytes, memory.clone());
        registry.register("store_position", "Position of the newest durable change", position.clone());
        registry.register("store_writable", "1 while the database accepts writes", writable.clone());
    });
    let store = store.clone();
    metrics.before_reading(move || {
        memory.set(i64::try_from(store.memory_bytes()).unwrap_or(i64::MAX));
        position.set(i64::try_from(store.position().0).unwrap_or(i64::MAX));
        writable.set(i64::from(store.health().failure().is_none()));
    });
}
