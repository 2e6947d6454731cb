//! Against a real Docker Engine and real registries, which `tests/run` brings up.

mod builds;
mod inputs;
mod native;
mod stack;
