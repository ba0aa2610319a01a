//! Figures of a concentrator on loopback: memory for each of many connections, and one busy console.
//!
//! `cargo run --release -p esx-concentrator --example load -- [MACHINES] [MIB]`. Machines and concentrator are two processes, so
//! that the memory is the concentrator's alone: the program starts itself again as the concentrator.

#![allow(clippy::print_stdout, reason = "it is a program")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Instant;

use esx_concentrator::{
    Address, Client, Config, ConsoleEvent, MachineListener, Mode, Server, Settings,
};
use esx_vspc::{Limits, Machine, MachineConfig, MachineEvent};

const TOKEN: &str = "0123456789abcdef";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if arguments.first().is_some_and(|first| first == "serve") {
        return runtime.block_on(serve());
    }
    let number = |at: usize, default| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (machines, mib) = (number(0, 2000)?, usize::try_from(number(1, 256)?)?);
    let mut child = Command::new(std::env::current_exe()?)
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    let mut next = || lines.next().ok_or("it ended")?.map_err(Box::<dyn std::error::Error>::from);
    let (dial_in, consoles): (SocketAddr, Address) = (next()?.parse()?, next()?.parse()?);
    let before = resident_kib(child.id())?;
    let began = Instant::now();
    let mut connected = Vec::new();
    for n in 0..machines {
        connected.push(connect(dial_in, n)?);
    }
    let after = resident_kib(child.id())?;
    println!(
        "{machines} machines connected in {:.2} s; resident memory {before} KiB before, {after} KiB after: {:.1} KiB each",
        began.elapsed().as_secs_f64(),
        (after - before) as f64 / f64::from(machines)
    );
    let (mut stream, mut busy) = connected.swap_remove(0);
    let (rate, bytes) = runtime.block_on(async {
        let client = Client::connect(&consoles, Some(TOKEN)).await?;
        let mut console = client.attach("machine 0", None, Mode::Shared).await?;
        let total = mib << 20;
        // The stream comes back: closed with answers unread, it would take along what is under way.
        let writer = std::thread::spawn(move || -> std::io::Result<TcpStream> {
            let line = [b'x'; 64 << 10];
            for _ in 0..total / line.len() {
                busy.write(&line);
                stream.write_all(&busy.take_output())?;
            }
            Ok(stream)
        });
        let began = Instant::now();
        let mut read = 0;
        while read < total {
            match console.reader.next().await? {
                Some(ConsoleEvent::Data(data)) => read += data.len(),
                Some(ConsoleEvent::Status(_)) => {}
                other => return Err(format!("{other:?} after {read} bytes").into()),
            }
        }
        let rate = read as f64 / began.elapsed().as_secs_f64() / f64::from(1 << 20);
        drop(writer.join());
        Ok::<_, Box<dyn std::error::Error>>((rate, read))
    })?;
    println!("one busy console of {}: {rate:.0} MiB/s over {} MiB", machines, bytes >> 20);
    println!("bare TCP, the same pieces, one thread each: {:.0} MiB/s", bare(mib)?);
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// The concentrator's process: two lines say where it listens.
async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    // All machines come from one address, and a reader on a busy machine may fall behind.
    let limits = Limits { client_queue_bytes: 1 << 30, ..Limits::default() };
    let server = Server::start(
        Settings {
            machines: vec![MachineListener { address: "127.0.0.1:0".parse()?, tls: false }],
            clients: vec![Address::Tcp("127.0.0.1:0".to_owned())],
            token: Some(TOKEN.to_owned()),
            config: Config { limits, ..Config::default() },
            ..Settings::default()
        },
        None,
    )
    .await?;
    println!("{}\n{}", server.machine_addresses()[0], server.client_addresses()[0]);
    // Until the other process is gone.
    tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0; 1])).await??;
    Ok(())
}

/// Connects a machine, blocking.
fn connect(
    address: SocketAddr,
    n: u32,
) -> Result<(TcpStream, Machine), Box<dyn std::error::Error>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut machine = Machine::dial(MachineConfig {
        name: format!("machine {n}"),
        uuid: format!("{n:032x}"),
        ..MachineConfig::default()
    });
    let mut space = [0; 1024];
    loop {
        stream.write_all(&machine.take_output())?;
        if machine.next_event() == Some(MachineEvent::Accepted) {
            return Ok((stream, machine));
        }
        let length = stream.read(&mut space)?;
        if length == 0 {
            return Err("the concentrator closed".into());
        }
        machine.receive(&space[..length])?;
    }
}

fn resident_kib(process: u32) -> Result<u64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// The same bytes over one connection, with nothing between: `cat` over TCP.
fn bare(mib: usize) -> Result<f64, Box<dyn std::error::Error>> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let writer = std::thread::spawn(move || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        let line = [b'x'; 64 << 10];
        for _ in 0..(mib << 20) / line.len() {
            stream.write_all(&line)?;
        }
        Ok(())
    });
    let (mut stream, _) = listener.accept()?;
    let began = Instant::now();
    let (mut read, mut space) = (0, vec![0; 64 << 10]);
    loop {
        match stream.read(&mut space)? {
            0 => break,
            length => read += length,
        }
    }
    drop(writer.join());
    Ok(read as f64 / began.elapsed().as_secs_f64() / f64::from(1 << 20))
}
