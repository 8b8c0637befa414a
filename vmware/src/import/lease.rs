//! The lease: waited for, completed, aborted.

use std::time::{Duration, Instant};

use super::spec::Plan;
use crate::error::{Error, Kind, Result};
use crate::inventory::{Placement, properties};
use crate::session::{Call, Session, rest};
use crate::soap::{MoRef, Node, Xml, error_of_localized};

const PAUSE: Duration = Duration::from_millis(200);

/// A lease that is ready.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) reference: MoRef,
    /// The machine that is being made.
    pub(super) machine: MoRef,
    pub(super) devices: Vec<DeviceUrl>,
}

/// Where a file of the machine is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeviceUrl {
    pub(super) import_key: String,
    pub(super) url: String,
    pub(super) thumbprint: Option<String>,
}

impl Session {
    pub(super) fn begin_lease(&self, place: &Placement, plan: &Plan) -> Result<Lease> {
        let mut arguments = Xml::new();
        arguments
            .node("spec", &plan.spec)
            .mo("folder", &place.folder)
            .mo_opt("host", place.host.as_ref());
        let call = Call::once("ImportVApp", &place.pool, arguments);
        let reference = self.call(&call)?.need_ref("returnval")?;
        self.ready(&reference)
            .inspect_err(|_| self.abort(&reference))
    }

    fn ready(&self, reference: &MoRef) -> Result<Lease> {
        let end = Instant::now() + self.options().answer_timeout;
        loop {
            let lease = properties(self, reference, &["state", "error", "info"])?;
            match lease.text_at("state") {
                Some("ready") => return lease_of(reference, lease.need("info")?),
                Some("error") => {
                    let error = lease.child("error").map(error_of_localized);
                    return Err(error.unwrap_or_else(|| {
                        Error::new(
                            Kind::Server,
                            "the server can't import it and gives no reason",
                        )
                    }));
                }
                _ if Instant::now() < end => rest(PAUSE),
                _ => {
                    return Err(Error::new(
                        Kind::Timeout,
                        "the server does not get ready for the import",
                    ));
                }
            }
        }
    }

    /// Tells the server how far the import is, which keeps the lease alive.
    pub(super) fn lease_progress(&self, lease: &MoRef, percent: u64) -> Result<()> {
        let mut arguments = Xml::new();
        arguments.value("percent", percent.min(100));
        self.call(&Call::read("HttpNfcLeaseProgress", lease, arguments))?;
        Ok(())
    }

    pub(super) fn complete(&self, lease: &MoRef) -> Result<()> {
        self.call(&Call::once("HttpNfcLeaseComplete", lease, Xml::new()))?;
        Ok(())
    }

    /// Gives up: the server removes what it has made. If it can't be told, the lease runs out.
    pub(super) fn abort(&self, lease: &MoRef) {
        let _ = self.call(&Call::read("HttpNfcLeaseAbort", lease, Xml::new()));
    }
}

fn lease_of(reference: &MoRef, info: &Node) -> Result<Lease> {
    let devices = info.all("deviceUrl").map(|device| {
        let thumbprint = device
            .text_at("sslThumbprint")
            .filter(|print| !print.is_empty());
        Ok(DeviceUrl {
            import_key: device.need_text("importKey")?.into(),
            url: device.need_text("url")?.into(),
            thumbprint: thumbprint.map(str::to_owned),
        })
    });
    Ok(Lease {
        reference: reference.clone(),
        machine: info.need_ref("entity")?,
        devices: devices.collect::<Result<_>>()?,
    })
}
