//! Scenarios on a real Docker Engine, a real registry and a real Kubernetes. Run by `tests/run`.

mod bases;
mod differential;
mod failing;
mod going;
mod input;
mod interrupted;
mod native;
mod report;
mod requests;
mod rights;
mod stories;
mod supply;
