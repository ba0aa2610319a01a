//! What the program writes, with `--trace` and without, holds neither password nor session cookie.

use esx_sim::{FaultPlan, FileContent, Running, Simulator};

use crate::common::Home;

const PASSWORD: &str = "canary-pa55<&\"w0rd";
const WRONG: &str = "canary-mi5taken";

/// All that a run writes.
fn written(home: &Home, arguments: &[&str]) -> String {
    let mut command = home.command(arguments);
    command.env("RUST_LOG", "trace").current_dir(home.folder());
    let output = tokio::task::block_in_place(|| command.output().unwrap());
    // Not the arguments themselves: one of them is a secret in the wrong place.
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Runs commands against a host in every way of writing what they did.
fn run_all(home: &Home, sim: &Running, uri: &str) -> String {
    sim.model()
        .change(|m| m.add_content("datastore1", "vol/a.img", FileContent::generated(1, 5000)));
    let script = "list --all; dumpxml web01 --security-info; suspend web01; resume web01; screenshot web01 shot.png; \
                  vol-download vol/a.img a.img --pool datastore1; vol-upload vol/a.img a.img --pool datastore1; uri";
    let mut text = String::new();
    for flags in
        [&["--trace"][..], &[], &["--trace", "--session-cache"], &["--trace", "-o", "json"]]
    {
        let arguments: Vec<&str> = flags.iter().copied().chain(["-c", uri, script]).collect();
        text += &written(home, &arguments);
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_written_holds_a_secret() {
    let (good, bad) = (Home::new(PASSWORD), Home::new(WRONG));
    let builder = || Simulator::builder().credentials("user", PASSWORD);
    let mut text = String::new();
    let mut cookies = Vec::new();
    for plan in [
        "",
        "expire #5",
        "expire #4+",
        "corrupt #4+",
        "redirect=http://127.0.0.1:9/ #4+",
        "cut-body=40 @Login",
        "status=401 @GET #1+; status=401 @PUT #1+",
    ] {
        let sim = builder().start().await.unwrap();
        if !plan.is_empty() {
            let plan: FaultPlan = plan.parse().unwrap();
            sim.set_plan(move |arrival| plan.react(arrival));
        }
        text += &run_all(&good, &sim, &format!("{}&idle_timeout=5", sim.uri()));
        text += &written(&bad, &["--trace", "-c", &sim.uri(), "list"]);
        cookies.extend(sim.model().read(|m| m.session_cookies().to_vec()));
    }
    let tls = builder().tls(true).start().await.unwrap();
    let server = tls.address().to_string();
    text += &run_all(&good, &tls, &format!("{}&call_timeout=20", tls.uri()));
    for arguments in [
        &["--trace", "-c", &format!("esx://{server}/"), "list"][..],
        &["--trace", "-c", &format!("esx://{server}/?no_verify=1"), "list"],
        &["--trace", "pin", &server],
        &[
            "--trace",
            "-c",
            &format!("esx://{server}/?proxy=http://me:canary-proxy@127.0.0.1"),
            "list",
        ],
    ] {
        text += &written(&good, arguments);
    }
    cookies.extend(tls.model().read(|m| m.session_cookies().to_vec()));

    for expected in [
        "<password>(hidden)</password>",
        "user name or password is wrong",
        "the session has ended, logging in again",
        "warning: no_verify=1",
        "http://127.0.0.1:9/",
        "thumbprint",
        "HTTP status 401",
    ] {
        assert!(text.contains(expected), "{expected:?} shows that the case was there");
    }
    assert!(cookies.len() > 30, "{} sessions were opened", cookies.len());
    let mut secrets = cookies;
    secrets.extend(["canary", "pa55", "w0rd", "mi5taken"].map(str::to_owned));
    // "user:PASSWORD" after its first letters, and the password alone, both in base 64.
    let encoded =
        ["YW5hcnktcGE1NTwm", "YW5hcnktbWk1dGFrZW4", "Y2FuYXJ5LXBhNTU", "Y2FuYXJ5LW1pNXRha2Vu"];
    secrets.extend(encoded.map(str::to_owned));
    for secret in secrets {
        if let Some(line) = text.lines().find(|line| line.contains(&secret)) {
            panic!("{secret:?} is in {}", line.chars().take(500).collect::<String>());
        }
    }
    // What is kept for the next run is in the one place that is made for it.
    let mut folders = vec![good.folder().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("auth.conf") && !path.parent().unwrap().ends_with("sessions")
            {
                let content = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
                assert!(
                    !content.contains("canary") && !content.contains("vmware_soap"),
                    "{path:?}"
                );
            }
        }
    }
}
