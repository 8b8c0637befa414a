//! A session with a server: login, calls, keeping it alive, logout.

mod call;
mod options;
mod wire;

pub use options::Options;

pub(crate) use call::Call;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::error::{Error, Kind, Result};
use crate::http::{Connection, Times};
use crate::secret::Secret;
use crate::soap::{MoRef, Node, Xml};
use crate::tls::Trust;

/// Who logs in.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Such as `administrator@vsphere.local`, or `root` on an ESXi host.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// What the server says about itself, and where its services are.
#[derive(Clone, Debug)]
pub(crate) struct Services {
    pub(crate) root_folder: MoRef,
    pub(crate) property_collector: MoRef,
    pub(crate) view_manager: MoRef,
    pub(crate) session_manager: MoRef,
    pub(crate) file_manager: Option<MoRef>,
    pub(crate) ovf_manager: Option<MoRef>,
    pub(crate) namespace_manager: Option<MoRef>,
}

/// A vCenter or ESXi server that someone is logged in to. It logs out when dropped.
///
/// Sessions end by themselves when nothing is asked for a while; uploads don't count. Calls log in
/// again where that has happened.
pub struct Session {
    address: Address,
    credentials: Credentials,
    trust: Trust,
    options: Options,
    services: Services,
    about: About,
    state: Mutex<State>,
}

/// The server's own words about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Such as `VMware vCenter Server 8.0.3 build-24022515`.
    pub full_name: String,
    /// Whether it is a vCenter, rather than an ESXi host.
    pub is_vcenter: bool,
    /// Version of the API, such as `8.0.3.0`.
    pub api_version: String,
}

struct State {
    /// `name=value` of the session's cookie.
    cookie: Option<String>,
    idle: Option<Connection>,
    last_call: Instant,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("address", &self.address)
            .field("user", &self.credentials.user)
            .field("about", &self.about)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Connects and logs in.
    ///
    /// # Errors
    /// [`Kind::Certificate`] with the thumbprint to pin, [`Kind::Login`], or what the network does.
    pub fn open(
        address: Address,
        credentials: Credentials,
        trust: Trust,
        options: Options,
    ) -> Result<Session> {
        let mut session = Session {
            address,
            credentials,
            trust,
            options,
            services: Services::unknown(),
            about: About {
                full_name: String::new(),
                is_vcenter: false,
                api_version: String::new(),
            },
            state: Mutex::new(State {
                cookie: None,
                idle: None,
                last_call: Instant::now(),
            }),
        };
        let this = MoRef::new("ServiceInstance", "ServiceInstance");
        let content = session.call(&Call::read("RetrieveServiceContent", &this, Xml::new()))?;
        let content = content.need("returnval")?;
        session.services = Services::of(content)?;
        session.about = About::of(content);
        session.login()?;
        Ok(session)
    }

    /// What the server says about itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn services(&self) -> &Services {
        &self.services
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    pub(crate) fn times(&self) -> Times {
        self.options.times()
    }

    /// The cookie of the session, as a request's header has it.
    pub(crate) fn cookie(&self) -> String {
        self.state().cookie.clone().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs in again, as a new session: the server refuses a login on a live one.
    pub(crate) fn login(&self) -> Result<()> {
        self.state().cookie = None;
        let mut arguments = Xml::new();
        arguments
            .text("userName", &self.credentials.user)
            .text("password", self.credentials.password.reveal());
        let call = Call::read("Login", &self.services.session_manager, arguments);
        self.send_patiently(&call).map_err(|e| {
            e.context(format!(
                "can't log in to {} as {:?}",
                self.address, self.credentials.user
            ))
        })?;
        if self.state().cookie.is_none() {
            return Err(Error::protocol(
                "the server gave no session cookie at login",
            ));
        }
        Ok(())
    }

    /// Asks the server the time if nothing was asked for a while, so that the session lives on.
    pub(crate) fn keep_alive(&self) -> Result<()> {
        let quiet = self.state().last_call.elapsed();
        if quiet < self.options.keep_alive {
            return Ok(());
        }
        let this = MoRef::new("ServiceInstance", "ServiceInstance");
        self.call(&Call::read("CurrentTime", &this, Xml::new()))?;
        Ok(())
    }

    /// Calls a method; where the session has ended, logs in and calls again.
    pub(crate) fn call(&self, call: &Call<'_>) -> Result<Node> {
        match self.send_patiently(call) {
            // The server refused the call without doing anything, so that it may be sent again.
            Err(error) if error.is_fault("NotAuthenticated") && self.has_services() => {
                self.login()?;
                self.send_patiently(call)
            }
            result => result,
        }
    }

    fn has_services(&self) -> bool {
        !self.services.session_manager.value.is_empty()
    }

    /// Calls, and where the network or a busy server fails, calls again a little later.
    fn send_patiently(&self, call: &Call<'_>) -> Result<Node> {
        let mut attempt = 1;
        loop {
            match self.send(call) {
                Err(error)
                    if call.repeatable
                        && error.passes()
                        && attempt < self.options.attempts.get() =>
                {
                    std::thread::sleep(self.options.pause(attempt, error.retry_after()));
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// Logs out. Dropping the session does so too, but tells nothing.
    ///
    /// # Errors
    /// If the server can't be told: the session ends by itself later.
    pub fn close(self) -> Result<()> {
        self.logout()
    }

    fn logout(&self) -> Result<()> {
        if self.state().cookie.is_none() {
            return Ok(());
        }
        let call = Call::once("Logout", &self.services.session_manager, Xml::new());
        let result = self.send(&call);
        self.state().cookie = None;
        match result {
            Err(error) if !error.session_ended() => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The session ends by itself if this fails.
        let _ = self.logout();
    }
}

impl About {
    fn of(content: &Node) -> About {
        let text = |path| content.text_at(path).unwrap_or_default().to_owned();
        About {
            full_name: text("about/fullName"),
            is_vcenter: content.text_at("about/apiType") != Some("HostAgent"),
            api_version: text("about/apiVersion"),
        }
    }
}

impl Services {
    fn unknown() -> Self {
        let none = || MoRef::new("", "");
        Services {
            root_folder: none(),
            property_collector: none(),
            view_manager: none(),
            session_manager: none(),
            file_manager: None,
            ovf_manager: None,
            namespace_manager: None,
        }
    }

    fn of(content: &Node) -> Result<Self> {
        let optional = |name| content.child(name).and_then(Node::mo_ref);
        Ok(Services {
            root_folder: content.need_ref("rootFolder")?,
            property_collector: content.need_ref("propertyCollector")?,
            view_manager: content.need_ref("viewManager")?,
            session_manager: content.need_ref("sessionManager")?,
            file_manager: optional("fileManager"),
            ovf_manager: optional("ovfManager"),
            namespace_manager: optional("datastoreNamespaceManager"),
        })
    }

    pub(crate) fn file_manager(&self) -> Result<&MoRef> {
        let manager = self.file_manager.as_ref();
        manager.ok_or_else(|| Error::new(Kind::Server, "this server manages no datastore files"))
    }
}

/// Sleeps at least a moment, so that a loop that polls does not spin.
pub(crate) fn rest(wait: Duration) {
    std::thread::sleep(wait.max(Duration::from_millis(5)));
}
