//! Datastore files over real sockets, by hand.

use crate::common::{Client, exchange, send};
use esx_sim::{FileContent, Preset, Reaction, Running, Simulator};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const WEB01: &str = "/folder/web01%2Fweb01.vmx?dcPath=ha-datacenter&dsName=datastore1";

#[tokio::test]
async fn a_session_or_a_password_is_needed() {
    let sim = Simulator::builder().start().await.unwrap();
    let answer = send(sim.address(), "GET", WEB01, &[], "").await;
    assert_eq!(answer.status, 401);
    assert!(answer.header("WWW-Authenticate").unwrap().starts_with("Basic realm="));
    // user:wrong
    let answer =
        send(sim.address(), "GET", WEB01, &["Authorization: Basic dXNlcjp3cm9uZw=="], "").await;
    assert_eq!(answer.status, 401);
    assert_eq!(sim.model().read(|model| model.session_count()), 0);

    // user:pass: a session of its own for each request.
    for count in 1..=3 {
        let answer =
            send(sim.address(), "GET", WEB01, &["Authorization: basic dXNlcjpwYXNz"], "").await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("Set-Cookie").unwrap().starts_with("vmware_soap_session=\""));
        assert_eq!(sim.model().read(|model| model.session_count()), count);
    }
    let client = Client::logged_in(&sim, None).await;
    let answer = client.get(WEB01, "").await;
    assert_eq!((answer.status, answer.header("Set-Cookie")), (200, None));
    assert!(answer.text().contains("displayName = \"web01\"\n"));
    assert_eq!(sim.model().read(|model| model.session_count()), 4);
}

#[tokio::test]
async fn files_in_every_spelling() {
    let sim = Simulator::builder().start().await.unwrap();
    let client = Client::logged_in(&sim, None).await;
    for (target, status) in [
        (WEB01, 200),
        ("/folder/web01/web01.vmx?dcPath=ha-datacenter&dsName=datastore1", 200),
        ("/folder/web01%2Fweb01.vmx?dsName=datastore1", 200),
        ("/folder/secure-win%2Fsecure-win.vmx?dcPath=ha-datacenter&dsName=fast%2520%252B1", 200),
        ("/folder/secure-win%2Fsecure-win.vmx?dcPath=ha%252Ddatacenter&dsName=fast%20%2B1", 200),
        ("/folder/secure-win%2Fsecure-win.vmx?dcPath=ha-datacenter&dsName=fast++1", 404),
        (
            "/folder/C%2BKys-%20build%20%2BKw-1%2FC%2BKys-%20build%20%2BKw-1.vmx?dcPath=ha-datacenter&dsName=fast%2520%252B1",
            200,
        ),
        ("/folder/web01%2Fweb01.vmx?dcPath=other&dsName=datastore1", 404),
        ("/folder/web01%2Fweb01.vmx?dcPath=ha-datacenter&dsName=other", 404),
        ("/folder/web01%2Fother.vmx?dcPath=ha-datacenter&dsName=datastore1", 404),
        ("/folder/lost%2Flost.vmx?dcPath=ha-datacenter&dsName=datastore1", 404),
        ("/folder/../../etc/passwd?dcPath=ha-datacenter&dsName=datastore1", 404),
        ("/folder/%zz%ff?dcPath=%&dsName=%ff", 404),
    ] {
        let answer = client.get(target, "").await;
        assert_eq!(answer.status, status, "{target}");
    }
}

#[tokio::test]
async fn heads_and_ranges() {
    let sim = Simulator::builder().start().await.unwrap();
    let client = Client::logged_in(&sim, None).await;
    let whole = client.get(WEB01, "").await;
    let total = whole.body.len();
    assert_eq!(whole.header("Accept-Ranges"), Some("bytes"));

    let part = client.get(WEB01, "Range: bytes=10-19").await;
    assert_eq!((part.status, &part.body[..]), (206, &whole.body[10..20]));
    assert_eq!(part.header("Content-Range"), Some(format!("bytes 10-19/{total}").as_str()));
    let rest = client.get(WEB01, "Range: bytes=100-").await;
    assert_eq!(&rest.body[..], &whole.body[100..]);
    let beyond = client.get(WEB01, "Range: bytes=1000000-").await;
    assert_eq!(
        (beyond.status, beyond.header("Content-Range")),
        (416, Some(format!("bytes */{total}").as_str()))
    );

    let cookie = format!("Cookie: {}", client.cookie.as_ref().unwrap());
    let head = send(sim.address(), "HEAD", WEB01, &[&cookie], "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("Content-Length"), Some(total.to_string().as_str()));
    assert_eq!(send(sim.address(), "POST", WEB01, &[&cookie], "x").await.status, 405);
}

#[tokio::test]
async fn uploads_need_a_length_and_a_directory() {
    let sim = Simulator::builder().start().await.unwrap();
    let client = Client::logged_in(&sim, None).await;
    let cookie = format!("Cookie: {}", client.cookie.as_ref().unwrap());
    let query = "dcPath=ha-datacenter&dsName=datastore1";
    let target = format!("/folder/iso/new.iso?{query}");
    let change = async |method: &str, target: &str| {
        send(sim.address(), method, target, &[&cookie], "hello").await.status
    };
    assert_eq!(change("PUT", &target).await, 201);
    assert_eq!(change("PUT", &target).await, 200);
    assert_eq!(client.get(&target, "").await.body, b"hello");
    assert_eq!(change("PUT", &format!("/folder/no/new.iso?{query}")).await, 404);
    assert_eq!(change("PUT", WEB01).await, 403); // belongs to a machine
    assert_eq!(change("DELETE", &target).await, 200);
    assert_eq!(change("DELETE", &target).await, 404);
    let anonymous = send(sim.address(), "PUT", &target, &[], "x").await;
    assert_eq!(anonymous.status, 401);
    for (header, status) in [("", 411), ("Transfer-Encoding: chunked\r\n", 501)] {
        let body = if header.is_empty() { "" } else { "1\r\nx\r\n0\r\n\r\n" };
        let request = format!(
            "PUT {target} HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n{cookie}\r\n{header}\r\n{body}"
        );
        let stream = TcpStream::connect(sim.address()).await.unwrap();
        assert_eq!(exchange(stream, request.as_bytes()).await.status, status, "{header}");
    }
}

#[tokio::test]
async fn listings() {
    let sim = Simulator::builder().preset(Preset::VCenter).start().await.unwrap();
    sim.model().change(|model| assert!(model.add_file("shared", "a & b/<c>.txt", b"text")));
    let basic = "Authorization: Basic dXNlcjpwYXNz";
    let get = async |target: &str| send(sim.address(), "GET", target, &[basic], "").await;
    let root = get("/folder").await;
    assert!(root.header("Content-Type").unwrap().starts_with("text/html"));
    assert!(root.text().contains("Europe%2fWest/dc 2/"));
    assert!(get("/folder?dcPath=dc1").await.text().contains(">shared/</a>"));
    let directory = get("/folder/a%20%26%20b?dcPath=dc1&dsName=shared").await;
    assert!(
        directory.text().contains("&lt;c&gt;.txt</a></td><td align=\"right\">4</td>"),
        "{}",
        directory.text()
    );
    let file = get("/folder/a%20%26%20b/%3Cc%3E.txt?dcPath=dc1&dsName=shared").await;
    assert_eq!(file.body, b"text");
    let nested = get(
        "/folder/remote-vm%2Fremote-vm.vmx?dcPath=Europe%25252fWest%252Fdc%25202&dsName=remote",
    )
    .await;
    assert_eq!(nested.status, 200);
}

const QUERY: &str = "dcPath=ha-datacenter&dsName=datastore1";

#[tokio::test]
async fn sparse_files_of_many_gigabytes() {
    let sim = Simulator::builder().start().await.unwrap();
    let client = Client::logged_in(&sim, None).await;
    let mut content = FileContent::hole(40 << 30);
    content.write(30 << 30, b"far out");
    sim.model().change(|model| model.add_content("datastore1", "big/disk-flat.vmdk", content));
    let target = format!("/folder/big%2Fdisk-flat.vmdk?{QUERY}");
    let range = format!("Range: bytes={}-{}", 30_u64 << 30, (30_u64 << 30) + 7);
    let part = client.get(&target, &range).await;
    assert_eq!((part.status, &part.body[..]), (206, &b"far out\0"[..]));
    assert_eq!(part.header("Content-Range"), Some("bytes 32212254720-32212254727/42949672960"));
    let modified = part.header("Last-Modified").unwrap().to_owned();
    assert!(modified.ends_with(" GMT"), "{modified}");
    let cookie = format!("Cookie: {}", client.cookie.as_ref().unwrap());
    let head = send(sim.address(), "HEAD", &target, &[&cookie], "").await;
    assert_eq!(head.header("Content-Length"), Some("42949672960"));
    assert_eq!(head.header("Last-Modified"), Some(&*modified));
    assert_eq!(sim.transfers().bytes_out, 8);
}

#[tokio::test]
async fn a_running_machine_holds_its_disks() {
    let sim = Simulator::builder().start().await.unwrap();
    let client = Client::logged_in(&sim, None).await;
    let get = async |path: &str| {
        client.get(&format!("/folder/{path}?{QUERY}"), "Range: bytes=0-999").await
    };
    let descriptor = get("web01/web01.vmdk").await;
    assert!(descriptor.text().contains(" VMFS \"web01-flat.vmdk\""), "{}", descriptor.text());
    // It has snapshots: their disks can be read, only the newest is written to.
    assert_eq!(get("web01/web01-flat.vmdk").await.status, 206);
    let newest = sim.model().read(|model| model.vmx(&model.machine("web01").unwrap()).unwrap());
    let newest = newest.lines().find_map(|line| line.strip_prefix("scsi0:0.fileName = ")).unwrap();
    let newest = newest.trim_matches('"');
    let descriptor = get(&format!("web01/{newest}")).await;
    let hint = "parentFileNameHint=\"web01";
    assert!(descriptor.text().contains(hint), "{}", descriptor.text());
    let data = newest.replace(".vmdk", "-sesparse.vmdk");
    assert_eq!(get(&format!("web01/{data}")).await.status, 500);
    // Empty: no range of it can be had.
    assert_eq!(get("iso/debian-12.iso").await.status, 416);
    sim.model().change(|model| model.lock_file("datastore1", "iso/debian-12.iso", true));
    assert_eq!(get("iso/debian-12.iso").await.status, 500);
    let cookie = format!("Cookie: {}", client.cookie.as_ref().unwrap());
    let target = format!("/folder/iso/debian-12.iso?{QUERY}");
    assert_eq!(send(sim.address(), "PUT", &target, &[&cookie], "x").await.status, 500);
    assert_eq!(send(sim.address(), "DELETE", &target, &[&cookie], "").await.status, 500);
}

#[tokio::test]
async fn what_is_full_takes_no_more() {
    let sim = Simulator::builder().start().await.unwrap();
    let client = Client::logged_in(&sim, None).await;
    let cookie = format!("Cookie: {}", client.cookie.as_ref().unwrap());
    sim.model().change(|model| model.set_free_space("datastore1", 3 << 20));
    let target = format!("/folder/iso/new.iso?{QUERY}");
    let text = "x".repeat(5 << 20);
    assert_eq!(send(sim.address(), "PUT", &target, &[&cookie], &text).await.status, 500);
    // What fitted in is there.
    let size = client.get(&target, "").await.body.len();
    assert!((1..=3 << 20).contains(&size), "{size}");
    assert_eq!(send(sim.address(), "DELETE", &target, &[&cookie], "").await.status, 200);
    assert_eq!(send(sim.address(), "PUT", &target, &[&cookie], &text[..2 << 20]).await.status, 201);
}

/// What a server sends until it closes, whole or not.
async fn raw(sim: &Running, request: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(sim.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // A connection that is broken off may end in a reset.
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

#[tokio::test]
async fn plans_break_transfers() {
    let sim = Simulator::builder().start().await.unwrap();
    let client = Client::logged_in(&sim, None).await;
    let cookie = client.cookie.as_ref().unwrap();
    let content = FileContent::generated(1, 1 << 20);
    sim.model().change(|model| model.add_content("datastore1", "iso/a.iso", content.clone()));
    let get =
        format!("GET /folder/iso/a.iso?{QUERY} HTTP/1.1\r\nHost: sim\r\nCookie: {cookie}\r\n\r\n");

    sim.set_plan(|_| Reaction::CutAnswer { after: 300_000 });
    let answer = raw(&sim, &get).await;
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(answer[body..], content.read(0, 300_000));
    assert_eq!((sim.transfers().bytes_out, sim.transfers().active), (300_000, 0));
    sim.set_plan(|_| Reaction::Hangup { served: true });
    assert!(raw(&sim, &get).await.is_empty());
    sim.set_plan(|_| Reaction::Redirect { location: "https://esx1/x".to_owned() });
    let answer = client.get("/folder", "").await;
    assert_eq!((answer.status, answer.header("Location")), (302, Some("https://esx1/x")));
    sim.set_plan(|_| Reaction::IgnoreRange);
    let answer = client.get(&format!("/folder/iso/a.iso?{QUERY}"), "Range: bytes=5-9").await;
    assert_eq!((answer.status, answer.body.len()), (200, 1 << 20));

    // A cut upload leaves what has arrived, under the name that it was to have.
    let put = |length: usize| {
        format!(
            "PUT /folder/iso/b.iso?{QUERY} HTTP/1.1\r\nHost: sim\r\nCookie: {cookie}\r\nContent-Length: {length}\r\n\r\n{}",
            "b".repeat(length)
        )
    };
    sim.set_plan(|_| Reaction::CutRequest { after: 1000 });
    assert!(raw(&sim, &put(5000)).await.is_empty());
    let stored = |path: &str| sim.model().read(|model| model.file("datastore1", path));
    assert_eq!(stored("iso/b.iso").unwrap().content.size(), 1000);
    sim.clear_plan();
    let mut stream = TcpStream::connect(sim.address()).await.unwrap();
    stream.write_all(&put(5000).as_bytes()[..3000]).await.unwrap();
    drop(stream);
    sim.until(|model| {
        model.file("datastore1", "iso/b.iso").is_some_and(|file| file.content.size() > 1000)
    })
    .await;
    assert!(stored("iso/b.iso").unwrap().content.size() < 5000);

    sim.set_plan(|_| Reaction::ExpireSessions);
    assert_eq!(client.get("/folder", "").await.status, 401);
}
