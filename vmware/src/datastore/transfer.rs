//! Bytes to and from a datastore over its file API (`/folder`).

use std::io::Read;

use super::{DatastorePath, Observer, Source, go_on};
use crate::address::Url;
use crate::error::{Error, Kind, Result};
use crate::http::{Body, Head};
use crate::inventory::Datastore;
use crate::percent;
use crate::session::Session;
use crate::soap::http_error;
use crate::tls::Thumbprint;

/// Where a file is sent, and what lets it in.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) url: Url,
    pub(super) cookie: String,
    pub(super) pin: Option<Thumbprint>,
}

impl Session {
    /// The file's place at the server itself.
    pub(super) fn own_place(&self, datastore: &Datastore, path: &DatastorePath) -> Place {
        let address = self.address();
        let target = format!(
            "/folder/{}?dcPath={}&dsName={}",
            percent::encode_path(path.path()),
            percent::encode(datastore.datacenter.dc_path()),
            percent::encode(&datastore.name),
        );
        Place {
            url: Url {
                host: address.host.clone(),
                port: address.port,
                target,
            },
            cookie: self.cookie(),
            pin: None,
        }
    }

    /// Sends a file once.
    pub(super) fn put(
        &self,
        place: &Place,
        path: &DatastorePath,
        source: &dyn Source,
        observer: &dyn Observer,
    ) -> Result<()> {
        let what = path.to_string();
        let mut reader = source
            .open()
            .map_err(|e| Error::source("what is to be pushed", e))?;
        observer.progress(0);
        let mut sent = |done| {
            observer.progress(done);
            go_on(observer)?;
            self.keep_alive()
        };
        let body = Body::Stream {
            reader: &mut reader,
            len_bytes: source.len_bytes(),
            sent: &mut sent,
        };
        let headers = [
            ("Cookie", &*place.cookie),
            ("Content-Type", "application/octet-stream"),
        ];
        let mut answer = self
            .request("PUT", &place.url, place.pin, &headers, body)
            .map_err(|e| e.context(&what))?;
        match answer.head.status {
            200 | 201 | 204 => Ok(()),
            _ => {
                let text = answer.excerpt();
                Err(http_error(&what, &answer.head, &text))
            }
        }
    }

    /// Reads a file; `each` gets its bytes piece by piece and may stop with `false`. The head of
    /// the answer.
    pub(super) fn get(
        &self,
        datastore: &Datastore,
        path: &DatastorePath,
        each: &mut dyn FnMut(&[u8]) -> Result<bool>,
    ) -> Result<Head> {
        let what = path.to_string();
        let mut again = true;
        let mut answer = loop {
            let place = self.own_place(datastore, path);
            let headers = [("Cookie", &*place.cookie)];
            let mut answer = self
                .request("GET", &place.url, place.pin, &headers, Body::None)
                .map_err(|e| e.context(&what))?;
            match answer.head.status {
                200 => break answer,
                401 if again => {
                    again = false;
                    self.login()?;
                }
                _ => {
                    let text = answer.excerpt();
                    return Err(http_error(&what, &answer.head, &text));
                }
            }
        };
        let mut piece = vec![0; 256 << 10];
        loop {
            let n = answer.read(&mut piece).map_err(|e| e.context(&what))?;
            if n == 0 || !each(&piece[..n])? {
                return Ok(answer.head);
            }
            self.keep_alive()?;
        }
    }

    /// Compares a file with what it should be, byte by byte, up to the first that differs.
    pub(super) fn same_content(
        &self,
        datastore: &Datastore,
        path: &DatastorePath,
        source: &dyn Source,
        observer: &dyn Observer,
    ) -> Result<bool> {
        let unreadable = |e| Error::source("what is to be compared", e);
        let mut own = source.open().map_err(unreadable)?;
        let mut expected = Vec::new();
        let mut done = 0;
        let mut same = true;
        observer.progress(0);
        self.get(datastore, path, &mut |piece| {
            go_on(observer)?;
            expected.resize(piece.len(), 0);
            done += piece.len() as u64;
            if done > source.len_bytes() {
                same = false;
                return Ok(false);
            }
            own.read_exact(&mut expected).map_err(unreadable)?;
            same = piece == expected;
            observer.progress(done);
            Ok(same)
        })?;
        Ok(same && done == source.len_bytes())
    }

    /// The first bytes of a file, at most so many.
    ///
    /// # Errors
    /// As [`read_file`](Self::read_file).
    pub fn read_start(
        &self,
        datastore: &Datastore,
        path: &DatastorePath,
        most_bytes: usize,
    ) -> Result<Vec<u8>> {
        let mut start = Vec::new();
        self.get(datastore, path, &mut |piece| {
            let room = most_bytes - start.len();
            start.extend_from_slice(&piece[..piece.len().min(room)]);
            Ok(start.len() < most_bytes)
        })?;
        Ok(start)
    }

    /// Reads a file and writes it to `to`; how long it was.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if it is not there, or what the network does.
    pub fn read_file(
        &self,
        datastore: &Datastore,
        path: &DatastorePath,
        to: &mut dyn std::io::Write,
    ) -> Result<u64> {
        let mut done = 0;
        self.get(datastore, path, &mut |piece| {
            to.write_all(piece).map_err(|e| {
                Error::new(
                    Kind::Source,
                    format!("can't write what was read of {path}: {e}"),
                )
            })?;
            done += piece.len() as u64;
            Ok(true)
        })?;
        Ok(done)
    }
}

impl std::fmt::Debug for dyn Source + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.len_bytes())
    }
}
