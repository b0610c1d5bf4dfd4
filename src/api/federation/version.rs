//! What runs here.

use ruma::api::federation::discovery::get_server_version::v1 as get_server_version_v1;

use crate::http::{FederationOn, Reply, Ruma};

/// `GET /_matrix/federation/v1/version`: name and version of this server. Not signed.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1version)
pub async fn get_server_version(
    _: FederationOn,
    _request: Ruma<get_server_version_v1::Request>,
) -> Reply<get_server_version_v1::Response> {
    let mut server = get_server_version_v1::Server::new();
    server.name = Some("Homeroom".to_owned());
    server.version = Some(env!("CARGO_PKG_VERSION").to_owned());
    let mut response = get_server_version_v1::Response::new();
    response.server = Some(server);
    Reply(response)
}
