//! What another server answers, put on the disk as it comes.
//!
//! Two things can go wrong: the answer, which counts against its server, and the disk or a bound of this server, which
//! does not. So the readers' results are nested.

use http::{Response, header};
use ruma::http_headers::ContentDisposition;

use super::{
    super::{Label, MediaError, arriving::Arriving},
    parts::{NotParts, Parts},
};
use crate::remote::{BodyStream, RemoteError};

/// Content that has come; its end may not be on the disk yet.
pub(super) struct Fetched {
    pub(super) arriving: Arriving,
    pub(super) label: Label,
}

/// What an answer in parts holds.
pub(super) enum Answer {
    Content(Box<Fetched>),
    /// It is at this address.
    At(String),
}

/// Why nothing is kept of an answer.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error(transparent)]
    Here(#[from] MediaError),
    #[error(transparent)]
    Parts(#[from] NotParts),
}

/// Reads an answer of the authenticated endpoint.
pub(super) async fn in_parts(
    answer: Response<BodyStream>,
    mut arriving: Arriving,
) -> Result<Result<Answer, MediaError>, RemoteError> {
    let (about, mut body) = answer.into_parts();
    let read = async {
        let mut parts = Parts::new(&about.headers)?;
        while let Some(piece) = body.chunk().await? {
            arriving.write(&parts.read(&piece)?).await?;
        }
        let head = parts.finish()?;
        if let Some(address) = head.location {
            return Ok(Answer::At(address));
        }
        let label = label(head.content_type.as_deref(), head.file_name.as_deref())?;
        Ok(Answer::Content(Box::new(Fetched { arriving, label })))
    };
    nested(read.await)
}

/// Reads an answer that is the content itself.
pub(super) async fn plain(
    answer: Response<BodyStream>,
    mut arriving: Arriving,
) -> Result<Result<Fetched, MediaError>, RemoteError> {
    let (about, mut body) = answer.into_parts();
    let read = async {
        while let Some(piece) = body.chunk().await? {
            arriving.write(&piece).await?;
        }
        let content_type = about.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let disposition = about.headers.get(header::CONTENT_DISPOSITION);
        let disposition = disposition.and_then(|value| ContentDisposition::try_from(value.as_bytes()).ok());
        let label = label(content_type, disposition.as_ref().and_then(|it| it.filename.as_deref()))?;
        Ok(Fetched { arriving, label })
    };
    nested(read.await)
}

/// What the content is called; a content type that is none is left out.
fn label(content_type: Option<&str>, file_name: Option<&str>) -> Result<Label, MediaError> {
    Label::new(content_type, file_name).or_else(|_| Label::new(None, file_name))
}

fn nested<T>(read: Result<T, Failed>) -> Result<Result<T, MediaError>, RemoteError> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(Failed::Here(error)) => Ok(Err(error)),
        Err(Failed::Remote(error)) => Err(error),
        Err(Failed::Parts(error)) => Err(RemoteError::Malformed(error.to_string())),
    }
}
