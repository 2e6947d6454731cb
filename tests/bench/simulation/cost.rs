//! What this process and its children cost: CPU time and memory, as Linux tells them.

use std::time::Duration;

/// The CPU time of this thread so far; 0 where it is not told.
pub(crate) fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    Duration::from_nanos(nanos).as_secs_f64()
}

/// The most memory this process ever had, in bytes; 0 where it is not told.
pub(crate) fn peak_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// The CPU time of all children that ended and were waited for, user and system; 0 where it is not told.
pub(crate) fn children_cpu_seconds() -> f64 {
    // Linux counts in hundredths of a second for everybody who reads /proc.
    const TICKS: f64 = 100.0;
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in brackets may hold anything; cutime and cstime are the 14th and 15th field after it.
    let after = text.rsplit(')').next().unwrap_or_default();
    let ticks: u32 = after.split_whitespace().skip(13).take(2).filter_map(|n| n.parse::<u32>().ok()).sum();
    f64::from(ticks) / TICKS
}

/// So many of something in a second.
pub(crate) fn per_second(count: u64, seconds: f64) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, |count| f64::from(count) / seconds)
}
