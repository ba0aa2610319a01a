//! Decodes one saved `RetrievePropertiesEx` reply and says how fast and with how much memory: ours
//! among the programs of `bench/decode`.
//!
//! usage: `decode FILE page|typed|dynamic [REPS]`, or `decode --make COUNT` for a reply on
//! standard output.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a program talks to its terminal")]

#[path = "../benches/reply/mod.rs"]
mod reply;

use std::time::Instant;

use esx_vi_api::data::VirtualHardware;
use esx_vi_api::properties::{Page, decode_page};
use esx_vi_api::soap::{self, Reply};

fn page(body: &[u8]) -> Page {
    match decode_page("RetrievePropertiesEx", body).expect("a reply") {
        Reply::Result(page) => page,
        Reply::Fault(fault) => panic!("{fault:?}"),
    }
}

/// Decodes once and says how many machines there were.
fn once(body: &[u8], what: &str) -> usize {
    match what {
        "page" => page(body).objects.len(),
        "typed" => {
            let hardware: Vec<VirtualHardware> = page(body)
                .objects
                .iter()
                // An inaccessible machine has none.
                .filter_map(|row| row.get("config.hardware").expect("hardware"))
                .collect();
            hardware.len()
        }
        "dynamic" => {
            let (text, _) = esx_vi_api::repair(body);
            let Reply::Result(Some(value)) =
                soap::decode_response("RetrievePropertiesEx", &text).expect("a reply")
            else {
                panic!("no result")
            };
            value.as_object().and_then(|o| o.get("objects")).map_or(0, |o| o.items().len())
        }
        _ => panic!("page, typed or dynamic"),
    }
}

/// `VmHWM` of this process in MiB, where the system tells.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}

/// Nanoseconds that this process has spent on a processor, where the system tells.
fn cpu_ns() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, what, rest @ ..] = &args[..] else { panic!("see the head of this file") };
    if file == "--make" {
        println!("{}", reply::reply(what.parse().expect("a number")));
        return;
    }
    let reps: usize = rest.first().map_or(5, |r| r.parse().expect("a number"));
    let body = std::fs::read(file).expect("the file");
    let size = body.len() as f64 / 1e6;
    let (mut wall, mut cpu): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    for _ in 0..reps {
        let (start, busy) = (Instant::now(), cpu_ns());
        assert!(once(&body, what) > 0, "no machine");
        wall.push(size / start.elapsed().as_secs_f64());
        if let Some((before, after)) = busy.zip(cpu_ns()) {
            cpu.push(size * 1e9 / (after - before));
        }
    }
    wall.sort_by(f64::total_cmp);
    cpu.sort_by(f64::total_cmp);
    println!(
        "{what:<10} {:7.1} MB/s median wall ({:.1}-{:.1}), {:7.1} MB/s by CPU time, {reps} runs of {size:.1} MB, peak RSS {} MiB",
        wall[reps / 2],
        wall[0],
        wall[reps - 1],
        cpu.get(cpu.len() / 2).copied().unwrap_or(0.0),
        peak_mib().unwrap_or(0),
    );
}
