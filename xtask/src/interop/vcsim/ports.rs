//! Serial ports on the network on vcsim: attached, changed and detached by `virtesx`; after each command govc says what came
//! of it. vcsim never writes VMX files, so what a document shows of a port is seen from a file that is put in its place.

use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{
    super::{Bench, report::Report, tool::Tool},
    Site,
    changes::{DEVICES, items},
    collect,
};
use crate::process::Server;

const PROXIED: &str = "<vmware:backing service='virtesx?port=1' direction='server' \
                       proxy='telnet://192.0.2.7:13370#thumbprint=AA:BB'/>";

/// A command, the document that it is given, and which ports there are afterwards: direction, service, proxy.
const STEPS: &[(&str, &str, &str, &str)] = &[
    // As `dumpxml` shows it within a domain, which is where the prefix is declared.
    (
        "attach-device",
        "null",
        PROXIED,
        "server virtesx?port=1 telnet://192.0.2.7:13370#thumbprint=AA:BB",
    ),
    (
        "update-device",
        "null",
        "<vmware:backing service='tcp://192.0.2.8:23' direction='client' proxy='telnets://192.0.2.7:1'/>",
        "client tcp://192.0.2.8:23 telnets://192.0.2.7:1",
    ),
    (
        "update-device",
        "tcp",
        "<source mode='bind' host='' service='2301'/><protocol type='telnet'/>",
        "server telnet://:2301 null",
    ),
    (
        "detach-device",
        "tcp",
        "<source mode='bind' host='' service='2301'/><protocol type='telnet'/>",
        "",
    ),
];

/// Uses a machine that is off, and leaves it as it was.
pub(super) fn check(site: Site<'_>, report: &mut Report) {
    let Site { bench, server, name, .. } = site;
    let found = report.check(format!("{name}: a machine for serial ports"), || site.machine_off());
    let Some((tool, domain)) = found else { return };
    for (command, kind, inside, expect) in STEPS {
        report.check(format!("{name}: {command} of a serial port: [{expect}]"), || {
            let document = bench.home.path().join("port.xml");
            let text = format!("<serial type='{kind}'>{inside}<target port='1'/></serial>");
            std::fs::write(&document, text)?;
            let document = document.to_str().context("an odd path")?;
            tool.ask(&[command, &domain, document, "--config"])?;
            let now = ports(bench, server, &domain)?;
            ensure!(now == *expect, "govc says [{now}]");
            Ok(())
        });
    }
    report.check(
        format!("{name}: dumpxml shows the proxied port of a file that is put there"),
        || shown(bench, server, &tool, &domain),
    );
}

fn shown(bench: &Bench, server: &Server, tool: &Tool<'_>, domain: &str) -> anyhow::Result<()> {
    // vcsim has made the file, and nothing in it.
    let done = tool.run(&["dumpxml", domain])?;
    let path = done.stderr.split('"').nth(1).context("no path is named")?.to_owned();
    ensure!(done.stderr.contains("is empty"), "said {:?}", done.stderr);
    let (pool, volume) = path
        .strip_prefix('[')
        .and_then(|path| path.split_once("] "))
        .with_context(|| format!("{path} is no datastore path"))?;
    // Its datastores are folders of this machine.
    let found = collect(bench, server, "s", &["name", "summary.url"])?;
    let files = found.iter().filter(|(_, properties)| properties["name"] == pool);
    let files = files.filter_map(|(_, properties)| properties["summary.url"].as_str());
    let file = files.map(|url| Path::new(url).join(volume)).find(|file| file.exists());
    let file = file.context("the file is nowhere")?;
    std::fs::write(
        &file,
        "config.version = \"8\"\nvirtualHW.version = \"13\"\ndisplayName = \"x\"\nguestOS = \"other\"\nmemSize = \"32\"\n\
         serial1.present = \"TRUE\"\nserial1.fileType = \"network\"\nserial1.fileName = \"virtesx?port=1\"\n\
         serial1.network.endPoint = \"server\"\nserial1.vspc = \"telnet://192.0.2.7:13370#thumbprint=AA:BB\"\n",
    )?;
    let xml = tool.ask(&["dumpxml", domain])?;
    ensure!(xml.contains(PROXIED), "{xml}");
    std::fs::write(&file, "")?;
    Ok(())
}

/// The ports on the network, by govc.
fn ports(bench: &Bench, server: &Server, domain: &str) -> anyhow::Result<String> {
    let machines = collect(bench, server, "m", &["name", DEVICES])?;
    let machine = machines.into_iter().find(|(_, properties)| properties["name"] == domain);
    let devices = machine.with_context(|| format!("govc knows no {domain}"))?.1[DEVICES].clone();
    let text = |value: &Value| value.as_str().unwrap_or("null").to_owned();
    let shown = items(&devices).filter(|device| device.get("yieldOnPoll").is_some()).map(|port| {
        let backing = &port["backing"];
        let words = ["direction", "serviceURI", "proxyURI"].map(|word| text(&backing[word]));
        words.join(" ")
    });
    Ok(shown.collect::<Vec<_>>().join(", "))
}
