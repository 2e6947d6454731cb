//! Patches of objects.

use std::sync::Arc;

use jiff::Timestamp;

use super::{ApiServer, By, Patch};
use crate::object::Object;
use crate::resource::Resource;
use crate::status::Status;

impl ApiServer {
    /// Patches an object, or its subresource `status` if `subresource` says so. An apply makes what is not there.
    ///
    /// # Errors
    ///
    /// 404, 409 (for an apply with a cause for each field), 422, 403, 400.
    #[expect(clippy::too_many_arguments, reason = "the parts of a path")]
    pub fn patch(
        &mut self,
        _now: Timestamp,
        _resource: &Resource,
        _namespace: &str,
        _name: &str,
        _subresource: &str,
        _patch: &Patch,
        _by: &By,
    ) -> Result<Arc<Object>, Status> {
        Err(Status::method_not_allowed())
    }
}
