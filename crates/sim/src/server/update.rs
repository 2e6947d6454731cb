//! Writing objects that are there.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::{ApiServer, By};
use crate::object::Object;
use crate::resource::Resource;
use crate::status::Status;

impl ApiServer {
    /// Replaces everything but the status. A `resourceVersion` in the body must be the current one.
    ///
    /// # Errors
    ///
    /// 404, 409, 422, 403.
    pub fn update(
        &mut self,
        now: Timestamp,
        resource: &Resource,
        namespace: &str,
        name: &str,
        body: Value,
        by: &By,
    ) -> Result<Arc<Object>, Status> {
        let old = Arc::clone(self.get(resource, namespace, name)?);
        let object = Object::new(Arc::clone(&old.kind), body);
        Ok(self.commit(now, object, by))
    }

    /// Replaces the status and nothing else, without a look at versions: the quick way for controllers in the same
    /// process, which cannot be late. Equal to what is there: nothing is written.
    ///
    /// # Errors
    ///
    /// 404.
    pub fn update_status(
        &mut self,
        now: Timestamp,
        resource: &Resource,
        namespace: &str,
        name: &str,
        status: Value,
        by: &By,
    ) -> Result<Arc<Object>, Status> {
        let old = Arc::clone(self.get(resource, namespace, name)?);
        if old["status"] == status {
            return Ok(old);
        }
        Ok(self.commit(now, old.with("status", status), by))
    }

    /// Reads, lets `change` change, and writes everything but the status.
    ///
    /// # Errors
    ///
    /// As [`ApiServer::update`].
    pub fn edit(
        &mut self,
        now: Timestamp,
        resource: &Resource,
        namespace: &str,
        name: &str,
        by: &By,
        change: impl FnOnce(&mut Value),
    ) -> Result<Arc<Object>, Status> {
        let mut body = self.get(resource, namespace, name)?.to_value();
        change(&mut body);
        self.update(now, resource, namespace, name, body, by)
    }
}
