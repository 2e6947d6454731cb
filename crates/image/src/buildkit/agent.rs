//! An SSH agent of ours, lent to a build.
//!
//! A build may ask which keys there are and have things signed, and nothing else: a step that could add or remove keys, or
//! lock the agent, would change what the person at this machine uses. The rest of the protocol is answered with a refusal here
//! and never reaches the agent. (draft-ietf-sshm-ssh-agent, section 4)

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tonic::Status;

/// The longest message either side may send; OpenSSH has the same limit.
const MAX_MESSAGE_BYTES: usize = 256 * 1024;

/// How many answers may wait to be taken. The protocol is one answer to one request.
pub(super) const ANSWERS: usize = 4;

/// `SSH_AGENTC_REQUEST_IDENTITIES` and `SSH_AGENTC_SIGN_REQUEST`.
const ALLOWED: [u8; 2] = [11, 13];

/// `SSH_AGENT_FAILURE`, as a whole message.
const REFUSAL: &[u8] = &[0, 0, 0, 1, 5];

/// The bytes in front of a message that say how long the rest is.
const LENGTH_BYTES: usize = 4;

/// Hands requests to the agent and its answers back, until there are no more requests or one side breaks off.
pub(super) async fn relay(
    requests: impl Stream<Item = Result<Bytes, Status>>,
    mut agent: impl AsyncRead + AsyncWrite + Unpin,
    answers: mpsc::Sender<Result<Bytes, Status>>,
) {
    let mut requests = std::pin::pin!(requests);
    let mut waiting = BytesMut::new();
    loop {
        match message(&mut waiting) {
            Ok(Some(request)) => {
                let answer = ask(&mut agent, &request).await.map_err(Status::from);
                let ended = answer.is_err();
                if answers.send(answer).await.is_err() || ended {
                    return;
                }
            }
            Ok(None) => match requests.next().await {
                Some(Ok(bytes)) => waiting.extend_from_slice(&bytes),
                Some(Err(_)) | None => return,
            },
            Err(error) => {
                // Whoever does not take answers any more need not be told.
                let _ = answers.send(Err(error.into())).await;
                return;
            }
        }
    }
}

async fn ask(agent: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &[u8]) -> io::Result<Bytes> {
    if !request.get(LENGTH_BYTES).is_some_and(|kind| ALLOWED.contains(kind)) {
        return Ok(Bytes::from_static(REFUSAL));
    }
    agent.write_all(request).await?;
    let mut answer = BytesMut::zeroed(LENGTH_BYTES);
    agent.read_exact(&mut answer).await?;
    let whole = whole(&answer)?;
    answer.resize(whole, 0);
    agent.read_exact(&mut answer[LENGTH_BYTES..]).await?;
    Ok(answer.freeze())
}

/// Takes a whole message off the front, its length included.
fn message(waiting: &mut BytesMut) -> io::Result<Option<BytesMut>> {
    if waiting.len() < LENGTH_BYTES {
        return Ok(None);
    }
    let whole = whole(waiting)?;
    Ok((waiting.len() >= whole).then(|| waiting.split_to(whole)))
}

/// How long the message is that begins here.
fn whole(mut head: &[u8]) -> io::Result<usize> {
    let length = usize::try_from(head.get_u32()).unwrap_or(usize::MAX);
    if length > MAX_MESSAGE_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a message to or from the ssh agent is too long",
        ));
    }
    Ok(LENGTH_BYTES + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent that answers each request with a message of kind 99 which has the request in it.
    async fn echo(mut wire: tokio::io::DuplexStream) -> Vec<u8> {
        let mut heard = Vec::new();
        let mut buffer = BytesMut::new();
        while wire.read_buf(&mut buffer).await.is_ok_and(|n| n > 0) {
            while let Some(request) = message(&mut buffer).unwrap() {
                heard.push(request[LENGTH_BYTES]);
                let length = u32::try_from(request.len() + 1).unwrap();
                wire.write_all(&length.to_be_bytes()).await.unwrap();
                wire.write_all(&[99]).await.unwrap();
                wire.write_all(&request).await.unwrap();
            }
        }
        heard
    }

    /// Sends these pieces; gives back the answers, and the kinds of the requests that reached the agent.
    async fn exchange(pieces: &[&[u8]]) -> (Vec<Result<Bytes, Status>>, Vec<u8>) {
        let (ours, theirs) = tokio::io::duplex(64);
        let agent = tokio::spawn(echo(theirs));
        let (sender, mut receiver) = mpsc::channel(ANSWERS);
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        tokio::spawn(relay(futures::stream::iter(pieces), ours, sender));
        let mut answers = Vec::new();
        while let Some(answer) = receiver.recv().await {
            answers.push(answer);
        }
        (answers, agent.await.unwrap())
    }

    #[tokio::test]
    async fn a_build_may_list_keys_and_sign_and_nothing_else() {
        // A list, a removal of all keys, a lock, an extension, and a signature; cut where no message ends.
        let requests: &[&[u8]] =
            &[&[0, 0], &[0, 1, 11, 0, 0, 0, 1, 19, 0, 0, 0, 2, 22], &[0, 0, 0, 0, 1, 27, 0, 0, 0, 2, 13, 7]];
        let (answers, heard) = exchange(requests).await;
        let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(heard, [11, 13]);
        assert_eq!(answers.len(), 5);
        assert_eq!(&answers[0][..], [0, 0, 0, 6, 99, 0, 0, 0, 1, 11]);
        assert!(answers[1..4].iter().all(|answer| answer == REFUSAL), "{answers:?}");
        assert_eq!(&answers[4][..], [0, 0, 0, 7, 99, 0, 0, 0, 2, 13, 7]);
    }

    #[tokio::test]
    async fn a_message_without_end_is_refused_before_it_is_kept() {
        let (answers, heard) = exchange(&[&[0xff, 0xff, 0xff, 0xff, 11]]).await;
        assert!(matches!(&answers[..], [Err(_)]), "{answers:?}");
        assert!(heard.is_empty(), "{heard:?}");
    }
}
