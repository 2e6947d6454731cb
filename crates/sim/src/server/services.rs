//! Addresses and node ports of services.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::ApiServer;
use crate::object::Object;
use crate::resource::SERVICES;
use crate::status::{Cause, Status};

/// The first address given to a service is one above `10.96.0.10`, which is the DNS service's by custom.
const FIRST: u32 = 11;
/// The service range is 10.96.0.0/12; so many addresses are in it.
const RANGE: u32 = 1 << 20;
/// Node ports.
const NODE_PORTS: std::ops::RangeInclusive<u16> = 30_000..=32_767;

/// What is given out.
#[derive(Debug, Clone, Default)]
pub(super) struct Addresses {
    next: u32,
    used: BTreeSet<u32>,
    ports: BTreeSet<u16>,
    next_port: u16,
}

impl Addresses {
    /// As it was before something was only tried; what was shown then is not given out next.
    pub(super) fn restore(&mut self, before: Self) {
        *self = Self { next: self.next, next_port: self.next_port, ..before };
    }

    /// What an object that was there before has.
    pub(super) fn note(&mut self, object: &Object) {
        if *object.resource() != SERVICES {
            return;
        }
        self.used.extend(object["spec"]["clusterIP"].as_str().and_then(host_of));
        let ports = object["spec"]["ports"].as_array().into_iter().flatten();
        self.ports.extend(ports.filter_map(|port| u16::try_from(port["nodePort"].as_u64()?).ok()));
    }

    fn take(&mut self) -> u32 {
        loop {
            let host = FIRST + self.next % (RANGE - FIRST - 1);
            self.next = self.next.wrapping_add(1);
            if self.used.insert(host) {
                return host;
            }
        }
    }

    fn take_port(&mut self) -> Option<u16> {
        let size = NODE_PORTS.end() - NODE_PORTS.start() + 1;
        for _ in 0..size {
            let port = NODE_PORTS.start() + self.next_port % size;
            self.next_port = self.next_port.wrapping_add(1);
            if self.ports.insert(port) {
                return Some(port);
            }
        }
        None
    }
}

fn text_of(host: u32) -> String {
    let ip = 0x0a60_0000 | host;
    format!("{}.{}.{}.{}", ip >> 24, (ip >> 16) & 255, (ip >> 8) & 255, ip & 255)
}

fn host_of(text: &str) -> Option<u32> {
    let ip = u32::from(text.parse::<std::net::Ipv4Addr>().ok()?);
    (ip & 0xfff0_0000 == 0x0a60_0000).then_some(ip & 0x000f_ffff)
}

impl ApiServer {
    pub(super) fn admit_service(&mut self, body: &mut Value) -> Result<(), Status> {
        let name = super::create::name_of(body);
        if body["spec"]["type"] == "ExternalName" {
            return Ok(());
        }
        // What is not going to be stored must not take an address.
        if self
            .store
            .get(&SERVICES, body["metadata"]["namespace"].as_str().unwrap_or_default(), &name)
            .is_some()
        {
            return Ok(());
        }
        let asked = body["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
        let spec = &mut body["spec"];
        let address = match asked.as_str() {
            "" => text_of(self.addresses.take()),
            "None" => asked,
            _ if asked.parse::<std::net::IpAddr>().is_err() => {
                let message = format!(
                    "Invalid value: {asked:?}: must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
                );
                let cause = Cause::new("FieldValueInvalid", "spec.clusterIPs[0]", message);
                return Err(Status::invalid("", "Service", &name, vec![cause]));
            }
            _ => match host_of(&asked) {
                Some(host) if self.addresses.used.insert(host) => asked,
                found => {
                    let why = if found.is_some() {
                        "provided IP is already allocated".to_owned()
                    } else {
                        "provided IP is not in the valid range. The range of valid IPs is 10.96.0.0/12"
                            .to_owned()
                    };
                    let message = format!("Invalid value: [{asked:?}]: failed to allocate IP {asked}: {why}");
                    let cause = Cause::new("FieldValueInvalid", "spec.clusterIPs", message);
                    return Err(Status::invalid("", "Service", &name, vec![cause]));
                }
            },
        };
        spec["clusterIP"] = json!(address);
        spec["clusterIPs"] = json!([address]);
        if self.profile.internal_traffic_policy {
            for (field, value) in [("ipFamilies", json!(["IPv4"])), ("ipFamilyPolicy", json!("SingleStack"))]
            {
                if spec[field].is_null() {
                    spec[field] = value;
                }
            }
        }
        self.give_node_ports(body, true);
        Ok(())
    }

    pub(super) fn give_node_ports(&mut self, body: &mut Value, is_new: bool) {
        if !matches!(body["spec"]["type"].as_str(), Some("NodePort" | "LoadBalancer")) {
            return;
        }
        let mut given: Vec<(Value, Value, Value)> = Vec::new();
        for port in body["spec"]["ports"].as_array_mut().into_iter().flatten() {
            // One number serves several protocols, when a service is made.
            let shared = given
                .iter()
                .find(|(number, protocol, _)| *number == port["port"] && *protocol != port["protocol"]);
            if let Some((.., node_port)) =
                shared.filter(|_| is_new && port.get("nodePort").is_none_or(Value::is_null))
            {
                port["nodePort"] = node_port.clone();
                continue;
            }
            match port["nodePort"].as_u64().and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0) {
                Some(asked) => drop(self.addresses.ports.insert(asked)),
                None => {
                    if let Some(free) = self.addresses.take_port() {
                        port["nodePort"] = json!(free);
                    }
                }
            }
            given.push((port["port"].clone(), port["protocol"].clone(), port["nodePort"].clone()));
        }
    }

    /// What a service was given stays when a write leaves it out.
    pub(super) fn admit_service_update(&mut self, before: &Value, body: &mut Value) {
        let is_external = |o: &Value| o["spec"]["type"] == "ExternalName";
        if is_external(body) {
            return;
        }
        if is_external(before) {
            let asked = body["spec"]["clusterIP"].as_str().unwrap_or_default();
            if asked.is_empty() {
                let address = text_of(self.addresses.take());
                body["spec"]["clusterIP"] = json!(address);
                body["spec"]["clusterIPs"] = json!([address]);
            }
        }
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"] {
            let old = &before["spec"][field];
            let is_empty = body["spec"].get(field).is_none_or(|v| v.is_null() || v == "" || *v == json!([]));
            if is_empty && !old.is_null() {
                body["spec"][field] = old.clone();
            }
        }
        if matches!(body["spec"]["type"].as_str(), Some("NodePort" | "LoadBalancer")) {
            let old = before["spec"]["ports"].as_array().cloned().unwrap_or_default();
            for port in body["spec"]["ports"].as_array_mut().into_iter().flatten() {
                let same =
                    old.iter().find(|o| o["port"] == port["port"] && o["protocol"] == port["protocol"]);
                if port.get("nodePort").is_none_or(Value::is_null)
                    && let Some(number) = same.and_then(|o| o.get("nodePort"))
                {
                    port["nodePort"] = number.clone();
                }
            }
            self.give_node_ports(body, false);
        }
    }

    pub(super) fn release_address(&mut self, gone: &Object) {
        if let Some(host) = gone["spec"]["clusterIP"].as_str().and_then(host_of) {
            self.addresses.used.remove(&host);
        }
        for port in gone["spec"]["ports"].as_array().into_iter().flatten() {
            if let Some(port) = port["nodePort"].as_u64().and_then(|n| u16::try_from(n).ok()) {
                self.addresses.ports.remove(&port);
            }
        }
    }
}
