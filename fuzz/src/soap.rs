//! Answers of a vSphere server: SOAP documents and HTTP heads.

use vmware::Kind;
use vmware::http::parse_head;
use vmware::soap::{Limits, Node, parse};

/// Small, so that the limits are reached.
const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    nodes: 1000,
    depth: 20,
};

/// Parses any bytes as a document and as a head; what is accepted keeps to the limits, what is
/// not is refused with the right kind of error.
pub fn soap(data: &[u8]) {
    match parse(data, LIMITS) {
        Ok(root) => {
            let (nodes, depth) = measure(&root);
            assert!(
                nodes <= LIMITS.nodes && depth <= LIMITS.depth,
                "beyond the limits"
            );
        }
        Err(error) => {
            assert_eq!(error.kind(), Kind::Protocol);
            assert!(!error.to_string().is_empty());
        }
    }
    if let Ok(Some((head, len))) = parse_head(data) {
        assert!(len <= data.len());
        assert!(
            (100..600).contains(&head.status),
            "a status of {}",
            head.status
        );
        for (name, value) in &head.headers {
            assert!(!name.bytes().any(|b| b.is_ascii_uppercase()), "{name}");
            assert!(!value.contains(['\r', '\n']), "a header with a line end");
        }
    }
}

/// How many elements there are, and how many within each other; names have no prefix.
fn measure(node: &Node) -> (usize, usize) {
    assert!(!node.name.contains(':'), "{}", node.name);
    let children = node.children.iter().map(measure);
    let (nodes, depth) = children.fold((0, 0), |(n, d), (nodes, depth)| (n + nodes, d.max(depth)));
    (nodes + 1, depth + 1)
}
