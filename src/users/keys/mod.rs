//! Keys of devices and users for end-to-end encryption. The server keeps and hands out public keys; it reads no message.
//!
//! | file | what |
//! |---|---|
//! | `service` | `Keys`: what is counted, and what goes with a device |
//! | `object` | a signed JSON object |
//! | `upload` | keys of a device |
//! | `query` | keys of people, as a certain reader sees them |
//! | `public` | the same, as other servers may have them |
//! | `remote`, `remote_check` | keys of users of other servers: kept while a room is shared, checked before |
//! | `claim` | one-time keys, each handed out once |
//! | `cross_signing` | keys of a user |
//! | `signatures` | signatures added later |
//! | `backup` | backups of message keys, encrypted by the client |

mod backup;
mod claim;
mod cross_signing;
mod error;
mod object;
mod public;
mod query;
mod remote;
mod remote_check;
mod service;
mod signatures;
#[cfg(test)]
mod tests;
mod upload;

pub use backup::{BackupInfo, PlacedSession, SessionsWritten};
pub use claim::Claimed;
pub use cross_signing::SigningKeys;
pub use error::KeysError;
pub use public::{PublicDevice, PublicKeys};
pub use query::Queried;
pub use remote::{Followed, Standing};
pub use remote_check::{RemoteDevice, RemoteKeys};
pub use service::{Counts, Keys};
pub use signatures::SignatureFailure;
pub use upload::KeyUpload;
