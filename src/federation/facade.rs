//! [`Federation`]: what the rest of the server holds.

use super::{devices::Devices, inbound::Inbound, outbound::Outbound};

/// The conversation with other servers. Cheap to clone.
#[derive(Clone)]
pub struct Federation {
    /// What comes in.
    pub inbound: Inbound,
    /// Devices and their keys.
    pub devices: Devices,
    /// What goes out.
    pub outbound: Outbound,
}
