//! Takes a snapshot from a host. `curl` does the transfer, so that xtask needs no TLS of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// More files than any host has: a bound against references that never end.
const MAX_FILES: usize = 64;

/// Fetches the files behind `url` into `out`.
pub(super) fn run(url: &str, out: &Path, no_verify: bool) -> Result<()> {
    let files = fetch(&entry(url)?, no_verify)?;
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    for (name, text) in &files {
        let path = out.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{} {} bytes", path.display(), text.len());
    }
    println!(
        "a host's files do not tell versions and managed objects: copy managed-objects.json of the \
         nearest snapshot in testdata/wsdl to {} before reading it",
        out.display()
    );
    Ok(())
}

/// The address of the service description: `https://host` is short for it.
fn entry(url: &str) -> Result<String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(rest) = rest else { bail!("{url} is no http or https address") };
    ensure!(!rest.starts_with('/') && !rest.is_empty(), "{url} names no host");
    Ok(match url.trim_end_matches('/') {
        whole if whole.ends_with(".wsdl") => whole.to_owned(),
        sdk if sdk.ends_with("/sdk") => format!("{sdk}/vimService.wsdl"),
        host => format!("{host}/sdk/vimService.wsdl"),
    })
}

/// The file at `url` and all that it refers to, by name.
fn fetch(url: &str, no_verify: bool) -> Result<BTreeMap<String, String>> {
    let (folder, first) = url.rsplit_once('/').context("an address without a path")?;
    let mut files = BTreeMap::new();
    let mut wanted = vec![first.to_owned()];
    while let Some(name) = wanted.pop() {
        if files.contains_key(&name) {
            continue;
        }
        ensure!(files.len() < MAX_FILES, "the host's files refer to more than {MAX_FILES} others");
        let text = download(&format!("{folder}/{name}"), no_verify)?;
        wanted.extend(references(&text).with_context(|| format!("{name} is no XML"))?);
        files.insert(name, text);
    }
    Ok(files)
}

/// The files that a WSDL or XSD imports or includes from its own folder.
fn references(text: &str) -> Result<Vec<String>> {
    let document = roxmltree::Document::parse(text)?;
    let mut names = Vec::new();
    for node in document.descendants() {
        if !matches!(node.tag_name().name(), "import" | "include") {
            continue;
        }
        let Some(location) = node.attribute("location").or(node.attribute("schemaLocation")) else {
            continue;
        };
        let name = location.strip_prefix("./").unwrap_or(location);
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        // A name from a host becomes a file name here.
        ensure!(
            name.bytes().all(plain) && !name.starts_with('.'),
            "refers to {location:?}, outside of its folder"
        );
        names.push(name.to_owned());
    }
    Ok(names)
}

fn download(url: &str, no_verify: bool) -> Result<String> {
    let mut curl = Command::new("curl");
    curl.args(["-q", "--silent", "--show-error", "--fail", "--compressed", "--max-time", "120"]);
    curl.args(["--proto", "=http,https", "--max-filesize", "100000000"]);
    if no_verify {
        curl.arg("--insecure");
    }
    let output = curl.arg("--").arg(url).output().context("cannot run curl")?;
    if !output.status.success() {
        bail!("cannot fetch {url}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{url} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(entry("https://esx1").unwrap(), "https://esx1/sdk/vimService.wsdl");
        assert_eq!(entry("http://h:80/sdk/").unwrap(), "http://h:80/sdk/vimService.wsdl");
        assert_eq!(entry("https://h/x/vim.wsdl").unwrap(), "https://h/x/vim.wsdl");
        for bad in ["esx1", "ftp://h", "file:///etc/passwd", "https://"] {
            assert!(entry(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_cannot_name_files_outside_of_the_folder() {
        for location in ["../../x.xsd", "/etc/x", "http://h/x.xsd", ".hidden", "a%2fb"] {
            assert!(
                references(&format!("<a><import schemaLocation='{location}'/></a>")).is_err(),
                "{location}"
            );
        }
        assert_eq!(
            references("<a><import namespace='x'/><include schemaLocation='b.xsd'/></a>").unwrap(),
            ["b.xsd"]
        );
    }

    /// A server that hands out the files of a snapshot until it is asked for `/stop`.
    fn serve(listener: &TcpListener, folder: &Path) {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut line = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            reader.read_line(&mut line).unwrap();
            // The whole head is read, or closing would reset the connection.
            let mut rest = String::new();
            while reader.read_line(&mut rest).is_ok_and(|n| n > 2) {
                rest.clear();
            }
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            if path == "/stop" {
                return;
            }
            match path.strip_prefix("/sdk/").map(|name| std::fs::read(folder.join(name))) {
                Some(Ok(body)) => {
                    write!(
                        stream,
                        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                        body.len()
                    )
                    .unwrap();
                    stream.write_all(&body).unwrap();
                }
                _ => write!(
                    stream,
                    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )
                .unwrap(),
            }
        }
    }

    #[test]
    fn a_snapshot_comes_over_http_as_it_is() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/wsdl/2.5");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let out = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| serve(&listener, &folder));
            let fetched = run(&format!("http://{address}"), out.path(), false);
            let missing = run(&format!("http://{address}/other"), out.path(), false);
            std::net::TcpStream::connect(address)
                .unwrap()
                .write_all(b"GET /stop HTTP/1.1\r\n\r\n")
                .unwrap();
            fetched.unwrap();
            assert!(missing.unwrap_err().to_string().contains("404"));
        });
        let mut count = 0;
        for entry in std::fs::read_dir(out.path()).unwrap() {
            let entry = entry.unwrap();
            let ours = std::fs::read(folder.join(entry.file_name())).unwrap();
            assert_eq!(std::fs::read(entry.path()).unwrap(), ours);
            count += 1;
        }
        assert_eq!(count, 7, "everything but managed-objects.json");
        // What is missing is named, with what to do about it.
        let error = crate::vi::schema::Schema::read(out.path()).unwrap_err().to_string();
        assert!(error.contains("managed-objects.json") && error.contains("nearest"), "{error}");
    }
}
