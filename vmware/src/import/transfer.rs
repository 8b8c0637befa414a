//! The import as a whole.

use std::time::{Duration, Instant};

use super::lease::{DeviceUrl, Lease};
use super::spec::{Appliance, Item, Plan};
use crate::address::Url;
use crate::datastore::{Observer, go_on, pause};
use crate::error::{Error, Kind, Result};
use crate::http::Body;
use crate::inventory::Placement;
use crate::session::Session;
use crate::soap::http_error;
use crate::vm::Machine;

const DISK_TYPE: &str = "application/x-vnd.vmware-streamVmdk";
const OTHER_TYPE: &str = "application/octet-stream";

/// A lease that hears nothing for minutes is given up by the server.
const TELL_EVERY: Duration = Duration::from_secs(5);

impl Session {
    /// Imports an appliance as a machine that is off. After an error nothing of it is left.
    ///
    /// `observer` is told the bytes of all files together.
    ///
    /// # Errors
    /// What the server says to the description; what the network does, after several attempts;
    /// [`Kind::Stopped`] if the observer says so.
    pub fn import(
        &self,
        place: &Placement,
        appliance: &Appliance<'_>,
        observer: &dyn Observer,
    ) -> Result<Machine> {
        let plan = self.import_plan(place, appliance, observer)?;
        let options = self.options();
        let mut attempt = 1;
        loop {
            match self.import_once(place, appliance, &plan, observer) {
                Err(error) if error.passes() && attempt < options.attempts.get() => {
                    observer.warn(&format!("{error}; starting again"));
                    pause(observer, options.pause(attempt, error.retry_after()))?;
                    attempt += 1;
                }
                Err(error) if attempt > 1 && error.kind() != Kind::Stopped => {
                    return Err(error.context(format!("given up after {attempt} attempts")));
                }
                result => return result,
            }
        }
    }

    fn import_once(
        &self,
        place: &Placement,
        appliance: &Appliance<'_>,
        plan: &Plan,
        observer: &dyn Observer,
    ) -> Result<Machine> {
        let lease = self.begin_lease(place, plan)?;
        let sent = self
            .send_all(&lease, appliance, &plan.items, observer)
            .and_then(|()| self.complete(&lease.reference));
        if let Err(error) = sent {
            self.abort(&lease.reference);
            return Err(error.context(appliance.name));
        }
        Ok(Machine {
            reference: lease.machine,
            name: appliance.name.into(),
            path: format!("{}/{}", place.folder_path, appliance.name),
        })
    }

    fn send_all(
        &self,
        lease: &Lease,
        appliance: &Appliance<'_>,
        items: &[Item],
        observer: &dyn Observer,
    ) -> Result<()> {
        let total: u64 = items.iter().map(|item| item.len_bytes).sum();
        let mut done = 0;
        observer.progress(0);
        for item in items {
            let device = lease
                .devices
                .iter()
                .find(|device| device.import_key == item.device);
            let device = device.ok_or_else(|| {
                Error::protocol(format!("the server's lease has no place for {}", item.name))
            })?;
            let mut told = Instant::now();
            let mut sent = |bytes: u64| {
                observer.progress(done + bytes);
                go_on(observer)?;
                if told.elapsed() < TELL_EVERY {
                    return Ok(());
                }
                told = Instant::now();
                let percent = (done + bytes).saturating_mul(100) / total.max(1);
                self.lease_progress(&lease.reference, percent)
            };
            self.send_item(device, appliance, item, &mut sent)?;
            done += item.len_bytes;
            observer.progress(done);
        }
        self.lease_progress(&lease.reference, 100)
    }

    fn send_item(
        &self,
        device: &DeviceUrl,
        appliance: &Appliance<'_>,
        item: &Item,
        sent: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let (url, own) = self.device_url(&device.url)?;
        // vCenter vouches for its hosts; its own certificate is checked as ever.
        let pin = match (own, &device.thumbprint) {
            (false, Some(thumbprint)) => Some(thumbprint.parse()?),
            _ => None,
        };
        let package = appliance.package;
        let mut reader = package
            .open(&item.name)
            .map_err(|e| Error::source(&item.name, e))?;
        let body = Body::Stream {
            reader: &mut reader,
            len_bytes: item.len_bytes,
            sent,
        };
        let cookie = self.cookie();
        let is_disk = item.name.to_ascii_lowercase().ends_with(".vmdk");
        let mut headers = vec![
            ("Content-Type", if is_disk { DISK_TYPE } else { OTHER_TYPE }),
            ("Overwrite", "t"),
        ];
        if own {
            headers.push(("Cookie", &*cookie));
        }
        let method = if item.create { "PUT" } else { "POST" };
        let mut answer = self
            .request(method, &url, pin, &headers, body)
            .map_err(|e| e.context(&item.name))?;
        match answer.head.status {
            200 | 201 | 204 => Ok(()),
            _ => {
                let text = answer.excerpt();
                Err(http_error(&item.name, &answer.head, &text))
            }
        }
    }

    /// Where a URL of the lease leads, and whether that is this server. The host `*` is.
    fn device_url(&self, text: &str) -> Result<(Url, bool)> {
        let mut url = Url::parse(text).ok_or_else(|| {
            Error::new(
                Kind::Protocol,
                format!("the lease's URL {text:?} can't be used"),
            )
        })?;
        let own = self.address();
        if url.host == "*" {
            url.host.clone_from(&own.host);
            url.port = own.port;
        }
        let is_own = url.host == own.host && url.port == own.port;
        Ok((url, is_own))
    }
}
