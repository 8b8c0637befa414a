//! A call of a method.

use crate::soap::{MoRef, Xml};

/// A method, the object it is called on, its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) method: &'static str,
    pub(crate) this: &'a MoRef,
    pub(crate) arguments: Xml,
    /// Whether calling twice does no harm, so that a call whose answer was lost may be repeated.
    pub(crate) repeatable: bool,
}

impl<'a> Call<'a> {
    /// A call that changes nothing, or nothing more the second time.
    pub(crate) fn read(method: &'static str, this: &'a MoRef, arguments: Xml) -> Self {
        Call {
            method,
            this,
            arguments,
            repeatable: true,
        }
    }

    /// A call that must not be made twice.
    pub(crate) fn once(method: &'static str, this: &'a MoRef, arguments: Xml) -> Self {
        Call {
            method,
            this,
            arguments,
            repeatable: false,
        }
    }
}
