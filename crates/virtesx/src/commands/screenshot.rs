//! `screenshot`.

use std::io::Write;
use std::path::Path;

use virt_api::{Chunk, Domain, Error, NoFlags, Screenshot};

use super::plain::{Plain, domain_request, option, shown};
use crate::command::{Group, positional, value};
use crate::commands::domain::domain_argument;
use crate::failure::{Context, system};
use crate::render::Done;

/// `screenshot`
pub(crate) static SCREENSHOT: Plain = Plain {
    name: "screenshot",
    group: Group::Domain,
    summary: "Take a picture of a running domain's screen",
    details: "Without FILE it is called after the domain and the time. A file that exists is replaced.",
    usage: "DOMAIN [FILE]",
    arguments: |command| {
        let command = positional(domain_argument(command), "file", "Where it is stored", false);
        let screen = option("screen", "NUMBER", "Which screen, from 0");
        command.arg(screen.value_parser(clap::value_parser!(u32)))
    },
    request: |matches| {
        let file = value(matches, "file").filter(|file| !file.is_empty());
        let screen = matches.get_one::<u32>("screen").copied().unwrap_or(0);
        domain_request(matches, async move |hypervisor, domain| {
            let what = || format!("failed to take a screenshot of domain '{}'", domain.name);
            let screenshot = hypervisor.domain_screenshot(&domain, screen, NoFlags::empty()).await;
            let screenshot = screenshot.context(what)?;
            let kind = screenshot.mime_type.clone();
            let file = file.clone().unwrap_or_else(|| default_name(&domain, &kind));
            let bytes = store(screenshot, &file).await.context(what)?;
            let sentence = format!("Screenshot saved to {file}, with type of {kind}");
            let done = Done::to_domain("screenshot", &domain)
                .with("file", file)
                .with("mime_type", kind)
                .with("bytes", bytes);
            shown(done.saying(&sentence).tight())
        })
    },
};

/// `web01-2024-05-01-12:00:00.png`, as virsh has it.
fn default_name(domain: &Domain, mime_type: &str) -> String {
    let extension = match mime_type {
        "image/png" => ".png",
        "image/jpeg" => ".jpg",
        _ => "",
    };
    let now = jiff::tz::TimeZone::system()
        .to_datetime(jiff::Timestamp::now())
        .strftime("%Y-%m-%d-%H:%M:%S");
    let name: String = domain.name.chars().map(|c| if c == '/' { '_' } else { c }).collect();
    format!("{name}-{now}{extension}")
}

/// Writes the picture as it comes. The file appears when it is whole.
async fn store(screenshot: Screenshot, file: &str) -> Result<u64, Error> {
    let failed = |error| system(format!("cannot write file '{file}'"), error);
    let path = Path::new(file);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut fresh = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut bytes = 0;
    while let Some(chunk) = screenshot.stream.recv().await? {
        // Pictures have no holes.
        if let Chunk::Data(data) = chunk {
            fresh.write_all(&data).map_err(failed)?;
            bytes += data.len() as u64;
        }
    }
    screenshot.stream.finish().await?;
    fresh.persist(path).map_err(|error| failed(error.error))?;
    Ok(bytes)
}
