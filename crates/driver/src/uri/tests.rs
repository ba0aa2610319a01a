//! The vectors of connection.md 1.6 and more.

use proptest::prelude::*;

use super::*;

/// Everything a URI says, on one line; defaults are left out.
fn outline(uri: &str) -> String {
    let uri = match ConnectionUri::parse(uri) {
        Ok(uri) => uri,
        Err(error) => return format!("error: {error}"),
    };
    let mut text =
        format!("{} {} {:?} {}", uri.scheme().as_str(), uri.transport(), uri.host(), uri.port);
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            text += &format!(", {name} {value}");
        }
    };
    add("user", uri.user().map(|user| format!("{user:?}")));
    add("path", (!uri.path_items().is_empty()).then(|| format!("{:?}", uri.path_items())));
    add(
        "trust",
        (uri.parameters.trust != Trust::Known(None)).then(|| format!("{:?}", uri.parameters.trust)),
    );
    add("vcenter", uri.vcenter().map(|(name, port)| format!("{name:?} {port}")));
    add("proxy", uri.parameters.proxy.as_ref().map(ToString::to_string));
    add("authfile", uri.auth_file().map(|path| format!("{path:?}")));
    add("auto_answer", uri.auto_answer().then(|| "on".to_owned()));
    add("legacy_uuid", uri.legacy_uuid().then(|| "on".to_owned()));
    add("warning", (!uri.warnings().is_empty()).then(|| uri.warnings().join("; ")));
    text
}

fn table(uris: &[&str]) -> String {
    uris.iter().map(|uri| format!("{uri}\n    {}\n", outline(uri))).collect()
}

#[test]
fn acceptance_vectors() {
    insta::assert_snapshot!(table(&[
        "esx://h",
        "esx://h/?transport=http",
        "gsx://h",
        "gsx://h/?transport=http",
        "esx://h:8443/?TRANSPORT=http",
        "esx://h/?transport=HTTP",
        "esx://h/?no_verify=1&no_verify=0",
        "esx://h/?no_verify=yes",
        "esx://h/?no_verify=2",
        "esx://h/?no_verify=",
        "esx://h/?auto_answer=1;no_verify=1",
        "esx://h/?auto_answer=1;no_verify=1&x=y",
        "esx://h/?proxy=p",
        "esx://h/?proxy=socks://p:23456",
        "esx://h/?proxy=socks4a://p",
        "esx://h/?proxy=https://p",
        "esx://h/?proxy=:8080",
        "esx://h/?proxy=p:0",
        "esx://h/?proxy=p:65536",
        "esx://h/?proxy=p:80x",
        "esx://h/?proxy=p:",
        "esx://h/some/path",
        "vpx://h",
        "vpx://h/",
    ]), @r#"
    esx://h
        esx https "h" 443
    esx://h/?transport=http
        esx http "h" 80
    gsx://h
        gsx https "h" 8333
    gsx://h/?transport=http
        gsx http "h" 8222
    esx://h:8443/?TRANSPORT=http
        esx http "h" 8443
    esx://h/?transport=HTTP
        error: the URI parameter transport has the unexpected value "HTTP" (should be http or https)
    esx://h/?no_verify=1&no_verify=0
        esx https "h" 443
    esx://h/?no_verify=yes
        error: the URI parameter no_verify has the unexpected value "yes" (should be 0 or 1)
    esx://h/?no_verify=2
        error: the URI parameter no_verify has the unexpected value "2" (should be 0 or 1)
    esx://h/?no_verify=
        error: the URI parameter no_verify has the unexpected value "" (should be 0 or 1)
    esx://h/?auto_answer=1;no_verify=1
        esx https "h" 443, trust Anybody, auto_answer on, warning no_verify=1: the server's certificate is not verified, anybody on the way can read everything, the password included
    esx://h/?auto_answer=1;no_verify=1&x=y
        error: the URI parameter auto_answer has the unexpected value "1;no_verify=1" (should be 0 or 1)
    esx://h/?proxy=p
        esx https "h" 443, proxy http://p:1080
    esx://h/?proxy=socks://p:23456
        esx https "h" 443, proxy socks5://p:23456
    esx://h/?proxy=socks4a://p
        esx https "h" 443, proxy socks4a://p:1080
    esx://h/?proxy=https://p
        error: the URI parameter proxy has the unexpected value "https://p" (should be of type http, socks, socks4, socks4a or socks5, not "https")
    esx://h/?proxy=:8080
        error: the URI parameter proxy has the unexpected value ":8080" (should be [TYPE://]HOST[:PORT] with a host name)
    esx://h/?proxy=p:0
        error: the URI parameter proxy has the unexpected value "p:0" (should be [TYPE://]HOST[:PORT] with a port from 1 to 65535)
    esx://h/?proxy=p:65536
        error: the URI parameter proxy has the unexpected value "p:65536" (should be [TYPE://]HOST[:PORT] with a port from 1 to 65535)
    esx://h/?proxy=p:80x
        error: the URI parameter proxy has the unexpected value "p:80x" (should be [TYPE://]HOST[:PORT] with a port from 1 to 65535)
    esx://h/?proxy=p:
        error: the URI parameter proxy has the unexpected value "p:" (should be [TYPE://]HOST[:PORT] with a port from 1 to 65535)
    esx://h/some/path
        esx https "h" 443, path ["some", "path"], warning the path of the URI is ignored, only vpx:// has a use for it
    vpx://h
        error: the path of a vpx:// URI must name the datacenter and the compute resource, as in vpx://HOST/DATACENTER/HOST-OR-CLUSTER
    vpx://h/
        error: the path of a vpx:// URI must name the datacenter and the compute resource, as in vpx://HOST/DATACENTER/HOST-OR-CLUSTER
    "#);
}

#[test]
fn authorities() {
    insta::assert_snapshot!(table(&[
        "esx://root@h/",
        "esx://a:b@h/",
        "esx://administrator%40vsphere.local@h/",
        "esx://a@b@h/",
        "esx://@h/",
        "esx://DOMAIN%5Cuser@h/",
        "esx://[::1]/",
        "esx://root@[2001:db8::1]:8443",
        "esx://[fe80::1%25eth0]/",
        "esx://[::1/",
        "esx://[::1]x/",
        "esx://[127.0.0.1]/",
        "esx://[]/",
        "esx://::1/",
        "esx://h]/",
        "esx://%31%32%37.0.0.1/",
        "esx://h:0/",
        "esx://h:/",
        "esx://h:65536/",
        "esx://h:+1/",
        "esx://h:x/",
        "esx:///",
        "esx://",
        "esx://root@/",
        "esx://root@:443/",
        "esx:/h",
        "esx:h",
        "esx",
        "",
        "://h/",
        "ESX://h/",
        "esx+ssh://h/",
        "qemu:///system",
        "e sx://h/",
        "esx://h?no_verify=1",
        "esx://größe.example/",
        "esx://a b/",
        "esx://h%00/",
        "esx://%ff@h/",
        "esx://h%2/",
    ]), @r#"
    esx://root@h/
        esx https "h" 443, user "root"
    esx://a:b@h/
        esx https "h" 443, user "a:b", warning the user name of the URI contains a colon; a URI cannot carry a password, use an auth file
    esx://administrator%40vsphere.local@h/
        esx https "h" 443, user "administrator@vsphere.local"
    esx://a@b@h/
        error: the connection URI is malformed: a @ in the user name must be written as %40
    esx://@h/
        error: the connection URI is malformed: its user name is empty
    esx://DOMAIN%5Cuser@h/
        esx https "h" 443, user "DOMAIN\\user"
    esx://[::1]/
        esx https "::1" 443
    esx://root@[2001:db8::1]:8443
        esx https "2001:db8::1" 8443, user "root"
    esx://[fe80::1%25eth0]/
        esx https "fe80::1%eth0" 443
    esx://[::1/
        error: the connection URI is malformed: the bracket around its IPv6 address is not closed
    esx://[::1]x/
        error: the connection URI is malformed: only a port may follow the closing bracket
    esx://[127.0.0.1]/
        error: the connection URI is malformed: what stands in brackets is not an IPv6 address
    esx://[]/
        error: the connection URI is malformed: what stands in brackets is not an IPv6 address
    esx://::1/
        error: the connection URI is malformed: its port is not a number from 1 to 65535
    esx://h]/
        error: the connection URI is malformed: its host is not valid
    esx://%31%32%37.0.0.1/
        esx https "127.0.0.1" 443
    esx://h:0/
        esx https "h" 443
    esx://h:/
        error: the connection URI is malformed: its port is not a number from 1 to 65535
    esx://h:65536/
        error: the connection URI is malformed: its port is not a number from 1 to 65535
    esx://h:+1/
        error: the connection URI is malformed: its port is not a number from 1 to 65535
    esx://h:x/
        error: the connection URI is malformed: its port is not a number from 1 to 65535
    esx:///
        error: the connection URI names no host
    esx://
        error: the connection URI names no host
    esx://root@/
        error: the connection URI names no host
    esx://root@:443/
        error: the connection URI names no host
    esx:/h
        error: the connection URI names no host
    esx:h
        error: the connection URI names no host
    esx
        error: the connection URI is malformed: it has no scheme, as in esx://host/

        error: the connection URI is malformed: it has no scheme, as in esx://host/
    ://h/
        error: the connection URI is malformed: its scheme is not valid
    ESX://h/
        error: the URI scheme "ESX" is not one of esx, gsx and vpx (it is written in lower case)
    esx+ssh://h/
        error: the URI scheme "esx+ssh" is not one of esx, gsx and vpx (there is no remote daemon to go through, leave out what follows the +)
    qemu:///system
        error: the URI scheme "qemu" is not one of esx, gsx and vpx
    e sx://h/
        error: the connection URI is malformed: its scheme is not valid
    esx://h?no_verify=1
        esx https "h" 443, trust Anybody, warning no_verify=1: the server's certificate is not verified, anybody on the way can read everything, the password included
    esx://größe.example/
        esx https "größe.example" 443
    esx://a b/
        error: the connection URI is malformed: white space in it must be percent-encoded
    esx://h%00/
        error: the connection URI is malformed: it contains a zero byte
    esx://%ff@h/
        error: the connection URI is malformed: it is not UTF-8 when decoded
    esx://h%2/
        error: the connection URI is malformed: a % in it is not followed by two hexadecimal digits
    "#);
}

#[test]
fn paths() {
    insta::assert_snapshot!(table(&[
        "vpx://h/dc1/srv1",
        "vpx://h//dc1//srv1/",
        "vpx://h/f1/dc1/f2/cl1/srv1",
        "vpx://h/a%252fb/c%2fd/e+f/g%20h/Größe",
        "vpx://h/dc1/sr v1",
        "vpx://h/dc1/a#b",
        "vpx://h/dc1/%zz",
        "vpx://h/%2F",
        "vpx://h/dc/[x]",
        "vpx://h/dc/a?legacy_uuid=1",
    ]), @r#"
    vpx://h/dc1/srv1
        vpx https "h" 443, path ["dc1", "srv1"]
    vpx://h//dc1//srv1/
        vpx https "h" 443, path ["dc1", "srv1"]
    vpx://h/f1/dc1/f2/cl1/srv1
        vpx https "h" 443, path ["f1", "dc1", "f2", "cl1", "srv1"]
    vpx://h/a%252fb/c%2fd/e+f/g%20h/Größe
        vpx https "h" 443, path ["a%2fb", "c", "d", "e+f", "g h", "Größe"]
    vpx://h/dc1/sr v1
        error: the connection URI is malformed: white space in it must be percent-encoded
    vpx://h/dc1/a#b
        error: the connection URI is malformed: a # in it must be written as %23
    vpx://h/dc1/%zz
        error: the connection URI is malformed: a % in it is not followed by two hexadecimal digits
    vpx://h/%2F
        error: the path of a vpx:// URI must name the datacenter and the compute resource, as in vpx://HOST/DATACENTER/HOST-OR-CLUSTER
    vpx://h/dc/[x]
        error: the connection URI is malformed: brackets in it must be written as %5B and %5D
    vpx://h/dc/a?legacy_uuid=1
        vpx https "h" 443, path ["dc", "a"], legacy_uuid on
    "#);
}

#[test]
fn parameters() {
    insta::assert_snapshot!(table(&[
        "esx://h/?NO_VERIFY=%201&AUTO_answer=%2B1&Legacy_Uuid=01",
        "esx://h/?no_verify=-0",
        "esx://h/?no_verify=1%20",
        "esx://h/?no_verify=--1",
        "esx://h/?no_verify=99999999999999999999",
        "esx://h/?no_verify",
        "esx://h/?legacy_uuid=2",
        "esx://h/?no_verify=2&no_verify=0",
        "esx://h/?no-verify=1",
        "esx://h/?noverify=1",
        "esx://h/?x=y",
        "esx://h/?AuthFile=/a",
        "esx://h/?authfile=/a%20b/auth.conf&vcenter=*",
        "esx://h/?vcenter=fd00::1",
        "esx://h/?vcenter=[fd00::1]",
        "esx://h/?vcenter=",
        "esx://h:8443/?vcenter=vc:443",
        "esx://h/?vcenter=*:8443",
        "esx://h/?vcenter=%5Bfd00::1%5D:8443",
        "esx://h/?vcenter=%5Bfd00::1%5D",
        "esx://h/?vcenter=vc:0",
        "esx://h/?vcenter=:443",
        "esx://h/?vcenter=vc:",
        "esx://h/?",
        "esx://h/?&&;=x&;",
        "esx://h/?=;auto_answer=1",
        "esx://h/?tr%61nsport=htt%70",
        "esx://h/?cacert=/etc/a+b.pem",
        "esx://h/?cacert=a&cacert=",
        "esx://h/?no_verify=1&cacert=/missing",
        "esx://h/?thumbprint=SHA1:A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:C2:6C:9C:D0:D8:9D",
        "esx://h/?thumbprint=a9993e364706816aba3e25717850c26c9cd0d89d&no_verify=0",
        "esx://h/?thumbprint=a9993e364706816aba3e25717850c26c9cd0d89d&no_verify=1",
        "esx://h/?thumbprint=a9993e364706816aba3e25717850c26c9cd0d89d&cacert=/a",
        "esx://h/?thumbprint=a9993e364706816aba3e25717850c26c9cd0d89d&transport=http",
        "esx://h/?thumbprint=AA:BB",
        "esx://h/?proxy=",
        "esx://h/?proxy=http://",
        "esx://h/?proxy=p&proxy=",
        "esx://h/?proxy=socks4://10.0.0.1:1",
        "esx://h/?proxy=socks5://p&PROXY=SOCKS://q",
        "esx://h/?proxy=p:%2080",
        "esx://h/?proxy=a:b:1",
        "esx://h/?proxy=socks5://%5B::1%5D:9050",
        "esx://h/?proxy=%5Bfe80::1%5D",
        "esx://h/?proxy=%5Bp%5D:1",
        "esx://h/?proxy=%5B::1%5Dx",
        "esx://h/?proxy=http://somebody:secret@p:3128",
        "esx://h/?transport=http|s",
        "esx://h/?transport=%zz",
        "esx://h/?vcenter=%00",
    ]), @r#"
    esx://h/?NO_VERIFY=%201&AUTO_answer=%2B1&Legacy_Uuid=01
        esx https "h" 443, trust Anybody, auto_answer on, legacy_uuid on, warning no_verify=1: the server's certificate is not verified, anybody on the way can read everything, the password included
    esx://h/?no_verify=-0
        esx https "h" 443
    esx://h/?no_verify=1%20
        error: the URI parameter no_verify has the unexpected value "1 " (should be 0 or 1)
    esx://h/?no_verify=--1
        error: the URI parameter no_verify has the unexpected value "--1" (should be 0 or 1)
    esx://h/?no_verify=99999999999999999999
        error: the URI parameter no_verify has the unexpected value "99999999999999999999" (should be 0 or 1)
    esx://h/?no_verify
        error: the URI parameter no_verify has the unexpected value "" (should be 0 or 1)
    esx://h/?legacy_uuid=2
        error: the URI parameter legacy_uuid has the unexpected value "2" (should be 0 or 1)
    esx://h/?no_verify=2&no_verify=0
        error: the URI parameter no_verify has the unexpected value "2" (should be 0 or 1)
    esx://h/?no-verify=1
        error: unknown URI parameter "no-verify", did you mean no_verify? (known are auto_answer, authfile, cacert, call_timeout, connect_timeout, idle_timeout, keepalive, known_hosts, legacy_uuid, no_verify, proxy, task_timeout, thumbprint, total_timeout, transport, vcenter)
    esx://h/?noverify=1
        error: unknown URI parameter "noverify", did you mean no_verify? (known are auto_answer, authfile, cacert, call_timeout, connect_timeout, idle_timeout, keepalive, known_hosts, legacy_uuid, no_verify, proxy, task_timeout, thumbprint, total_timeout, transport, vcenter)
    esx://h/?x=y
        error: unknown URI parameter "x" (known are auto_answer, authfile, cacert, call_timeout, connect_timeout, idle_timeout, keepalive, known_hosts, legacy_uuid, no_verify, proxy, task_timeout, thumbprint, total_timeout, transport, vcenter)
    esx://h/?AuthFile=/a
        error: unknown URI parameter "AuthFile", did you mean authfile? (known are auto_answer, authfile, cacert, call_timeout, connect_timeout, idle_timeout, keepalive, known_hosts, legacy_uuid, no_verify, proxy, task_timeout, thumbprint, total_timeout, transport, vcenter)
    esx://h/?authfile=/a%20b/auth.conf&vcenter=*
        esx https "h" 443, vcenter "*" 443, authfile "/a b/auth.conf"
    esx://h/?vcenter=fd00::1
        esx https "h" 443, vcenter "fd00::1" 443
    esx://h/?vcenter=[fd00::1]
        error: the connection URI is malformed: brackets in it must be written as %5B and %5D
    esx://h/?vcenter=
        error: the URI parameter vcenter has the unexpected value "" (should be a name or an address, or * for the host's own, and maybe :PORT)
    esx://h:8443/?vcenter=vc:443
        esx https "h" 8443, vcenter "vc" 443
    esx://h/?vcenter=*:8443
        esx https "h" 443, vcenter "*" 8443
    esx://h/?vcenter=%5Bfd00::1%5D:8443
        esx https "h" 443, vcenter "fd00::1" 8443
    esx://h/?vcenter=%5Bfd00::1%5D
        esx https "h" 443, vcenter "fd00::1" 443
    esx://h/?vcenter=vc:0
        error: the URI parameter vcenter has the unexpected value "vc:0" (should be a name or an address, or * for the host's own, and maybe :PORT)
    esx://h/?vcenter=:443
        error: the URI parameter vcenter has the unexpected value ":443" (should be a name or an address, or * for the host's own, and maybe :PORT)
    esx://h/?vcenter=vc:
        error: the URI parameter vcenter has the unexpected value "vc:" (should be a name or an address, or * for the host's own, and maybe :PORT)
    esx://h/?
        esx https "h" 443
    esx://h/?&&;=x&;
        error: unknown URI parameter ";" (known are auto_answer, authfile, cacert, call_timeout, connect_timeout, idle_timeout, keepalive, known_hosts, legacy_uuid, no_verify, proxy, task_timeout, thumbprint, total_timeout, transport, vcenter)
    esx://h/?=;auto_answer=1
        esx https "h" 443, auto_answer on
    esx://h/?tr%61nsport=htt%70
        esx http "h" 80
    esx://h/?cacert=/etc/a+b.pem
        esx https "h" 443, trust CaFile("/etc/a+b.pem")
    esx://h/?cacert=a&cacert=
        esx https "h" 443, trust CaFile("")
    esx://h/?no_verify=1&cacert=/missing
        esx https "h" 443, trust Anybody, warning no_verify=1: the server's certificate is not verified, anybody on the way can read everything, the password included
    esx://h/?thumbprint=SHA1:A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:C2:6C:9C:D0:D8:9D
        esx https "h" 443, trust Thumbprint(Thumbprint { algorithm: Sha1, bytes: [169, 153, 62, 54, 71, 6, 129, 106, 186, 62, 37, 113, 120, 80, 194, 108, 156, 208, 216, 157] })
    esx://h/?thumbprint=a9993e364706816aba3e25717850c26c9cd0d89d&no_verify=0
        esx https "h" 443, trust Thumbprint(Thumbprint { algorithm: Sha1, bytes: [169, 153, 62, 54, 71, 6, 129, 106, 186, 62, 37, 113, 120, 80, 194, 108, 156, 208, 216, 157] })
    esx://h/?thumbprint=a9993e364706816aba3e25717850c26c9cd0d89d&no_verify=1
        error: the URI parameters thumbprint and no_verify=1 contradict each other
    esx://h/?thumbprint=a9993e364706816aba3e25717850c26c9cd0d89d&cacert=/a
        error: the URI parameters thumbprint and cacert contradict each other
    esx://h/?thumbprint=a9993e364706816aba3e25717850c26c9cd0d89d&transport=http
        error: the URI parameters thumbprint and transport=http contradict each other
    esx://h/?thumbprint=AA:BB
        error: the URI parameter thumbprint has the unexpected value "AA:BB" (should be hexadecimal SHA-1 or SHA-256; a thumbprint has 40 digits (SHA-1) or 64 (SHA-256), not 4)
    esx://h/?proxy=
        esx https "h" 443
    esx://h/?proxy=http://
        esx https "h" 443
    esx://h/?proxy=p&proxy=
        esx https "h" 443
    esx://h/?proxy=socks4://10.0.0.1:1
        esx https "h" 443, proxy socks4://10.0.0.1:1
    esx://h/?proxy=socks5://p&PROXY=SOCKS://q
        error: the URI parameter proxy has the unexpected value "SOCKS://q" (should be of type http, socks, socks4, socks4a or socks5, not "SOCKS")
    esx://h/?proxy=p:%2080
        esx https "h" 443, proxy http://p:80
    esx://h/?proxy=a:b:1
        error: the URI parameter proxy has the unexpected value "a:b:1" (should be [TYPE://]HOST[:PORT] with a port from 1 to 65535)
    esx://h/?proxy=socks5://%5B::1%5D:9050
        esx https "h" 443, proxy socks5://[::1]:9050
    esx://h/?proxy=%5Bfe80::1%5D
        esx https "h" 443, proxy http://[fe80::1]:1080
    esx://h/?proxy=%5Bp%5D:1
        error: the URI parameter proxy has the unexpected value "[p]:1" (should be [TYPE://]HOST[:PORT] with an IPv6 address in the brackets)
    esx://h/?proxy=%5B::1%5Dx
        error: the URI parameter proxy has the unexpected value "[::1]x" (should be [TYPE://]HOST[:PORT] with a port from 1 to 65535)
    esx://h/?proxy=http://somebody:secret@p:3128
        error: the URI parameter proxy has the unexpected value "(hidden)@p:3128" (should be [TYPE://]HOST[:PORT] without user and password)
    esx://h/?transport=http|s
        error: the connection URI is malformed: the characters "<>\^`{|} in it must be percent-encoded
    esx://h/?transport=%zz
        error: the connection URI is malformed: a % in it is not followed by two hexadecimal digits
    esx://h/?vcenter=%00
        error: the connection URI is malformed: it contains a zero byte
    "#);
}

#[test]
fn the_port_is_written_back() {
    let table: String = [
        "esx://h",
        "esx://h/",
        "esx://root@h:8443/?no_verify=1",
        "esx://h:0/",
        "gsx://[::1]/?transport=http",
        "vpx://administrator%40vsphere.local@vc/f%201/dc/cl/h?auto_answer=1;no_verify=1",
    ]
    .iter()
    .map(|uri| format!("{uri} -> {}\n", ConnectionUri::parse(uri).unwrap()))
    .collect();
    insta::assert_snapshot!(table, @r"
    esx://h -> esx://h:443
    esx://h/ -> esx://h:443/
    esx://root@h:8443/?no_verify=1 -> esx://root@h:8443/?no_verify=1
    esx://h:0/ -> esx://h:443/
    gsx://[::1]/?transport=http -> gsx://[::1]:8222/?transport=http
    vpx://administrator%40vsphere.local@vc/f%201/dc/cl/h?auto_answer=1;no_verify=1 -> vpx://administrator%40vsphere.local@vc:443/f%201/dc/cl/h?auto_answer=1;no_verify=1
    ");
}

#[test]
fn endpoints() {
    let uri = ConnectionUri::parse("esx://[::1]:9443/?proxy=socks5://p&no_verify=1").unwrap();
    let endpoint = uri.endpoint(uri.load_tls_policy("::1", 9443, None).unwrap());
    assert_eq!(endpoint.base_url(), "https://[::1]:9443");
    assert!(matches!(endpoint.tls, TlsPolicy::NoVerify));
    assert_eq!(endpoint.proxy.unwrap().to_string(), "socks5://p:1080");
    assert_eq!(uri.endpoint_of("vc", 9443, TlsPolicy::Verify).base_url(), "https://vc:9443");
}

#[test]
fn ca_files_are_read_only_for_tls() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "pem").unwrap();
    let policy = |uri: String| ConnectionUri::parse(&uri).unwrap().load_tls_policy("h", 443, None);
    let good = policy(format!("esx://h/?cacert={}", file.display())).unwrap();
    assert!(matches!(good, TlsPolicy::CaPem(pem) if pem == b"pem"));
    assert!(matches!(
        policy("esx://h/?cacert=/missing&transport=http".into()),
        Ok(TlsPolicy::Verify)
    ));
    for bad in ["/missing/file".to_owned(), folder.path().display().to_string(), String::new()] {
        let error = policy(format!("esx://h/?cacert={bad}")).unwrap_err();
        let TrustError::CaFile(error) = error else { panic!("{error}") };
        assert_eq!(error.path, bad);
    }
}

#[test]
fn pins_come_before_authorities() {
    let folder = tempfile::tempdir().unwrap();
    let (own, named) = (folder.path().join("own"), folder.path().join("named"));
    let digits = "ab".repeat(20);
    std::fs::write(&own, format!("h:443 {digits}\nvc:443 {digits}\nbad:443 x\n")).unwrap();
    std::fs::write(&named, "other:443 00\n").unwrap();
    let policy = |uri: String, host: &str| {
        let uri = ConnectionUri::parse(&uri).unwrap();
        let port = uri.vcenter().map_or(uri.port(), |(_, port)| port);
        uri.load_tls_policy(host, port, Some(&own))
    };
    let is_pin = |policy| matches!(policy, Ok(TlsPolicy::Thumbprint(_)));
    assert!(is_pin(policy("esx://h/".into(), "h")));
    assert!(is_pin(policy("esx://h/?vcenter=vc".into(), "vc")), "each server has its own");
    assert!(is_pin(policy("esx://h:8443/?vcenter=vc:443".into(), "vc")), "with its port");
    for (uri, host) in [
        ("esx://h:8443/", "h"),
        ("esx://x/", "x"),
        ("esx://h/?transport=http", "h"),
        (&*format!("esx://h/?known_hosts={}", named.display()), "h"),
    ] {
        assert!(matches!(policy(uri.into(), host), Ok(TlsPolicy::Verify)), "{uri}");
    }
    assert!(matches!(policy("esx://h/?no_verify=1".into(), "h"), Ok(TlsPolicy::NoVerify)));
    assert!(policy("esx://bad/".into(), "bad").is_err(), "a broken pin trusts nobody");
    assert!(policy("esx://h/?known_hosts=/missing".into(), "h").is_err());
}

#[test]
fn time_limits() {
    let limits = |query: &str| match ConnectionUri::parse(&format!("esx://h/?{query}")) {
        Ok(uri) => {
            let t = uri.parameters.timeouts;
            format!("{:?} {:?} {:?} {:?} {:?}", t.connect, t.idle, t.call, t.total, uri.keepalive())
        }
        Err(error) => error.to_string(),
    };
    let task =
        |query: &str| ConnectionUri::parse(&format!("esx://h/?{query}")).map(|u| u.task_timeout());
    assert_eq!(task(""), Ok(None));
    assert_eq!(task("task_timeout=1.5"), Ok(Some(Duration::from_millis(1500))));
    assert!(task("task_timeout=soon").is_err());
    let table: String = [
        "",
        "connect_timeout=5&idle_timeout=0.25&call_timeout=0&total_timeout=3600&keepalive=600",
        "connect_timeout=0",
        "idle_timeout=0&call_timeout=0.000",
        "idle_timeout=-1",
        "idle_timeout=1e3",
        "idle_timeout=",
        "idle_timeout=.5",
        "call_timeout=604801",
        "total_timeout=99999999999999999999999",
        "keepalive=1.2345",
        "keepalive=1.",
        "known_hosts=x&thumbprint=0000000000000000000000000000000000000000",
        "known_hosts=x&no_verify=1",
    ]
    .iter()
    .map(|query| format!("{query}: {}\n", limits(query)))
    .collect();
    insta::assert_snapshot!(table, @r#"
    : 30s Some(60s) Some(600s) None None
    connect_timeout=5&idle_timeout=0.25&call_timeout=0&total_timeout=3600&keepalive=600: 5s Some(250ms) None Some(3600s) Some(600s)
    connect_timeout=0: the URI parameter connect_timeout has the unexpected value "0" (should be more than 0)
    idle_timeout=0&call_timeout=0.000: 30s None None None None
    idle_timeout=-1: the URI parameter idle_timeout has the unexpected value "-1" (should be seconds from 0.001 to 604800, or 0 for no bound)
    idle_timeout=1e3: the URI parameter idle_timeout has the unexpected value "1e3" (should be seconds from 0.001 to 604800, or 0 for no bound)
    idle_timeout=: the URI parameter idle_timeout has the unexpected value "" (should be seconds from 0.001 to 604800, or 0 for no bound)
    idle_timeout=.5: the URI parameter idle_timeout has the unexpected value ".5" (should be seconds from 0.001 to 604800, or 0 for no bound)
    call_timeout=604801: the URI parameter call_timeout has the unexpected value "604801" (should be seconds from 0.001 to 604800, or 0 for no bound)
    total_timeout=99999999999999999999999: the URI parameter total_timeout has the unexpected value "99999999999999999999999" (should be seconds from 0.001 to 604800, or 0 for no bound)
    keepalive=1.2345: the URI parameter keepalive has the unexpected value "1.2345" (should be seconds from 0.001 to 604800, or 0 for no bound)
    keepalive=1.: 30s Some(60s) Some(600s) None Some(1s)
    known_hosts=x&thumbprint=0000000000000000000000000000000000000000: the URI parameters known_hosts and thumbprint contradict each other
    known_hosts=x&no_verify=1: the URI parameters known_hosts and no_verify=1 contradict each other
    "#);
}

proptest! {
    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        let _ = ConnectionUri::parse(&text);
    }

    #[test]
    fn almost_uris_are_survived(pieces in proptest::collection::vec(prop_oneof![
        "(esx|vpx|gsx)", Just("://".to_owned()), Just("@".to_owned()), Just("[".to_owned()), Just("]".to_owned()),
        Just(":".to_owned()), Just("/".to_owned()), Just("?".to_owned()), Just("&".to_owned()), Just(";".to_owned()),
        Just("=".to_owned()), Just("%".to_owned()), "(proxy|thumbprint|vcenter)=", "[a-z0-9ü]{0,4}", "%[0-9a-f]{2}",
    ], 0..16)) {
        let text = pieces.concat();
        if let Ok(uri) = ConnectionUri::parse(&format!("esx://{text}")) {
            // What is written back means the same, and is its own canonical form.
            let again = ConnectionUri::parse(&uri.to_string()).unwrap();
            prop_assert_eq!(&again, &uri);
        }
        let _ = ConnectionUri::parse(&text);
    }
}
