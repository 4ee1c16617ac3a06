//! How questions and answers travel: one of each on a stream of its own, length first. The length is checked
//! before anything is read, so that nobody can make this node allocate.

use crate::wire::{MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, Request, Response};
use async_trait::async_trait;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response;
use std::io;

/// A question as it came: nothing if it can't be read. The library tells nobody of a question that its codec
/// fails on, and whoever sends such would go free; so it is handed on as none.
pub(super) type Question = Option<Request>;

/// Reads and writes questions and answers.
#[derive(Debug, Clone, Default)]
pub(super) struct Codec;

async fn read<T: AsyncRead + Unpin + Send>(io: &mut T, limit: usize) -> io::Result<Vec<u8>> {
    let mut length = [0_u8; 4];
    io.read_exact(&mut length).await?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > limit {
        return Err(invalid(format_args!("{length} bytes, the limit is {limit}")));
    }
    // Grows with what really comes, not with what was promised.
    let mut bytes = Vec::new();
    io.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

async fn write<T: AsyncWrite + Unpin + Send>(io: &mut T, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(invalid)?;
    io.write_all(&length.to_le_bytes()).await?;
    io.write_all(bytes).await?;
    io.close().await
}

fn invalid(reason: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_string())
}

#[async_trait]
impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Question;
    type Response = Response;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Question>
    where
        T: AsyncRead + Unpin + Send,
    {
        match read(io, MAX_REQUEST_BYTES).await {
            Ok(bytes) => Ok(Request::from_bytes(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            // The connection or its patience has ended.
            Err(error) => Err(error),
        }
    }
    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        let bytes = read(io, MAX_RESPONSE_BYTES).await?;
        // An answer may be megabytes: reading it is work for another thread than the one that serves all.
        let read = tokio::task::spawn_blocking(move || Response::from_bytes(&bytes)).await;
        read.map_err(invalid)?.map_err(invalid)
    }
    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, question: Question) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let request = question.ok_or(io::ErrorKind::InvalidInput)?;
        write(io, &request.to_bytes()).await
    }
    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: Response,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &response.to_bytes()).await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use futures::io::Cursor;
    use libp2p::request_response::Codec as _;

    const PROTOCOL: StreamProtocol = StreamProtocol::new("/test");

    #[tokio::test]
    async fn a_question_arrives_as_it_was_asked() {
        let mut wire = Cursor::new(Vec::new());
        Codec.write_request(&PROTOCOL, &mut wire, Some(Request::Waiting)).await.unwrap();
        let mut wire = Cursor::new(wire.into_inner());
        assert_eq!(Codec.read_request(&PROTOCOL, &mut wire).await.unwrap(), Some(Request::Waiting));
    }

    #[tokio::test]
    async fn a_length_beyond_the_limit_is_refused_before_anything_is_read() {
        let mut wire = Cursor::new(u32::MAX.to_le_bytes().to_vec());
        assert_eq!(Codec.read_request(&PROTOCOL, &mut wire).await.unwrap(), None);
        let mut wire = Cursor::new(u32::MAX.to_le_bytes().to_vec());
        let refused = Codec.read_response(&PROTOCOL, &mut wire).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn a_question_that_can_not_be_read_arrives_as_none_and_a_broken_off_one_not_at_all() {
        let mut wire = Cursor::new([2, 0, 0, 0, 0xff, 0xff].to_vec());
        assert_eq!(Codec.read_request(&PROTOCOL, &mut wire).await.unwrap(), None);
        let mut wire = Cursor::new([9, 0, 0, 0, 1, 2].to_vec());
        let broken_off = Codec.read_request(&PROTOCOL, &mut wire).await.unwrap_err();
        assert_eq!(broken_off.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_broken_off_answer_is_an_error() {
        let mut wire = Cursor::new([9, 0, 0, 0, 1, 2].to_vec());
        let refused = Codec.read_response(&PROTOCOL, &mut wire).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::UnexpectedEof);
    }
}
