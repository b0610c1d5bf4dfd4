//! `[limits]`: how much one person or address may ask for.

use super::{
    problem::Problem,
    rate::Rate,
    section::{Check, section},
    size::Size,
};

section! {
    /// How much one person or address may ask for: "30 per 1m" is 30 at once, and as many again each minute. A whole
    /// school often has one address, so limits by address are wide.
    pub struct Limits in "limits" {
        /// Whether the rates below apply. Switch them off for measurements only.
        pub enabled: bool = true;

        /// The largest request, except for media.
        pub request_bytes_max: Size = Size::mib(4);

        /// Sign-ins to one account, right or wrong.
        pub login_per_account: Rate = Rate::new(10, 60);

        /// Sign-ins from one address.
        pub login_per_address: Rate = Rate::new(300, 300);

        /// New accounts and guests from one address, and questions whether a name is free.
        pub register_per_address: Rate = Rate::new(100, 600);

        /// Messages, reactions and state that one account sends.
        pub send_per_account: Rate = Rate::new(100, 20);

        /// Rooms that one account makes.
        pub create_per_account: Rate = Rate::new(30, 300);

        /// Joins and knocks of one account.
        pub join_per_account: Rate = Rate::new(60, 60);

        /// People whom one account invites.
        pub invite_per_account: Rate = Rate::new(100, 600);

        /// Searches of one account, for people, rooms and messages.
        pub search_per_account: Rate = Rate::new(60, 60);

        /// Uploads of one account.
        pub media_per_account: Rate = Rate::new(60, 60);

        /// Reports of one account about rooms, people and messages.
        pub report_per_account: Rate = Rate::new(20, 600);

        /// Requests of one other server.
        pub federation_per_server: Rate = Rate::new(1000, 10);

        /// Requests of other servers from one address, genuine or not; also key queries.
        pub federation_per_address: Rate = Rate::new(3000, 10);

        /// Everything else that the specification limits, from one account, or from one address without an account.
        pub other: Rate = Rate::new(300, 30);
    }
}

/// A largest event (64 KiB) with its envelope, and a batch of device keys, must pass.
const REQUEST_BYTES_MIN: Size = Size::kib(256);

impl Check for Limits {
    fn check(&self, problems: &mut Vec<Problem>) {
        if self.request_bytes_max < REQUEST_BYTES_MIN {
            let message = format!("{} is less than {REQUEST_BYTES_MIN}", self.request_bytes_max);
            problems.push(Problem::new("limits.request_bytes_max", message));
        }
    }
}
