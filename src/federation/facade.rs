//! [`Federation`]: what the rest of the server holds.

use super::{inbound::Inbound, outbound::Outbound};

/// The conversation with other servers. Cheap to clone.
#[derive(Clone)]
pub struct Federation {
    /// What comes in.
    pub inbound: Inbound,
    /// What goes out.
    pub outbound: Outbound,
}
