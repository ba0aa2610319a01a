//! SOAP over real sockets, by hand.

use std::time::Duration;

use crate::common::{CONTENT, CURRENT_TIME, Client, envelope, list, login, send};
use esx_sim::{PowerState, Preset, Reaction, Running, Simulator};

const NEWEST: Option<&str> = Some("urn:vim25/8.0.2.0");

async fn start() -> Running {
    Simulator::builder().vms(5).start().await.unwrap()
}

#[tokio::test]
async fn service_content_needs_no_login() {
    let sim = start().await;
    let answer = Client::new(&sim, NEWEST).call(CONTENT).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("Content-Type").unwrap().starts_with("text/xml"));
    for (element, expect) in [
        ("rootFolder", "ha-folder-root"),
        ("propertyCollector", "ha-property-collector"),
        ("apiType", "HostAgent"),
        ("apiVersion", "8.0.2.0"),
        ("productLineId", "embeddedEsx"),
    ] {
        assert_eq!(answer.element(element).as_deref(), Some(expect));
    }
    assert_eq!(answer.header("Set-Cookie"), None);
}

#[tokio::test]
async fn a_session_is_a_quoted_cookie() {
    let sim = start().await;
    let mut client = Client::new(&sim, NEWEST);
    let answer = client.call(CURRENT_TIME).await;
    assert_eq!((answer.status, answer.fault().as_deref()), (500, Some("NotAuthenticated")));
    assert_eq!(answer.element("faultstring").as_deref(), Some("The session is not authenticated."));
    let answer = client.call(&login("user", "wrong")).await;
    assert_eq!((answer.status, answer.fault().as_deref()), (500, Some("InvalidLogin")));
    assert_eq!(answer.header("Set-Cookie"), None);

    let answer = client.call(&login("user", "pass")).await;
    let cookie = answer.header("Set-Cookie").unwrap();
    assert!(
        cookie.starts_with("vmware_soap_session=\"") && cookie.ends_with("\"; Path=/; HttpOnly"),
        "{cookie}"
    );
    assert_eq!(answer.element("userName").as_deref(), Some("user"));
    client.cookie = Some(answer.cookie());
    assert_eq!(client.call(CURRENT_TIME).await.status, 200);
    // Without its quotes, and beside others, it is the same cookie.
    client.cookie = Some(format!("a=b; {}; c=\"d\"", answer.cookie().replace('"', "")));
    assert_eq!(client.call(CURRENT_TIME).await.status, 200);

    sim.advance_clock(Duration::from_secs(1801));
    assert_eq!(client.call(CURRENT_TIME).await.fault().as_deref(), Some("NotAuthenticated"));
}

/// What libvirt insists on: no white space between elements, literal prefixes, a type on every item of an array.
#[tokio::test]
async fn replies_suit_picky_clients() {
    let sim = start().await;
    let client = Client::logged_in(&sim, None).await;
    let paths = [
        "name",
        "configStatus",
        "runtime.powerState",
        "config.uuid",
        "config.hardware.numCPU",
        "recentTask",
        "guest.net",
    ];
    let answer = client.call(&list("RetrieveProperties", &paths, "")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    for expect in [
        r#"<name>name</name><val xsi:type="xsd:string">web01</val>"#,
        r#"<val xsi:type="ManagedEntityStatus">green</val>"#,
        r#"<val xsi:type="VirtualMachinePowerState">suspended</val>"#,
        r#"<val xsi:type="xsd:int">4</val>"#,
        r#"<val xsi:type="ArrayOfManagedObjectReference"></val>"#,
        r#"<val xsi:type="ArrayOfGuestNicInfo"><GuestNicInfo xsi:type="GuestNicInfo">"#,
        r#"<obj type="VirtualMachine">1</obj>"#,
        "pipe | &quot;quoted&quot;",
    ] {
        assert!(text.contains(expect), "{expect} is not in {text}");
    }
    let document = roxmltree::Document::parse(text).unwrap();
    for node in document.descendants().filter(|node| node.is_text()) {
        let blank = node.text().unwrap().trim().is_empty();
        assert!(
            !blank || node.next_sibling().is_none() && node.prev_sibling().is_none(),
            "white space in {text}"
        );
    }
    let xsi_type = ("http://www.w3.org/2001/XMLSchema-instance", "type");
    for array in document
        .descendants()
        .filter(|n| n.attribute(xsi_type).is_some_and(|t| t.starts_with("ArrayOf")))
    {
        for item in array.children() {
            assert!(item.attribute(xsi_type).is_some(), "an item without a type");
        }
    }
    let machines =
        document.descendants().filter(|node| node.tag_name().name() == "returnval").count();
    assert_eq!(machines, sim.model().read(|model| model.machines().len()));
}

#[tokio::test]
async fn the_header_decides_the_dialect() {
    let sim = start().await;
    let paged = list("RetrievePropertiesEx", &["name"], "<options/>");
    let with_instance_uuid = list("RetrieveProperties", &["config.instanceUuid"], "");
    for (action, early, instance_uuid) in [
        (None, Some("MethodNotFound"), Some("InvalidProperty")),
        (Some("\"\""), Some("MethodNotFound"), Some("InvalidProperty")),
        (Some("urn:vim25/4.0"), Some("MethodNotFound"), None),
        (Some("\"urn:vim25/4.1\""), None, None),
        (NEWEST, None, None),
    ] {
        let client = Client::logged_in(&sim, action).await;
        assert_eq!(client.call(&paged).await.fault().as_deref(), early, "{action:?}");
        assert_eq!(
            client.call(&with_instance_uuid).await.fault().as_deref(),
            instance_uuid,
            "{action:?}"
        );
    }
    let old = Simulator::builder().api_version("4.0").start().await.unwrap();
    let answer = Client::new(&old, Some("urn:vim25/8.0.2.0")).call(CONTENT).await;
    assert_eq!(
        (answer.status, answer.element("faultcode").as_deref()),
        (500, Some("VersionMismatchFaultCode"))
    );
    assert!(
        answer
            .element("faultstring")
            .unwrap()
            .contains("Unsupported version URI \"urn:vim25/8.0.2.0\"")
    );
    let answer = Client::new(&old, Some("urn:vim25/4.0")).call(CONTENT).await;
    assert_eq!(answer.element("apiVersion").as_deref(), Some("4.0"));
    assert_eq!(answer.element("ovfManager").as_deref(), Some("ha-ovf-manager"));
    let answer = Client::new(&old, None).call(CONTENT).await;
    assert_eq!(answer.element("ovfManager"), None, "it came with 4.0");

    let versions = send(old.address(), "GET", "/sdk/vimServiceVersions.xml", &[], "").await;
    assert_eq!(versions.element("version").as_deref(), Some("4.0"));
}

#[tokio::test]
async fn pages_over_the_wire() {
    let sim = Simulator::builder().vms(25).page_size(10).start().await.unwrap();
    let client = Client::logged_in(&sim, NEWEST).await;
    let mut answer = client.call(&list("RetrievePropertiesEx", &["name"], "<options/>")).await;
    let mut pages = 1;
    let mut names = answer.text().matches("<propSet>").count();
    while let Some(token) = answer.element("token") {
        let next = format!(
            r#"<ContinueRetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector">ha-property-collector</_this><token>{token}</token></ContinueRetrievePropertiesEx>"#
        );
        answer = client.call(&next).await;
        assert_eq!(answer.status, 200);
        pages += 1;
        names += answer.text().matches("<propSet>").count();
    }
    assert_eq!((pages, names), (4, 38));
}

#[tokio::test]
async fn a_bad_request_is_refused_and_the_next_one_served() {
    let sim = start().await;
    let deep = format!("{}{}", "<a>".repeat(50_000), "</a>".repeat(50_000));
    let unknown_entity = envelope("<Login>&x;</Login>");
    let no_this = envelope(r#"<CurrentTime xmlns="urn:vim25"/>"#);
    let bomb =
        r#"<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "cccc"><!ENTITY d "&b;&b;">]><a>&d;</a>"#;
    for body in [
        "",
        "hello",
        "<html><body>x</body></html>",
        "<a",
        &deep,
        &unknown_entity,
        bomb,
        &envelope(""),
        &no_this,
    ] {
        let answer = send(sim.address(), "POST", "/sdk", &[], body).await;
        let start: String = body.chars().take(40).collect();
        assert_eq!(answer.status, 500, "{start}");
        assert!(answer.element("faultstring").is_some(), "{start}");
    }
    let answer = send(
        sim.address(),
        "POST",
        "/sdk",
        &[],
        &envelope(r#"<NoSuchThing xmlns="urn:vim25"><_this type="X">y</_this></NoSuchThing>"#),
    )
    .await;
    assert_eq!(answer.fault().as_deref(), Some("MethodNotFound"));
    assert_eq!(send(sim.address(), "GET", "/sdk", &[], "").await.status, 405);
    assert_eq!(send(sim.address(), "GET", "/nowhere", &[], "").await.status, 404);
    assert_eq!(Client::new(&sim, NEWEST).call(CONTENT).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_with_a_change_or_with_time() {
    let sim = start().await;
    let client = Client::logged_in(&sim, NEWEST).await;
    let filter = r#"<CreateFilter xmlns="urn:vim25"><_this type="PropertyCollector">ha-property-collector</_this><spec><propSet><type>VirtualMachine</type><pathSet>runtime.powerState</pathSet></propSet><objectSet><obj type="VirtualMachine">1</obj></objectSet></spec><partialUpdates>false</partialUpdates></CreateFilter>"#;
    assert_eq!(client.call(filter).await.status, 200);
    let wait = |version: &str| {
        format!(
            r#"<WaitForUpdatesEx xmlns="urn:vim25"><_this type="PropertyCollector">ha-property-collector</_this><version>{version}</version><options><maxWaitSeconds>600</maxWaitSeconds></options></WaitForUpdatesEx>"#
        )
    };
    let first = client.call(&wait("")).await;
    assert_eq!(first.element("kind").as_deref(), Some("enter"));
    assert!(
        first.text().contains(r#"<val xsi:type="VirtualMachinePowerState">poweredOn</val>"#),
        "{}",
        first.text()
    );
    let version = wait(&first.element("version").unwrap());

    let (second, ()) = tokio::join!(client.call(&version), async {
        sim.model().change(|model| {
            let machine = model.machine("web01").unwrap();
            assert!(model.set_power_state(&machine, PowerState::Suspended));
        });
    });
    assert_eq!(second.element("kind").as_deref(), Some("modify"));
    let version = wait(&second.element("version").unwrap());
    // Nothing happens any more but time: however early the clock moves, it moves again.
    sim.model().change(|model| model.set_session_idle_timeout(Duration::from_secs(1 << 30)));
    let mut waiting = std::pin::pin!(client.call(&version));
    let third = loop {
        tokio::select! {
            answer = &mut waiting => break answer,
            // Other calls of the session are served while one waits.
            other = client.call(CURRENT_TIME) => assert_eq!(other.status, 200),
        }
        sim.advance_clock(Duration::from_secs(601));
    };
    assert_eq!(third.status, 200, "{}", third.text());
    assert!(!third.text().contains("returnval"), "nothing has changed: {}", third.text());
}

#[tokio::test]
async fn the_journal_tells_what_was_asked() {
    let sim = start().await;
    let mut client = Client::new(&sim, NEWEST);
    client.call(CONTENT).await;
    let answer = client.call(&login("user", "pass")).await;
    client.cookie = Some(answer.cookie());
    let time = client.call(CURRENT_TIME).await;
    client.get("/folder", "").await;
    let journal = sim.journal();
    let methods: Vec<_> = journal.iter().map(|entry| entry.method.as_str()).collect();
    assert_eq!(methods, ["RetrieveServiceContent", "Login", "CurrentTime", "GET /folder"]);
    assert_eq!(journal[0].session, None);
    assert_eq!(journal[0].soap_action.as_deref(), NEWEST);
    assert!(journal[2].session.is_some() && journal[1].session == journal[2].session);
    assert_eq!(journal[2].bytes_out, time.body.len() as u64);
    assert!(journal.iter().all(|entry| entry.status == 200));
    // The cookie is a secret, the password too.
    let value = answer.cookie().replace("vmware_soap_session=", "").replace('"', "");
    assert!(!format!("{journal:?}").contains(&value));
    sim.reset_journal();
    assert_eq!(sim.requests(), 0);
}

#[tokio::test]
async fn a_plan_can_refuse() {
    let sim = Simulator::builder()
        .plan(|arrival| match arrival.number {
            0 => Reaction::Refuse { status: 503, retry_after: Some(2) },
            _ => Reaction::Serve,
        })
        .start()
        .await
        .unwrap();
    let client = Client::new(&sim, NEWEST);
    let answer = client.call(CONTENT).await;
    assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("2")));
    assert_eq!(client.call(CONTENT).await.status, 200);
}

#[tokio::test]
async fn it_starts_only_where_and_as_it_can() {
    let anywhere = Simulator::builder().listen(([0, 0, 0, 0], 0).into()).start().await;
    assert_eq!(anywhere.unwrap_err().to_string(), "0.0.0.0:0 is not a loopback address");
    let version = Simulator::builder().api_version("9.9").start().await;
    assert!(version.unwrap_err().to_string().starts_with("unknown API version \"9.9\""));
    let sim = start().await;
    let taken = Simulator::builder().listen(sim.address()).start().await;
    assert!(taken.unwrap_err().to_string().starts_with("cannot listen on 127.0.0.1:"));

    let address = sim.address();
    sim.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn uris_name_what_a_client_needs() {
    let sim = Simulator::builder().credentials("a b@c", "secret").start().await.unwrap();
    assert_eq!(sim.uri(), format!("esx://a%20b%40c@{}/?transport=http", sim.address()));
    assert!(!format!("{sim:?}").contains("secret"));
    let sim = Simulator::builder().preset(Preset::VCenter).start().await.unwrap();
    let expect = format!("vpx://user@{}/dc1/cluster1/esx1.sim.test?transport=http", sim.address());
    assert_eq!(sim.uri(), expect);
    let answer = Client::new(&sim, NEWEST).call(CONTENT).await;
    assert_eq!(answer.element("apiType").as_deref(), Some("VirtualCenter"));
    assert_eq!(answer.element("productLineId").as_deref(), Some("vpx"));
}
