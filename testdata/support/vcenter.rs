//! A strict vCenter or ESXi on localhost (`vmware/tests/simulator`), and pyvmomi as the judge of
//! what is there.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::judge::judge_file;
use crate::{judge, workspace_dir};

const GO_LIBRARIES: &str = "/usr/share/gocode/src/github.com/vmware/govmomi";
const PYTHON_LIBRARIES: &str = "/usr/lib/python3/dist-packages/pyVmomi";

/// What the simulated server has.
#[derive(Clone, Debug)]
pub struct VCenterOptions {
    /// An ESXi host without vCenter.
    pub esx: bool,
    /// 1 is `DC0`; 2 adds `EMEA/Lab 1/DC1`, whose inner folders are nested too.
    pub datacenters: usize,
    /// In each datacenter: `LocalDS_0`, `LocalDS_1` and so on. Other datacenters have the same
    /// names.
    pub datastores: usize,
    /// In the cluster of each datacenter; there is also one host without a cluster.
    pub hosts: usize,
    /// Virtual machines that are there already, in each pool.
    pub machines: usize,
    /// One more datastore in the first datacenter, of this name.
    pub datastore: Option<String>,
    /// That one is vSAN: it takes no files at its top, and folders there by another call alone.
    pub vsan: bool,
    /// Sessions end when they were idle for so long. Uploads do not count as use.
    pub idle: Option<Duration>,
    /// Tasks are seen running for so long.
    pub task: Duration,
}

impl Default for VCenterOptions {
    /// A vCenter with one of everything and three hosts in a cluster.
    fn default() -> Self {
        VCenterOptions {
            esx: false,
            datacenters: 1,
            datastores: 1,
            hosts: 3,
            machines: 0,
            datastore: None,
            vsan: false,
            idle: None,
            task: Duration::from_millis(20),
        }
    }
}

impl VCenterOptions {
    /// An ESXi host.
    pub fn esx() -> Self {
        VCenterOptions {
            esx: true,
            ..Self::default()
        }
    }

    /// Two datacenters, one in nested folders, with two datastores each.
    pub fn two_datacenters() -> Self {
        VCenterOptions {
            datacenters: 2,
            datastores: 2,
            ..Self::default()
        }
    }

    /// Starts the server; `None` where what it is built of is not installed.
    pub fn start(&self) -> Option<VCenter> {
        VCenter::start(self)
    }
}

/// Something that goes wrong with one of the next requests: uploads (`PUT`), unless
/// [`on`](Self::on) says otherwise, once, unless [`times`](Self::times) does.
#[derive(Clone, Debug)]
pub struct Fault(Value);

impl Fault {
    fn new(what: &str, after: u64) -> Self {
        Fault(json!({"cmd": "fault", "request": "PUT", "do": what, "after": after}))
    }

    /// The connection is reset after so many bytes of the body.
    pub fn cut(after: u64) -> Self {
        Self::new("cut", after)
    }

    /// Only the first so many bytes are kept; the answer is success all the same.
    pub fn drop_data(after: u64) -> Self {
        Self::new("drop", after)
    }

    /// After so many bytes the server answers with this status and closes, whatever else comes.
    pub fn status(code: u16, after: u64) -> Self {
        Self::new("status", after).with("code", code.into())
    }

    /// After so many bytes nothing is read or answered any more.
    pub fn stall(after: u64) -> Self {
        Self::new("stall", after)
    }

    /// The body is read at this many bytes in a second.
    pub fn slow(rate: u64) -> Self {
        Self::new("slow", 0).with("rate", rate.into())
    }

    /// After so many bytes all sessions end: 401, and the connection is closed. With a method of
    /// the API, they end just before it.
    pub fn expire(after: u64) -> Self {
        Self::new("expire", after)
    }

    /// All is done as asked, but the connection is reset instead of an answer.
    pub fn lose_answer() -> Self {
        Self::new("lose", 0)
    }

    /// The byte at this offset becomes another one.
    pub fn corrupt(at: u64) -> Self {
        Self::new("corrupt", at)
    }

    /// A header of the answer of [`status`](Self::status).
    pub fn header(self, name: &str, value: &str) -> Self {
        self.with("headers", json!({name: value}))
    }

    /// An HTTP method of the file API or of a lease, or the name of a method of the SOAP API.
    pub fn on(self, request: &str) -> Self {
        self.with("request", request.into())
    }

    /// Only where the path contains this.
    pub fn path(self, part: &str) -> Self {
        self.with("path", part.into())
    }

    /// So many requests that fit are let through first.
    pub fn skip(self, requests: u32) -> Self {
        self.with("skip", requests.into())
    }

    /// How often it happens.
    pub fn times(self, times: u32) -> Self {
        self.with("times", times.into())
    }

    /// The status that is answered, if it is one.
    pub fn code(&self) -> Option<u64> {
        self.0["code"].as_u64()
    }

    fn with(mut self, key: &str, value: Value) -> Self {
        self.0[key] = value;
        self
    }
}

/// A request that the server saw.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Requested {
    /// HTTP's, or the name of the API's.
    pub method: String,
    /// As it came, with the query; empty for the API.
    pub path: String,
    /// 0 where the connection was cut without an answer.
    pub status: u16,
    /// Bytes of the body that were read.
    pub bytes: u64,
    /// Asked of a host, with a ticket, instead of vCenter.
    pub host: bool,
}

/// What pyvmomi sees.
#[derive(Clone, Debug, Deserialize)]
pub struct Inventory {
    /// Sorted by datacenter and name.
    pub datastores: Vec<Datastore>,
    /// Sorted by path.
    pub machines: Vec<Machine>,
    /// Inventory paths, sorted.
    pub folders: Vec<String>,
}

/// A datastore, as pyvmomi sees it.
#[derive(Clone, Debug, Deserialize)]
pub struct Datastore {
    /// Inventory path, without a leading slash.
    pub datacenter: String,
    /// Unique in its datacenter.
    pub name: String,
    /// Files and folders, sorted by path.
    pub files: Vec<DatastoreFile>,
}

/// A file or folder of a datastore.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct DatastoreFile {
    /// From the datastore's root on, without a leading slash.
    pub path: String,
    /// In bytes; `None` for a folder.
    pub size: Option<u64>,
}

/// A virtual machine, as pyvmomi sees it.
#[derive(Clone, Debug, Deserialize)]
pub struct Machine {
    /// Its own name.
    pub name: String,
    /// Inventory path, without a leading slash.
    pub path: String,
    /// Powered on.
    pub running: bool,
    /// It is a template.
    pub template: bool,
    /// What its firmware tells the guest, lower hex.
    pub uuid: String,
    /// `bios` or `efi`.
    pub firmware: String,
    /// In MiB.
    pub memory_mb: u64,
    /// Virtual processors.
    pub cpus: u32,
    /// VMware's identifier of the guest's operating system.
    pub guest_id: String,
    /// Inventory path of the resource pool; templates have none.
    pub pool: Option<String>,
    /// CD drives.
    pub cds: Vec<Cd>,
    /// In the order of the devices.
    pub disks: Vec<Disk>,
    /// Names of the networks, in the order of the cards.
    pub networks: Vec<String>,
}

/// A CD drive of a virtual machine.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Cd {
    /// Datastore path, `[datastore] dir/file`; `None` where no file is in it.
    pub file: Option<String>,
    /// Connected when the machine starts.
    pub start_connected: bool,
}

/// A disk of a virtual machine.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Disk {
    /// Datastore path of the descriptor.
    pub file: String,
    /// Its capacity.
    pub bytes: u64,
    /// Thin-provisioned.
    pub thin: bool,
}

/// A simulated server that ends, and whose content goes, when this is dropped.
#[derive(Debug)]
pub struct VCenter {
    process: Child,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    ready: Ready,
    dir: tempfile::TempDir,
}

#[derive(Debug, Deserialize)]
struct Ready {
    url: String,
    ca: PathBuf,
    sha1: String,
    sha256: String,
    leases: PathBuf,
    datastores: Vec<ReadyDatastore>,
}

#[derive(Debug, Deserialize)]
struct ReadyDatastore {
    datacenter: String,
    name: String,
    dir: PathBuf,
}

impl VCenter {
    /// Who may log in.
    pub const USER: &str = r"CORP\ops&admin";
    /// Has what must be escaped in XML, in a URL, or by a shell; nothing else contains it.
    pub const PASSWORD: &str = "p<ss&w'rd \"é+%41$x";

    fn start(options: &VCenterOptions) -> Option<Self> {
        let program = build()?;
        let dir = tempfile::tempdir().unwrap();
        let log = fs::File::create(dir.path().join("simulator.log")).unwrap();
        let mut process = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut pipes = (
            process.stdin.take().unwrap(),
            BufReader::new(process.stdout.take().unwrap()),
        );
        let config = json!({
            "model": if options.esx { "esx" } else { "vpx" },
            "user": Self::USER,
            "password": Self::PASSWORD,
            "dir": dir.path(),
            "datacenters": options.datacenters,
            "datastores": options.datastores,
            "hosts": options.hosts,
            "machines": options.machines,
            "datastore": options.datastore.as_deref().unwrap_or_default(),
            "vsan": options.vsan,
            "idle_millis": millis(options.idle.unwrap_or_default()),
            "task_millis": millis(options.task),
        });
        let ready = exchange(&mut pipes, &config);
        let ready = ready.unwrap_or_else(|| {
            let log = fs::read_to_string(dir.path().join("simulator.log"));
            panic!("the simulator did not start: {}", log.unwrap_or_default())
        });
        Some(VCenter {
            process,
            pipes: Mutex::new(pipes),
            ready: serde_json::from_value(ready).unwrap(),
            dir,
        })
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.ready.url
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        self.ready.url.trim_start_matches("https://")
    }

    /// PEM file of the authority that signed the server's certificate.
    pub fn ca(&self) -> &Path {
        &self.ready.ca
    }

    /// What tells a program of govc's kind where the server is, who logs in, and whom to trust.
    pub fn environment(&self) -> [(&'static str, OsString); 4] {
        [
            ("GOVC_URL", self.url().into()),
            ("GOVC_USERNAME", Self::USER.into()),
            ("GOVC_PASSWORD", Self::PASSWORD.into()),
            ("GOVC_TLS_CA_CERTS", self.ca().into()),
        ]
    }

    /// SHA-1 of the server's certificate, colon-separated upper hex.
    pub fn sha1(&self) -> &str {
        &self.ready.sha1
    }

    /// SHA-256 of the server's certificate, colon-separated upper hex.
    pub fn sha256(&self) -> &str {
        &self.ready.sha256
    }

    /// The folder where the files of a datastore really lie.
    pub fn datastore(&self, datacenter: &str, name: &str) -> &Path {
        let mut all = self.ready.datastores.iter();
        let found = all.find(|one| one.datacenter == datacenter && one.name == name);
        &found.expect("such a datastore").dir
    }

    /// The bytes of all files below a folder of a datastore, by their paths.
    pub fn files(&self, datacenter: &str, name: &str) -> Vec<(String, Vec<u8>)> {
        let root = self.datastore(datacenter, name);
        let mut found = Vec::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                found.push((name.to_owned(), fs::read(&path).unwrap()));
            }
        }
        found.sort();
        found
    }

    /// The folder with what was sent to import leases, a file for each disk.
    pub fn leases(&self) -> &Path {
        &self.ready.leases
    }

    /// A folder that goes with this.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// From now on this goes wrong.
    pub fn fault(&self, fault: Fault) -> &Self {
        assert_eq!(self.command(&fault.0), "ok");
        self
    }

    /// Forgets all faults. Returns how many had not happened yet.
    pub fn calm(&self) -> u64 {
        self.command(&json!({"cmd": "calm"})).as_u64().unwrap()
    }

    /// Ends all sessions.
    pub fn expire_sessions(&self) {
        assert_eq!(self.command(&json!({"cmd": "expire"})), "ok");
    }

    /// How many sessions are alive.
    pub fn sessions(&self) -> u64 {
        self.command(&json!({"cmd": "sessions"})).as_u64().unwrap()
    }

    /// What was asked so far, in order.
    pub fn requests(&self) -> Vec<Requested> {
        let all = self.command(&json!({"cmd": "requests"}));
        serde_json::from_value(all).unwrap()
    }

    /// Lets a virtual machine report an IP address, as its guest tools would; `false` if it is
    /// not there.
    pub fn set_address(&self, machine: &str, ip: &str) -> bool {
        self.command(&json!({"cmd": "address", "vm": machine, "ip": ip})) == "ok"
    }

    /// Puts a file of a datastore, `[datastore] dir/file`, into the CD drive of a virtual machine.
    pub fn insert_cd(&self, machine: &str, file: &str) {
        let answer = self.command(&json!({"cmd": "insert", "vm": machine, "cd": file}));
        assert_eq!(answer, "ok");
    }

    /// Whether files that a running machine has open can't be replaced or deleted, as on VMFS.
    pub fn strict_locks(&self, on: bool) {
        let answer = self.command(&json!({"cmd": "strict_locks", "enabled": on}));
        assert_eq!(answer, "ok");
    }

    /// Whether tickets name a host that does not answer.
    pub fn unreachable_hosts(&self, on: bool) {
        let answer = self.command(&json!({"cmd": "unreachable_hosts", "enabled": on}));
        assert_eq!(answer, "ok");
    }

    /// What pyvmomi sees; `None` where it is not installed.
    pub fn inventory(&self) -> Option<Inventory> {
        judge_file(Path::new(PYTHON_LIBRARIES))?;
        let (address, port) = self.address().rsplit_once(':').unwrap();
        let given = json!({
            "address": address,
            "port": port.parse::<u16>().unwrap(),
            "user": Self::USER,
            "password": Self::PASSWORD,
            "ca": self.ca(),
        });
        // Debian's own Python, whatever else is on PATH.
        let mut child = Command::new("/usr/bin/python3")
            .arg(workspace_dir().join("testdata/vcenter/inventory.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(given.to_string().as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "pyvmomi failed");
        Some(serde_json::from_slice(&output.stdout).unwrap())
    }

    fn command(&self, command: &Value) -> Value {
        exchange(&mut self.pipes.lock().unwrap(), command).expect("an answer")
    }
}

impl Inventory {
    /// The files and folders of a datastore.
    pub fn files(&self, datacenter: &str, name: &str) -> &[DatastoreFile] {
        let mut all = self.datastores.iter();
        let found = all.find(|one| one.datacenter == datacenter && one.name == name);
        &found.expect("such a datastore").files
    }

    /// The virtual machine of that name, if there is one.
    pub fn machine(&self, name: &str) -> Option<&Machine> {
        self.machines.iter().find(|one| one.name == name)
    }
}

impl Drop for VCenter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One line there, one line back; `None` where the program has ended.
fn exchange(pipes: &mut (ChildStdin, BufReader<ChildStdout>), line: &Value) -> Option<Value> {
    let (stdin, stdout) = pipes;
    writeln!(stdin, "{line}").ok()?;
    let mut answer = String::new();
    stdout.read_line(&mut answer).ok()?;
    serde_json::from_str(&answer).ok()
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap()
}

/// The simulator, built from the sources as they are now.
fn build() -> Option<PathBuf> {
    judge("go")?;
    judge_file(Path::new(GO_LIBRARIES))?;
    let output = Command::new(workspace_dir().join("testdata/vcenter/build"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "the simulator does not build");
    let path = String::from_utf8(output.stdout).unwrap();
    Some(path.trim_end().into())
}
