use super::*;

fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
    let args = std::iter::once("lkbuild")
        .chain(args.iter().copied())
        .map(OsString::from);
    Cli::try_parse_from(split_verbosity(args))
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn linuxkit_s_ways_to_ask_for_more_output_are_understood() {
    for (args, want) in [
        (&["-v", "2", "build", "x.yml"][..], Some(2)),
        (&["build", "-v", "x.yml"], Some(2)),
        (&["build", "-v", "3", "x.yml"], Some(3)),
        (&["-v", "build", "x.yml"], Some(2)),
        (&["build", "--verbose", "0", "x.yml"], Some(0)),
        (&["build", "x.yml"], None),
    ] {
        assert_eq!(parse(args).unwrap().verbose, want, "{args:?}");
    }
    assert_eq!(
        parse(&["build", "-v", "0", "x"]).unwrap().style(),
        Style::Quiet
    );
    assert_eq!(parse(&["-q", "build", "x"]).unwrap().style(), Style::Quiet);
    let json = parse(&["build", "x", "--json", "-f", "tar", "-o", "-"]).unwrap();
    assert_eq!(json.style(), Style::Json { to_stdout: false });
}

#[test]
fn what_scripts_pass_to_linuxkit_build_is_taken() {
    for args in [
        &[
            "build",
            "-f",
            "kernel+initrd,tar",
            "--name",
            "n",
            "--dir",
            "d",
            "a.yml",
            "b.yml",
        ][..],
        &[
            "build",
            "--format",
            "tar",
            "--o",
            "out.tar",
            "--no-sbom",
            "--pull",
            "-",
        ],
        &[
            "build",
            "--size",
            "2048M",
            "--arch",
            "arm64",
            "--cache",
            "c",
            "--decompress-kernel",
            "a",
        ],
        &[
            "build",
            "--mirror",
            "docker.io=https://m",
            "--cert-file",
            "f",
            "--sbom-current-time",
            "a",
        ],
    ] {
        parse(args).unwrap_or_else(|e| panic!("{args:?}: {e}"));
    }
}

#[test]
fn what_scripts_pass_to_linuxkit_push_and_run_vcenter_is_taken() {
    for args in [
        &[
            "push",
            "vcenter",
            "--url",
            "https://vc/sdk",
            "--datacenter",
            "dc",
            "--datastore",
            "ds",
            "--hostname",
            "esx",
            "--folder",
            "f",
            "x.iso",
        ][..],
        &[
            "run",
            "vcenter",
            "--url",
            "https://vc/sdk",
            "--datacenter",
            "dc",
            "--datastore",
            "ds",
            "--network",
            "VM Network",
            "--hostname",
            "esx",
            "--vmfolder",
            "f",
            "--cpus",
            "2",
            "--mem",
            "2048",
            "--persistentSize",
            "4096",
            "--powerOn",
            "--waitForIP",
            "f/x.iso",
        ],
        &["rm", "vcenter", "--count", "3", "web"],
        &["import", "vcenter", "--as-template", "x.ova"],
    ] {
        parse(args).unwrap_or_else(|e| panic!("{args:?}: {e}"));
    }
    for args in [
        &["run", "vcenter"][..],
        &["run", "vcenter", "--template", "t"],
        &["run", "vcenter", "--template", "t", "--name", "n", "x.iso"],
        &[
            "run",
            "vcenter",
            "--disk",
            "[ds] x.vmdk",
            "--count",
            "2",
            "x.iso",
        ],
        &[
            "push",
            "vcenter",
            "--password-stdin",
            "--password-file",
            "f",
            "x.iso",
        ],
    ] {
        assert!(parse(args).is_err(), "{args:?}");
    }
}

#[test]
fn formats_that_are_not_there_yet_say_what_is() {
    for format in ["kernel+erofs", "rpi3"] {
        let error = parse(&["build", "-f", format, "x"])
            .unwrap_err()
            .to_string();
        for part in ["not there yet", "use kernel+", "qcow2-bios"] {
            assert!(error.contains(part), "{error}");
        }
    }
    let error = parse(&["build", "-f", "floppy", "x"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("no format"), "{error}");
}
