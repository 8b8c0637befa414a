//! SOAP 1.1 as the vSphere web service speaks it: calls are written, answers parsed into a small
//! tree with bounds, faults become errors.

mod fault;
mod node;
mod parse;
mod write;

pub use node::{MoRef, Node};
pub use parse::{Limits, parse};

pub(crate) use fault::{error_of, error_of_localized, http_error};
pub(crate) use parse::{Outcome, outcome};
pub(crate) use write::{Xml, envelope};
