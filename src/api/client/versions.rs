//! Which versions of the specification this server speaks.
//!
//! Specification v1.19, client-server API, "API Versions".

use std::collections::BTreeMap;

use ruma::api::client::discovery::get_supported_versions;

use crate::http::{ApiError, Reply, Ruma};

/// Every version whose client-visible changes are served. From v1.17 on they need application services, policy servers
/// or OAuth, which are not here yet.
const VERSIONS: [&str; 16] = [
    "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11", "v1.12", "v1.13",
    "v1.14", "v1.15", "v1.16",
];

/// Proposals that clients look for by name. Each is either part of a version above, and asked for by clients that do
/// not read versions, or an unstable form that is served.
const UNSTABLE_FEATURES: [&str; 8] = [
    // `state_after` in /sync, by its unstable name.
    "org.matrix.msc4222",
    // Threads: relations by type, receipts and notification counts of threads.
    "org.matrix.msc3440.stable",
    "org.matrix.msc3771",
    "org.matrix.msc3773",
    // `/relations` with `recurse`.
    "org.matrix.msc3981",
    // Media for signed-in users only.
    "org.matrix.msc3916.stable",
    // Profile fields of any name.
    "uk.tcpip.msc4133",
    "uk.tcpip.msc4133.stable",
];

/// `GET /_matrix/client/versions`: the versions of the specification, and the proposals, that are served.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientversions)
pub async fn get_supported_versions(
    _request: Ruma<get_supported_versions::Request>,
) -> Result<Reply<get_supported_versions::Response>, ApiError> {
    let mut response = get_supported_versions::Response::new(VERSIONS.map(str::to_owned).to_vec());
    let features = UNSTABLE_FEATURES.map(|feature| (feature.to_owned(), true));
    response.unstable_features = BTreeMap::from(features);
    Ok(Reply(response))
}
