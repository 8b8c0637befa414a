//! Marks what is imported as made here, in the server's own specification of it: nothing is there
//! without the mark, not even for a moment.

use crate::soap::Node;
use crate::vm::MADE_BY;

/// The schema's sequence (`VirtualMachineConfigSpec`) up to `extraConfig`; later versions of vSphere
/// add to it behind that.
const UP_TO_IT: [&str; 42] = [
    "changeVersion",
    "name",
    "version",
    "createDate",
    "uuid",
    "instanceUuid",
    "npivNodeWorldWideName",
    "npivPortWorldWideName",
    "npivWorldWideNameType",
    "npivDesiredNodeWwns",
    "npivDesiredPortWwns",
    "npivTemporaryDisabled",
    "npivOnNonRdmDisks",
    "npivWorldWideNameOp",
    "locationId",
    "guestId",
    "alternateGuestName",
    "annotation",
    "files",
    "tools",
    "flags",
    "consolePreferences",
    "powerOpInfo",
    "rebootPowerOff",
    "numCPUs",
    "vcpuConfig",
    "numCoresPerSocket",
    "memoryMB",
    "memoryHotAddEnabled",
    "cpuHotAddEnabled",
    "cpuHotRemoveEnabled",
    "virtualICH7MPresent",
    "virtualSMCPresent",
    "deviceChange",
    "cpuAllocation",
    "memoryAllocation",
    "latencySensitivity",
    "cpuAffinity",
    "memoryAffinity",
    "networkShaper",
    "cpuFeatureMask",
    "extraConfig",
];

/// Adds the mark to every machine that an import's specification describes, also to those of a
/// vApp. One that the appliance brings along is replaced.
pub(super) fn mark(spec: &mut Node, made_by: &str) {
    for child in &mut spec.children {
        match child.name.as_str() {
            "configSpec" => mark_machine(child, made_by),
            "child" => mark(child, made_by),
            _ => {}
        }
    }
}

fn mark_machine(config: &mut Node, made_by: &str) {
    let is_mark = |child: &Node| {
        child.name == "extraConfig" && child.text_at("key").map(str::trim) == Some(MADE_BY)
    };
    config.children.retain(|child| !is_mark(child));
    let before = |child: &Node| UP_TO_IT.contains(&child.name.as_str());
    let last = config.children.iter().rposition(before);
    let text = |name: &str, text: &str, xsi_type: Option<&str>| Node {
        name: name.into(),
        xsi_type: xsi_type.map(str::to_owned),
        xsd: xsi_type.is_some(),
        text: text.into(),
        ..Node::default()
    };
    let mark = Node {
        name: "extraConfig".into(),
        xsi_type: Some("OptionValue".into()),
        children: vec![
            text("key", MADE_BY, None),
            text("value", made_by, Some("string")),
        ],
        ..Node::default()
    };
    config.children.insert(last.map_or(0, |at| at + 1), mark);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::{Limits, parse};

    fn marked(inner: &str) -> Node {
        let text = format!(
            r#"<importSpec xmlns:i="http://www.w3.org/2001/XMLSchema-instance">{inner}</importSpec>"#
        );
        let mut spec = parse(text.as_bytes(), Limits::default()).unwrap();
        mark(&mut spec, "9");
        spec
    }

    #[test]
    fn the_mark_stands_where_the_schema_wants_it() {
        let option = "<extraConfig><key>a</key><value>1</value></extraConfig>";
        for (before, after) in [
            ("", ""),
            ("<name>x</name><deviceChange/>", "<bootOptions/>"),
            ("<name>x</name>", "<firmware>efi</firmware><later/>"),
            (
                "<deviceChange/><cpuFeatureMask/><cpuFeatureMask/>",
                "<swapPlacement/>",
            ),
            (option, "<vAppConfig/>"),
        ] {
            let spec = marked(&format!("<configSpec>{before}{after}</configSpec>"));
            let names = |node: &Node| -> Vec<String> {
                node.children.iter().map(|one| one.name.clone()).collect()
            };
            let plain = |text: &str| {
                let text = format!("<c>{text}</c>");
                names(&parse(text.as_bytes(), Limits::default()).unwrap())
            };
            let want = [plain(before), vec!["extraConfig".into()], plain(after)].concat();
            assert_eq!(names(spec.child("configSpec").unwrap()), want);
        }
    }

    #[test]
    fn an_appliance_can_not_bring_a_mark_of_its_own() {
        let foreign = format!("<extraConfig><key>{MADE_BY}</key><value>x</value></extraConfig>");
        let spec = marked(&format!("<configSpec>{foreign}</configSpec>"));
        let config = spec.child("configSpec").unwrap();
        assert_eq!(config.children.len(), 1);
        assert_eq!(config.text_at("extraConfig/value"), Some("9"));
        assert!(config.child("extraConfig").unwrap().is_a("OptionValue"));
        assert!(config.at("extraConfig/value").unwrap().xsd);
    }

    #[test]
    fn every_machine_of_a_vapp_is_marked() {
        let spec = marked("<child><configSpec/></child><child><configSpec/></child>");
        for child in spec.all("child") {
            assert_eq!(child.text_at("configSpec/extraConfig/key"), Some(MADE_BY));
        }
    }
}
