//! Features that this server does not have, answered so that clients carry on without an error.

use bytes::Bytes;

use crate::http::{ApiError, Auth, JsonBytes, empty_json};

/// `GET /_matrix/client/v3/thirdparty/protocols`: no bridges.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartyprotocols)
pub async fn get_protocols(_: Auth) -> JsonBytes {
    empty_json()
}

/// `GET /_matrix/client/v3/thirdparty/protocol/{protocol}`: no bridge has that protocol.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartyprotocolprotocol)
pub async fn get_protocol(_: Auth) -> ApiError {
    ApiError::not_found("No bridge of this server knows that protocol")
}

/// `GET /_matrix/client/v3/thirdparty/location` and `…/user`, with and without a protocol: nothing is bridged.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartylocation)
pub async fn get_third_party_matches(_: Auth) -> JsonBytes {
    JsonBytes(Bytes::from_static(b"[]"))
}

/// `GET /_matrix/client/v3/voip/turnServer`: no relay for calls; clients try without one.
///
/// [Specification](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3voipturnserver)
pub async fn get_turn_server_info(_: Auth) -> JsonBytes {
    empty_json()
}
