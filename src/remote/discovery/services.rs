//! The hosts and ports that serve a host name: SRV records, or the host itself.

use crate::{
    ids::Ids,
    remote::dns::{Names, Service},
};

/// A host and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::remote) struct Target {
    pub(in crate::remote) host: String,
    pub(in crate::remote) port: u16,
}

/// Where connections to a host are made: by `_matrix-fed._tcp`, else by `_matrix._tcp` (deprecated), else to the host
/// at `port`. In the order in which they are to be tried.
pub(in crate::remote) async fn targets(names: &Names, host: &str, port: u16, ids: &Ids) -> Vec<Target> {
    // Names of one label are names of a local network (`localhost`, containers), where nobody publishes such records
    // and the question often is not even answered.
    if !host.contains('.') {
        return vec![Target { host: host.to_owned(), port }];
    }
    let (new, old) = (format!("_matrix-fed._tcp.{host}"), format!("_matrix._tcp.{host}"));
    let (new, old) = tokio::join!(names.services(&new), names.services(&old));
    let services = if usable(&new).next().is_some() { new } else { old };
    let found = ordered(usable(&services).cloned().collect(), ids);
    if found.is_empty() { vec![Target { host: host.to_owned(), port }] } else { found }
}

/// A target that is the root says that there is no such service.
fn usable(services: &[Service]) -> impl Iterator<Item = &Service> {
    services.iter().filter(|service| !service.target.is_empty() && service.port != 0)
}

/// By priority, and by chance among those of one priority: the heavier, the likelier to be first (RFC 2782).
fn ordered(mut services: Vec<Service>, ids: &Ids) -> Vec<Target> {
    let mut order = Vec::with_capacity(services.len());
    while let Some(first) = services.iter().map(|service| service.priority).min() {
        let weight_of = |service: &Service| if service.priority == first { u64::from(service.weight) } else { 0 };
        let sum: u64 = services.iter().map(weight_of).sum();
        let mut drawn = u64::from_be_bytes(ids.bytes()) % (sum + 1);
        // Those without weight come only when nothing else is drawn.
        services.sort_by_key(|service| (service.priority, service.weight));
        let at = services.iter().position(|service| {
            let weight = weight_of(service);
            let chosen = service.priority == first && drawn <= weight;
            drawn = drawn.saturating_sub(weight);
            chosen
        });
        let chosen = services.remove(at.unwrap_or(0));
        order.push(Target { host: chosen.target, port: chosen.port });
    }
    order
}

#[cfg(test)]
#[allow(clippy::panic, reason = "a panic is a failed test")]
mod tests {
    use super::*;

    fn service(priority: u16, weight: u16, target: &str) -> Service {
        Service { priority, weight, port: 1, target: target.to_owned() }
    }

    fn firsts(services: &[Service]) -> [usize; 2] {
        let ids = Ids::seeded(5);
        let draws = (0..1_000).map(|_| ordered(services.to_vec(), &ids));
        let mut firsts = [0, 0];
        for order in draws {
            let names: Vec<&str> = order.iter().map(|target| target.host.as_str()).collect();
            match names.as_slice() {
                ["a", ..] => firsts[0] += 1,
                ["b", ..] => firsts[1] += 1,
                other => panic!("{other:?}"),
            }
        }
        firsts
    }

    #[test]
    fn a_lower_priority_goes_first_whatever_it_weighs() {
        assert_eq!(firsts(&[service(20, 100, "b"), service(10, 0, "a")]), [1_000, 0]);
    }

    #[test]
    fn weights_share_the_load() {
        let [a, b] = firsts(&[service(1, 30, "a"), service(1, 10, "b")]);
        assert!(a > 650 && b > 150, "{a} {b}");
    }
}
