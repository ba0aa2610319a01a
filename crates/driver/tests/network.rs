//! Networks and interfaces on the simulated host: what is told, what is changed, and how many requests that takes.

use crate::common::{connect, methods, options};
use esx_driver::{Connection, OpenOptions};
use esx_sim::{PowerState, Preset, Running, Simulator};
use virt_api::{
    Driver as _, ErrorCode, Interface as _, InterfaceXmlFlags, ListAllInterfacesFlags,
    ListAllNetworksFlags as Filter, Network as _, NetworkDefineFlags, NetworkHandle,
    NetworkXmlFlags,
};

const DEFINE: NetworkDefineFlags = NetworkDefineFlags::empty();

async fn host() -> (Running, Connection) {
    start(Simulator::builder()).await
}

async fn start(builder: esx_sim::Builder) -> (Running, Connection) {
    let sim = builder.start().await.unwrap();
    let connection = connect(&sim, "").await;
    // The host of an esx:// connection is looked for once.
    connection.connect_num_of_interfaces().await.unwrap();
    sim.reset_journal();
    (sim, connection)
}

async fn xml(connection: &Connection, network: &NetworkHandle) -> String {
    connection.network_get_xml_desc(network, NetworkXmlFlags::empty()).await.unwrap()
}

async fn refused(connection: &Connection, body: &str) -> (ErrorCode, String) {
    let document = format!("<network>{body}</network>");
    let error = connection.network_define_xml(&document, DEFINE).await.unwrap_err();
    (error.code, error.chain().collect::<Vec<_>>().join(": "))
}

fn names(networks: &[NetworkHandle]) -> Vec<&str> {
    networks.iter().map(|network| network.name.as_str()).collect()
}

#[tokio::test]
async fn networks_are_found_in_every_way_with_one_request_each() {
    let (sim, connection) = host().await;
    let all = connection.connect_list_all_networks(Filter::empty()).await.unwrap();
    assert_eq!(methods(&sim), ["RetrievePropertiesEx"]);
    assert_eq!(names(&all), ["vSwitch0", "vSwitch1"]);
    assert_eq!(all[0].uuid.to_string(), "2f467347-8b4e-8655-e7d6-c4c3fb968009");
    assert_eq!(all[1].uuid.to_string(), "d61ea8ec-4be0-8a69-4aa3-6201c1eec772");
    assert_eq!(connection.connect_num_of_networks().await.unwrap(), 2);
    assert_eq!(connection.connect_list_networks(1).await.unwrap(), ["vSwitch0"]);
    assert_eq!(connection.network_lookup_by_name("vSwitch1").await.unwrap(), all[1]);
    assert_eq!(connection.network_lookup_by_uuid(all[0].uuid).await.unwrap(), all[0]);
    xml(&connection, &all[0]).await;
    assert_eq!(methods(&sim), ["RetrievePropertiesEx"; 5]);
    // What is always the same takes none.
    assert_eq!(connection.connect_num_of_defined_networks().await.unwrap(), 0);
    assert!(connection.connect_list_defined_networks(9).await.unwrap().is_empty());
    assert!(connection.connect_list_networks(0).await.unwrap().is_empty());
    assert!(connection.connect_list_all_networks(Filter::INACTIVE).await.unwrap().is_empty());
    assert!(connection.network_is_active(&all[0]).await.unwrap());
    assert!(connection.network_is_persistent(&all[0]).await.unwrap());
    assert!(connection.network_get_autostart(&all[0]).await.unwrap());
    connection.network_set_autostart(&all[0], true).await.unwrap();
    let error = connection.network_set_autostart(&all[0], false).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::OperationUnsupported);
    assert!(methods(&sim).is_empty());
    let error = connection.network_lookup_by_name("vswitch0").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NoNetwork);
    let unknown = NetworkHandle { name: "x".to_owned(), uuid: Default::default() };
    let error = connection.network_lookup_by_uuid(unknown.uuid).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NoNetwork);
    let error = connection.network_get_xml_desc(&unknown, NetworkXmlFlags::empty()).await;
    assert_eq!(error.unwrap_err().code, ErrorCode::NoNetwork);
    let flags = Filter::from_bits_retain(1 << 9);
    let error = connection.connect_list_all_networks(flags).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArg);
}

#[tokio::test]
async fn a_switch_is_described() {
    let (_sim, connection) = host().await;
    let first = connection.network_lookup_by_name("vSwitch0").await.unwrap();
    // The port group of the management is the host's own.
    assert_eq!(
        xml(&connection, &first).await,
        "<network>
  <name>vSwitch0</name>
  <uuid>2f467347-8b4e-8655-e7d6-c4c3fb968009</uuid>
  <forward dev='vmnic0' mode='bridge'>
    <interface dev='vmnic0'/>
    <interface dev='vmnic1'/>
  </forward>
  <portgroup name='VM Network'>
  </portgroup>
</network>
"
    );
    let second = connection.network_lookup_by_name("vSwitch1").await.unwrap();
    let stored = connection.network_get_xml_desc(&second, NetworkXmlFlags::INACTIVE).await.unwrap();
    assert_eq!(xml(&connection, &second).await, stored);
    assert!(stored.contains(
        "  <bandwidth>
    <inbound average='1000' peak='5000' burst='5120'/>
    <outbound average='1000' peak='5000' burst='5120'/>
  </bandwidth>
  <portgroup name='storage'>
    <vlan>
      <tag id='100'/>
    </vlan>
  </portgroup>
"
    ));
}

const FULL: &str = "<network><name>made</name><forward mode='bridge'><interface dev='vmnic3'/></forward>\
    <mtu size='9000'/>\
    <bandwidth><inbound average='12' peak='34' burst='56'/><outbound average='12' peak='34' burst='56'/></bandwidth>\
    <portgroup name='plain'/>\
    <portgroup name=\"a &amp; 'b'/%\"><vlan><tag id='42'/></vlan>\
    <bandwidth><inbound average='1'/><outbound average='1'/></bandwidth></portgroup>\
    <portgroup name='all'><vlan trunk='yes'><tag id='4095'/></vlan></portgroup></network>";

#[tokio::test]
async fn what_is_defined_can_be_read_again_and_undefined() {
    let (sim, connection) = host().await;
    let made = connection.network_define_xml(FULL, DEFINE).await.unwrap();
    assert_eq!(
        methods(&sim),
        [
            "RetrievePropertiesEx",
            "AddVirtualSwitch",
            "AddPortGroup",
            "AddPortGroup",
            "AddPortGroup",
            "RetrievePropertiesEx"
        ]
    );
    assert_eq!(connection.network_lookup_by_name("made").await.unwrap(), made);
    let text = xml(&connection, &made).await;
    let read = virt_xml::network::Network::parse(&text).unwrap();
    let mut asked = virt_xml::network::Network::parse(FULL).unwrap();
    asked.uuid = Some(made.uuid);
    assert_eq!(read, asked, "{text}");
    sim.reset_journal();
    connection.network_undefine(&made).await.unwrap();
    assert_eq!(
        methods(&sim),
        [
            "RetrievePropertiesEx",
            "RemovePortGroup",
            "RemovePortGroup",
            "RemovePortGroup",
            "RemoveVirtualSwitch"
        ]
    );
    let error = connection.network_undefine(&made).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NoNetwork);
    // The document as it was written, UUID included, makes the same again.
    assert_eq!(connection.network_define_xml(&text, DEFINE).await.unwrap(), made);
    assert_eq!(xml(&connection, &made).await, text);
}

#[tokio::test]
async fn an_isolated_network_of_all_it_takes() {
    let (_sim, connection) = host().await;
    let made = connection
        .network_define_xml("<network><name>lab</name></network>", NetworkDefineFlags::VALIDATE)
        .await
        .unwrap();
    let text = xml(&connection, &made).await;
    assert!(text.ends_with("</uuid>\n  <bridge stp='off' delay='0'/>\n</network>\n"), "{text}");
    connection.network_undefine(&made).await.unwrap();
    assert_eq!(connection.network_define_xml(&text, DEFINE).await.unwrap(), made);
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_anything_is_changed() {
    let (sim, connection) = host().await;
    let limits = |more: &str| format!("<name>n</name><bandwidth>{more}</bandwidth>");
    for (body, code, part) in [
        ("", ErrorCode::NoName, "/network"),
        ("<name>a/b</name>", ErrorCode::XmlDetail, "has a '/'"),
        ("<name>n</name><forward/>", ErrorCode::XmlError, "must have an IP address"),
        ("<name>vSwitch0</name>", ErrorCode::NetworkExist, "vSwitch0"),
        (
            "<name>n</name><uuid>2f467347-8b4e-8655-e7d6-c4c3fb968009</uuid>",
            ErrorCode::ConfigUnsupported,
            "not to be chosen",
        ),
        ("<name>n</name><forward mode='nat'/><ip/>", ErrorCode::ConfigUnsupported, "'nat'"),
        ("<name>n</name><forward mode='vepa'/>", ErrorCode::ConfigUnsupported, "'vepa'"),
        ("<name>n</name><portgroup name='storage'/>", ErrorCode::NetworkExist, "storage"),
        (
            "<name>n</name><forward mode='bridge'><address type='pci'/></forward>",
            ErrorCode::NoSupport,
            "PCI",
        ),
        ("<name>n</name><forward mode='bridge' dev='VMNIC3'/>", ErrorCode::NoInterface, "VMNIC3"),
        (&limits("<inbound average='1'/>"), ErrorCode::ConfigUnsupported, "equal"),
        (
            &limits("<inbound average='1'/><outbound average='2'/>"),
            ErrorCode::ConfigUnsupported,
            "equal",
        ),
        (&limits("<inbound peak='1'/>"), ErrorCode::XmlDetail, "inbound/@average"),
        (
            "<name>n</name><portgroup name='p'><bandwidth><inbound average='1'/></bandwidth></portgroup>",
            ErrorCode::ConfigUnsupported,
            "\"p\"",
        ),
        (
            "<name>n</name><portgroup name='p'><vlan><tag id='1'/><tag id='2'/></vlan></portgroup>",
            ErrorCode::ConfigUnsupported,
            "one VLAN tag",
        ),
        ("<name>n</name><ip/><dns/>", ErrorCode::ConfigUnsupported, "/network/dns"),
        ("<name>n</name><bridge name='br0'/>", ErrorCode::ConfigUnsupported, "bridge/@name"),
    ] {
        let (found, message) = refused(&connection, body).await;
        assert_eq!(found, code, "{body}: {message}");
        assert!(message.contains(part), "{body}: {message}");
    }
    let unknown = "<network><name>n</name><strange/></network>";
    let error = connection.network_define_xml(unknown, NetworkDefineFlags::VALIDATE).await;
    assert_eq!(error.unwrap_err().code, ErrorCode::XmlInvalidSchema);
    let flags = NetworkDefineFlags::from_bits_retain(4);
    let error = connection.network_define_xml("<network/>", flags).await;
    assert_eq!(error.unwrap_err().code, ErrorCode::InvalidArg);
    assert!(methods(&sim).iter().all(|method| method == "RetrievePropertiesEx"));
}

#[tokio::test]
async fn a_network_that_cannot_be_made_whole_is_taken_back() {
    let (sim, connection) = host().await;
    // The card is another switch's: the first change is refused.
    let taken = "<name>n</name><forward mode='bridge' dev='vmnic0'/>";
    let (code, message) = refused(&connection, taken).await;
    assert_eq!(code, ErrorCode::ResourceBusy, "{message}");
    sim.reset_journal();
    // Somebody else makes the second port group while the first is being made.
    let half = "<name>n</name><portgroup name='one'/><portgroup name='two'/>";
    let host = sim.model().read(|m| m.hosts()[0].clone());
    let before = sim.model().read(|m| m.network_names(&host));
    let at = host.clone();
    sim.model().change(|m| {
        m.before("AddPortGroup", move |m| {
            assert!(m.add_port_group(&at, "vSwitch0", "two", false));
        });
    });
    let (code, message) = refused(&connection, half).await;
    assert_eq!(code, ErrorCode::NetworkExist, "{message}");
    assert!(message.contains("\"two\""), "{message}");
    assert_eq!(
        methods(&sim),
        [
            "RetrievePropertiesEx",
            "AddVirtualSwitch",
            "AddPortGroup",
            "AddPortGroup",
            "RemovePortGroup",
            "RemoveVirtualSwitch"
        ]
    );
    let mut after = sim.model().read(|m| m.network_names(&host));
    assert_eq!(after.pop().as_deref(), Some("two"), "what is not ours stays");
    assert_eq!(after, before);
    assert_eq!(connection.connect_num_of_networks().await.unwrap(), 2);
}

#[tokio::test]
async fn a_network_in_use_stays_as_it_is() {
    let (sim, connection) = host().await;
    let first = connection.network_lookup_by_name("vSwitch0").await.unwrap();
    sim.reset_journal();
    let error = connection.network_undefine(&first).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::OperationInvalid);
    assert!(error.message.contains("is connected to the port group"), "{error}");
    assert_eq!(methods(&sim), ["RetrievePropertiesEx"]);
    // The host was connected to it in between: it refuses, and what was removed comes back.
    let made = connection
        .network_define_xml(
            "<network><name>n</name><portgroup name='one'/><portgroup name='two'/></network>",
            DEFINE,
        )
        .await
        .unwrap();
    let text = xml(&connection, &made).await;
    sim.model().change(|m| {
        m.before("RemoveVirtualSwitch", |m| {
            let host = m.hosts()[0].clone();
            assert!(m.add_port_group(&host, "n", "kernel", true));
        });
    });
    let error = connection.network_undefine(&made).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ResourceBusy);
    // The one of the host is in the document, as every port group that machines find is.
    let without = |text: &str| text.replace("  <portgroup name='kernel'>\n  </portgroup>\n", "");
    assert_eq!(without(&xml(&connection, &made).await), text);
}

#[tokio::test]
async fn machines_that_are_off_hold_no_network() {
    let (sim, connection) = host().await;
    let second = connection.network_lookup_by_name("vSwitch1").await.unwrap();
    sim.model().change(|m| {
        for machine in m.machines() {
            m.set_power_state(&machine, PowerState::PoweredOff);
        }
    });
    connection.network_undefine(&second).await.unwrap();
    let error = connection.network_lookup_by_name("vSwitch1").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NoNetwork);
}

#[tokio::test]
async fn distributed_switches_are_read_only() {
    let (sim, connection) = start(Simulator::builder().preset(Preset::VCenter)).await;
    let all = connection.connect_list_all_networks(Filter::empty()).await.unwrap();
    assert_eq!(names(&all), ["vSwitch0", "dvs"]);
    assert_eq!(all[1].uuid.to_string(), "503426b2-94e9-3b16-1d68-87bfff4a5440");
    sim.reset_journal();
    assert_eq!(
        xml(&connection, &all[1]).await,
        "<network>
  <name>dvs</name>
  <uuid>503426b2-94e9-3b16-1d68-87bfff4a5440</uuid>
  <forward dev='vmnic2' mode='bridge'>
    <interface dev='vmnic2'/>
  </forward>
  <portgroup name='production'>
    <vlan>
      <tag id='200'/>
    </vlan>
    <bandwidth>
      <inbound average='10000' peak='20000' burst='102400'/>
      <outbound average='12500' peak='25000' burst='102400'/>
    </bandwidth>
  </portgroup>
</network>
"
    );
    assert_eq!(methods(&sim), ["RetrievePropertiesEx"]);
    let error = connection.network_undefine(&all[1]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::OperationUnsupported);
    let (code, _) = refused(&connection, "<name>dvs</name>").await;
    assert_eq!(code, ErrorCode::NetworkExist);
    // Standard switches of the host can be changed through the vCenter, too.
    let made = "<network><name>n</name><portgroup name='new'/></network>";
    let made = connection.network_define_xml(made, DEFINE).await.unwrap();
    assert!(xml(&connection, &made).await.contains("<portgroup name='new'>"));
    connection.network_undefine(&made).await.unwrap();
}

#[tokio::test]
async fn what_may_not_be_changed() {
    let sim = Simulator::builder().start().await.unwrap();
    let read_only = OpenOptions { read_only: true, ..options(sim.password()) };
    let connection = esx_driver::open(&sim.uri(), read_only).await.unwrap();
    let network = connection.network_lookup_by_name("vSwitch1").await.unwrap();
    sim.reset_journal();
    for error in [
        connection.network_define_xml(FULL, DEFINE).await.unwrap_err(),
        connection.network_undefine(&network).await.unwrap_err(),
        connection.network_set_autostart(&network, true).await.unwrap_err(),
    ] {
        assert_eq!(error.code, ErrorCode::OperationDenied);
    }
    assert!(methods(&sim).is_empty());
    connection.close().await.unwrap();
    sim.model().change(|m| m.set_free_license(true));
    let connection = connect(&sim, "").await;
    let error = connection.network_define_xml(FULL, DEFINE).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::OperationDenied);
    assert!(error.message.contains("licence"), "{error}");
}

#[tokio::test]
async fn interfaces_are_found_in_every_way() {
    let (sim, connection) = host().await;
    let all =
        connection.connect_list_all_interfaces(ListAllInterfacesFlags::empty()).await.unwrap();
    let devices: Vec<_> = all.iter().map(|interface| interface.name.as_str()).collect();
    assert_eq!(devices, ["vmnic0", "vmnic1", "vmnic2", "vmnic3"]);
    assert_eq!(connection.connect_num_of_interfaces().await.unwrap(), 4);
    assert_eq!(connection.connect_list_interfaces(2).await.unwrap(), ["vmnic0", "vmnic1"]);
    assert_eq!(connection.interface_lookup_by_name("vmnic3").await.unwrap(), all[3]);
    assert_eq!(all[3].mac, "00:1B:21:AA:01:03");
    for mac in ["00:1b:21:aa:01:03", "00:1B:21:AA:01:03", "0:1b:21:AA:1:3"] {
        assert_eq!(connection.interface_lookup_by_mac_string(mac).await.unwrap(), all[3], "{mac}");
    }
    assert_eq!(methods(&sim), ["RetrievePropertiesEx"; 7]);
    assert_eq!(connection.connect_num_of_defined_interfaces().await.unwrap(), 0);
    assert!(connection.connect_list_defined_interfaces(1).await.unwrap().is_empty());
    let inactive = ListAllInterfacesFlags::INACTIVE;
    assert!(connection.connect_list_all_interfaces(inactive).await.unwrap().is_empty());
    assert!(connection.interface_is_active(&all[0]).await.unwrap());
    assert!(methods(&sim).is_empty());
    // A MAC address is no name.
    for error in [
        connection.interface_lookup_by_name("00:1b:21:aa:01:00").await.unwrap_err(),
        connection.interface_lookup_by_mac_string("vmnic0").await.unwrap_err(),
    ] {
        assert_eq!(error.code, ErrorCode::NoInterface);
    }
}

#[tokio::test]
async fn an_interface_is_described() {
    let (sim, connection) = host().await;
    let interface = connection.interface_lookup_by_name("vmnic3").await.unwrap();
    let xml = async |flags| connection.interface_get_xml_desc(&interface, flags).await.unwrap();
    let (now, stored) = (InterfaceXmlFlags::empty(), InterfaceXmlFlags::INACTIVE);
    assert_eq!(
        xml(now).await,
        "<interface type='ethernet' name='vmnic3'>
  <start mode='onboot'/>
  <mac address='00:1B:21:AA:01:03'/>
</interface>
"
    );
    sim.model().change(|m| {
        let host = m.hosts()[0].clone();
        assert!(m.set_card_address(&host, "vmnic3", true, "192.0.2.10", "255.255.255.0"));
    });
    let given = "  <protocol family='ipv4'>
    <dhcp peerdns='no'/>
    <ip address='192.0.2.10' prefix='24'/>
  </protocol>
";
    assert!(xml(now).await.contains(given));
    assert!(!xml(stored).await.contains("<ip"));
    let error =
        connection.interface_get_xml_desc(&interface, InterfaceXmlFlags::from_bits_retain(8));
    assert_eq!(error.await.unwrap_err().code, ErrorCode::InvalidArg);
}

#[tokio::test]
async fn old_hosts_have_networks_too() {
    for version in ["2.5", "4.0", "6.7"] {
        let (_sim, connection) = start(Simulator::builder().api_version(version)).await;
        let all = connection.connect_list_all_networks(Filter::empty()).await.unwrap();
        assert_eq!(names(&all), ["vSwitch0", "vSwitch1"], "{version}");
        assert!(xml(&connection, &all[1]).await.contains("storage"), "{version}");
        let made = connection
            .network_define_xml(
                FULL.split("<mtu")
                    .next()
                    .map(|head| format!("{head}</network>"))
                    .as_deref()
                    .unwrap(),
                DEFINE,
            )
            .await
            .unwrap();
        connection.network_undefine(&made).await.unwrap();
    }
}
