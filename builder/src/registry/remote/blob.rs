//! A blob as a stream that survives broken connections.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use reqwest::StatusCode;
use reqwest::header::CONTENT_RANGE;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::error::RegistryErrorKind;
use super::client::Client;
use super::endpoint::Endpoint;
use super::failure::Failure;
use super::pace::{LEAST_BYTES, Pace};
use crate::digest::Digest;

/// Pieces between the network and the reader: some hundred kilobytes at most.
const QUEUE: usize = 16;

type Piece = Result<Bytes, RegistryErrorKind>;

/// Fetches a blob on the runtime and gives its bytes as a blocking reader. When the reader is
/// dropped the transfer ends. The bytes are not verified here, so nothing is lost by going on
/// where a transfer broke: the digest of the whole decides.
pub(super) fn stream_blob(
    runtime: &Handle,
    client: Arc<Client>,
    endpoints: Vec<Endpoint>,
    repository: String,
    digest: Digest,
    size: u64,
) -> Box<dyn Read + Send> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    runtime.spawn(async move {
        let mut transfer = Transfer {
            client,
            repository,
            digest,
            size,
            offset: 0,
            sender,
        };
        let last = endpoints.len().saturating_sub(1);
        for (place, endpoint) in endpoints.iter().enumerate() {
            match transfer.run(endpoint).await {
                Ok(()) => break,
                // The next endpoint goes on where this one failed.
                Err(error) if place < last => transfer.client.mirror_failed(endpoint, &error),
                Err(kind) => {
                    // Nobody listens when the reader is gone.
                    let _ = transfer.sender.send(Err(kind)).await;
                }
            }
        }
    });
    Box::new(Pieces {
        receiver,
        piece: Bytes::new(),
    })
}

struct Transfer {
    client: Arc<Client>,
    repository: String,
    digest: Digest,
    size: u64,
    /// Bytes handed on so far.
    offset: u64,
    sender: mpsc::Sender<Piece>,
}

impl Transfer {
    /// Hands on the rest of the blob. Attempts are counted anew whenever a fair number of bytes came.
    async fn run(&mut self, endpoint: &Endpoint) -> Result<(), RegistryErrorKind> {
        let mut attempt = 0;
        while self.offset < self.size {
            let before = self.offset;
            let failure = match self.attempt(endpoint).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            let progress = self.offset - before >= LEAST_BYTES;
            attempt = if progress { 1 } else { attempt + 1 };
            let wait = match failure.retry_after {
                Some(wait) if attempt < self.client.options.attempts => wait,
                _ => return Err(failure.kind),
            };
            tokio::time::sleep(wait.max(self.client.backoff(attempt))).await;
        }
        Ok(())
    }

    async fn attempt(&mut self, endpoint: &Endpoint) -> Result<(), Failure> {
        let mut response = self
            .client
            .get_blob(endpoint, &self.repository, &self.digest, self.offset)
            .await?;
        let start = match response.status() {
            StatusCode::PARTIAL_CONTENT => response
                .headers()
                .get(CONTENT_RANGE)
                .and_then(|v| v.to_str().ok())
                .and_then(range_start)
                .filter(|start| *start <= self.offset)
                .ok_or_else(|| {
                    Failure::fatal(RegistryErrorKind::Protocol {
                        host: endpoint.host.clone(),
                        reason: "a partial answer that does not say where it starts".into(),
                    })
                })?,
            // The server does not resume: what is known already is passed over.
            _ => 0,
        };
        let mut skip = self.offset - start;
        let mut pace = Pace::new(self.client.options.stall_timeout);
        loop {
            let start = Instant::now();
            let chunk = response.chunk().await;
            let chunk = chunk.map_err(|e| self.client.options.transport_failure(endpoint, &e))?;
            let Some(chunk) = chunk else { break };
            // Only the network's time counts, not that of whoever reads.
            pace.check(endpoint, chunk.len(), start.elapsed())?;
            let known = usize::try_from(skip).map_or(chunk.len(), |s| s.min(chunk.len()));
            skip -= known as u64;
            let piece = chunk.slice(known..);
            if piece.is_empty() {
                continue;
            }
            self.offset += piece.len() as u64;
            // One byte too many is handed on, so that the reader's check names the fault.
            if self.sender.send(Ok(piece)).await.is_err() || self.offset > self.size {
                return Ok(());
            }
        }
        if self.offset < self.size {
            return Err(Failure {
                kind: RegistryErrorKind::Unreachable {
                    host: endpoint.host.clone(),
                    reason: format!(
                        "the connection ended after {} of {} bytes of {}",
                        self.offset, self.size, self.digest
                    ),
                    hint: String::new(),
                },
                retry_after: Some(std::time::Duration::ZERO),
            });
        }
        Ok(())
    }
}

/// `bytes 100-199/200` starts at 100 (RFC 9110, 14.4).
fn range_start(header: &str) -> Option<u64> {
    header
        .strip_prefix("bytes ")?
        .split('-')
        .next()?
        .trim()
        .parse()
        .ok()
}

/// The reader's end.
struct Pieces {
    receiver: mpsc::Receiver<Piece>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(Err(kind)) => return Err(io::Error::other(kind)),
                Some(Ok(piece)) => self.piece = piece,
            }
        }
        let n = buf.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buf[..n]);
        Ok(n)
    }
}
