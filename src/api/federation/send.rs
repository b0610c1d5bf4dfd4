//! Transactions of other servers.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use ruma::api::{
    error::ErrorCode, federation::transactions::send_transaction_message::v1 as send_transaction_message_v1,
};

use crate::{
    federation::inbound::TransactionError,
    http::{ApiError, Reply, Signed, services::Services},
};

/// Ephemeral items of one transaction (spec v1.19, "Transactions").
const EDUS_MAX: usize = 100;
/// The longest id of a transaction, in bytes: it is remembered for a day.
const ID_BYTES_MAX: usize = 255;

/// `PUT /_matrix/federation/v1/send/{txnId}`: events and ephemeral items. Answered once the events are in the inbox.
///
/// [Specification](https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1sendtxnid)
pub async fn send_transaction_message(
    State(services): State<Arc<Services>>,
    request: Signed<send_transaction_message_v1::Request>,
) -> Result<Reply<send_transaction_message_v1::Response>, ApiError> {
    let (transaction, origin) = (request.body, request.origin);
    if transaction.origin != origin {
        return Err(ApiError::forbidden("The transaction says that another server sent it"));
    }
    if transaction.edus.len() > EDUS_MAX {
        return Err(ApiError::bad_json("A transaction holds at most 100 ephemeral items"));
    }
    let inbound = &services.federation.inbound;
    let id = transaction.transaction_id.as_str();
    if id.len() > ID_BYTES_MAX {
        return Err(ApiError::bad_json("The id of a transaction is too long"));
    }
    if !inbound.is_repeated(&origin, id) {
        inbound.edus(&origin, &transaction.edus).await;
    }
    let answers = inbound.transaction(&origin, id, &transaction.pdus).await.map_err(refusal)?;
    let mut reply = send_transaction_message_v1::Response::default();
    reply.pdus.clone_from(&answers);
    Ok(Reply(reply))
}

fn refusal(error: TransactionError) -> ApiError {
    match error {
        TransactionError::Store(error) => ApiError::internal(error),
        TransactionError::TooMany => ApiError::bad_json("A transaction holds at most 50 events"),
        TransactionError::Full => ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::LimitExceeded,
            "Too many events wait to be received; come back later",
        ),
    }
}
