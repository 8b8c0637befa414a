//! The air-gap story: a registry in one network namespace, a bundle made there, carried as a file,
//! imported and built in another that has no interface at all.

use std::fs;
use std::process::Command;

use testdata::{Layout, judge};

use crate::machine::{own_network, works};
use crate::program::{Bench, shown};
use crate::system;

/// Run where the registry is: pushes the images, builds, exports.
const CONNECTED: &str = "
set -eu
ip link set lo up
docker-registry serve registry.yml >registry.log 2>&1 &
trap 'kill $!' EXIT
for try in $(seq 100); do
    (exec 3<>/dev/tcp/127.0.0.1/5000) 2>/dev/null && break
    sleep 0.1
done
for name in $NAMES; do
    skopeo copy --quiet --insecure-policy --all --dest-tls-verify=false \
        oci:images:docker.io/test/$name docker://localhost:5000/test/$name
done
$LKBUILD build --arch amd64 --no-sbom --name os --dir out os.yml
$LKBUILD cache export --arch amd64 -o bundle.tar os.yml
";

#[test]
fn a_bundle_is_carried_to_a_host_without_a_network() {
    let tools = ["unshare", "ip", "docker-registry", "skopeo", "bash"].map(judge);
    if tools.iter().any(Option::is_none) {
        return;
    }
    let namespace = own_network();
    if !works(&namespace) {
        return;
    }
    let images = system::images();
    let yaml = system::YAML
        .replace("image: test/", "image: localhost:5000/test/")
        .replace("- test/", "- localhost:5000/test/");
    let connected = Bench::new(&Layout::new());
    connected.yaml(&yaml);
    images.write_dir(&connected.path("images"));
    fs::write(
        connected.path("registry.yml"),
        "version: 0.1\nlog: {level: error}\n\
         storage: {filesystem: {rootdirectory: registry}}\nhttp: {addr: \"127.0.0.1:5000\"}\n",
    )
    .unwrap();
    let run = |bench: &Bench, script: &str| {
        let names = ["kernel:1", "init:1", "sysctl:1", "dhcp:1", "sshd:1"];
        let output = Command::new(namespace[0])
            .args(&namespace[1..])
            .args(["bash", "-c", script])
            .env("LKBUILD", env!("CARGO_BIN_EXE_lkbuild"))
            .env("NAMES", names.join(" "))
            .env("LINUXKIT_CACHE", bench.cache())
            .env("HOME", bench.path("home"))
            .current_dir(bench.path(""))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", shown(&output));
    };
    run(&connected, CONNECTED);
    let online = connected.outputs();
    assert_eq!(online.len(), 3, "{:?}", online.keys());
    let alone = Bench::new(&Layout::new());
    alone.yaml(&yaml);
    fs::copy(connected.path("bundle.tar"), alone.path("bundle.tar")).unwrap();
    run(
        &alone,
        "set -eu
        test \"$(ip -o link | grep -vc 'lo:')\" = 0
        $LKBUILD cache import bundle.tar
        $LKBUILD build --offline --arch amd64 --no-sbom --name os --dir out os.yml",
    );
    assert!(alone.outputs() == online, "other bytes without a network");
    alone.assert_store_is_good();
}
