//! What people see: the real program, in a folder of its own, with nothing around it. Every text is a snapshot.

mod cluster;
mod doctor;
mod ended;
mod folder;
mod help;
mod images;
mod init;
mod json;
mod local;
mod project;
mod render;
mod report;
#[cfg(target_os = "linux")]
mod same;
mod sim;
mod supply;
