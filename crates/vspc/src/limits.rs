//! What a peer may cost (spec 12) and how long it may take (spec 10).

use std::time::Duration;

/// Bounds in bytes and numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Parameters of one telnet option, unescaped.
    pub parameters_bytes: usize,
    /// A service URI.
    pub service_uri_bytes: usize,
    /// A machine's name; more of it is cut off.
    pub name_bytes: usize,
    /// The sequence of a move; one that is longer is answered with "not now".
    pub sequence_bytes: usize,
    /// Serial data of a connection that is not accepted yet.
    pub early_data_bytes: usize,
    /// Data of clients that waits for a machine, moving or slow; then its clients are not read.
    pub held_bytes: usize,
    /// What is kept of a port's output for those who come later.
    pub history_bytes: usize,
    /// What waits for one client; one that is slower is dropped, since a machine is never slowed down.
    pub client_queue_bytes: usize,
    /// Clients of one port.
    pub clients_per_port: usize,
    /// Connections of one address that are not accepted yet.
    pub unidentified_per_address: usize,
    /// Connections of machines.
    pub connections: usize,
    /// Ports, the remembered ones included.
    pub ports: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            parameters_bytes: 4 << 10,
            service_uri_bytes: 2 << 10,
            name_bytes: 1 << 10,
            sequence_bytes: 64,
            early_data_bytes: 64 << 10,
            held_bytes: 1 << 20,
            history_bytes: 64 << 10,
            client_queue_bytes: 256 << 10,
            clients_per_port: 32,
            unidentified_per_address: 16,
            connections: 20_000,
            ports: 40_000,
        }
    }
}

/// How long things may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte to the agreement on option 232, a start of TLS included.
    pub extension: Duration,
    /// From there to DO-PROXY or PEER.
    pub request: Duration,
    /// From there to an identifier.
    pub identity: Duration,
    /// For the check of a claim.
    pub verify: Duration,
    /// From GOAHEAD to COMPLETE or ABORT; a stunned machine never waits so long.
    pub hold: Duration,
    /// After this much silence a NOP shows whether the line still lives.
    pub idle: Duration,
    /// How long a machine that does not move may take nothing of what is typed, once as much waits as may, until who typed it is
    /// let go; for whoever has the sockets.
    pub stuck: Duration,
    /// How long a peer that is let go may take to read what it is still sent; for whoever has the sockets.
    pub goodbye: Duration,
    /// How long a port is remembered after its last connection.
    pub remember: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            extension: Duration::from_secs(10),
            request: Duration::from_secs(10),
            identity: Duration::from_secs(5),
            verify: Duration::from_secs(15),
            hold: Duration::from_secs(120),
            idle: Duration::from_secs(60),
            stuck: Duration::from_secs(30),
            goodbye: Duration::from_secs(10),
            remember: Duration::from_secs(24 * 3600),
        }
    }
}
