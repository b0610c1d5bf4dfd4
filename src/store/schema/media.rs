//! Tables of uploads. The bytes themselves are files, named by their hash; see `media`.

use serde::{Deserialize, Serialize};

use crate::store::{
    UserNo,
    codec::{Table, record},
};

/// Media id (without the server name) to what is known of it. Only media of this server.
pub static MEDIA: Table<String, Media> = Table::rows(100, "media");
/// Content hash and media id: which uploads share a file. A file without such a row is not needed.
pub static MEDIA_BY_HASH: Table<([u8; 32], String), ()> = Table::rows(101, "media_by_hash");
/// User to the sum of the sizes of what they have uploaded, in bytes.
pub static MEDIA_USAGE: Table<UserNo, u64> = Table::rows(102, "media_usage");
/// User, expiry (Unix time in milliseconds) and media id: ids made by `create` that have no content yet.
pub static MEDIA_PENDING: Table<(UserNo, u64, String), ()> = Table::rows(103, "media_pending");

/// Content of other servers that was fetched: (server name, media id).
pub static REMOTE_MEDIA: Table<(String, String), RemoteMedia> = Table::rows(104, "remote_media");
/// The same by its last use: (Unix time in milliseconds, server name, media id).
pub static REMOTE_MEDIA_USED: Table<(u64, String, String), ()> = Table::rows(105, "remote_media_used");
/// The same by content: (hash, server name, media id).
pub static REMOTE_MEDIA_BY_HASH: Table<([u8; 32], String, String), ()> = Table::rows(106, "remote_media_by_hash");
/// Content hash of [`REMOTE_MEDIA`] to what its thumbnails take on the disk, in bytes: those made for whom asked for
/// the other server's content.
pub static REMOTE_THUMBNAILS: Table<[u8; 32], u64> = Table::rows(107, "remote_thumbnails");
/// The same by its server and last use: (server name, Unix time in milliseconds, media id). Content from before there was
/// this table is not in it.
pub static REMOTE_MEDIA_OF: Table<(String, u64, String), ()> = Table::rows(109, "remote_media_of");
/// Hashes of files that may have no name: about to be kept, or to be removed. Whoever removes files looks at them.
pub static REMOTE_MEDIA_LOOSE: Table<[u8; 32], ()> = Table::rows(108, "remote_media_loose");

/// A media id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// Who uploaded it, or will.
    pub uploader: UserNo,
    /// When the id was made: Unix time in milliseconds.
    pub created_ms: u64,
    /// Its content, or until when that must come.
    pub state: MediaState,
}

/// Whether the content of a media id is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MediaState {
    /// Made by `POST /_matrix/media/v1/create`, not uploaded yet.
    Pending {
        /// Until when the content must come: Unix time in milliseconds.
        expires_ms: u64,
    },
    /// Uploaded.
    Stored(MediaContent),
}

/// An uploaded file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaContent {
    /// The hash of the bytes, which is also the name of the file.
    pub sha256: [u8; 32],
    /// In bytes.
    pub size: u64,
    /// As the uploader named it, checked to be a media type.
    pub content_type: String,
    /// As the uploader named it, cleaned.
    pub file_name: Option<String>,
}

/// Content of another server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteMedia {
    /// When it was fetched, or used later, to the day: Unix time in milliseconds.
    pub used_ms: u64,
    /// The file, as its server calls it.
    pub content: MediaContent,
}

record!(Media, RemoteMedia);
