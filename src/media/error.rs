//! Why media are refused.

use std::io;

use crate::store::StoreError;

/// A refused upload, download or thumbnail. An unknown media id is `None` when reading.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// Larger than one upload may be.
    #[error("the content is too large")]
    TooLarge,
    /// The account has no room left for it.
    #[error("the account's space for uploads is used up")]
    QuotaExceeded,
    /// The account has too many ids without content, or too many uploads at the same time.
    #[error("too many uploads at the same time")]
    TooMany,
    /// The content type is not a media type or too long.
    #[error("the content type is not a media type")]
    BadContentType,
    /// No such id, or it has expired. For uploads to an id.
    #[error("no such media id")]
    UnknownId,
    /// The id was made by somebody else.
    #[error("the media id belongs to somebody else")]
    NotYours,
    /// The id has content already.
    #[error("the media id has content already")]
    AlreadyUploaded,
    /// The content has not come in the time that the reader would wait.
    #[error("the content has not been uploaded yet")]
    NotYetUploaded,
    /// Not an image of a format that is shrunk here, or a damaged one.
    #[error("no thumbnail can be made of this content")]
    NotAnImage,
    /// An image with too many pixels.
    #[error("the image is too large for a thumbnail")]
    ImageTooLarge,
    /// Too many thumbnails are being made.
    #[error("too many thumbnails are being made")]
    Busy,
    /// The server whose content it is gives no usable answer.
    #[error("the server of this content does not give it")]
    Elsewhere,
    /// The disk is nearly full.
    #[error("the disk is nearly full")]
    DiskFull,
    /// The disk refused.
    #[error("media folder: {0}")]
    Disk(#[from] io::Error),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MediaError {
    /// A file that was there a moment ago is not.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Disk(error) if error.kind() == io::ErrorKind::NotFound)
    }
}
