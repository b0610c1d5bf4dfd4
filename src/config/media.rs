//! `[media]`: images and files.

use super::{section::section, size::Size};

section! {
    /// Images and files.
    pub struct Media in "media" {
        /// The largest file that can be uploaded.
        pub upload_bytes_max: Size = Size::mib(50);

        /// How much one account may have uploaded in all.
        pub user_quota_bytes: Size = Size::gib(5);

        /// How much is kept of what was fetched from other servers, thumbnails of it included. What has been used least
        /// recently goes first. One file of the largest size is always kept.
        pub remote_cache_bytes: Size = Size::gib(4);

        /// Whether files can also be had without signing in, by their addresses of before Matrix v1.11, which old
        /// clients and bridges use. Everybody who learns such an address can then read the file.
        pub unauthenticated_downloads: bool = false;
    }
}
