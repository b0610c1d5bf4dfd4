//! What a process has used, as the system says.
#![allow(dead_code, reason = "no measurement needs all of it")]

use std::fs;

/// Figures of a process.
pub(crate) struct Usage {
    /// Seconds of processor.
    pub(crate) cpu_s: f64,
    /// Resident, MiB.
    pub(crate) now: f64,
    /// The most that was ever resident, MiB.
    pub(crate) peak: f64,
}

impl Usage {
    /// Of this process.
    pub(crate) fn own() -> Self {
        Self::of(std::process::id())
    }

    /// Of the process with this number.
    pub(crate) fn of(process: u32) -> Self {
        let file = |name: &str| fs::read_to_string(format!("/proc/{process}/{name}")).unwrap();
        let stat = file("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        let status = file("status");
        let mib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
        };
        Self { cpu_s: ticks / 100.0, now: mib("VmRSS"), peak: mib("VmHWM") }
    }
}
