//! Key documents, fetched by the client.

use std::time::Duration;

use futures_util::future::BoxFuture;
use ruma::{
    MilliSecondsSinceUnixEpoch, ServerName, UInt,
    api::federation::discovery::{get_remote_server_keys::v2 as notary, get_server_keys::v2 as own},
};

use super::{
    client::Client,
    keys::{FetchFailure, KeySource},
    request::Terms,
};

/// The longest answer, in bytes: some servers have had very many keys, and a notary adds a signature to each.
const BYTES_MAX: usize = 1 << 20;
/// How long a server may take. A request or an event waits for it.
const WITHIN: Duration = Duration::from_secs(10);

/// Pauses after failures are the key ring's own: a server that asks something is up.
fn terms() -> Terms {
    Terms::anyway().at_most(BYTES_MAX).within(WITHIN)
}

impl KeySource for Client {
    fn document<'a>(&'a self, server: &'a ServerName) -> BoxFuture<'a, Result<String, FetchFailure>> {
        Box::pin(async move {
            let answer = self.send_unsigned(server, own::Request::new(), terms()).await.map_err(FetchFailure::new)?;
            Ok(answer.server_key.json().get().to_owned())
        })
    }

    fn ask_notary<'a>(
        &'a self,
        notary: &'a ServerName,
        server: &'a ServerName,
        valid_until_ms_min: u64,
    ) -> BoxFuture<'a, Result<Vec<String>, FetchFailure>> {
        Box::pin(async move {
            let valid_until = MilliSecondsSinceUnixEpoch(UInt::new_saturating(valid_until_ms_min));
            let request = notary::Request::new(server.to_owned(), valid_until);
            let answer = self.send_unsigned(notary, request, terms()).await.map_err(FetchFailure::new)?;
            Ok(answer.server_keys.iter().map(|keys| keys.json().get().to_owned()).collect())
        })
    }
}
