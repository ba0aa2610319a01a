//! `migrate` as a user of the program meets it.

use std::process::Output;

use esx_sim::{Preset, Running, Simulator};
use serde_json::Value;

use crate::common::Home;

fn run(sim: &Running, args: &[&str]) -> Output {
    Home::new(sim.password()).run(args)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_goes_to_another_host_and_back() {
    let sim = Simulator::builder().preset(Preset::VCenter).start().await.unwrap();
    let uri =
        |host: &str| format!("vpx://user@{}/dc1/cluster1/{host}?transport=http", sim.address());
    let (one, two) = (uri("esx1.sim.test"), uri("esx2.sim.test"));
    let names = |uri: &str| {
        let output = run(&sim, &["-q", "-c", uri, "list", "--all", "--name"]);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let is_at = |at: &str, other: &str| {
        let name = "web01".to_owned();
        assert!(names(at).contains(&name) && !names(other).contains(&name));
    };
    is_at(&one, &two);
    let output = run(&sim, &["-c", &one, "migrate", "web01", &two, "--live", "--verbose"]);
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "progress is for terminals: {output:?}");
    is_at(&two, &one);
    // A path is enough.
    let args = ["-o", "json", "-c", &two, "migrate", "web01", "/dc1/cluster1/esx1.sim.test"];
    let output = run(&sim, &args);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["action"], &json["domain"]), (&"migrate".into(), &"web01".into()));
    is_at(&one, &two);
    // Nothing is left logged in.
    assert_eq!(sim.model().read(|m| m.session_count()), 0);

    for (options, code) in [
        (&["--p2p"][..], 3),
        (&["--tunnelled"], 55),
        (&["--copy-storage-all"], 8),
        (&["--dname", "other"], 8),
        (&["--offline"], 55),
        (&["--migrateuri", "tcp://127.0.0.1/"], 8),
    ] {
        let args = ["-o", "json", "-c", &one, "migrate", "web01", &two];
        let output = run(&sim, &[&args[..], options].concat());
        assert_eq!(output.status.code(), Some(1), "{options:?}");
        let json: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(json["code"], code, "{options:?}: {json}");
    }
    is_at(&one, &two);
    assert_eq!(sim.model().read(|m| m.session_count()), 0);
}
