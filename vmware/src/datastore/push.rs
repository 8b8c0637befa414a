//! Pushing a file.

use std::time::{Duration, Instant};

use super::files::{Found, top_is_object};
use super::{DatastorePath, FileInfo, Observer, Source, pause};
use crate::error::{Error, Kind, Result};
use crate::inventory::Datastore;
use crate::session::{Session, rest};

/// How a file is pushed.
#[derive(Clone, Copy, Debug, Default)]
pub struct PushOptions<'a> {
    /// Replace the file even if virtual machines use it.
    pub force: bool,
    /// Read the file back and compare it before it is moved into place.
    pub check_content: bool,
    /// Send it to a host rather than through vCenter, if one can be reached.
    pub direct: bool,
    /// The host to send it to; any that has the datastore if `None`.
    pub host: Option<&'a str>,
}

/// What pushing a file came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The same bytes were there; nothing was done.
    AlreadyThere,
    /// It is there now.
    Pushed,
    /// It is there now, in the place of another.
    Replaced,
}

/// A server that has not noticed yet that an upload was given up still has the file open.
const OPEN_FOR: Duration = Duration::from_secs(20);
const OPEN_PAUSE: Duration = Duration::from_millis(300);

/// One push.
struct Push<'a> {
    session: &'a Session,
    datastore: &'a Datastore,
    path: &'a DatastorePath,
    part: DatastorePath,
    source: &'a dyn Source,
    options: PushOptions<'a>,
    observer: &'a dyn Observer,
}

impl Session {
    /// Puts a file onto a datastore. After an error nothing is there that was not there before,
    /// but where the message says so.
    ///
    /// Where a file of the same length is there already, it is read and compared.
    ///
    /// # Errors
    /// [`Kind::InUse`] with the names of the VMs that use the file that is there;
    /// [`Kind::Damaged`] if other bytes arrived than were sent, again and again;
    /// [`Kind::Stopped`] if the observer says so; what the server and the network do.
    pub fn push(
        &self,
        datastore: &Datastore,
        path: &DatastorePath,
        source: &dyn Source,
        options: PushOptions<'_>,
        observer: &dyn Observer,
    ) -> Result<Outcome> {
        if path.folder().is_none() && top_is_object(datastore) {
            return Err(Error::new(
                Kind::Input,
                format!(
                    "{path}: a {} datastore takes no files at its top; name a folder",
                    datastore.kind
                ),
            ));
        }
        let push = Push {
            session: self,
            datastore,
            path,
            part: path.with_suffix(".part")?,
            source,
            options,
            observer,
        };
        push.run()
    }
}

impl Push<'_> {
    fn run(&self) -> Result<Outcome> {
        let there = self.session.find_file(self.datastore, self.path)?;
        let outcome = match &there {
            Found::NoFolder => {
                self.session.make_folder(self.datastore, self.path)?;
                self.observer
                    .note(&format!("made the folder {}", self.path.folder_path()));
                Outcome::Pushed
            }
            Found::Nothing => Outcome::Pushed,
            Found::File(file) if file.is_folder => {
                return Err(Error::new(
                    Kind::Exists,
                    format!("{} is a folder; give the file another name", self.path),
                ));
            }
            Found::File(file) => {
                if self.is_same(file)? {
                    return Ok(Outcome::AlreadyThere);
                }
                self.check_unused()?;
                Outcome::Replaced
            }
        };
        self.upload()?;
        let moved = self
            .session
            .move_file(self.datastore, &self.part, self.path);
        if let Err(error) = moved {
            // The answer may have been lost, not the move.
            if !self.arrived()? {
                self.remove_part();
                return Err(error);
            }
        }
        Ok(outcome)
    }

    /// A file of the same length is compared, which costs no more than sending it again and less
    /// if it differs.
    fn is_same(&self, file: &FileInfo) -> Result<bool> {
        if file.size_bytes != self.source.len_bytes() {
            return Ok(false);
        }
        self.observer.note(&format!(
            "{} is there with the same length: comparing",
            self.path
        ));
        self.session
            .same_content(self.datastore, self.path, self.source, self.observer)
    }

    fn check_unused(&self) -> Result<()> {
        let users = self.session.users_of(self.datastore, self.path)?;
        if users.is_empty() {
            return Ok(());
        }
        let users = users.join(", ");
        if self.options.force {
            self.observer
                .warn(&format!("{} is used by {users}", self.path));
            return Ok(());
        }
        Err(Error::new(
            Kind::InUse,
            format!(
                "{} is used by {users}; push under another name, or replace it all the same with --force",
                self.path
            ),
        ))
    }

    /// Sends the file beside its place until it is there whole, or no more attempts are left.
    fn upload(&self) -> Result<()> {
        let options = self.session.options();
        let mut direct = self.options.direct && self.session.about().is_vcenter;
        let mut attempt = 1;
        // Without a limit of its own, a server that ends every session would be asked for ever.
        let mut logins = options.attempts.get();
        loop {
            let error = match self.attempt(direct) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if direct && may_go_through_vcenter(&error) {
                self.observer
                    .warn(&format!("{error}; sending it through vCenter instead"));
                direct = false;
                self.remove_part();
                continue;
            }
            let ended = error.session_ended() && logins > 0;
            if !(ended || error.passes() && attempt < options.attempts.get()) {
                self.remove_part();
                return Err(match attempt {
                    1 => error,
                    _ if error.kind() == Kind::Stopped => error,
                    n => error.context(format!("given up after {n} attempts")),
                });
            }
            self.observer.warn(&format!("{error}; starting again"));
            if ended {
                logins -= 1;
                self.login_again(&error)?;
            } else {
                pause(self.observer, options.pause(attempt, error.retry_after()))
                    .inspect_err(|_| self.remove_part())?;
                attempt += 1;
            }
        }
    }

    fn login_again(&self, cause: &Error) -> Result<()> {
        self.session.login().map_err(|error| {
            self.remove_part();
            error.context(format!("{cause} And then"))
        })
    }

    fn attempt(&self, direct: bool) -> Result<()> {
        let place = match direct {
            true => self
                .session
                .direct_place(self.datastore, &self.part, self.options.host)?,
            false => self.session.own_place(self.datastore, &self.part),
        };
        if direct {
            self.observer
                .note(&format!("sending to the host {}", place.url.host));
        }
        self.session
            .put(&place, &self.part, self.source, self.observer)?;
        self.check_part()
    }

    /// Asks the server by another way what it has.
    fn check_part(&self) -> Result<()> {
        let want = self.source.len_bytes();
        let damaged =
            |what: String| Err(Error::new(Kind::Damaged, format!("{}: {what}", self.part)));
        match self.session.find_file(self.datastore, &self.part)? {
            Found::File(file) if file.size_bytes == want => {}
            Found::File(file) => {
                return damaged(format!("{} bytes of {want} arrived", file.size_bytes));
            }
            _ => return damaged("the server took it, and it is not there".into()),
        }
        let check = self.options.check_content;
        if check
            && !self
                .session
                .same_content(self.datastore, &self.part, self.source, self.observer)?
        {
            return damaged("other bytes arrived than were sent".into());
        }
        Ok(())
    }

    /// Whether the file is in its place, and the part is not.
    fn arrived(&self) -> Result<bool> {
        let gone = matches!(
            self.session.find_file(self.datastore, &self.part)?,
            Found::Nothing | Found::NoFolder
        );
        let want = self.source.len_bytes();
        let there = self.session.find_file(self.datastore, self.path)?;
        Ok(gone && matches!(there, Found::File(file) if file.size_bytes == want))
    }

    fn remove_part(&self) {
        let end = Instant::now() + OPEN_FOR;
        loop {
            match self.session.remove_file(self.datastore, &self.part) {
                Ok(()) => return,
                Err(error) if error.kind() == Kind::InUse && Instant::now() < end => {
                    rest(OPEN_PAUSE);
                }
                Err(error) => {
                    self.observer
                        .warn(&format!("{} may be left behind: {error}", self.part));
                    return;
                }
            }
        }
    }
}

/// Whether a failure of a direct upload says nothing about one through vCenter.
fn may_go_through_vcenter(error: &Error) -> bool {
    !matches!(error.kind(), Kind::Source | Kind::Input | Kind::Stopped)
}
