//! `convert_disk FORMAT RAW OUT`: writes a raw disk in another format, for `testdata/bench-disks` to
//! measure the writers alone.

use std::error::Error;
use std::fs::File;

use formats::ova::{self, Machine};
use formats::payload::FilePayload;
use formats::vmdk::{DiskId, Options, write_monolithic_sparse, write_stream_optimized};
use formats::{gcp, qcow2, raw, vhd};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [format, from, to] = &arguments[..] else {
        return Err("usage: convert_disk FORMAT RAW OUT".into());
    };
    let disk = FilePayload::new(File::open(from)?)?;
    let out = File::create(to)?;
    let options = Options::new(DiskId([7; 16]), "disk.vmdk");
    match format.as_str() {
        "raw" => raw::write_raw(out, &disk)?,
        "vmdk" => drop(write_stream_optimized(out, &disk, &options)?),
        "vmdk-sparse" => drop(write_monolithic_sparse(out, &disk, &options)?),
        "ova" => {
            let options = ova::Options {
                machine: Machine::new("bench", 1 << 30),
                disk_id: DiskId([7; 16]),
                mtime: 0,
            };
            ova::write_ova(out, &disk, &options)?;
        }
        "qcow2" => drop(qcow2::write_qcow2(out, &disk)?),
        "vhd" => drop(vhd::write_fixed(out, &disk, [7; 16])?),
        "dynamic-vhd" => drop(vhd::write_dynamic(out, &disk, [7; 16])?),
        "gcp" => gcp::write_gcp(out, disk, 0)?,
        _ => return Err(format!("no format {format:?}").into()),
    }
    Ok(())
}
